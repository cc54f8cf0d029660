//! The log: entries of one line each on the standard error, for people or for programs.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic;

use anyhow::{Context, Result};
use pinrail_domain::settings::escape_line;
use tracing_subscriber::EnvFilter;

use crate::settings::{Common, LogFormat};

/// Begin to log what the settings ask for, `otherwise` when they ask for nothing.
pub fn start(common: &Common, otherwise: &str) -> Result<()> {
    let filter = common.log.as_deref().unwrap_or(otherwise);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("the log filter {filter:?} cannot be read"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| OneLine(io::stderr()));
    match common.log_format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().init(),
    }
    log_panics();
    Ok(())
}

/// Have panics logged as everything else is, with a backtrace if `RUST_BACKTRACE` asks for one.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(backtrace));
        let place = panic.location().map(tracing::field::display);
        tracing::error!(place, backtrace, "panicked: {}", panic.payload_as_str().unwrap_or("without a message"));
    }));
}

/// Writes each entry as one line.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    /// Entries come whole, each with one call.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        self.0.write_all(escape_line(&String::from_utf8_lossy(entry)).as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_entry_is_one_line_whatever_it_quotes() {
        let written = Written::default();
        let kept = written.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || OneLine(kept.clone()));
        tracing::subscriber::with_default(lines.finish(), || {
            let error = "first\nsecond\r\n\tthird \u{9b}31m ü";
            tracing::warn!(%error, "it failed\nERROR forged");
        });
        let written = String::from_utf8(written.0.lock().expect("no panic").clone()).expect("text");
        assert_eq!(written.matches('\n').count(), 1, "{written}");
        assert!(written.ends_with('\n') && written.contains("it failed\\nERROR forged"), "{written}");
        assert!(written.contains("error=first\\nsecond\\r\\n\tthird \\u{9b}31m ü"), "{written}");
    }
}

//! The log: lines on the standard error, for people or for programs.

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::settings::{Common, LogFormat};

/// Begin to log what the settings ask for, `otherwise` when they ask for nothing.
pub fn start(common: &Common, otherwise: &str) -> Result<()> {
    let filter = common.log.as_deref().unwrap_or(otherwise);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("the log filter {filter:?} cannot be read"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match common.log_format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

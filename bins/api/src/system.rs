//! The clock and the randomness of this machine, which everything else is handed.

use std::io::Read;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Error, Result, anyhow, bail};
use pinrail_spec::Timestamp;
use rand::RngCore;
use tokio::signal::unix::{SignalKind, signal};

/// The time.
#[expect(clippy::disallowed_methods, reason = "the one place where this program asks the clock")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Fresh random bytes, good enough for keys.
#[expect(clippy::disallowed_methods, reason = "the one place where this program draws randomness")]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// When something ends: a time from now, such as `90d`, or a date, which counts from its midnight in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// So long from now.
    After(Duration),
    /// Then.
    At(Timestamp),
}

impl Expiry {
    /// The moment, seen from `now`.
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::After(duration) => now + duration,
            Self::At(moment) => moment,
        }
    }
}

impl FromStr for Expiry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(duration) = humantime::parse_duration(text) {
            return Ok(Self::After(duration));
        }
        let midnight = || Timestamp::parse_floor(&format!("{text}T00:00:00Z"));
        let moment = Timestamp::parse_floor(text).or_else(midnight).map(Self::At);
        moment.ok_or_else(|| {
            anyhow!("neither a time nor a date, wanted one such as 90d, 2031-01-31 or 2031-01-31T12:00:00Z")
        })
    }
}

/// A secret that was given on the command line, or, for `-`, is the standard input: there nobody else sees it.
pub fn read_secret(argument: &str) -> Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().take(1 << 20).read_to_string(&mut text).context("the standard input cannot be read")?;
    match text.trim() {
        "" => bail!("the standard input is empty, wanted a token"),
        secret => Ok(secret.to_owned()),
    }
}

/// Resolves when the process is told to stop, by Ctrl-C or SIGTERM.
pub fn told_to_stop() -> Result<impl Future<Output = ()> + Send> {
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be waited for")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be waited for")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

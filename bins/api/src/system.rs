//! The clock and the randomness of this machine, which everything else is handed.

use std::io::Read;
use std::path::Path;
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

/// Who runs this: the user of the system, and who became that user by sudo.
#[expect(clippy::disallowed_methods, reason = "the one place where this program asks who runs it")]
pub fn operator() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = user_name(&users, uid).map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})"));
    match std::env::var("SUDO_USER") {
        Ok(by) if uid == 0 && !by.is_empty() => format!("{name}, by sudo of {by}"),
        _ => name,
    }
}

/// The name of a user in the lines of `/etc/passwd`.
fn user_name(users: &str, uid: u32) -> Option<&str> {
    let mut lines = users.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// A time that is past: so long ago, or a date, which counts from its midnight in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

impl Since {
    /// The moment, seen from `now`.
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => {
                let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(millis))
            }
            Self::At(moment) => moment,
        }
    }
}

impl FromStr for Since {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.parse::<Expiry>() {
            Ok(Expiry::After(duration)) => Ok(Self::Ago(duration)),
            Ok(Expiry::At(moment)) => Ok(Self::At(moment)),
            Ok(Expiry::Never) | Err(_) => {
                bail!("neither a time nor a date, wanted one such as 7d, 2031-01-31 or 2031-01-31T12:00:00Z")
            }
        }
    }
}

/// Fresh random bytes, good enough for keys.
#[expect(clippy::disallowed_methods, reason = "the one place where this program draws randomness")]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// The bytes that are left to this user on the file system of a folder.
pub fn free_space(folder: &Path) -> std::io::Result<u64> {
    let told = rustix::fs::statvfs(folder)?;
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

/// When something ends: a time from now, such as `90d`, a date, which counts from its midnight in UTC, or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// So long from now.
    After(Duration),
    /// Then.
    At(Timestamp),
    /// Not at all.
    Never,
}

impl Expiry {
    /// The moment, seen from `now`; `None` when it never ends.
    pub fn from(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::After(duration) => Some(now + duration),
            Self::At(moment) => Some(moment),
            Self::Never => None,
        }
    }
}

impl FromStr for Expiry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Ok(duration) = humantime::parse_duration(text) {
            return Ok(Self::After(duration));
        }
        let midnight = || Timestamp::parse_floor(&format!("{text}T00:00:00Z"));
        let moment = Timestamp::parse_floor(text).or_else(midnight).map(Self::At);
        moment.ok_or_else(|| {
            anyhow!("neither a time nor a date, wanted one such as 90d, 2031-01-31 or 2031-01-31T12:00:00Z, or never")
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

#[cfg(test)]
mod tests {
    use super::user_name;

    #[test]
    fn a_user_is_found_by_its_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\nnothing\npinrail:x:998:997::/var/lib/pinrail:/usr/sbin/nologin\n";
        assert_eq!((user_name(users, 0), user_name(users, 998)), (Some("root"), Some("pinrail")));
        assert_eq!((user_name(users, 997), user_name("", 0)), (None, None));
    }
}

//! Where the system keeps PostgreSQL's programs, and which user they may run as.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first version that Pinrail supports.
const OLDEST: u32 = 15;

/// Where Debian keeps each version's programs, which are not on the path.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What is used of them.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "psql"];

/// Why no server can be started, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub(super) String);

impl std::error::Error for Missing {}

impl std::fmt::Display for Missing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Check that a server can be started here.
pub fn check() -> Result<(), Missing> {
    folder().map(drop)
}

/// The folder with `initdb`, `postgres` and `psql`, the newest version where there are several.
pub(super) fn folder() -> Result<PathBuf, Missing> {
    let mut found: Vec<(u32, PathBuf)> =
        candidates().into_iter().filter_map(|bin| Some((version(&bin)?, bin))).collect();
    found.sort();
    match found.pop() {
        Some((version, bin)) if version >= OLDEST => Ok(bin),
        Some((version, _)) => Err(Missing(format!("PostgreSQL {version} is installed, wanted {OLDEST} or newer"))),
        None => Err(Missing(
            "PostgreSQL's server is not installed, wanted `initdb`, `postgres` and `psql` (Debian: apt-get install postgresql)"
                .to_owned(),
        )),
    }
}

/// Folders that may hold the programs: Debian's, and those of the path.
#[expect(clippy::disallowed_methods, reason = "where programs are is asked of the environment")]
fn candidates() -> Vec<PathBuf> {
    let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_whole = |bin: &PathBuf| PROGRAMS.iter().all(|name| bin.join(name).exists());
    debian.chain(std::env::split_paths(&path)).filter(is_whole).collect()
}

/// The major version of the server in a folder: `postgres (PostgreSQL) 15.18 (Debian …)`.
fn version(bin: &Path) -> Option<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split_whitespace().nth(2)?;
    number.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// The user and group to run as instead of root, whom PostgreSQL refuses; `None` for anybody else.
pub(super) fn unprivileged() -> Option<(u32, u32)> {
    // Every process may read what it is; the owner of its folder is the user it runs as.
    let is_root = fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0);
    if !is_root {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].into_iter().find_map(|name| ids_of(&users, name))
}

/// A user's number and group, from the lines of `/etc/passwd`.
fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::ids_of;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/bash\nnobody2:x:1:1::/:\nnobody:x:65534:65533:n:/:/bin/false\n";
        assert_eq!(ids_of(users, "nobody"), Some((65_534, 65_533)));
        assert_eq!(ids_of(users, "postgres"), None);
    }
}

//! What xtask is told by its surroundings: read once, then handed on.

use std::env;
use std::path::{Path, PathBuf};

/// The environment of this run. Nothing else in xtask reads variables.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The cargo that started us, so that every build uses the same toolchain.
    pub cargo: PathBuf,
    /// Where tools and downloads are kept between runs and clones.
    pub cache: PathBuf,
    /// On a build server a skipped part counts as a failure.
    pub ci: bool,
    path: Vec<PathBuf>,
}

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "the one place of xtask that reads the environment")]
    pub fn read() -> Self {
        let home = env::var_os("HOME").map_or_else(env::temp_dir, PathBuf::from);
        let cache = env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .unwrap_or_else(|| home.join(".cache"));
        Self {
            cargo: env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
            cache: cache.join("pinrail"),
            ci: env::var_os("CI").is_some_and(|value| value == "true"),
            path: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
        }
    }

    /// The first program called `name` on the search path.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(name)).find(|program| program.is_file())
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the repository")
}

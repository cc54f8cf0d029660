//! The environment of a run: read once, then handed on.

use std::env;
use std::path::{Path, PathBuf};

/// The surroundings of a run of xtask, or of a test. Nothing else here reads variables.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The cargo that started us, so that every build uses the same toolchain.
    pub cargo: PathBuf,
    /// The folder where tools and downloads are kept between runs and clones.
    pub cache: PathBuf,
    /// Set on a build server, where a skipped part counts as a failure.
    pub ci: bool,
    /// A folder with the built programs, which are then taken as they are.
    pub programs: Option<PathBuf>,
    path: Vec<PathBuf>,
}

/// The variable that names the folder with the built programs.
pub const PROGRAMS: &str = "PINRAIL_PROGRAMS";

impl Environment {
    /// Reads the variables of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place of development that reads the environment")]
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
            programs: env::var_os(PROGRAMS).map(PathBuf::from),
            path: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
        }
    }

    /// Returns the first program called `name` on the search path.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(name)).find(|program| program.is_file())
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/testbed is in the repository")
}

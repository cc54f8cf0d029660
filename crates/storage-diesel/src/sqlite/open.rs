//! Opening a database file, and bringing its schema up to date: what can be wrong is told in one line.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connection::{open_read_only, open_writer};
use super::holder::Holder;
use crate::{SchemaStatus, TimeSource};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// How a storage on SQLite is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The shortest time between two commits: zero for who answers people, 100 ms for a worker, whose steps can
    /// wait for one another so that it makes at most ten commits a second.
    pub commit_interval: Duration,
    /// Lists that are read at once, at least one; half of them for one account. Other reads have connections of their own.
    pub readers: usize,
    /// How long to wait for a schema that is not there yet or is older than this program's.
    pub wait_for_schema: Duration,
    /// Whose time steps go by.
    pub time: TimeSource,
    /// Who an operator's steps are noted to be of in the audit log.
    pub actor: String,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            commit_interval: Duration::ZERO,
            readers: 4,
            wait_for_schema: Duration::ZERO,
            time: TimeSource::Database,
            actor: "operator".to_owned(),
        }
    }
}

/// Why a database was not opened or migrated, and what would help.
#[derive(Debug)]
pub enum OpenError {
    /// The folder that should hold the file is not there.
    MissingFolder(PathBuf),
    /// The file or its folder cannot be written.
    ReadOnly(PathBuf),
    /// The file is something else.
    NotADatabase(PathBuf),
    /// The schema was made by a newer version.
    Newer {
        /// The file.
        path: PathBuf,
        /// The migrations that this version does not know.
        migrations: Vec<String>,
    },
    /// The schema lacks migrations, or the file is not there.
    Pending {
        /// The file.
        path: PathBuf,
        /// The migrations that it lacks.
        migrations: Vec<String>,
    },
    /// Another program holds the database.
    Locked {
        /// The file.
        path: PathBuf,
        /// The program, where the system tells.
        holder: Option<Holder>,
    },
    /// Anything else that the database or the system says.
    Failed {
        /// The file.
        path: PathBuf,
        /// What it says.
        why: String,
    },
}

impl std::error::Error for OpenError {}

impl std::fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MissingFolder(path) => {
                write!(
                    formatter,
                    "the folder of the database {} is not there, `pinrail-api migrate` makes it",
                    path.display()
                )
            }
            Self::ReadOnly(path) => write!(
                formatter,
                "the database {} or its folder cannot be written, give the user that runs this the right to",
                path.display()
            ),
            Self::NotADatabase(path) => {
                write!(formatter, "{} is not a SQLite database, name another file", path.display())
            }
            Self::Newer { path, migrations } => write!(
                formatter,
                "the database {} was migrated by a newer version ({}), run that version or a newer one",
                path.display(),
                migrations.join(", ")
            ),
            Self::Pending { path, migrations } => write!(
                formatter,
                "the database {} lacks {} of this version's migrations, run pinrail-api migrate",
                path.display(),
                migrations.len()
            ),
            Self::Locked { path, holder: Some(holder) } => {
                write!(formatter, "{holder} holds the database {}, stop it first", path.display())
            }
            Self::Locked { path, holder: None } => {
                write!(formatter, "another program holds the database {}, stop it first", path.display())
            }
            Self::Failed { path, why } => write!(formatter, "the database {}: {why}", path.display()),
        }
    }
}

/// How the schema of a database stands; one that is not there lacks everything. Changes nothing.
pub fn schema_status(path: &Path) -> Result<SchemaStatus, OpenError> {
    check_folder(path)?;
    let applied = if path.exists() { applied(&mut connect_to_read(path)?, path)? } else { BTreeSet::new() };
    SchemaStatus::of::<Sqlite>(&MIGRATIONS, &applied).map_err(|error| failed(path, error))
}

/// Bring the schema up to date, one process at a time; the migrations that were run. Makes the file if need be. A
/// schema that a newer version brought further, and that this one can use, is left as it is.
pub fn migrate(path: &Path) -> Result<Vec<String>, OpenError> {
    check_folder(path)?;
    let lock = lock_file(path)?;
    lock.lock().map_err(|error| OpenError::Failed { path: path.to_owned(), why: cannot_lock(path, &error) })?;
    let status = schema_status(path)?;
    if status.pending.is_empty() && !status.newer.is_empty() {
        return check_schema(path).map(|()| Vec::new());
    }
    check_known(path, &status)?;
    let mut connection = connect(path)?;
    connection.run_pending_migrations(MIGRATIONS).map_err(|error| told(path, &error.to_string()))?;
    Ok(status.pending)
}

/// Undo the last migration, with everything that its tables hold; its name, `None` when there is none left.
pub fn revert(path: &Path) -> Result<Option<String>, OpenError> {
    check_folder(path)?;
    let lock = lock_file(path)?;
    lock.lock().map_err(|error| OpenError::Failed { path: path.to_owned(), why: cannot_lock(path, &error) })?;
    let status = schema_status(path)?;
    check_known(path, &status)?;
    let Some(last) = status.applied.last() else { return Ok(None) };
    connect(path)?.revert_last_migration(MIGRATIONS).map_err(|error| told(path, &error.to_string()))?;
    Ok(Some(last.clone()))
}

fn check_known(path: &Path, status: &SchemaStatus) -> Result<(), OpenError> {
    if status.newer.is_empty() {
        return Ok(());
    }
    Err(OpenError::Newer { path: path.to_owned(), migrations: status.newer.clone() })
}

/// Check that the schema is this version's, or a later one that only gained something.
pub(super) fn check_schema(path: &Path) -> Result<(), OpenError> {
    let status = schema_status(path)?;
    if !status.newer.is_empty() && status.applied.last() < Some(&needed(path)?) {
        return Err(OpenError::Newer { path: path.to_owned(), migrations: status.newer });
    }
    if !status.pending.is_empty() {
        return Err(OpenError::Pending { path: path.to_owned(), migrations: status.pending });
    }
    Ok(())
}

/// The migration that a program has to know at least, as the last one that took something away has noted it.
fn needed(path: &Path) -> Result<String, OpenError> {
    let needs = diesel::sql_query("SELECT needs AS version FROM service").get_result::<Version>(&mut connect(path)?);
    needs.map(|row| row.version).map_err(|error| told(path, &error.to_string()))
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = diesel::sql_types::Text)]
    version: String,
}

fn applied(connection: &mut SqliteConnection, path: &Path) -> Result<BTreeSet<String>, OpenError> {
    let table = "SELECT name AS version FROM sqlite_schema WHERE name = '__diesel_schema_migrations'";
    let mut load = |query: &str| -> Result<Vec<Version>, OpenError> {
        diesel::sql_query(query).load(connection).map_err(|error| told(path, &error.to_string()))
    };
    if load(table)?.is_empty() {
        return Ok(BTreeSet::new());
    }
    let versions = load("SELECT version FROM __diesel_schema_migrations")?;
    Ok(versions.into_iter().map(|row| row.version).collect())
}

fn connect(path: &Path) -> Result<SqliteConnection, OpenError> {
    if path.exists() {
        File::options().append(true).open(path).map_err(|error| failed(path, error))?;
    }
    open_writer(path).map_err(|error| told(path, &error.to_string()))
}

/// A connection to read with, also where nothing can be written.
pub(super) fn connect_to_read(path: &Path) -> Result<SqliteConnection, OpenError> {
    match connect(path) {
        Err(OpenError::ReadOnly(_)) => open_read_only(path).map_err(|error| told(path, &error.to_string())),
        other => other,
    }
}

fn check_folder(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() { Ok(()) } else { Err(OpenError::MissingFolder(path.to_owned())) }
}

fn lock_file(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(name))
        .map_err(|error| failed(path, error))
}

/// That a lock file of the database at `path` cannot be locked, and what is wanted.
pub(super) fn cannot_lock(path: &Path, error: &std::io::Error) -> String {
    format!("{}.lock cannot be locked ({error}), wanted a local disk: network shares may refuse locks", path.display())
}

/// What the system says of a file.
pub(super) fn failed(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OpenError {
    let error = error.into();
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    match kind {
        Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => OpenError::ReadOnly(path.to_owned()),
        _ => OpenError::Failed { path: path.to_owned(), why: error.to_string() },
    }
}

/// What SQLite says, which tells its errors apart by text alone here.
pub(super) fn told(path: &Path, why: &str) -> OpenError {
    let path = path.to_owned();
    if why.contains("not a database") {
        OpenError::NotADatabase(path)
    } else if why.contains("locked") {
        OpenError::Locked { holder: Holder::of(&path), path }
    } else if why.contains("readonly") || why.contains("unable to open") {
        OpenError::ReadOnly(path)
    } else {
        OpenError::Failed { path, why: why.to_owned() }
    }
}

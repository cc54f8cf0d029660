//! Databases of either kind as what is moved from and to.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pinrail_domain::{PublicKeyRecord, ServiceId};
use pinrail_spec::Timestamp;

use super::moving::{Sink, Source};
use super::{Arrival, Arrived, Mover, Others, TransferError};
use crate::clock_repair::Repaired;
use crate::rows::Row;
use crate::{Database, DatabaseError, OpenError, PostgresError, Problem, SchemaStatus, postgres, sqlite};

/// A transaction on a database.
pub(crate) enum Session {
    Sqlite(sqlite::Session),
    Postgres(Box<postgres::Session>),
}

impl Session {
    /// Begin to read a database whose schema is this version's.
    pub(super) async fn snapshot(database: &Database, others: Others) -> Result<Self, TransferError> {
        if let Database::Sqlite(path) = database
            && !path.exists()
        {
            return Err(TransferError::NoDatabase(path.clone()));
        }
        check_schema(database, database.schema_status().await?)?;
        Ok(match database {
            Database::Sqlite(path) => Self::Sqlite(sqlite::Session::snapshot(path, others)?),
            Database::Postgres(url) => Self::Postgres(Box::new(postgres::Session::snapshot(url, others).await?)),
        })
    }

    /// Migrate a database and begin to fill it, if it is empty.
    pub(super) async fn load(database: &Database) -> Result<Self, TransferError> {
        if let Database::Sqlite(path) = database {
            make_private(path);
        }
        database.migrate().await?;
        check_schema(database, database.schema_status().await?)?;
        Ok(match database {
            Database::Sqlite(path) => Self::Sqlite(sqlite::Session::load(path).await?),
            Database::Postgres(url) => Self::Postgres(Box::new(postgres::Session::load(url).await?)),
        })
    }

    /// Begin to change a database, whose schema is this version's, that nobody else uses.
    pub(crate) async fn alone(database: &Database) -> Result<Self, TransferError> {
        if let Database::Sqlite(path) = database
            && !path.exists()
        {
            return Err(TransferError::NoDatabase(path.clone()));
        }
        check_schema(database, database.schema_status().await?)?;
        Ok(match database {
            Database::Sqlite(path) => Self::Sqlite(sqlite::Session::alone(path)?),
            Database::Postgres(url) => Self::Postgres(Box::new(postgres::Session::alone(url).await?)),
        })
    }

    /// Bring what lies in the future back to now.
    pub(crate) async fn bring_back(&mut self, by: &str, system_time: Timestamp) -> Result<Repaired, TransferError> {
        match self {
            Self::Sqlite(session) => session.bring_back(by, system_time).await,
            Self::Postgres(session) => session.bring_back(by, system_time).await,
        }
    }

    /// The service's id, and the database's time; `system_time` is the machine's.
    pub(super) async fn describe(&mut self, system_time: Timestamp) -> Result<(ServiceId, Timestamp), TransferError> {
        match self {
            Self::Sqlite(session) => session.describe(system_time).await,
            Self::Postgres(session) => session.describe(system_time).await,
        }
    }

    /// The public halves of the signing keys.
    pub(super) async fn list_keys(&mut self) -> Result<Vec<PublicKeyRecord>, TransferError> {
        match self {
            Self::Sqlite(session) => session.list_keys().await,
            Self::Postgres(session) => session.list_keys().await,
        }
    }

    /// Make true of what was loaded what it has to be here, and hold its counters against what they count. The time
    /// is never before `reached`, that of where it came from.
    pub(super) async fn arrive(
        &mut self,
        arrival: Arrival,
        mover: Mover<'_>,
        reached: Timestamp,
        system_time: Timestamp,
    ) -> Result<Arrived, TransferError> {
        match self {
            Self::Sqlite(session) => session.arrive(arrival, mover, reached, system_time).await,
            Self::Postgres(session) => session.arrive(arrival, mover, reached, system_time).await,
        }
    }

    /// Keep what was loaded.
    pub(crate) async fn commit(self) -> Result<(), TransferError> {
        match self {
            Self::Sqlite(session) => session.commit().await,
            Self::Postgres(session) => session.commit().await,
        }
    }

    fn name_of(&self) -> String {
        match self {
            Self::Sqlite(session) => session.name().to_owned(),
            Self::Postgres(session) => session.name().to_owned(),
        }
    }

    async fn count_of<R: Row>(&mut self) -> Result<u64, TransferError> {
        match self {
            Self::Sqlite(session) => session.count::<R>().await,
            Self::Postgres(session) => session.count::<R>().await,
        }
    }
}

impl Source for Session {
    fn name(&self) -> String {
        self.name_of()
    }

    async fn count<R: Row>(&mut self) -> Result<u64, TransferError> {
        self.count_of::<R>().await
    }

    async fn page<R: Row>(&mut self, last: Option<&R>) -> Result<Vec<R>, TransferError> {
        match self {
            Self::Sqlite(session) => session.page(last).await,
            Self::Postgres(session) => session.page(last).await,
        }
    }
}

impl Sink for Session {
    fn name(&self) -> String {
        self.name_of()
    }

    async fn put<R: Row>(&mut self, rows: &[R]) -> Result<(), TransferError> {
        match self {
            Self::Sqlite(session) => session.put(rows).await,
            Self::Postgres(session) => session.put(rows).await,
        }
    }

    async fn count<R: Row>(&mut self) -> Result<u64, TransferError> {
        self.count_of::<R>().await
    }
}

/// Make an empty file that its owner alone can read, unless something is there. What is wrong with its folder, the
/// migration says.
fn make_private(path: &Path) {
    drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
}

/// Rows are read with every column, so the schema has to be this very version's.
fn check_schema(database: &Database, status: SchemaStatus) -> Result<(), DatabaseError> {
    let SchemaStatus { pending, newer, .. } = status;
    if pending.is_empty() && newer.is_empty() {
        return Ok(());
    }
    Err(match database {
        Database::Sqlite(path) if newer.is_empty() => {
            OpenError::Pending { path: path.clone(), migrations: pending }.into()
        }
        Database::Sqlite(path) => OpenError::Newer { path: path.clone(), migrations: newer }.into(),
        Database::Postgres(_) => {
            let problem = if newer.is_empty() { Problem::Pending(pending) } else { Problem::Newer(newer) };
            PostgresError { database: database.to_string(), problem }.into()
        }
    })
}

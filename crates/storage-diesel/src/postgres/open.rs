//! Reaching a database: what can be wrong is told in one line.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::errors::{chain, is_server_going};
use super::redact::without_password;
use super::tls::connector;
use crate::TimeSource;

/// How long a server may take to let a program in, or to say how its schema stands: one that was stopped, or another
/// service on its port, accepts a connection and then says nothing.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// The oldest server that this is tested with, as `server_version_num` says it.
const OLDEST: i32 = 15_00_00;

/// How a storage on PostgreSQL is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Connections of the pool at most, at least two; one more is for wake-ups.
    pub connections: usize,
    /// How long to wait for a server that does not answer yet, and for a schema that is not there yet or is older
    /// than this program's.
    pub wait: Duration,
    /// Whose time steps go by.
    pub time: TimeSource,
    /// Who an operator's steps are noted to be of in the audit log.
    pub actor: String,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { connections: 10, wait: Duration::ZERO, time: TimeSource::Database, actor: "operator".to_owned() }
    }
}

/// Why a database was not opened or migrated, and what would help.
#[derive(Debug)]
pub struct PostgresError {
    /// The database's URL without its password.
    pub database: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The URL or its certificates are not understood.
    Address(String),
    /// Nobody answers there, or nobody yet.
    Unreachable(String),
    /// The server's certificate is not one to trust.
    Insecure(String),
    /// The server speaks no TLS.
    Plain,
    /// The server takes neither this user nor this password.
    Unwelcome(String),
    /// The server has no such database.
    NoSuchDatabase,
    /// The server takes no more connections.
    Crowded,
    /// The server is older than version 15.
    TooOld(String),
    /// It is a standby, or set to be read only.
    ReadOnly,
    /// The database is not in UTF-8.
    Encoding(String),
    /// The tables in it are another program's.
    Foreign,
    /// The schema was made by a newer version, and programs have to know what it changed: these migrations.
    Newer(Vec<String>),
    /// The schema lacks these migrations.
    Pending(Vec<String>),
    /// Anything else that the server says.
    Failed(String),
}

impl Problem {
    /// Whether it may pass by itself.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Crowded | Self::Pending(_))
    }
}

impl std::error::Error for PostgresError {}

impl std::fmt::Display for PostgresError {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let database = &self.database;
        match &self.problem {
            Problem::Unreachable(why) => write!(to, "no PostgreSQL server answers at {database}: {why}"),
            Problem::Insecure(why) => write!(
                to,
                "the connection to {database} is not secure: {why}; name the certificate to trust with sslrootcert"
            ),
            Problem::Plain => write!(
                to,
                "the server of {database} speaks no TLS: turn it on there, or say sslmode=disable where nobody listens"
            ),
            Problem::Unwelcome(why) => write!(to, "the server of {database} takes neither user nor password: {why}"),
            Problem::NoSuchDatabase => write!(to, "there is no database {database}, make it with createdb"),
            Problem::Crowded => write!(
                to,
                "the server of {database} takes no more connections, raise its max_connections or lower --database-connections"
            ),
            Problem::TooOld(version) => {
                write!(to, "the server of {database} is PostgreSQL {version}, wanted 15 or newer")
            }
            Problem::ReadOnly => write!(to, "the database {database} is read only (a standby?), name the primary"),
            Problem::Encoding(found) => {
                write!(to, "the database {database} is encoded in {found}, wanted UTF8: make it with createdb -E UTF8")
            }
            Problem::Foreign => {
                write!(to, "the database {database} holds another program's tables, give Pinrail one of its own")
            }
            Problem::Newer(migrations) => write!(
                to,
                "the database {database} was migrated by a newer version ({}), run that version or a newer one",
                migrations.join(", ")
            ),
            Problem::Pending(migrations) => write!(
                to,
                "the database {database} lacks {} of this version's migrations, run pinrail-api migrate",
                migrations.len()
            ),
            Problem::Address(why) | Problem::Failed(why) => write!(to, "the database {database}: {why}"),
        }
    }
}

/// A database that can be connected to.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) tls: MakeRustlsConnect,
}

impl Place {
    /// Read a URL and the certificates that it names.
    pub(super) fn read(url: &str) -> Result<Self, PostgresError> {
        let address = Address::parse(url)
            .map_err(|why| PostgresError { database: without_password(url), problem: Problem::Address(why) })?;
        let tls = connector(&address).map_err(|why| address.error(Problem::Address(why)))?;
        Ok(Self { address, tls })
    }

    pub(super) fn error(&self, problem: Problem) -> PostgresError {
        self.address.error(problem)
    }

    /// Connect, beside any pool.
    pub(super) async fn connect(&self) -> Result<(Client, Connection<Socket, super::tls::Stream>), PostgresError> {
        // It is large, and would be a part of all that waits for it.
        let connecting = Box::pin(self.address.config.connect(self.tls.clone()));
        self.within(ANSWER, async { connecting.await.map_err(|error| self.error(refusal(&error))) }).await
    }

    /// What the server says to something, if it says it within `limit`.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        asked: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<T, PostgresError> {
        let silent = |_| self.error(Problem::Unreachable("nothing was said in time".to_owned()));
        tokio::time::timeout(limit, asked).await.map_err(silent)?
    }

    /// Check what every use of the server asks of it.
    pub(super) async fn check_server(&self, client: &Client) -> Result<(), PostgresError> {
        let asked = "SELECT current_setting('server_version_num')::int, current_setting('server_version'),
            pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on',
            current_setting('server_encoding')";
        let row = client.query_one(asked, &[]).await.map_err(|error| self.error(refusal(&error)))?;
        let (number, version, is_read_only, encoding): (i32, String, bool, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        if number < OLDEST {
            return Err(self.error(Problem::TooOld(version)));
        }
        if is_read_only {
            return Err(self.error(Problem::ReadOnly));
        }
        if encoding != "UTF8" {
            return Err(self.error(Problem::Encoding(encoding)));
        }
        Ok(())
    }
}

impl Address {
    fn error(&self, problem: Problem) -> PostgresError {
        PostgresError { database: self.shown.clone(), problem }
    }
}

/// What the driver says of a server without TLS, and in no other way.
const NO_TLS: &str = "server does not support TLS";

/// Whether the handshake failed by what either side said, rather than by a connection that broke.
fn is_refused_certificate(error: &dyn std::error::Error) -> bool {
    let is_told = |error: &(dyn std::error::Error + 'static)| {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        error.is::<rustls::Error>() || inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
    };
    let mut under = error.source();
    while let Some(error) = under {
        if is_told(error) {
            return true;
        }
        under = error.source();
    }
    false
}

/// What it means that a connection was not made, or a query not answered.
pub(super) fn refusal(error: &tokio_postgres::Error) -> Problem {
    let why = chain(error);
    let Some(code) = error.code() else {
        return match why {
            why if why.contains(NO_TLS) => Problem::Plain,
            why if is_refused_certificate(error) => Problem::Insecure(why),
            why => Problem::Unreachable(why),
        };
    };
    let why = error.as_db_error().map_or(why, |told| told.message().replace('\n', " "));
    match code {
        code if *code == SqlState::INVALID_CATALOG_NAME => Problem::NoSuchDatabase,
        code if *code == SqlState::TOO_MANY_CONNECTIONS => Problem::Crowded,
        code if is_server_going(code) => Problem::Unreachable(why),
        code if code.code().starts_with("28") => Problem::Unwelcome(why),
        code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Problem::ReadOnly,
        _ => Problem::Failed(why),
    }
}

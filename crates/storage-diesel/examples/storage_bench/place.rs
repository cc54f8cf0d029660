//! Where databases are made: as files in a folder, or on a PostgreSQL server beside what is there already.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use pinrail_storage_diesel::{ConsistencyCheck, Database, DatabaseOptions};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::scene::system_time;

/// Connections of a process to PostgreSQL, as the programs have them by default.
pub const CONNECTIONS: usize = 10;

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Where databases are made.
pub enum Place {
    Folder(PathBuf),
    /// The URL of any database of the server.
    Server(String),
}

impl Place {
    /// Make a database that nobody else has, without a schema.
    pub async fn create(&self) -> Result<Database> {
        let name = format!("pinrail_bench_{}_{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        match self {
            Self::Folder(folder) => Ok(Database::Sqlite(folder.join(format!("{name}.sqlite")))),
            Self::Server(url) => {
                let mut sql = Sql::to_postgres(url).await?;
                sql.run(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")).await?;
                Ok(Database::Postgres(with_name(url, &name)?))
            }
        }
    }

    /// Make one with Pinrail's schema.
    pub async fn create_migrated(&self) -> Result<Database> {
        let database = self.create().await?;
        database.migrate().await?;
        Ok(database)
    }

    /// Whether databases are made on a PostgreSQL server.
    pub const fn is_postgres(&self) -> bool {
        matches!(self, Self::Server(_))
    }
}

/// Delete a database that [`Place::create`] made, and nobody is connected to it any more.
pub async fn remove(database: Database) -> Result<()> {
    match database {
        Database::Sqlite(path) => {
            for ending in ["", "-wal", "-shm"] {
                let mut path = path.clone().into_os_string();
                path.push(ending);
                // A file that was never made need not be deleted.
                drop(std::fs::remove_file(path));
            }
            Ok(())
        }
        Database::Postgres(url) => {
            let name = url.rsplit('/').next().and_then(|rest| rest.split('?').next()).unwrap_or_default();
            anyhow::ensure!(name.starts_with("pinrail_bench_"), "the database {name} was not made by a benchmark");
            let mut sql = Sql::to_postgres(&with_name(&url, "postgres")?).await?;
            sql.run(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
        }
    }
}

/// Open it as the programs do.
pub async fn open(database: &Database, commit_interval: Duration) -> Result<Arc<dyn ConsistencyCheck>> {
    let actor = "benchmark".to_owned();
    let options = DatabaseOptions { wait: Duration::ZERO, commit_interval, connections: CONNECTIONS, actor };
    Ok(database.open(&options, Arc::new(system_time)).await?)
}

/// The URL of another database on the same server.
fn with_name(url: &str, name: &str) -> Result<String> {
    let (place, parameters) = url.split_once('?').map_or((url, ""), |(place, parameters)| (place, parameters));
    let (server, _) =
        place.rsplit_once('/').context("the URL names no database, wanted postgres://<user>@<host>/<database>")?;
    let mark = if parameters.is_empty() { "" } else { "?" };
    Ok(format!("{server}/{name}{mark}{parameters}"))
}

/// A connection for SQL that is no step of the storage.
pub enum Sql {
    Sqlite(SqliteConnection),
    Postgres(tokio_postgres::Client),
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Text)]
    answer: String,
}

impl Sql {
    pub async fn to(database: &Database) -> Result<Self> {
        match database {
            Database::Sqlite(path) => Ok(Self::Sqlite(SqliteConnection::establish(&path.to_string_lossy())?)),
            Database::Postgres(url) => Self::to_postgres(url).await,
        }
    }

    async fn to_postgres(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self::Postgres(client))
    }

    /// Run some statements.
    pub async fn run(&mut self, statements: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.batch_execute(statements)?),
            Self::Postgres(client) => client.batch_execute(statements).await.context(statements.to_owned()),
        }
    }

    /// The texts in the column `answer` of a query.
    pub async fn ask(&mut self, query: &str) -> Result<Vec<String>> {
        match self {
            Self::Sqlite(connection) => {
                let rows: Vec<Answer> = diesel::sql_query(query).load(connection)?;
                Ok(rows.into_iter().map(|row| row.answer).collect())
            }
            Self::Postgres(client) => {
                let rows = client.simple_query(query).await.context(query.to_owned())?;
                let rows = rows.into_iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row.get("answer").unwrap_or_default().to_owned()),
                    _ => None,
                });
                Ok(rows.collect())
            }
        }
    }

    /// The number that a query answers with.
    pub async fn number(&mut self, query: &str) -> Result<i64> {
        let rows = self.ask(query).await?;
        let row = rows.first().with_context(|| format!("no row answers {query}"))?;
        row.parse().with_context(|| format!("{row:?} answers {query}"))
    }
}

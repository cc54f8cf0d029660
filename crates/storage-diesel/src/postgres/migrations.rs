//! Bringing the schema up to date, one process at a time: everybody else waits for it and never changes it.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::pg::Pg;
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::open::{ANSWER, Place, PostgresError, Problem, refusal};
use crate::SchemaStatus;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Who migrates holds this lock of the database; the number is the start of the name, as bytes.
const LOCK: &str =
    "SET statement_timeout = 0; SET lock_timeout = '60s'; SELECT pg_advisory_lock(x'70696e7261696c'::bigint)";

/// Makes the index for parts of names where it is missing and can be made.
const NAME_PARTS: &str = include_str!("../../migrations/postgres/2026-11-23-000004_name_parts/up.sql");

/// How often a schema that is not there is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// How the schema of a database stands; an empty one lacks everything. Changes nothing.
pub async fn schema_status(url: &str) -> Result<SchemaStatus, PostgresError> {
    let place = Place::read(url)?;
    place.within(ANSWER, place.ask(async |client| status(&place, client).await)).await
}

/// Bring the schema up to date, one process at a time; the migrations that were run. A schema that a newer version
/// brought further, and that this one can use, is left as it is.
pub async fn migrate(url: &str) -> Result<Vec<String>, PostgresError> {
    let (place, connection) = lock(url).await?;
    let before = schema_status(url).await?;
    if before.pending.is_empty() && !before.newer.is_empty() {
        place.ask(async |client| place.check_schema(client).await).await?;
        return Ok(Vec::new());
    }
    place.check_known(&before)?;
    change(&place, connection, |harness| harness.run_pending_migrations(MIGRATIONS).map(|_| ())).await?;
    make_name_parts(&place).await?;
    Ok(before.pending)
}

/// The extensions that the index needs may have been installed since its migration was run.
async fn make_name_parts(place: &Place) -> Result<(), PostgresError> {
    let statements = format!("{LOCK}; {NAME_PARTS}");
    let told = |error: tokio_postgres::Error| place.error(refusal(&error));
    place.ask(async |client| client.batch_execute(&statements).await.map_err(told)).await
}

/// Undo the last migration, with everything that its tables hold; its name, `None` when there is none left.
pub async fn revert(url: &str) -> Result<Option<String>, PostgresError> {
    let (place, connection) = lock(url).await?;
    let before = schema_status(url).await?;
    place.check_known(&before)?;
    let Some(last) = before.applied.last() else { return Ok(None) };
    change(&place, connection, |harness| harness.revert_last_migration(MIGRATIONS).map(|_| ())).await?;
    Ok(Some(last.clone()))
}

type Harness = AsyncMigrationHarness<AsyncPgConnection>;

async fn lock(url: &str) -> Result<(Place, AsyncPgConnection), PostgresError> {
    let place = Place::read(url)?;
    place.within(ANSWER, place.ask(async |client| place.check_server(client).await)).await?;
    let (client, connection) = place.connect().await?;
    let failed = |why: String| place.error(Problem::Failed(why));
    let connection = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
    let mut connection = connection.map_err(|error| failed(error.to_string()))?;
    let locked = connection.batch_execute(LOCK).await;
    locked.map_err(|error| failed(format!("the lock for migrations, which another process may hold: {error}")))?;
    Ok((place, connection))
}

/// Have Diesel change the schema, on a thread that may block.
async fn change(
    place: &Place,
    connection: AsyncPgConnection,
    how: impl FnOnce(&mut Harness) -> diesel::migration::Result<()> + Send + 'static,
) -> Result<(), PostgresError> {
    let changed = tokio::task::spawn_blocking(move || {
        let mut harness = Harness::new(connection);
        how(&mut harness).map_err(|error| error.to_string())
    });
    let changed = changed.await.map_err(|error| error.to_string()).and_then(|outcome| outcome);
    changed.map_err(|why| place.error(Problem::Failed(why)))
}

impl Place {
    /// Wait until the server answers and its schema is one that this program can use, `wait` long at most.
    pub(super) async fn wait_for_schema(&self, wait: Duration) -> Result<(), PostgresError> {
        let begun = Instant::now();
        let (last_look, end) = (begun + wait, begun + wait.max(ANSWER));
        let mut is_told = false;
        loop {
            let limit = ANSWER.min(end - Instant::now());
            match self.within(limit, self.ask(async |client| self.check_schema(client).await)).await {
                Err(error) if error.problem.may_pass() && Instant::now() + LOOK < last_look => {
                    if !is_told {
                        tracing::warn!("{error}; waiting for {} s", wait.as_secs());
                        is_told = true;
                    }
                    tokio::time::sleep(LOOK).await;
                }
                other => return other,
            }
        }
    }

    /// Check that the schema is one that this program can use.
    async fn check_schema(&self, client: &Client) -> Result<(), PostgresError> {
        self.check_server(client).await?;
        let status = status(self, client).await?;
        if !status.newer.is_empty() && status.applied.last() < Some(&needed(self, client).await?) {
            return Err(self.error(Problem::Newer(status.newer)));
        }
        if status.pending.is_empty() { Ok(()) } else { Err(self.error(Problem::Pending(status.pending))) }
    }

    /// Connect to ask something; the connection ends with it.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Client) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let (client, connection) = self.connect().await?;
        // Unlike a task that is spawned alone it ends too when the answer is no longer waited for.
        let mut driven = JoinSet::new();
        driven.spawn(connection);
        question(&client).await
    }

    fn check_known(&self, status: &SchemaStatus) -> Result<(), PostgresError> {
        if status.newer.is_empty() { Ok(()) } else { Err(self.error(Problem::Newer(status.newer.clone()))) }
    }
}

async fn status(place: &Place, client: &Client) -> Result<SchemaStatus, PostgresError> {
    let applied = applied(place, client).await?;
    let status = SchemaStatus::of::<Pg>(&MIGRATIONS, &applied);
    let status = status.map_err(|error| place.error(Problem::Failed(error.to_string())))?;
    if status.applied.is_empty() && is_used(place, client).await? {
        return Err(place.error(Problem::Foreign));
    }
    Ok(status)
}

async fn applied(place: &Place, client: &Client) -> Result<BTreeSet<String>, PostgresError> {
    let told = |error: tokio_postgres::Error| place.error(refusal(&error));
    let is_there = client.query_one("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL", &[]).await;
    if !is_there.map_err(told)?.get::<_, bool>(0) {
        return Ok(BTreeSet::new());
    }
    let rows = client.query("SELECT version FROM __diesel_schema_migrations", &[]).await.map_err(told)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The migration that a program has to know at least, as the last one that took something away has noted it.
async fn needed(place: &Place, client: &Client) -> Result<String, PostgresError> {
    let row = client.query_one("SELECT needs FROM service", &[]).await.map_err(|error| place.error(refusal(&error)))?;
    Ok(row.get(0))
}

/// Whether there is a table besides Diesel's own list.
async fn is_used(place: &Place, client: &Client) -> Result<bool, PostgresError> {
    let asked = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = current_schema()
        AND tablename <> '__diesel_schema_migrations')";
    let row = client.query_one(asked, &[]).await.map_err(|error| place.error(refusal(&error)))?;
    Ok(row.get(0))
}

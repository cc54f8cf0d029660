//! A migrated PostgreSQL database for one test.

use pinrail_storage_diesel::{PostgresOptions, PostgresStorage, TimeSource, postgres_schema};
use pinrail_testbed::postgres::{Lent, lend};

/// A migrated database, which goes when its test ends.
pub struct PostgresDatabase {
    lent: Lent,
}

impl PostgresDatabase {
    pub fn new() -> Self {
        Self { lent: lend(migrate) }
    }

    /// One without any table.
    pub fn empty() -> Self {
        let database = Self::new();
        database.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        database
    }

    pub fn name(&self) -> String {
        self.url().rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// Have `psql` run SQL in it.
    pub fn sql(&self, sql: &str) -> String {
        self.lent.sql(sql)
    }

    pub fn url(&self) -> String {
        self.lent.url()
    }

    pub async fn open(&self) -> PostgresStorage {
        self.open_with(TimeSource::Database).await
    }

    /// Open it with steps that go by `time`.
    pub async fn open_with(&self, time: TimeSource) -> PostgresStorage {
        let options = PostgresOptions { connections: 8, time, ..PostgresOptions::default() };
        PostgresStorage::open(&self.url(), &options).await.expect("a migrated database is opened")
    }
}

fn migrate(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime is made");
    runtime.block_on(postgres_schema::migrate(url)).expect("an empty database is migrated");
}

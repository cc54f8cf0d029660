//! The yardsticks: one row inserted into one table, with the same settings and the same grouping of commits.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};
use tokio::sync::oneshot;

use super::gathering::Gathering;

const SETUP: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 4096;
    CREATE TABLE short (key INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE whole (
        account BIGINT NOT NULL, created BIGINT NOT NULL, id BLOB NOT NULL, token BLOB NOT NULL, cid TEXT NOT NULL,
        name TEXT NOT NULL, origins TEXT NOT NULL, status TEXT NOT NULL, PRIMARY KEY (account, created)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX whole_id ON whole (id);
";
const ORIGINS: &str = "[\"/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN\",\
    \"/ip4/203.0.113.7/udp/4001/quic-v1/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN\"]";

/// What is inserted.
#[derive(Debug, Clone, Copy)]
pub enum Row {
    /// A key and 70 bytes of text: the least that a durable insert can be.
    Short,
    /// What a client sends with a pin request, under a request's keys: its account and time, and its id.
    Whole,
}

impl Row {
    fn insert(self, connection: &mut SqliteConnection, key: i64) -> QueryResult<usize> {
        match self {
            Self::Short => diesel::sql_query("INSERT INTO short (key, text) VALUES (?, ?)")
                .bind::<BigInt, _>(key)
                .bind::<Text, _>("a pin request's worth of text, about as long as its CID and its name")
                .execute(connection),
            Self::Whole => diesel::sql_query("INSERT INTO whole VALUES (1, ?, ?, ?, ?, ?, ?, 'queued')")
                .bind::<BigInt, _>(key)
                .bind::<Binary, _>(u128::try_from(key).unwrap_or_default().to_be_bytes().as_slice())
                .bind::<Binary, _>([0; 16].as_slice())
                .bind::<Text, _>("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
                .bind::<Text, _>(format!("photo {key}.jpg"))
                .bind::<Text, _>(ORIGINS)
                .execute(connection),
        }
    }
}

type Queue = Gathering<(i64, oneshot::Sender<()>)>;

/// Durable inserts in a second by `connections` at once.
pub async fn rate(path: &Path, row: Row, connections: u64, inserts: u64) -> Result<u64, Box<dyn Error>> {
    let mut connection = SqliteConnection::establish(&path.to_string_lossy())?;
    connection.batch_execute(SETUP)?;
    let queue = Arc::new(Queue::new());
    let writer = std::thread::spawn({
        let queue = Arc::clone(&queue);
        move || write(&mut connection, row, &queue).map_err(|error| error.to_string())
    });
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..connections {
        let queue = Arc::clone(&queue);
        tasks.spawn(async move {
            for position in 0..inserts / connections {
                let (done, waiting) = oneshot::channel();
                let key = i64::try_from(position * connections + connection).unwrap_or(i64::MAX);
                if queue.put((key, done)).is_err() || waiting.await.is_err() {
                    return;
                }
            }
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome?;
    }
    let rate = super::per_second(inserts, begun.elapsed());
    queue.close();
    writer.join().map_err(|_| "the writer failed")??;
    Ok(rate)
}

/// Commit by the group, as the storage's own writer does.
fn write(connection: &mut SqliteConnection, row: Row, queue: &Queue) -> QueryResult<()> {
    let (mut expected, mut patience) = (1, Duration::ZERO);
    while let Some(group) = queue.take(expected, patience, Duration::from_millis(50), 512) {
        if group.is_empty() {
            continue;
        }
        let begun = Instant::now();
        connection.immediate_transaction(|connection| {
            group.iter().try_for_each(|(key, _)| row.insert(connection, *key).map(drop))
        })?;
        expected = group.len();
        for (_, done) in group {
            // A task that was cancelled waits no more.
            let _ = done.send(());
        }
        patience = begun.elapsed().min(Duration::from_millis(2)) / 2;
    }
    Ok(())
}

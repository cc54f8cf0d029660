//! Bare inserts and claims on SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};
use tokio::sync::oneshot;

use super::{CID, CLAIMED, Load, ORIGINS};
use crate::batch_queue::BatchQueue;
use crate::scene::{per_second, stopwatch};

const SETUP: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 4096;
    CREATE TABLE whole (
        account BIGINT NOT NULL, created BIGINT NOT NULL, id BLOB NOT NULL, token BLOB NOT NULL, cid TEXT NOT NULL,
        name TEXT NOT NULL, origins TEXT NOT NULL, status TEXT NOT NULL, PRIMARY KEY (account, created)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX whole_id ON whole (id);
";

type Queue = BatchQueue<(i64, oneshot::Sender<()>)>;

/// Durable inserts in a second.
pub async fn rate(path: &Path, load: Load) -> Result<f64> {
    let mut connection = SqliteConnection::establish(&path.to_string_lossy())?;
    connection.batch_execute(SETUP)?;
    let queue = Arc::new(Queue::new());
    let writer = std::thread::spawn({
        let queue = Arc::clone(&queue);
        move || write(&mut connection, &queue, load.accounts)
    });
    let begun = stopwatch();
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..load.clients {
        let queue = Arc::clone(&queue);
        tasks.spawn(async move {
            for turn in 0..load.inserts / load.clients {
                let (done, waiting) = oneshot::channel();
                let key = i64::try_from(turn * load.clients + client).unwrap_or(i64::MAX);
                if queue.put((key, done)).is_err() || waiting.await.is_err() {
                    return;
                }
            }
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome?;
    }
    let rate = per_second(load.inserts, begun.elapsed());
    queue.close();
    writer.join().map_err(|_| anyhow!("the writer failed"))??;
    Ok(rate)
}

/// Commit by the group, as the storage's own writer does.
fn write(connection: &mut SqliteConnection, queue: &Queue, accounts: u64) -> QueryResult<()> {
    let accounts = i64::try_from(accounts).unwrap_or(1);
    let (mut expected, mut patience) = (1, Duration::ZERO);
    while let Some(group) = queue.take(expected, patience, Duration::from_millis(50), 512) {
        if group.is_empty() {
            continue;
        }
        let begun = stopwatch();
        connection.immediate_transaction(|connection| {
            group.iter().try_for_each(|(key, _)| insert(connection, key % accounts, *key).map(drop))
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

fn insert(connection: &mut SqliteConnection, account: i64, key: i64) -> QueryResult<usize> {
    diesel::sql_query("INSERT INTO whole VALUES (?, ?, ?, ?, ?, ?, ?, 'queued')")
        .bind::<BigInt, _>(account)
        .bind::<BigInt, _>(key)
        .bind::<Binary, _>(u128::try_from(key).unwrap_or_default().to_be_bytes().as_slice())
        .bind::<Binary, _>([0; 16].as_slice())
        .bind::<Text, _>(CID)
        .bind::<Text, _>(format!("photo {key}.jpg"))
        .bind::<Text, _>(ORIGINS)
        .execute(connection)
}

/// Claim and finish all jobs, each worker on a connection and a thread of its own; how long that took.
pub fn claim(path: &Path, workers: u64) -> Result<Duration> {
    let threads: Vec<_> = (0..workers)
        .map(|worker| {
            let path = path.to_string_lossy().into_owned();
            std::thread::spawn(move || work(&path, worker))
        })
        .collect();
    let times: Result<Vec<Duration>> =
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a worker failed"))?).collect();
    Ok(super::longest(times?))
}

fn work(path: &str, worker: u64) -> Result<Duration> {
    let mut connection = SqliteConnection::establish(path)?;
    connection
        .batch_execute("PRAGMA busy_timeout = 30000; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4096")?;
    let begun = stopwatch();
    let claim = format!(
        "UPDATE jobs SET state = 'leased {worker}'
         WHERE key IN (SELECT key FROM jobs WHERE state = 'due' ORDER BY due LIMIT {CLAIMED})"
    );
    let finish = format!("UPDATE jobs SET state = 'done' WHERE state = 'leased {worker}' AND key BETWEEN ? AND ?");
    let newest = "SELECT COALESCE(MIN(key), 0) AS key FROM jobs WHERE state = 'due'";
    loop {
        let first = connection.immediate_transaction(|connection| {
            let first: First = diesel::sql_query(newest).get_result(connection)?;
            diesel::sql_query(&claim).execute(connection)?;
            QueryResult::Ok(first.key)
        })?;
        if first == 0 {
            return Ok(begun.elapsed());
        }
        let last = first + i64::try_from(CLAIMED)?;
        connection.immediate_transaction(|connection| {
            diesel::sql_query(&finish).bind::<BigInt, _>(first).bind::<BigInt, _>(last).execute(connection)
        })?;
    }
}

#[derive(QueryableByName)]
struct First {
    #[diesel(sql_type = BigInt)]
    key: i64,
}

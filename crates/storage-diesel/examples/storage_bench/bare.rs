//! The yardstick: one insert into one table, with the same settings and the same grouping of commits.

use std::error::Error;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use tokio::sync::oneshot;

const SETUP: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 4096;
    CREATE TABLE bare (key INTEGER PRIMARY KEY, text TEXT NOT NULL);
";

/// Durable inserts in a second by `connections` at once.
pub async fn rate(path: &Path, connections: u64, inserts: u64) -> Result<u64, Box<dyn Error>> {
    let mut connection = SqliteConnection::establish(&path.to_string_lossy())?;
    connection.batch_execute(SETUP)?;
    let (jobs, queue) = channel();
    let writer = std::thread::spawn(move || write(&mut connection, &queue).map_err(|error| error.to_string()));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..connections {
        let jobs = jobs.clone();
        tasks.spawn(async move {
            for position in 0..inserts / connections {
                let (done, waiting) = oneshot::channel();
                let key = i64::try_from(position * connections + connection).unwrap_or(i64::MAX);
                if jobs.send((key, done)).is_err() || waiting.await.is_err() {
                    return;
                }
            }
        });
    }
    drop(jobs);
    while let Some(outcome) = tasks.join_next().await {
        outcome?;
    }
    let rate = super::per_second(inserts, begun.elapsed());
    writer.join().map_err(|_| "the writer failed")??;
    Ok(rate)
}

fn write(connection: &mut SqliteConnection, queue: &Receiver<(i64, oneshot::Sender<()>)>) -> QueryResult<()> {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter());
        connection.immediate_transaction(|connection| {
            for (key, _) in &group {
                diesel::sql_query("INSERT INTO bare (key, text) VALUES (?, ?)")
                    .bind::<BigInt, _>(key)
                    .bind::<Text, _>("a pin request's worth of text, about as long as its CID and its name")
                    .execute(connection)?;
            }
            QueryResult::Ok(())
        })?;
        for (_, done) in group {
            // A task that was cancelled waits no more.
            let _ = done.send(());
        }
    }
    Ok(())
}

//! Bare inserts and claims on PostgreSQL.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::{CID, CLAIMED, Load, ORIGINS};
use crate::place::CONNECTIONS;
use crate::scene::{per_second, stopwatch};

const SETUP: &str = "
    CREATE TABLE whole (
        account BIGINT NOT NULL, created BIGINT NOT NULL, id BYTEA NOT NULL, token BYTEA NOT NULL, cid TEXT NOT NULL,
        name TEXT NOT NULL, origins TEXT NOT NULL, status TEXT NOT NULL, PRIMARY KEY (account, created)
    );
    CREATE UNIQUE INDEX whole_id ON whole (id);
";
/// A whole group in one statement.
const INSERT: &str = "INSERT INTO whole SELECT account, created, id, $4, $5, name, $7, 'queued'
    FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $6::text[]) AS sent (account, created, id, name)";
/// Rows in one statement at most, as where requests are added.
const GROUPED_AT_MOST: usize = 128;

type Waiting = (i64, oneshot::Sender<()>);

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Durable inserts in a second, over half of a process's connections, each with lanes of its own accounts.
pub async fn rate(url: &str, load: Load) -> Result<f64> {
    connect(url).await?.batch_execute(SETUP).await?;
    let mut lanes = Vec::new();
    let mut writers = JoinSet::new();
    for _ in 0..CONNECTIONS / 2 {
        let (lane, waiting) = mpsc::unbounded_channel();
        lanes.push(lane);
        writers.spawn(write(connect(url).await?, waiting, i64::try_from(load.accounts)?));
    }
    let begun = stopwatch();
    let mut clients = JoinSet::new();
    for client in 0..load.clients {
        let lanes = lanes.clone();
        clients.spawn(async move {
            for turn in 0..load.inserts / load.clients {
                let (done, waiting) = oneshot::channel();
                let number = turn * load.clients + client;
                let lane = usize::try_from(number % load.accounts)? % lanes.len();
                lanes[lane].send((i64::try_from(number)?, done)).map_err(|_| anyhow!("a lane is closed"))?;
                waiting.await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(outcome) = clients.join_next().await {
        outcome??;
    }
    let rate = per_second(load.inserts, begun.elapsed());
    drop(lanes);
    while let Some(outcome) = writers.join_next().await {
        outcome??;
    }
    Ok(rate)
}

async fn write(client: Client, mut waiting: mpsc::UnboundedReceiver<Waiting>, accounts: i64) -> Result<()> {
    let insert = client.prepare(INSERT).await?;
    let mut group = Vec::new();
    while waiting.recv_many(&mut group, GROUPED_AT_MOST).await > 0 {
        let (keys, replies): (Vec<i64>, Vec<_>) = group.drain(..).unzip();
        let owners: Vec<i64> = keys.iter().map(|key| key % accounts).collect();
        let ids: Vec<Vec<u8>> = keys.iter().map(|key| i128::from(*key).to_be_bytes().to_vec()).collect();
        let names: Vec<String> = keys.iter().map(|key| format!("photo {key}.jpg")).collect();
        client.execute(&insert, &[&owners, &keys, &ids, &&[0_u8; 16][..], &CID, &names, &ORIGINS]).await?;
        for done in replies {
            // A task that was cancelled waits no more.
            let _: Result<(), ()> = done.send(());
        }
    }
    Ok(())
}

/// Claim and finish all jobs, each worker on a connection of its own; how long that took.
pub async fn claim(url: &str, workers: u64) -> Result<Duration> {
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        tasks.spawn(work(connect(url).await?));
    }
    let mut times = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        times.push(outcome??);
    }
    Ok(super::longest(times))
}

async fn work(client: Client) -> Result<Duration> {
    let claim = format!(
        "UPDATE jobs SET state = 'leased' WHERE key IN (SELECT key FROM jobs WHERE state = 'due' ORDER BY due
         LIMIT {CLAIMED} FOR UPDATE SKIP LOCKED) RETURNING key"
    );
    let claim = client.prepare(&claim).await?;
    let finish = client.prepare("UPDATE jobs SET state = 'done' WHERE key = ANY($1)").await?;
    let begun = stopwatch();
    loop {
        let claimed: Vec<i64> = client.query(&claim, &[]).await?.iter().map(|row| row.get(0)).collect();
        if claimed.is_empty() {
            return Ok(begun.elapsed());
        }
        client.execute(&finish, &[&claimed]).await?;
    }
}

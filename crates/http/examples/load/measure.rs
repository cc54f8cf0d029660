//! Many connections at once, each sending one request after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hyper::{Method, StatusCode};
use multihash_codetable::{Code, MultihashDigest as _};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Target;
use crate::client::Client;
use crate::paths::Paths;

/// Add pins of distinct CIDs that nobody has.
pub async fn post(target: &Target) -> anyhow::Result<Value> {
    let run = Instant::now();
    let salt = std::process::id();
    run_all(target, move |mut client, turn| async move {
        let multihash = Code::Sha2_256.digest(format!("{salt} {run:?} {turn}").as_bytes());
        let body = json!({ "cid": cid::Cid::new_v1(0x55, multihash).to_string(), "name": format!("load {turn}") });
        client.send(Method::POST, "/pins", body.to_string(), StatusCode::ACCEPTED).await?;
        Ok(client)
    })
    .await
}

/// Send GETs whose places are filled as [`Paths`] does it.
pub async fn get(target: &Target, pattern: &str, repeat: bool) -> anyhow::Result<Value> {
    let mut client = Client::connect(target.server, &tokens(target)?[0]).await?;
    let paths = Arc::new(Paths::find(&mut client, pattern, repeat).await?);
    run_all(target, move |mut client, turn| {
        let path = paths.path(turn);
        async move {
            client.get(&path).await?;
            Ok(client)
        }
    })
    .await
}

/// The access tokens to load with.
pub fn tokens(target: &Target) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(&target.tokens).context("the file of tokens cannot be read")?;
    let tokens: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    ensure!(!tokens.is_empty(), "the file of tokens is empty");
    Ok(tokens)
}

async fn run_all<F, A>(target: &Target, send: F) -> anyhow::Result<Value>
where
    F: Fn(Client, usize) -> A + Clone + Send + 'static,
    A: Future<Output = anyhow::Result<Client>> + Send + 'static,
{
    let tokens = tokens(target)?;
    let next = Arc::new(AtomicUsize::new(0));
    let clients = target.connections.max(tokens.len());
    let mut waiting = Vec::new();
    for turn in 0..clients {
        waiting.push(Client::connect(target.server, &tokens[turn % tokens.len()]).await?);
    }
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for share in shares(waiting, target.connections) {
        let (next, send, requests) = (Arc::clone(&next), send.clone(), target.requests);
        tasks.spawn(connection(share, next, requests, send));
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    Ok(summary(latencies, began.elapsed()))
}

/// Deal the clients out, so that `count` requests are under way at once whatever the number of accounts.
fn shares(clients: Vec<Client>, count: usize) -> Vec<Vec<Client>> {
    let mut shares: Vec<Vec<Client>> = std::iter::repeat_with(Vec::new).take(count).collect();
    for (turn, client) in clients.into_iter().enumerate() {
        shares[turn % count].push(client);
    }
    shares
}

async fn connection<F, A>(
    mut share: Vec<Client>,
    next: Arc<AtomicUsize>,
    requests: usize,
    send: F,
) -> anyhow::Result<Vec<Duration>>
where
    F: Fn(Client, usize) -> A,
    A: Future<Output = anyhow::Result<Client>>,
{
    let mut latencies = Vec::new();
    loop {
        let turn = next.fetch_add(1, Ordering::Relaxed);
        if turn >= requests {
            return Ok(latencies);
        }
        let client = share.remove(0);
        let began = Instant::now();
        let client = send(client, turn).await?;
        latencies.push(began.elapsed());
        share.push(client);
    }
}

/// Requests a second, and the median and worst hundredth of their latencies in milliseconds.
pub fn summary(mut latencies: Vec<Duration>, elapsed: Duration) -> Value {
    latencies.sort_unstable();
    let at = |share: usize| latencies.get(latencies.len() * share / 100).map_or(0.0, |took| took.as_secs_f64() * 1e3);
    let count = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
    json!({
        "requests": count,
        "seconds": elapsed.as_secs_f64(),
        "rate": f64::from(count) / elapsed.as_secs_f64(),
        "p50_ms": at(50),
        "p99_ms": at(99),
    })
}

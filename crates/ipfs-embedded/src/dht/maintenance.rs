//! Keeps the routing table filled: enters the DHT through the bootstrap list, and asks servers that were met before
//! they get into the table.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::lookup::Dht;
use super::wire::PeerInfo;

/// Servers that are asked at once.
const CHECKS_AT_ONCE: usize = 4;
/// Servers that wait for it.
pub const MAX_CANDIDATES: usize = 64;
/// How soon entering is tried again while no server answers, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// How often it is looked at whether the table is still filled.
const INTERVAL: Duration = Duration::from_mins(1);

/// Runs until the node ends.
pub async fn keep_table(dht: Dht, candidates: mpsc::Receiver<PeerInfo>) {
    tokio::join!(enter(&dht), check(&dht, candidates));
}

async fn enter(dht: &Dht) {
    let mut pause = FIRST_PAUSE;
    loop {
        if dht.enter().await > 0 {
            pause = FIRST_PAUSE;
            tokio::time::sleep(INTERVAL).await;
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

async fn check(dht: &Dht, mut candidates: mpsc::Receiver<PeerInfo>) {
    let mut checks = FuturesUnordered::new();
    loop {
        tokio::select! {
            candidate = candidates.recv(), if checks.len() < CHECKS_AT_ONCE => match candidate {
                Some(candidate) => checks.push(dht.check(candidate)),
                None => return,
            },
            Some(_answers) = checks.next() => {}
        }
    }
}

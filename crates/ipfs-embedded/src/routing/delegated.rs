//! Delegated routing: asks other services over HTTP who provides a block and where a peer is (`/routing/v1`, IPIP-337).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use futures::future::join_all;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use libp2p::multihash::Multihash;
use libp2p::{Multiaddr, PeerId};
use pinrail_spec::multicodec::RAW;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::health::Health;
use super::options::RouterUrl;
use super::records::{Lines, MAX_RECORDS, read_json, read_line};
use crate::bitswap::lock;
use crate::dht::PeerInfo;
use crate::gate::OutboundGate;
use crate::web::Client;

/// An answer may take this long in all. Its head comes with the first record, which a router may itself have to find.
const LIMIT: Duration = Duration::from_secs(15);
/// The bytes of an answer that are read.
const MAX_BYTES: usize = 1 << 20;
/// Questions to one router at once; further ones are not asked.
const AT_ONCE: usize = 16;
/// Providers without addresses whose addresses are asked for.
const MAX_BARE_PROVIDERS: usize = 4;
/// The codec of a peer id that is written as a CID.
const LIBP2P_KEY: u64 = 0x72;

const AGENT: &str = concat!("pinrail/", env!("CARGO_PKG_VERSION"));
const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";
/// Without `unknown` a router leaves out what it found in the DHT (IPIP-484).
const FILTER: &str = "filter-protocols=unknown,transport-bitswap";

/// A service that is asked.
pub struct Router {
    base: RouterUrl,
    client: Client,
    gate: OutboundGate,
    health: Mutex<Health>,
    slots: Arc<Semaphore>,
}

/// Why a router gave no answer.
#[derive(Debug, Error)]
enum AskError {
    #[error("it did not answer in time")]
    TimedOut,
    #[error("it could not be reached")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("it asks to be left alone for a while")]
    Busy(Option<Duration>),
    #[error("it answered with status {0}")]
    Status(StatusCode),
    #[error("its answer is neither {NDJSON} nor {JSON}")]
    NoRecords,
    #[error("its answer broke off or is larger than 1 MiB")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the question is no request")]
    Request(#[from] hyper::http::Error),
}

impl Router {
    /// A router that is asked through `client`. Of addresses it keeps those that `gate` admits.
    pub fn new(base: RouterUrl, client: Client, gate: OutboundGate) -> Self {
        Self { base, client, gate, health: Mutex::default(), slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Asks for providers of a block and calls `found` with each as it comes, within 15 seconds, and as long again where
    /// the addresses of providers must be asked for.
    pub async fn find_providers(&self, key: &Multihash<64>, found: &(dyn Fn(PeerInfo) + Send + Sync)) {
        let bare = Mutex::new(Vec::new());
        let heard = |provider: PeerInfo| {
            if provider.addresses.is_empty() {
                lock(&bare).push(provider.id);
            } else {
                found(provider);
            }
        };
        self.ask(&format!("providers/{}?{FILTER}", Cid::new_v1(RAW, *key)), &heard).await;
        let bare = bare.into_inner().unwrap_or_default();
        let questions = bare.into_iter().take(MAX_BARE_PROVIDERS).map(|peer| self.find_peer(peer));
        join_all(questions).await.into_iter().flatten().for_each(found);
    }

    /// Asks where a peer is, within 15 seconds.
    pub async fn find_peer(&self, peer: PeerId) -> Option<PeerInfo> {
        let known = Mutex::new(PeerInfo { id: peer, addresses: Vec::new() });
        let heard = |record: PeerInfo| {
            if record.id == peer {
                lock(&known).extend(record.addresses);
            }
        };
        self.ask(&format!("peers/{}", Cid::new_v1(LIBP2P_KEY, *peer.as_ref())), &heard).await;
        known.into_inner().ok().filter(|known| !known.addresses.is_empty())
    }

    /// Asks one question, unless the router is to be left alone or has enough of them.
    async fn ask(&self, question: &str, heard: &(dyn Fn(PeerInfo) + Send + Sync)) {
        let Ok(_slot) = self.slots.try_acquire() else { return };
        if lock(&self.health).is_paused(Instant::now()) {
            return;
        }
        let answered = tokio::time::timeout(LIMIT, self.request(question, heard)).await;
        let answered = answered.unwrap_or(Err(AskError::TimedOut));
        let (now, mut health) = (Instant::now(), lock(&self.health));
        match answered {
            Ok(()) => health.note_answer(),
            Err(AskError::Busy(pause)) => health.note_busy(now, pause),
            Err(error) => {
                let error = pinrail_domain::chain(&error);
                if health.note_failure(now) {
                    tracing::warn!(router = %self.base, error, "a router does not answer, so it is asked less often");
                } else {
                    tracing::debug!(router = %self.base, error, "a router does not answer");
                }
            }
        }
    }

    async fn request(&self, question: &str, heard: &(dyn Fn(PeerInfo) + Send + Sync)) -> Result<(), AskError> {
        let request = Request::get(format!("{}/routing/v1/{question}", self.base))
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, format!("{NDJSON}, {JSON}"))
            .body(Empty::<Bytes>::new())?;
        let response = self.client.request(request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(()),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                return Err(AskError::Busy(super::health::retry_after(response.headers())));
            }
            other => return Err(AskError::Status(other)),
        }
        let usable = |address: &Multiaddr| self.gate.check(address).is_ok();
        match media_type(&response).as_deref() {
            Some(NDJSON) => read_lines(response.into_body(), &usable, heard).await,
            Some(JSON) => {
                let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.map_err(AskError::Broken)?;
                let peers = read_json(&body.to_bytes(), &usable).ok_or(AskError::NoRecords)?;
                peers.into_iter().for_each(heard);
                Ok(())
            }
            _ => Err(AskError::NoRecords),
        }
    }
}

/// The type of the content, without parameters: a router may answer otherwise than it was asked to.
fn media_type(response: &Response<Incoming>) -> Option<String> {
    let whole = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    Some(whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

async fn read_lines(
    body: Incoming,
    usable: &(dyn Fn(&Multiaddr) -> bool + Send + Sync),
    heard: &(dyn Fn(PeerInfo) + Send + Sync),
) -> Result<(), AskError> {
    let mut body = Limited::new(body, MAX_BYTES);
    let (mut lines, mut records) = (Lines::default(), 0);
    while records < MAX_RECORDS {
        let frame = body.frame().await.transpose().map_err(AskError::Broken)?;
        let is_over = frame.is_none();
        let piece = frame.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        let complete = lines.push(&piece).into_iter().chain(if is_over { lines.end() } else { None });
        let peers = complete.filter_map(|line| read_line(&line, &|address| usable(address)));
        for peer in peers.take(MAX_RECORDS - records) {
            records += 1;
            heard(peer);
        }
        if is_over {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "delegated_tests.rs"]
mod tests;

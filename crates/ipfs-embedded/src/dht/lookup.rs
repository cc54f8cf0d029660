//! Look-ups: a search that is driven over the network, with what it finds handed on as the answers come.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use libp2p::PeerId;
use libp2p::multihash::Multihash;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ask::Client;
use super::keyspace::Key;
use super::search::{K, Purpose, Search, Step};
use super::table::Command;
use super::wire::{Answer, PeerInfo, Request};
use crate::network::Commands;

/// Providers that one answer may name: those of several servers are to be heard, since any of them may lie.
const MAX_PROVIDERS_OF_ANSWER: usize = 20;
/// A look-up ends when it has found this many providers.
const ENOUGH_PROVIDERS: usize = 60;
/// Providers without addresses whose addresses are looked up.
const MAX_BARE_PROVIDERS: usize = 4;
/// With fewer servers than this in the table the bootstrap list is asked too.
const SMALL_TABLE: usize = K / 2;

/// Looks things up in the DHT.
#[derive(Debug, Clone)]
pub struct Dht {
    own: PeerId,
    client: Client,
    network: Commands,
    bootstrap: Arc<[PeerInfo]>,
}

impl Dht {
    /// A DHT that is entered through the network's routing table, or through the servers of `bootstrap` while that is
    /// small.
    pub fn new(own: PeerId, client: Client, network: Commands, bootstrap: Vec<PeerInfo>) -> Self {
        Self { own, client, network, bootstrap: bootstrap.into() }
    }

    /// What asks single servers.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Finds providers of a multihash and calls `found` with each as it comes, at most [`ENOUGH_PROVIDERS`] with
    /// addresses. Takes 20 seconds at most, and as long again if addresses of providers must be looked up.
    pub async fn find_providers(&self, key: &Multihash<64>, found: impl Fn(PeerInfo)) {
        let mut seen: HashMap<PeerId, bool> = HashMap::new();
        let heard = |answer: &mut Answer| {
            for provider in std::mem::take(&mut answer.providers).into_iter().take(MAX_PROVIDERS_OF_ANSWER) {
                let has_address = !provider.addresses.is_empty();
                let known = seen.entry(provider.id).or_insert(false);
                if has_address && !*known && provider.id != self.own {
                    *known = true;
                    found(provider);
                }
            }
            let reachable = seen.values().filter(|has_address| **has_address).count();
            if reachable >= ENOUGH_PROVIDERS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.search(Request::GetProviders(&key.to_bytes()), Purpose::Value, heard).await;
        let bare = seen.into_iter().filter(|(peer, has_address)| !has_address && *peer != self.own);
        let look_ups = bare.take(MAX_BARE_PROVIDERS).map(|(peer, _)| self.find_peer(peer));
        for provider in join_all(look_ups).await.into_iter().flatten() {
            found(provider);
        }
    }

    /// Finds the addresses of a peer: those that the first server names that knows any. Takes 20 seconds at most.
    pub async fn find_peer(&self, peer: PeerId) -> Option<PeerInfo> {
        let mut found = None;
        let heard = |answer: &mut Answer| {
            let known = answer.closer.iter().find(|closer| closer.id == peer && !closer.addresses.is_empty());
            found = known.cloned();
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.search(Request::FindNode(&peer.to_bytes()), Purpose::Value, heard).await;
        found
    }

    /// Finds the servers closest to the key of these bytes, at most k, the closest first. Takes 20 seconds at most.
    pub async fn find_closest(&self, preimage: &[u8]) -> Vec<PeerInfo> {
        let search = self.search(Request::FindNode(preimage), Purpose::Closest, |_| ControlFlow::Continue(()));
        search.await.closest()
    }

    /// Whether a server answers; then it may be in the table.
    pub async fn check(&self, server: PeerInfo) -> bool {
        let request = Request::FindNode(&self.own.to_bytes()).encode();
        let answers = self.client.ask(server.clone(), &request).await.is_ok();
        if answers {
            self.network.table(Command::Admit(server));
        }
        answers
    }

    /// Looks for ourselves while the table is small: all servers that answer enter it. How many there are.
    pub async fn enter(&self) -> usize {
        let known = self.known(self.own.to_bytes()).await.len();
        if known < K { self.find_closest(&self.own.to_bytes()).await.len() } else { known }
    }

    /// Runs a search; `heard` is shown each answer and may end it.
    async fn search(
        &self,
        request: Request<'_>,
        purpose: Purpose,
        mut heard: impl FnMut(&mut Answer) -> ControlFlow<()>,
    ) -> Search {
        let (key, message) = (request.key(), request.encode());
        let mut search = Search::new(self.own, Key::of(key), purpose, self.seeds(key).await, Instant::now());
        let mut asked = FuturesUnordered::new();
        loop {
            match search.next(Instant::now()) {
                Step::Ask(server) => {
                    let (id, answer) = (server.id, self.client.ask(server, &message));
                    asked.push(async move { (id, answer.await) });
                    continue;
                }
                Step::Wait => {}
                Step::Done => break,
            }
            let (server, answer) = tokio::select! {
                Some(answered) = asked.next() => answered,
                () = tokio::time::sleep_until(search.ends()) => break,
            };
            match answer {
                Ok(mut answer) => {
                    let flow = heard(&mut answer);
                    search.answered(&server, answer.closer);
                    if flow.is_break() {
                        break;
                    }
                }
                Err(error) => {
                    tracing::debug!(%server, %error, "no answer from a DHT server");
                    search.failed(&server);
                }
            }
        }
        drop(asked);
        self.report(&search);
        search
    }

    async fn seeds(&self, key: &[u8]) -> Vec<PeerInfo> {
        let mut seeds = self.known(key.to_vec()).await;
        if seeds.len() < SMALL_TABLE {
            seeds.extend(self.bootstrap.iter().cloned());
        }
        seeds
    }

    /// The servers of the table that are closest to the key of these bytes.
    async fn known(&self, preimage: Vec<u8>) -> Vec<PeerInfo> {
        let (reply, known) = oneshot::channel();
        self.network.table(Command::Closest { preimage, reply });
        known.await.unwrap_or_default()
    }

    /// Servers that answered may enter the table, those that did not leave it.
    fn report(&self, search: &Search) {
        for server in search.closest() {
            self.network.table(Command::Admit(server));
        }
        for server in search.silent() {
            self.network.table(Command::Remove(server));
        }
    }
}

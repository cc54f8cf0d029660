//! The node's one place to find providers: within a budget, with equal questions joined and answers kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use libp2p::multihash::Multihash;
use libp2p::{Multiaddr, PeerId};
use pinrail_block_store::NodeKey;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::budget::{Budget, Permit};
use super::delegated::Router;
use super::lookups::{Lookups, Providers};
use super::rotation::Rotation;
use crate::bitswap::lock;
use crate::dht::{Dht, PeerInfo};
use crate::peer_routing::PeerRouting;
use crate::watch::WatchList;

/// How often it is looked at whether a waiting root may be looked up.
const TICK: Duration = Duration::from_millis(250);

/// Finds providers; a handle to what all share.
#[derive(Clone)]
pub struct Finder(Arc<Shared>);

struct Shared {
    dht: Option<Dht>,
    routers: Vec<Router>,
    watch_list: Arc<WatchList>,
    budget: Budget,
    lookups: Mutex<Lookups>,
    rotation: Mutex<Rotation>,
    begun: AtomicU64,
    found: AtomicU64,
}

/// What a finder did and has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FinderStats {
    /// Look-ups of providers that were begun.
    pub lookups: u64,
    /// Providers that were found.
    pub providers: u64,
    /// How long the waiting root that is due the longest is due.
    pub behind: Duration,
}

impl Finder {
    /// A finder that asks `dht` and `routers`, and the task that looks up the roots that are waited for. What it finds for them is a
    /// sighting on `watch_list`.
    pub fn start(dht: Option<Dht>, routers: Vec<Router>, watch_list: Arc<WatchList>) -> (Self, JoinHandle<()>) {
        let finder = Self(Arc::new(Shared {
            dht,
            routers,
            watch_list,
            budget: Budget::new(Instant::now()),
            lookups: Mutex::default(),
            rotation: Mutex::default(),
            begun: AtomicU64::default(),
            found: AtomicU64::default(),
        }));
        (finder.clone(), tokio::spawn(finder.look_up_waiting()))
    }

    /// Whether there is anybody to ask.
    pub fn is_on(&self) -> bool {
        self.0.dht.is_some() || !self.0.routers.is_empty()
    }

    /// Names those who are asked, for people.
    pub fn describe(&self) -> String {
        let routers = match self.0.routers.len() {
            0 => None,
            1 => Some("at one router".to_owned()),
            routers => Some(format!("at {routers} routers")),
        };
        let dht = self.0.dht.as_ref().map(|_| "in the DHT".to_owned());
        dht.into_iter().chain(routers).collect::<Vec<_>>().join(" or ")
    }

    /// The DHT, if that is asked.
    #[cfg(test)]
    pub fn dht(&self) -> Option<&Dht> {
        self.0.dht.as_ref()
    }

    /// Finds providers of a block; they come as they are found, and the end comes when the look-up is over. It goes on
    /// when nobody waits for it. None if there is nobody to ask or too many look-ups wait.
    pub fn find(&self, key: Multihash<64>) -> Option<Providers> {
        if !self.is_on() {
            return None;
        }
        let now = Instant::now();
        let mut lookups = lock(&self.0.lookups);
        if let Some(providers) = lookups.join(&key, now) {
            return Some(providers);
        }
        let turn = self.0.budget.queue()?;
        let providers = lookups.begin(key, now);
        let finder = self.clone();
        tokio::spawn(async move {
            let permit = finder.0.budget.wait(turn).await;
            finder.look_up(key, permit).await;
        });
        Some(providers)
    }

    /// Where the node looks peers up that are named by their id alone.
    pub fn peer_routing(&self) -> Arc<dyn PeerRouting> {
        Arc::new(WeakFinder(Arc::downgrade(&self.0)))
    }

    /// Looks up a root from time to time by this block of its DAG, until [`Self::unwatch`].
    pub fn watch(&self, root: NodeKey, block: NodeKey) {
        if !self.is_on() {
            return;
        }
        lock(&self.0.rotation).add(root, block, Instant::now());
        // What the look-up of the fetch that just ended still finds.
        if let Some(providers) = lock(&self.0.lookups).follow(&block.multihash) {
            tokio::spawn(self.clone().tell(root, providers));
        }
    }

    /// Looks up a root no longer.
    pub fn unwatch(&self, root: &NodeKey) {
        lock(&self.0.rotation).remove(root);
    }

    /// Its numbers as they are now.
    pub fn stats(&self) -> FinderStats {
        FinderStats {
            lookups: self.0.begun.load(Ordering::Relaxed),
            providers: self.0.found.load(Ordering::Relaxed),
            behind: lock(&self.0.rotation).behind(Instant::now()),
        }
    }

    /// Finds the addresses of a peer, each ending in `/p2p/<peer id>`; none if they are not known.
    async fn find_peer(&self, peer: PeerId) -> Vec<Multiaddr> {
        let Some(turn) = self.0.budget.queue() else { return Vec::new() };
        let _permit = self.0.budget.wait(turn).await;
        let dht = async { self.0.dht.as_ref()?.find_peer(peer).await };
        let routers = join_all(self.0.routers.iter().map(|router| router.find_peer(peer)));
        let (known, others) = tokio::join!(dht, routers);
        let mut found = PeerInfo { id: peer, addresses: Vec::new() };
        for known in known.into_iter().chain(others.into_iter().flatten()) {
            found.extend(known.addresses);
        }
        found.full_addresses()
    }

    async fn look_up(&self, key: Multihash<64>, permit: Option<Permit>) {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        let found = |provider: PeerInfo| {
            self.0.found.fetch_add(1, Ordering::Relaxed);
            lock(&self.0.lookups).found(&key, provider);
        };
        let dht = async {
            if let Some(dht) = &self.0.dht {
                dht.find_providers(&key, found).await;
            }
            // A router that is slow to answer keeps no other look-up waiting.
            drop(permit);
        };
        let routers = join_all(self.0.routers.iter().map(|router| router.find_providers(&key, &found)));
        tokio::join!(dht, routers);
        lock(&self.0.lookups).end(&key, Instant::now());
    }

    async fn look_up_waiting(self) {
        if !self.is_on() {
            return;
        }
        loop {
            if !self.look_up_next(Instant::now()) {
                tokio::time::sleep(TICK).await;
            }
        }
    }

    /// Looks up a waiting root if one is due and the budget has room for it; whether it did.
    fn look_up_next(&self, now: Instant) -> bool {
        let mut rotation = lock(&self.0.rotation);
        let Some(permit) = rotation.is_due(now).then(|| self.0.budget.spare(now)).flatten() else { return false };
        let Some((root, block)) = rotation.next(now) else { return false };
        drop(rotation);
        let key = block.multihash;
        let mut lookups = lock(&self.0.lookups);
        let providers = lookups.join(&key, now).unwrap_or_else(|| {
            let finder = self.clone();
            tokio::spawn(async move { finder.look_up(key, Some(permit)).await });
            lookups.begin(key, now)
        });
        drop(lookups);
        tokio::spawn(self.clone().tell(root, providers));
        true
    }

    /// Wakes a root at its first provider.
    async fn tell(self, root: NodeKey, mut providers: Providers) {
        if let Some(provider) = providers.recv().await {
            self.0.watch_list.found(root, provider.id);
        }
    }
}

/// A finder as what it asks with knows it, without keeping it alive.
struct WeakFinder(Weak<Shared>);

#[async_trait]
impl PeerRouting for WeakFinder {
    async fn find_peer(&self, peer: PeerId) -> Vec<Multiaddr> {
        match self.0.upgrade() {
            Some(shared) => Finder(shared).find_peer(peer).await,
            None => Vec::new(),
        }
    }
}

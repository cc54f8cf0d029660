//! The task that announces: each new root within seconds, and all roots again once in a cycle, region by region.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libp2p::multihash::Multihash;
use libp2p::{Multiaddr, PeerId};
use pinrail_block_store::{BlockStore, NodeKey, StoreError};
use pinrail_domain::chain;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::explore::explore;
use super::schedule::{CYCLE_MS, Schedule, region_bits};
use super::send::{Sent, send};
use crate::bitswap::lock;
use crate::dht::{Dht, K, Key, PeerInfo, Prefix};
use crate::reach::to_tell;

/// New roots are gathered for so long, so that those of one region are announced together.
const GATHER: Duration = Duration::from_secs(2);
/// New roots that wait to be announced; further ones wait for the turn of their region.
const MAX_NEW: usize = 4_096;
/// With more new roots in a region than this, all servers of the region are found at once.
const FEW: usize = 2;
/// How often it is looked at whether a region is due.
const LOOK: Duration = Duration::from_secs(10);
/// How long what could not be announced waits.
const RETRY: Duration = Duration::from_mins(5);
/// How long the size of the network is taken for what it was.
const BITS_HOLD: Duration = Duration::from_hours(1);
/// Roots that are read from the store at once.
const PAGE: usize = 1_000;

/// Hands new roots to the task that announces.
#[derive(Debug, Clone)]
pub struct Announcer {
    new: mpsc::Sender<Multihash<64>>,
    stats: Arc<Mutex<AnnounceStats>>,
}

/// What was announced, and how far behind the node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnnounceStats {
    /// Roots that were announced when they were new.
    pub new_roots: u64,
    /// Regions of the keyspace whose roots were announced again.
    pub regions: u64,
    /// Records that servers took.
    pub records: u64,
    /// Servers that gave no answer when they were asked for a receipt.
    pub refused: u64,
    /// By how much the region that waits the longest is over its cycle.
    pub behind: Duration,
    /// Whether nothing is announced since no address is known at which others can dial the node.
    pub has_no_address: bool,
}

/// What a node says of itself in its records.
pub struct Own {
    pub id: PeerId,
    /// Addresses that the operator named.
    pub announce: Vec<Multiaddr>,
    /// Where it listens.
    pub listening: watch::Receiver<Vec<Multiaddr>>,
    /// Whether only public addresses are told.
    pub is_public: bool,
}

impl Own {
    /// The node with the addresses at which others can dial it; none if there is no such address.
    fn record(&self) -> Option<PeerInfo> {
        let addresses = to_tell(&self.announce, &self.listening.borrow(), self.is_public);
        (!addresses.is_empty()).then_some(PeerInfo { id: self.id, addresses })
    }
}

impl Announcer {
    /// Announces what `store` keeps, and goes on until the task is aborted.
    pub fn start(dht: Dht, own: Own, store: BlockStore) -> (Self, JoinHandle<()>) {
        let (new, waiting) = mpsc::channel(MAX_NEW);
        let announcer = Self { new, stats: Arc::default() };
        let (stats, started) = (announcer.stats.clone(), Instant::now());
        let task = Task { dht, own, store, stats, started, bits: AsyncMutex::default() };
        (announcer, tokio::spawn(task.run(waiting)))
    }

    /// Announces a root that was just pinned.
    pub fn pinned(&self, root: &NodeKey) {
        if root.identity_bytes().is_none() {
            // When there are too many, the turn of its region comes.
            let _full = self.new.try_send(root.multihash);
        }
    }

    /// What was announced so far.
    pub fn stats(&self) -> AnnounceStats {
        *lock(&self.stats)
    }
}

struct Task {
    dht: Dht,
    own: Own,
    store: BlockStore,
    stats: Arc<Mutex<AnnounceStats>>,
    started: Instant,
    /// How many bits make a region of about k servers, and when that was found out.
    bits: AsyncMutex<Option<(u32, Instant)>>,
}

impl Task {
    async fn run(self, new: mpsc::Receiver<Multihash<64>>) {
        tokio::join!(self.announce_new(new), self.sweep());
    }

    /// Milliseconds of a clock that begins one cycle before the task: what is due goes by how much time passes.
    fn now_ms(&self) -> u64 {
        CYCLE_MS + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }

    async fn announce_new(&self, mut new: mpsc::Receiver<Multihash<64>>) {
        let mut late: Vec<Multihash<64>> = Vec::new();
        loop {
            let first = tokio::select! {
                first = new.recv() => first,
                () = sleep(RETRY), if !late.is_empty() => late.pop(),
            };
            let Some(first) = first else { return };
            sleep(GATHER).await;
            let mut keys = vec![first];
            keys.append(&mut late);
            while let Ok(key) = new.try_recv() {
                keys.push(key);
            }
            late = self.announce_now(keys).await;
            late.truncate(MAX_NEW);
        }
    }

    /// Announces these roots; those that could not be.
    async fn announce_now(&self, keys: Vec<Multihash<64>>) -> Vec<Multihash<64>> {
        let (Some(own), Some(bits)) = (self.own_record(), self.region_bits().await) else { return keys };
        let mut regions: BTreeMap<Prefix, Vec<Multihash<64>>> = BTreeMap::new();
        for key in keys {
            regions.entry(Prefix::of(&Key::of(&key.to_bytes()), bits)).or_default().push(key);
        }
        let mut late = Vec::new();
        for (prefix, keys) in regions {
            let sent = if keys.len() > FEW {
                self.announce(&own, &keys, prefix).await
            } else {
                self.announce_each(&own, &keys).await
            };
            if is_success(&sent) {
                lock(&self.stats).new_roots += keys.len() as u64;
            } else {
                late.extend(keys);
            }
        }
        late
    }

    async fn announce_each(&self, own: &PeerInfo, keys: &[Multihash<64>]) -> Sent {
        let mut all = Sent::default();
        for key in keys {
            let servers = self.dht.find_closest(&key.to_bytes()).await;
            let servers: Vec<_> = servers.into_iter().map(|server| (server.key(), server)).collect();
            all += self.send(own, &[*key], &servers).await;
        }
        all
    }

    async fn announce(&self, own: &PeerInfo, keys: &[Multihash<64>], prefix: Prefix) -> Sent {
        match explore(&self.dht, prefix).await {
            Some(servers) => self.send(own, keys, &servers).await,
            None => Sent::default(),
        }
    }

    async fn send(&self, own: &PeerInfo, keys: &[Multihash<64>], servers: &[(Key, PeerInfo)]) -> Sent {
        let sent = send(self.dht.client(), own, keys, servers).await;
        let mut stats = lock(&self.stats);
        stats.records += sent.records as u64;
        stats.refused += sent.refused as u64;
        drop(stats);
        sent
    }

    /// Announces the roots of each region when its turn comes.
    async fn sweep(&self) {
        let mut schedule: Option<(Schedule, Vec<Prefix>)> = None;
        let mut postponed: HashMap<Prefix, Instant> = HashMap::new();
        loop {
            sleep(LOOK).await;
            let Some(own) = self.own_record() else { continue };
            if schedule.is_none() {
                schedule = self.region_bits().await.map(|bits| self.plan(bits));
            }
            let Some((schedule, regions)) = &mut schedule else { continue };
            postponed.retain(|_, until| *until > Instant::now());
            let waiting = regions.iter().copied().filter(|region| !postponed.contains_key(region));
            if let Some(region) = schedule.due(waiting, self.now_ms()) {
                if self.announce_region(&own, region).await {
                    schedule.announced(region, self.now_ms());
                } else {
                    postponed.insert(region, Instant::now() + RETRY);
                }
            }
            let behind = Duration::from_millis(schedule.behind_ms(regions.iter().copied(), self.now_ms()));
            lock(&self.stats).behind = behind;
        }
    }

    /// Announces the roots of a region; whether that is done.
    async fn announce_region(&self, own: &PeerInfo, region: Prefix) -> bool {
        let keys = match self.pinned_in(region).await {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!(error = chain(&error), "roots are not announced, since they cannot be read");
                return false;
            }
        };
        if keys.is_empty() {
            return true;
        }
        let sent = self.announce(own, &keys, region).await;
        lock(&self.stats).regions += u64::from(is_success(&sent));
        is_success(&sent)
    }

    /// The multihashes of the pinned roots in a region.
    async fn pinned_in(&self, region: Prefix) -> Result<Vec<Multihash<64>>, StoreError> {
        let store = self.store.clone();
        let read = move || {
            let (mut keys, mut after) = (Vec::new(), None);
            loop {
                let page = store.roots(after.as_ref(), PAGE)?;
                let pinned = page.roots.iter().filter(|(key, state)| state.pinned && key.identity_bytes().is_none());
                let hashes = pinned.map(|(key, _)| key.multihash);
                keys.extend(hashes.filter(|hash| region.contains_key(&Key::of(&hash.to_bytes()))));
                match page.next {
                    Some(next) => after = Some(next),
                    None => return Ok(keys),
                }
            }
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(keys) => keys,
            // The node is being stopped.
            Err(_) => Ok(Vec::new()),
        }
    }

    fn plan(&self, bits: u32) -> (Schedule, Vec<Prefix>) {
        let servers = (K as u64) << bits;
        (Schedule::new(self.own_key(), servers, self.now_ms(), []), Prefix::all(bits))
    }

    /// How many bits make a region of about k servers, by those closest to this node; none while no server answers.
    async fn region_bits(&self) -> Option<u32> {
        let mut known = self.bits.lock().await;
        if let Some((bits, _)) = known.filter(|(_, since)| since.elapsed() < BITS_HOLD) {
            return Some(bits);
        }
        let closest = self.dht.find_closest(&self.own.id.to_bytes()).await;
        let keys: Vec<Key> = closest.iter().map(PeerInfo::key).collect();
        if keys.is_empty() {
            return None;
        }
        let bits = region_bits(&self.own_key(), &keys);
        *known = Some((bits, Instant::now()));
        Some(bits)
    }

    fn own_key(&self) -> Key {
        Key::of(&self.own.id.to_bytes())
    }

    fn own_record(&self) -> Option<PeerInfo> {
        let own = self.own.record();
        let had_none = std::mem::replace(&mut lock(&self.stats).has_no_address, own.is_none());
        if own.is_none() && !had_none {
            tracing::warn!("nothing is announced, since no public address of this node is known (--announce)");
        }
        own
    }
}

/// Whether enough servers took their records for them to be found.
fn is_success(sent: &Sent) -> bool {
    sent.reached > 0 && sent.reached * 5 >= sent.servers
}

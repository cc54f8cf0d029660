//! Roots that nobody had yet: asked in rotation of those connected peers that may have them (see [`crate::asking`]), the
//! newest first, and of each that connects.
//!
//! A DAG whose root somebody has and whose rest nobody does is asked for by a block that is missing: by its root it would
//! be found and fetched in vain for ever.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::multihash::Multihash;
use pinrail_block_store::NodeKey;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::asking::{NEWEST_OF_NEWCOMER, NEWEST_OF_STRANGER, Share, of_waiting_roots};
use crate::bitswap::{Event, Events, Exchange, Peer, Subscription, lock};
use crate::known_peers::KnownPeers;

/// Roots that one peer is asked for at once; other nodes keep 1,024 wants for each peer, blocks among them.
const ASKED_AT_ONCE: usize = 200;
/// A peer that does not answer is asked for other roots after this.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// A peer that was asked for all roots is asked anew after this.
const ROTATION: Duration = Duration::from_mins(1);
const TICK: Duration = Duration::from_millis(500);
/// A root is not told of again sooner than this after it was told of, doubled each time up to the longest: a peer that
/// says it has everything must not have everything fetched in vain all the time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// A peer has a root that was watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The root.
    pub root: NodeKey,
    /// Who says so.
    pub peer: PeerId,
}

/// The roots that are watched for.
pub struct WatchList {
    roots: Mutex<Roots>,
    changed: Notify,
    sighted: mpsc::UnboundedSender<Sighting>,
    sightings: AsyncMutex<mpsc::UnboundedReceiver<Sighting>>,
}

#[derive(Default)]
struct Roots {
    by_age: BTreeMap<u64, Wanted>,
    ages: HashMap<NodeKey, u64>,
    next_age: u64,
    /// Blocks that are asked for no longer.
    removed: Vec<NodeKey>,
    told: HashMap<NodeKey, Told>,
}

/// A root on the list, and the block of its DAG that is asked for.
#[derive(Clone, Copy)]
struct Wanted {
    root: NodeKey,
    block: NodeKey,
}

/// When a root was last told of, and what came since.
struct Told {
    at: Instant,
    pause: Duration,
    /// Who has it by now; told when the pause is over.
    next: Option<PeerId>,
}

impl WatchList {
    /// An empty list and the task that asks for what is on it.
    pub fn start(exchange: &Arc<Exchange>) -> (Arc<Self>, JoinHandle<()>) {
        let (sighted, sightings) = mpsc::unbounded_channel();
        let list = Arc::new(Self {
            roots: Mutex::default(),
            changed: Notify::new(),
            sighted,
            sightings: AsyncMutex::new(sightings),
        });
        let (subscription, events) = exchange.subscribe();
        let peers = exchange.peers().into_iter().map(|peer| (peer.id, Asking::new(peer, 0))).collect();
        let known = exchange.shared.known.clone();
        let rotation = Rotation { list: list.clone(), subscription, peers, known };
        (list, tokio::spawn(rotation.run(events)))
    }

    /// Watch for a root.
    pub fn add(&self, root: NodeKey) {
        let mut roots = lock(&self.roots);
        if !roots.ages.contains_key(&root) {
            roots.push(Wanted { root, block: root });
        }
        drop(roots);
        self.changed.notify_one();
    }

    /// Watch for a root by this block of its DAG.
    pub fn add_missing(&self, root: NodeKey, block: NodeKey) {
        let mut roots = lock(&self.roots);
        let known = roots.ages.get(&root).and_then(|age| roots.by_age.get(age));
        if known.is_none_or(|known| known.block != block) {
            roots.take(&root);
            roots.push(Wanted { root, block });
        }
        drop(roots);
        self.changed.notify_one();
    }

    /// Watch for a root no longer.
    pub fn remove(&self, root: &NodeKey) {
        let mut roots = lock(&self.roots);
        roots.take(root);
        roots.told.remove(root);
        drop(roots);
        self.changed.notify_one();
    }

    /// A peer is said to have a root; it is told of like a peer that says so itself.
    pub fn found(&self, root: NodeKey, peer: PeerId) {
        if lock(&self.roots).sight(root, peer, Instant::now()) {
            // Whoever waits for sightings ends together with the node.
            let _ended = self.sighted.send(Sighting { root, peer });
        }
    }

    /// Whether a peer said of late that it has this root.
    pub fn was_sighted(&self, root: &NodeKey) -> bool {
        lock(&self.roots).told.contains_key(root)
    }

    /// The next sighting, for one waiter at a time.
    pub async fn next_sighting(&self) -> Sighting {
        match self.sightings.lock().await.recv().await {
            Some(sighting) => sighting,
            // The node has ended, so nothing will be sighted.
            None => std::future::pending().await,
        }
    }

    /// The first root that was added at or after the age `newer`, else the last one before the age `older`, and none
    /// that was added before the age `least`.
    fn next(&self, newer: u64, older: u64, least: u64) -> Option<(u64, Wanted)> {
        let roots = lock(&self.roots);
        let next = roots.by_age.range(newer.max(least)..).next();
        let entry = next.or_else(|| roots.by_age.range(least..older.max(least)).next_back());
        entry.map(|(age, wanted)| (*age, *wanted))
    }

    /// The age of the `count`th newest root, or 0 if there are fewer.
    fn age_of_newest(&self, count: usize) -> u64 {
        lock(&self.roots).by_age.keys().rev().nth(count - 1).copied().unwrap_or_default()
    }

    /// Whether a root is one of the newest, or was never waited for.
    pub fn is_new(&self, root: &NodeKey) -> bool {
        let age = lock(&self.roots).ages.get(root).copied();
        age.is_none_or(|age| age >= self.age_of_newest(NEWEST_OF_STRANGER))
    }

    fn next_age(&self) -> u64 {
        lock(&self.roots).next_age
    }

    fn take_removed(&self) -> Vec<NodeKey> {
        std::mem::take(&mut lock(&self.roots).removed)
    }
}

impl Roots {
    fn push(&mut self, wanted: Wanted) {
        self.ages.insert(wanted.root, self.next_age);
        self.by_age.insert(self.next_age, wanted);
        self.next_age += 1;
    }

    fn take(&mut self, root: &NodeKey) {
        let wanted = self.ages.remove(root).and_then(|age| self.by_age.remove(&age));
        self.removed.extend(wanted.map(|wanted| wanted.block));
    }

    /// Note that a peer has a root; whether that is to be told now.
    fn sight(&mut self, root: NodeKey, peer: PeerId, now: Instant) -> bool {
        if !self.ages.contains_key(&root) {
            return false;
        }
        let Some(told) = self.told.get_mut(&root) else {
            self.told.insert(root, Told { at: now, pause: FIRST_PAUSE, next: None });
            return true;
        };
        let due = now.duration_since(told.at) >= told.pause;
        if due {
            *told = Told { at: now, pause: (told.pause * 2).min(LONGEST_PAUSE), next: None };
        } else {
            told.next = Some(peer);
        }
        due
    }

    /// What is to be told by now; what was told long ago is forgotten.
    fn take_due(&mut self, now: Instant) -> Vec<Sighting> {
        let is_over = |told: &Told| now.duration_since(told.at) >= told.pause;
        let later = self.told.iter().filter(|(_, told)| is_over(told));
        let due = later.filter_map(|(root, told)| Some(Sighting { root: *root, peer: told.next? })).collect::<Vec<_>>();
        self.told.retain(|_, told| told.next.is_some() || now.duration_since(told.at) < told.pause * 2);
        due.into_iter().filter(|sighting| self.sight(sighting.root, sighting.peer, now)).collect()
    }
}

/// What one peer was asked for.
struct Asking {
    peer: Arc<Peer>,
    asked: HashMap<Multihash<64>, Asked>,
    /// Roots from this age on were added since this round began.
    newer: u64,
    /// Roots below this age come later in this round.
    older: u64,
    round_over: Option<Instant>,
}

/// A block that a peer was asked for, and the roots that lack it.
struct Asked {
    block: NodeKey,
    roots: Vec<NodeKey>,
    since: Instant,
}

impl Asking {
    fn new(peer: Arc<Peer>, next_age: u64) -> Self {
        Self { peer, asked: HashMap::new(), newer: next_age, older: next_age, round_over: None }
    }
}

/// Asks all peers for the roots on the list.
struct Rotation {
    list: Arc<WatchList>,
    subscription: Subscription,
    peers: HashMap<PeerId, Asking>,
    known: Arc<KnownPeers>,
}

impl Rotation {
    async fn run(mut self, mut events: Events) {
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => return,
                },
                () = self.list.changed.notified() => {
                    self.forget_removed();
                    self.ask_all();
                }
                () = tokio::time::sleep(TICK) => {
                    self.give_up_silent(Instant::now());
                    self.tell_due();
                    self.ask_all();
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connected(peer) => {
                let id = peer.id;
                self.peers.insert(id, Asking::new(peer, self.list.next_age()));
                self.ask(id);
            }
            Event::Identified(peer) => self.ask(peer.id),
            Event::Disconnected(peer) => drop(self.peers.remove(&peer)),
            Event::Unreached(_) => {}
            Event::Presence { from, multihash, have } => self.answered(from, &multihash, have),
            Event::Block { from, multihash, .. } => self.answered(from, &multihash, true),
        }
    }

    fn answered(&mut self, from: PeerId, multihash: &Multihash<64>, have: bool) {
        let Some(asking) = self.peers.get_mut(&from) else { return };
        let Some(asked) = asking.asked.remove(multihash) else { return };
        // A peer remembers a want that it answered with no; the place is needed for other roots.
        asking.peer.cancel(asked.block.to_cid());
        if have && !asking.peer.has_let_down() {
            let now = Instant::now();
            let mut list = lock(&self.list.roots);
            let told = asked.roots.into_iter().filter(|root| list.sight(*root, from, now)).collect::<Vec<_>>();
            drop(list);
            for root in told {
                self.tell(Sighting { root, peer: from });
            }
        }
        self.ask(from);
    }

    /// Tell what came while it was too early to tell it.
    fn tell_due(&self) {
        let due = lock(&self.list.roots).take_due(Instant::now());
        for sighting in due {
            self.tell(sighting);
        }
    }

    fn tell(&self, sighting: Sighting) {
        // Whoever waits for sightings ends together with this task.
        let _ended = self.list.sighted.send(sighting);
    }

    fn forget_removed(&mut self) {
        for block in self.list.take_removed() {
            self.subscription.stop_waiting(&block.multihash);
            for asking in self.peers.values_mut() {
                if asking.asked.remove(&block.multihash).is_some() {
                    asking.peer.cancel(block.to_cid());
                }
            }
        }
    }

    fn give_up_silent(&mut self, now: Instant) {
        for asking in self.peers.values_mut() {
            asking.asked.retain(|_, asked| {
                let waiting = now.duration_since(asked.since) < ANSWER_LIMIT;
                if !waiting {
                    asking.peer.cancel(asked.block.to_cid());
                }
                waiting
            });
        }
    }

    fn ask_all(&mut self) {
        let newest = self.newest();
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.ask_for(peer, newest);
        }
    }

    fn ask(&mut self, peer: PeerId) {
        self.ask_for(peer, self.newest());
    }

    /// The least ages of roots that newcomers and strangers are asked for.
    fn newest(&self) -> (u64, u64) {
        (self.list.age_of_newest(NEWEST_OF_NEWCOMER), self.list.age_of_newest(NEWEST_OF_STRANGER))
    }

    /// Ask a peer for further roots that it may learn of, as many as there is room for.
    fn ask_for(&mut self, peer: PeerId, (of_newcomer, of_stranger): (u64, u64)) {
        let Some(asking) = self.peers.get_mut(&peer) else { return };
        let now = Instant::now();
        let least = match of_waiting_roots(&asking.peer, self.known.contains(&peer)) {
            Share::All => 0,
            Share::Newest(NEWEST_OF_NEWCOMER) => of_newcomer,
            Share::Newest(_) => of_stranger,
            Share::Nothing => return,
        };
        while asking.asked.len() < ASKED_AT_ONCE {
            let Some((age, Wanted { root, block })) = self.list.next(asking.newer, asking.older, least) else {
                let over = *asking.round_over.get_or_insert(now);
                if now.duration_since(over) >= ROTATION {
                    *asking = Asking::new(asking.peer.clone(), self.list.next_age());
                    continue;
                }
                return;
            };
            if age >= asking.newer {
                asking.newer = age + 1;
            } else {
                asking.older = age;
            }
            if let Some(asked) = asking.asked.get_mut(&block.multihash) {
                asked.roots.push(root);
                continue;
            }
            self.subscription.wait_for(block.multihash);
            asking.asked.insert(block.multihash, Asked { block, roots: vec![root], since: now });
            asking.peer.want_have(block.to_cid());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinrail_ipfs::hash::hash;

    #[test]
    fn a_root_is_told_of_less_and_less_often() {
        let multihash = hash(0x12, 32, b"said to be there").expect("sha2-256");
        let root = NodeKey { codec: 0x55, multihash };
        let (peer, start) = (PeerId::random(), Instant::now());
        let mut roots = Roots::default();
        assert!(!roots.sight(root, peer, start), "it is not on the list");
        roots.push(Wanted { root, block: root });
        let told = |seconds: &u64| roots.sight(root, peer, start + Duration::from_secs(*seconds));
        let told = (0..60).filter(told).collect::<Vec<_>>();
        assert_eq!(told, [0, 5, 15, 35]);
        let later = |roots: &mut Roots, seconds| roots.take_due(start + Duration::from_secs(seconds)).len();
        assert_eq!((later(&mut roots, 74), later(&mut roots, 75)), (0, 1), "what came meanwhile is not lost");
        assert_eq!(later(&mut roots, 10_000), 0);
        assert!(roots.told.is_empty());
    }
}

//! Roots that nobody had yet: asked of every connected peer in rotation, and of each that connects.
//!
//! A client behind a NAT cannot be dialled; it dials us, and has what it just asked to be pinned. So a peer that
//! connects is asked for the newest roots first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::multihash::Multihash;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::bitswap::{Event, Exchange, Peer, Subscription, lock};
use crate::store::NodeKey;

/// Roots that one peer is asked for at once; other nodes keep 1,024 wants for each peer, blocks among them.
const ASKED_AT_ONCE: usize = 200;
/// A peer that does not answer is asked for other roots after this.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// A peer that was asked for all roots is asked anew after this.
const ROTATION: Duration = Duration::from_mins(1);
const TICK: Duration = Duration::from_millis(500);

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
    sightings: AsyncMutex<mpsc::UnboundedReceiver<Sighting>>,
}

#[derive(Default)]
struct Roots {
    by_age: BTreeMap<u64, NodeKey>,
    ages: HashMap<NodeKey, u64>,
    next_age: u64,
    removed: Vec<NodeKey>,
}

impl WatchList {
    /// An empty list and the task that asks for what is on it.
    pub fn start(exchange: &Arc<Exchange>) -> (Arc<Self>, JoinHandle<()>) {
        let (sighted, sightings) = mpsc::unbounded_channel();
        let list =
            Arc::new(Self { roots: Mutex::default(), changed: Notify::new(), sightings: AsyncMutex::new(sightings) });
        let (subscription, events) = exchange.subscribe();
        let peers = exchange.peers().into_iter().map(|peer| (peer.id, Asking::new(peer, 0))).collect();
        let rotation = Rotation { list: list.clone(), subscription, peers, sighted };
        (list, tokio::spawn(rotation.run(events)))
    }

    /// Watch for a root.
    pub fn add(&self, root: NodeKey) {
        let mut roots = lock(&self.roots);
        if !roots.ages.contains_key(&root) {
            let age = roots.next_age;
            roots.next_age += 1;
            roots.ages.insert(root, age);
            roots.by_age.insert(age, root);
        }
        drop(roots);
        self.changed.notify_one();
    }

    /// Watch for a root no longer.
    pub fn remove(&self, root: &NodeKey) {
        let mut roots = lock(&self.roots);
        if let Some(age) = roots.ages.remove(root) {
            roots.by_age.remove(&age);
            roots.removed.push(*root);
        }
        drop(roots);
        self.changed.notify_one();
    }

    /// The next sighting, for one waiter at a time.
    pub async fn next_sighting(&self) -> Sighting {
        match self.sightings.lock().await.recv().await {
            Some(sighting) => sighting,
            // The node has ended, so nothing will be sighted.
            None => std::future::pending().await,
        }
    }

    /// The first root that was added at or after the age `newer`, else the last one before the age `older`.
    fn next(&self, newer: u64, older: u64) -> Option<(u64, NodeKey)> {
        let roots = lock(&self.roots);
        let entry = roots.by_age.range(newer..).next().or_else(|| roots.by_age.range(..older).next_back());
        entry.map(|(age, root)| (*age, *root))
    }

    fn next_age(&self) -> u64 {
        lock(&self.roots).next_age
    }

    fn contains(&self, root: &NodeKey) -> bool {
        lock(&self.roots).ages.contains_key(root)
    }

    fn take_removed(&self) -> Vec<NodeKey> {
        std::mem::take(&mut lock(&self.roots).removed)
    }
}

/// What one peer was asked for.
struct Asking {
    peer: Arc<Peer>,
    asked: HashMap<Multihash<64>, (NodeKey, Instant)>,
    /// Roots from this age on were added since this round began.
    newer: u64,
    /// Roots below this age come later in this round.
    older: u64,
    round_over: Option<Instant>,
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
    sighted: mpsc::UnboundedSender<Sighting>,
}

impl Rotation {
    async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
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
            Event::Disconnected(peer) => drop(self.peers.remove(&peer)),
            Event::Presence { from, multihash, have } => self.answered(from, &multihash, have),
            Event::Block { from, multihash, .. } => self.answered(from, &multihash, true),
        }
    }

    fn answered(&mut self, from: PeerId, multihash: &Multihash<64>, have: bool) {
        let Some(asking) = self.peers.get_mut(&from) else { return };
        let Some((root, _)) = asking.asked.remove(multihash) else { return };
        // A peer remembers a want that it answered with no; the place is needed for other roots.
        asking.peer.cancel(root.to_cid());
        if have && self.list.contains(&root) {
            // Whoever waits for sightings ends together with this task.
            let _ended = self.sighted.send(Sighting { root, peer: from });
        }
        self.ask(from);
    }

    fn forget_removed(&mut self) {
        for root in self.list.take_removed() {
            self.subscription.stop_waiting(&root.multihash);
            for asking in self.peers.values_mut() {
                if asking.asked.remove(&root.multihash).is_some() {
                    asking.peer.cancel(root.to_cid());
                }
            }
        }
    }

    fn give_up_silent(&mut self, now: Instant) {
        for asking in self.peers.values_mut() {
            asking.asked.retain(|_, (root, since)| {
                let waiting = now.duration_since(*since) < ANSWER_LIMIT;
                if !waiting {
                    asking.peer.cancel(root.to_cid());
                }
                waiting
            });
        }
    }

    fn ask_all(&mut self) {
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.ask(peer);
        }
    }

    /// Ask a peer for further roots, as many as there is room for.
    fn ask(&mut self, peer: PeerId) {
        let Some(asking) = self.peers.get_mut(&peer) else { return };
        let now = Instant::now();
        while asking.asked.len() < ASKED_AT_ONCE {
            let Some((age, root)) = self.list.next(asking.newer, asking.older) else {
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
            self.subscription.wait_for(root.multihash);
            asking.asked.insert(root.multihash, (root, now));
            asking.peer.want_have(root.to_cid());
        }
    }
}

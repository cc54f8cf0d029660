//! What all peers' tasks share: who is connected, who waits for which block, and the store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::multihash::Multihash;
use libp2p::swarm::ConnectionId;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::handler::OpenStream;
use super::peer::{Peer, lock};
use super::server::{self, ServeLimits};
use super::waiting::Waiting;
use super::{client, server::Parked};
use crate::store::BlockStore;

/// After this many blocks within a minute that nobody asked for a peer is dropped.
const MAX_STRIKES: u32 = 8;
/// How long a dropped peer stays out.
const BAN: Duration = Duration::from_mins(10);
/// How many dropped peers are remembered.
const MAX_BANNED: usize = 1_024;

/// A peer was dropped for what it sent and is not let in again yet.
#[derive(Debug, Error)]
#[error("the peer sent blocks that nobody asked for")]
pub struct Banned;

/// What a subscriber is told.
pub enum Event {
    /// A block that it waited for, held against its multihash; it may be larger than a block may be.
    Block {
        /// Who sent it.
        from: PeerId,
        /// Its multihash.
        multihash: Multihash<64>,
        /// Its content.
        bytes: Bytes,
    },
    /// Whether a peer has a block that it waits for.
    Presence {
        /// Who says so.
        from: PeerId,
        /// The block's multihash.
        multihash: Multihash<64>,
        /// Whether it has it.
        have: bool,
    },
    /// A peer connected.
    Connected(Arc<Peer>),
    /// A peer is no longer connected.
    Disconnected(PeerId),
    /// A dial of a peer failed.
    Unreached(PeerId),
}

/// The meeting point of peers, fetches and the store.
pub struct Exchange {
    pub(super) store: BlockStore,
    pub(super) parked: Parked,
    pub(super) limits: ServeLimits,
    peers: Mutex<HashMap<PeerId, Arc<Peer>>>,
    outboxes: Mutex<HashMap<PeerId, mpsc::UnboundedReceiver<super::wire::WantEntry>>>,
    waiting: Mutex<Waiting>,
    subscribers: Mutex<HashMap<u64, mpsc::UnboundedSender<Event>>>,
    next_subscriber: AtomicU64,
    banned: Mutex<HashMap<PeerId, Instant>>,
    drops: mpsc::UnboundedSender<PeerId>,
    /// Each fetch that receives blocks holds one of these.
    running: Arc<()>,
}

impl Exchange {
    /// An exchange over `store`. Peers to disconnect from are sent to `drops`.
    pub fn new(store: BlockStore, drops: mpsc::UnboundedSender<PeerId>) -> Arc<Self> {
        Arc::new(Self {
            store,
            parked: Parked::default(),
            limits: ServeLimits::default(),
            peers: Mutex::default(),
            outboxes: Mutex::default(),
            waiting: Mutex::default(),
            subscribers: Mutex::default(),
            next_subscriber: AtomicU64::new(0),
            banned: Mutex::default(),
            drops,
            running: Arc::new(()),
        })
    }

    /// Count as a fetch that receives blocks while the answer is held.
    pub fn count_fetch(&self) -> Arc<()> {
        self.running.clone()
    }

    /// How many fetches receive blocks, at least one.
    pub fn fetches(&self) -> usize {
        (Arc::strong_count(&self.running) - 1).max(1)
    }

    /// All connected peers.
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        lock(&self.peers).values().cloned().collect()
    }

    /// A connected peer.
    pub fn find(&self, peer: &PeerId) -> Option<Arc<Peer>> {
        lock(&self.peers).get(peer).cloned()
    }

    /// End the tasks of all peers; called when the swarm is gone, which tells nobody that its connections are.
    pub fn close(&self) {
        for (_, peer) in lock(&self.peers).drain() {
            peer.leave();
        }
        lock(&self.outboxes).clear();
        lock(&self.subscribers).clear();
    }

    /// Be told of peers, and of the blocks that the subscription then waits for.
    pub fn subscribe(self: &Arc<Self>) -> (Subscription, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let id = self.next_subscriber.fetch_add(1, Ordering::Relaxed);
        lock(&self.subscribers).insert(id, sender);
        (Subscription { exchange: self.clone(), id }, receiver)
    }

    /// Serve a block that was just committed to those who asked for it before it was there.
    pub fn committed(&self, multihash: &Multihash<64>) {
        self.parked.release(multihash);
    }

    /// Tell subscribers that a dial of this peer failed.
    pub fn unreached(&self, peer: PeerId) {
        self.tell_all(|| Event::Unreached(peer));
    }

    pub(super) fn is_banned(&self, peer: &PeerId) -> bool {
        lock(&self.banned).get(peer).is_some_and(|since| since.elapsed() < BAN)
    }

    pub(super) fn find_or_add(&self, id: PeerId) -> Arc<Peer> {
        let mut peers = lock(&self.peers);
        peers
            .entry(id)
            .or_insert_with(|| {
                let (peer, outbox) = Peer::new(id);
                lock(&self.outboxes).insert(id, outbox);
                peer
            })
            .clone()
    }

    pub(super) fn connected(
        self: &Arc<Self>,
        id: PeerId,
        connection: ConnectionId,
        opener: mpsc::UnboundedSender<OpenStream>,
    ) {
        let peer = self.find_or_add(id);
        peer.add_connection(connection, opener);
        // Its outbox is still here only for the first connection.
        if let Some(outbox) = lock(&self.outboxes).remove(&id) {
            tokio::spawn(client::send_wants(peer.clone(), outbox));
            tokio::spawn(server::serve(self.clone(), peer.clone()));
            self.tell_all(|| Event::Connected(peer.clone()));
        }
    }

    pub(super) fn disconnected(&self, id: &PeerId, connection: ConnectionId) {
        let Some(peer) = self.find(id) else { return };
        if peer.remove_connection(connection) {
            lock(&self.peers).remove(id);
            self.parked.leave(&peer);
            self.tell_all(|| Event::Disconnected(*id));
        }
    }

    /// Give blocks to those who wait for them; count what nobody asked for.
    pub(super) fn receive_blocks(&self, peer: &Arc<Peer>, blocks: Vec<(Multihash<64>, Bytes)>) {
        let mut unrequested = 0;
        {
            let mut waiting = lock(&self.waiting);
            let subscribers = lock(&self.subscribers);
            for (multihash, bytes) in blocks {
                let Some(waiters) = waiting.take(&multihash) else {
                    unrequested += usize::from(!waiting.was_wanted(&multihash));
                    continue;
                };
                for subscriber in waiters.iter().filter_map(|waiter| subscribers.get(waiter)) {
                    let event = Event::Block { from: peer.id, multihash, bytes: bytes.clone() };
                    // A subscriber that is ending takes no more events.
                    let _gone = subscriber.send(event);
                }
            }
        }
        for _ in 0..unrequested {
            self.strike(peer);
        }
    }

    pub(super) fn receive_presences(&self, peer: &Arc<Peer>, presences: Vec<(Multihash<64>, bool)>) {
        let waiting = lock(&self.waiting);
        let subscribers = lock(&self.subscribers);
        for (multihash, have) in presences {
            for subscriber in waiting.get(&multihash).iter().filter_map(|waiter| subscribers.get(waiter)) {
                let _gone = subscriber.send(Event::Presence { from: peer.id, multihash, have });
            }
        }
    }

    /// Count something that an honest peer does not send; drop the peer after a few.
    pub(super) fn strike(&self, peer: &Arc<Peer>) {
        if peer.strike() != MAX_STRIKES {
            return;
        }
        tracing::info!(peer = %peer.id, "dropping a peer that sends blocks nobody asked for");
        let mut banned = lock(&self.banned);
        banned.retain(|_, since| since.elapsed() < BAN);
        if banned.len() < MAX_BANNED {
            banned.insert(peer.id, Instant::now());
        }
        // The swarm's task ends only with the node.
        let _ended = self.drops.send(peer.id);
    }

    fn tell_all(&self, event: impl Fn() -> Event) {
        for subscriber in lock(&self.subscribers).values() {
            let _gone = subscriber.send(event());
        }
    }
}

/// One subscriber's place in the exchange, given up when dropped.
pub struct Subscription {
    exchange: Arc<Exchange>,
    id: u64,
}

impl Subscription {
    /// Wait for a block and for words about it.
    pub fn wait_for(&self, multihash: Multihash<64>) {
        lock(&self.exchange.waiting).add(multihash, self.id);
    }

    /// Wait for a block no longer; whether nobody else does.
    pub fn stop_waiting(&self, multihash: &Multihash<64>) -> bool {
        lock(&self.exchange.waiting).remove(multihash, self.id)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.exchange.subscribers).remove(&self.id);
    }
}

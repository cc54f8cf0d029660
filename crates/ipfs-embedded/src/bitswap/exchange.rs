//! What all peers' tasks share: who is connected, who waits for which block, and the store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use libp2p::multihash::Multihash;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use pinrail_block_store::{BlockStore, StoreError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::events::{self, Event, EventSender, Events};
use super::lock::lock;
use super::peer::{Peer, SpeaksBitswap};
use super::protocol::OpenStream;
use super::serve_budget::ServeBudget;
use super::serve_queue::ServeQueue;
use super::waiting::Waiting;
use super::waiting_peers::WaitingPeers;
use super::wire::WantEntry;
use crate::address_block::AddressBlock;
use crate::bans::Bans;
use crate::counters::Counters;
use crate::known_peers::KnownPeers;
use crate::network::Commands;
use crate::receive::Budget;

/// After this many blocks within a minute that nobody asked for a peer is dropped.
const MAX_STRIKES: u32 = 8;

/// What the exchange shares with other parts of the node.
pub struct Shared {
    /// Peers with a reason to be here.
    pub known: Arc<KnownPeers>,
    /// Peers that are not let in.
    pub bans: Arc<Bans>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// The memory for received bytes.
    pub receive_budget: Arc<Budget>,
    /// The memory for blocks that are sent.
    pub serve_budget: ServeBudget,
    /// Streams that one peer is served on at once.
    pub serve_streams: usize,
    /// What the network is to do.
    pub commands: Commands,
}

/// The meeting point of peers, fetches and the store.
pub struct Exchange {
    pub(super) store: BlockStore,
    pub(super) waiting_peers: WaitingPeers,
    /// What other parts of the node have a hand in too.
    pub shared: Shared,
    peers: Mutex<HashMap<PeerId, Arc<Peer>>>,
    outboxes: Mutex<HashMap<PeerId, mpsc::UnboundedReceiver<WantEntry>>>,
    waiting: Mutex<Waiting>,
    subscribers: Mutex<HashMap<u64, EventSender>>,
    next_subscriber: AtomicU64,
    /// Each fetch that receives blocks holds one of these.
    running: Arc<()>,
}

impl Exchange {
    /// An exchange over `store`.
    pub fn new(store: BlockStore, shared: Shared) -> Arc<Self> {
        Arc::new(Self {
            store,
            waiting_peers: WaitingPeers::default(),
            shared,
            peers: Mutex::default(),
            outboxes: Mutex::default(),
            waiting: Mutex::default(),
            subscribers: Mutex::default(),
            next_subscriber: AtomicU64::new(0),
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
    pub fn subscribe(self: &Arc<Self>) -> (Subscription, Events) {
        let (sender, events) = events::queue();
        let id = self.next_subscriber.fetch_add(1, Ordering::Relaxed);
        lock(&self.subscribers).insert(id, sender);
        (Subscription { exchange: self.clone(), id }, events)
    }

    /// Serve a block that was just committed to those who asked for it before it was there.
    pub fn committed(&self, multihash: &Multihash<64>) {
        self.waiting_peers.release(multihash);
    }

    /// Tell subscribers that a dial of this peer failed.
    pub fn unreached(&self, peer: PeerId) {
        self.tell_all(|| Event::Unreached(peer));
    }

    /// A peer said whether it speaks bitswap among other protocols, or will not say it.
    pub fn identified(&self, peer: &PeerId, speaks: SpeaksBitswap) {
        let Some(peer) = self.find(peer) else { return };
        peer.note_bitswap(speaks);
        self.tell_all(|| Event::Identified(peer.clone()));
    }

    /// A peer was dialled to ask it whom it knows.
    pub fn note_look_up(&self, peer: &PeerId) {
        if let Some(peer) = self.find(peer) {
            peer.note_look_up();
        }
    }

    /// Serve all blocks that are there by now to those who asked before they were, after many came another way.
    pub fn serve_waiting(&self) -> Result<(), StoreError> {
        for multihash in self.waiting_peers.multihashes() {
            if self.store.size(&multihash)?.is_some() {
                self.waiting_peers.release(&multihash);
            }
        }
        Ok(())
    }

    pub(super) fn find_or_add(&self, id: PeerId, address: &Multiaddr, dialled_us: bool) -> Arc<Peer> {
        let mut peers = lock(&self.peers);
        peers
            .entry(id)
            .or_insert_with(|| {
                let account = self.shared.receive_budget.account(id, AddressBlock::of(address));
                let serve =
                    ServeQueue::new(self.shared.serve_budget.share(account.address_block()), self.shared.serve_streams);
                let (peer, outbox) = Peer::new(id, account, serve, dialled_us);
                lock(&self.outboxes).insert(id, outbox);
                peer
            })
            .clone()
    }

    /// A connection with a peer is there; the peer and what is to be sent to it, if it is the first one.
    pub(super) fn connected(
        &self,
        id: PeerId,
        connection: ConnectionId,
        opener: mpsc::UnboundedSender<OpenStream>,
    ) -> Option<(Arc<Peer>, mpsc::UnboundedReceiver<WantEntry>)> {
        let peer = self.find(&id)?;
        peer.add_connection(connection, opener);
        // Its outbox is still here only for the first connection.
        let outbox = lock(&self.outboxes).remove(&id)?;
        self.tell_all(|| Event::Connected(peer.clone()));
        Some((peer, outbox))
    }

    pub(super) fn disconnected(&self, id: &PeerId, connection: ConnectionId) {
        let Some(peer) = self.find(id) else { return };
        if peer.remove_connection(connection) {
            lock(&self.peers).remove(id);
            self.waiting_peers.leave(&peer);
            self.tell_all(|| Event::Disconnected(*id));
        }
    }

    /// Give a block to those who wait for it, or count that nobody asked for it. `bytes` is called when it is wanted.
    pub(super) fn receive_block(&self, peer: &Arc<Peer>, multihash: Multihash<64>, bytes: impl FnOnce() -> Bytes) {
        let mut waiting = lock(&self.waiting);
        let Some(waiters) = waiting.take(&multihash) else {
            let late = waiting.was_wanted(&multihash);
            drop(waiting);
            if !late {
                self.strike(peer, "a block that nobody asked for");
            }
            return;
        };
        drop(waiting);
        peer.note_let_down(false);
        self.shared.known.note_giver(peer.id);
        self.shared.counters.blocks_in.add(1);
        let (subscribers, bytes) = (lock(&self.subscribers), bytes());
        for subscriber in waiters.iter().filter_map(|waiter| subscribers.get(waiter)) {
            subscriber.send(Event::Block { from: peer.id, multihash, bytes: bytes.clone() });
        }
    }

    pub(super) fn receive_presences(&self, peer: &Arc<Peer>, presences: Vec<(Multihash<64>, bool)>) {
        let waiting = lock(&self.waiting);
        let subscribers = lock(&self.subscribers);
        for (multihash, have) in presences {
            for subscriber in waiting.get(&multihash).iter().filter_map(|waiter| subscribers.get(waiter)) {
                subscriber.send(Event::Presence { from: peer.id, multihash, have });
            }
        }
    }

    /// Count something that an honest peer does not send; ban the peer after a few.
    pub(super) fn strike(&self, peer: &Arc<Peer>, sent: &str) {
        self.shared.counters.strikes.add(1);
        let strikes = peer.strike();
        tracing::info!(peer = %peer.id, strikes, sent, "a peer sent what honest peers do not send");
        if strikes != MAX_STRIKES {
            return;
        }
        let block = peer.account.address_block();
        tracing::info!(peer = %peer.id, network = %block, "a peer is banned for what it sent");
        self.shared.counters.bans.add(1);
        self.shared.bans.add(peer.id, block, Instant::now());
        peer.drop_soon();
        self.shared.commands.disconnect(peer.id);
    }

    fn tell_all(&self, event: impl Fn() -> Event) {
        for subscriber in lock(&self.subscribers).values() {
            subscriber.send(event());
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

//! A connected peer: its streams, what we asked of it and what it asks of us.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cid::Cid;
use futures::future;
use libp2p::PeerId;
use libp2p::swarm::{ConnectionId, Stream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::idle::IdleStreams;
use super::lock::lock;
use super::protocol::{OpenStream, Version};
use super::serve_queue::ServeQueue;
use super::wire::{WantEntry, WantKind};
use crate::receive::Account;

/// Other nodes keep 1,024 wants for each peer and drop what is beyond; some are left for asking whether it has roots.
const MAX_OUTSTANDING: usize = 768;
/// A connection that carried no message for this long is not kept.
const IDLE_LIMIT: Duration = Duration::from_mins(5);
/// Strikes count together when they come within this time: a peer of many days must not be dropped for a few in all,
/// and what comes more seldom costs little.
const STRIKES_WINDOW: Duration = Duration::from_mins(1);
/// Bytes of messages that one peer can have us read at once.
const READING_BYTES: usize = 8 << 20;
/// A peer that connects is a newcomer for so long: a client behind a NAT dials us when it has asked for a pin.
const NEW: Duration = Duration::from_mins(1);

/// Whether a peer speaks bitswap, by what it says of itself (identify).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeaksBitswap {
    /// It is yet to say what it speaks.
    NotSaid,
    /// It does, or it does not tell.
    Maybe,
    /// It speaks other protocols alone.
    No,
}

/// A connected peer.
pub struct Peer {
    /// Who it is.
    pub id: PeerId,
    openers: Mutex<Vec<(ConnectionId, mpsc::UnboundedSender<OpenStream>)>>,
    outbox: mpsc::UnboundedSender<WantEntry>,
    /// What it wants of us.
    pub(super) serve: ServeQueue,
    pub(super) reading_bytes: Semaphore,
    pub(super) idle_streams: IdleStreams,
    /// What it holds of the memory for received bytes.
    pub(super) account: Arc<Account>,
    /// It connected to us, not we to it.
    dialled_us: bool,
    outstanding: AtomicUsize,
    strikes: Mutex<Strikes>,
    bitswap: Mutex<SpeaksBitswap>,
    /// We dialled it to ask whom it knows, and not for blocks.
    look_up: AtomicBool,
    started: Instant,
    active_at: AtomicU64,
    heard_at: AtomicU64,
    gone: watch::Sender<bool>,
    /// It is banned, and its connections will be closed.
    dropped: AtomicBool,
    /// It said that it had a block, did not send it, and has sent none since.
    let_down: AtomicBool,
}

impl Peer {
    pub(super) fn new(
        id: PeerId,
        account: Arc<Account>,
        serve: ServeQueue,
        dialled_us: bool,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<WantEntry>) {
        let (outbox, receiver) = mpsc::unbounded_channel();
        let started = Instant::now();
        let peer = Arc::new(Self {
            id,
            openers: Mutex::default(),
            outbox,
            serve,
            reading_bytes: Semaphore::new(READING_BYTES),
            idle_streams: IdleStreams::default(),
            account,
            dialled_us,
            outstanding: AtomicUsize::new(0),
            strikes: Mutex::new(Strikes { count: 0, since: started }),
            bitswap: Mutex::new(SpeaksBitswap::NotSaid),
            look_up: AtomicBool::new(false),
            started,
            active_at: AtomicU64::new(0),
            heard_at: AtomicU64::new(0),
            gone: watch::Sender::new(false),
            dropped: AtomicBool::new(false),
            let_down: AtomicBool::new(false),
        });
        (peer, receiver)
    }

    /// Whether it speaks bitswap, by what it said of itself.
    pub fn speaks_bitswap(&self) -> SpeaksBitswap {
        *lock(&self.bitswap)
    }

    pub(super) fn note_bitswap(&self, speaks: SpeaksBitswap) {
        *lock(&self.bitswap) = speaks;
    }

    /// Whether it said of itself that it speaks other protocols alone.
    pub fn lacks_bitswap(&self) -> bool {
        self.speaks_bitswap() == SpeaksBitswap::No
    }

    /// Ask for a block. False if the peer has as many wants of ours as it keeps.
    pub fn want_block(&self, cid: Cid) -> bool {
        if self.outstanding.fetch_add(1, Ordering::AcqRel) >= MAX_OUTSTANDING {
            self.outstanding.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        self.send(WantEntry::Want { cid, kind: WantKind::Block, send_dont_have: true });
        true
    }

    /// The want of a block was answered, cancelled or given up.
    pub fn want_settled(&self) {
        self.outstanding.fetch_sub(1, Ordering::AcqRel);
    }

    /// Ask whether it has a block.
    pub fn want_have(&self, cid: Cid) {
        self.send(WantEntry::Want { cid, kind: WantKind::Have, send_dont_have: true });
    }

    /// Ask no longer.
    pub fn cancel(&self, cid: Cid) {
        self.send(WantEntry::Cancel(cid));
    }

    fn send(&self, entry: WantEntry) {
        // The receiver is gone only when the peer is, and then nobody waits for an answer.
        let _gone = self.outbox.send(entry);
    }

    /// When the last piece of a message came that is large enough to hold a block.
    pub fn heard_at(&self) -> Instant {
        self.started + Duration::from_millis(self.heard_at.load(Ordering::Relaxed))
    }

    pub(super) fn note_heard(&self) {
        self.heard_at.store(self.age_ms(), Ordering::Relaxed);
    }

    pub(super) fn note_active(&self) {
        self.active_at.store(self.age_ms(), Ordering::Relaxed);
    }

    pub(super) fn is_active(&self) -> bool {
        let is_guest = self.is_for_look_up() && self.active_at.load(Ordering::Relaxed) == 0;
        self.owes_blocks() || self.idle() < IDLE_LIMIT && !is_guest && !self.lacks_bitswap()
    }

    /// Whether it was asked for blocks that have not come.
    pub fn owes_blocks(&self) -> bool {
        self.outstanding.load(Ordering::Relaxed) > 0
    }

    pub(super) fn note_look_up(&self) {
        self.look_up.store(true, Ordering::Relaxed);
    }

    /// Whether we dialled it to ask whom it knows, and not for blocks.
    pub fn is_for_look_up(&self) -> bool {
        self.look_up.load(Ordering::Relaxed)
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Count a block that nobody asked for; how many there were of late.
    pub(super) fn strike(&self) -> u32 {
        lock(&self.strikes).add(Instant::now())
    }

    pub(super) fn drop_soon(&self) {
        self.dropped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether it connected to us, not we to it.
    pub fn has_dialled_us(&self) -> bool {
        self.dialled_us
    }

    /// How long ago the last message came from it or was taken by it, or it connected.
    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.age_ms().saturating_sub(self.active_at.load(Ordering::Relaxed)))
    }

    /// Whether it dialled us a short while ago.
    pub fn is_newcomer(&self) -> bool {
        self.dialled_us && self.started.elapsed() < NEW
    }

    /// Note that it did not send a block that it said it had, or that it sent one.
    pub fn note_let_down(&self, let_down: bool) {
        self.let_down.store(let_down, Ordering::Relaxed);
    }

    /// Whether its word that it has a block counts for nothing, as it did not send the last one.
    pub fn has_let_down(&self) -> bool {
        self.let_down.load(Ordering::Relaxed)
    }

    pub(super) fn add_connection(&self, connection: ConnectionId, opener: mpsc::UnboundedSender<OpenStream>) {
        lock(&self.openers).push((connection, opener));
    }

    /// True if that was the last one.
    pub(super) fn remove_connection(&self, connection: ConnectionId) -> bool {
        let mut openers = lock(&self.openers);
        openers.retain(|(known, _)| *known != connection);
        if openers.is_empty() {
            self.leave();
        }
        openers.is_empty()
    }

    /// End its tasks.
    pub(super) fn leave(&self) {
        self.gone.send_replace(true);
    }

    pub(super) async fn wait_gone(&self) {
        let mut gone = self.gone.subscribe();
        // The sender is a field of self, so waiting cannot fail.
        if gone.wait_for(|gone| *gone).await.is_err() {
            future::pending::<()>().await;
        }
    }

    /// A new stream, and what the peer speaks on it.
    pub(super) async fn open_stream(&self) -> io::Result<(Stream, Version)> {
        let (reply, stream) = oneshot::channel();
        let opener = lock(&self.openers).last().map(|(_, opener)| opener.clone());
        opener.ok_or(io::ErrorKind::NotConnected)?.send(reply).map_err(|_| io::ErrorKind::NotConnected)?;
        stream.await.map_err(|_| io::ErrorKind::Unsupported.into())
    }
}

/// How often a peer did what an honest one does not.
struct Strikes {
    count: u32,
    since: Instant,
}

impl Strikes {
    fn add(&mut self, now: Instant) -> u32 {
        if now.duration_since(self.since) >= STRIKES_WINDOW {
            *self = Self { count: 0, since: now };
        }
        self.count += 1;
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn strikes_count_together_within_a_minute() {
        let start = Instant::now();
        let mut strikes = Strikes { count: 0, since: start };
        let at = |seconds| start + Duration::from_secs(seconds);
        let counts = [0, 59, 100, 119, 159, 1_000].map(|seconds| strikes.add(at(seconds)));
        assert_eq!(counts, [1, 2, 1, 2, 3, 1]);
    }
}

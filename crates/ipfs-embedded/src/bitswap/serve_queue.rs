//! What one peer wants of us: what it is to be answered next, and what waits until the block comes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cid::Cid;
use libp2p::multihash::Multihash;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::lock::lock;
use super::serve_budget::{ServeBudget, Share};
use super::wire::{WantEntry, WantKind};

/// Wants of one peer that are queued, and as many that wait, as other nodes do; further ones are dropped and have to
/// be sent again.
pub const MAX_WANTS: usize = 1_024;
/// A message that took longer than this to write makes its reader a slow one.
pub const SLOW: Duration = Duration::from_secs(2);
/// A message that took longer than this says that the line carries no more streams.
const FULL: Duration = Duration::from_secs(1);
/// Bytes of blocks at which a message is closed: few for a peer that is new or slow, more for one that reads.
const FIRST_MESSAGE_BYTES: usize = 64 << 10;
const MAX_MESSAGE_BYTES: usize = 512 << 10;
/// Bytes that a peer has to take in time on one stream before it is served on more: each stream takes the first 256 KiB
/// from nobody who reads. After it was slow it has to take more.
const PROBATION_BYTES: usize = 1 << 20;
const SLOW_PROBATION_BYTES: usize = 8 << 20;
/// Streams that a peer may be served on, whatever the settings say.
const MAX_LANES: usize = 16;

/// One want of a peer.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    pub cid: Cid,
    pub kind: WantKind,
    pub send_dont_have: bool,
}

/// A want whose block is not there yet.
struct Waiting {
    want: Want,
    _room: [OwnedSemaphorePermit; 2],
}

/// What a peer wants of us, in the order of its asking.
pub struct ServeQueue {
    wants: Mutex<Wants>,
    changed: Notify,
    pace: Mutex<Pace>,
    pub(super) share: Arc<Share>,
}

#[derive(Default)]
struct Wants {
    order: VecDeque<Multihash<64>>,
    queued: HashMap<Multihash<64>, Want>,
    waiting: HashMap<Multihash<64>, Waiting>,
}

impl ServeQueue {
    /// Nothing is wanted yet by a peer that has `share` of the budget, and is served on `lanes` streams at most.
    pub fn new(share: Arc<Share>, lanes: usize) -> Self {
        Self { wants: Mutex::default(), changed: Notify::new(), pace: Mutex::new(Pace::new(lanes)), share }
    }

    /// Take in the entries of a wantlist; the blocks that it no longer waits for.
    pub fn accept(&self, full: bool, entries: Vec<WantEntry>) -> Vec<Multihash<64>> {
        let mut given_up = if full { self.clear() } else { Vec::new() };
        let mut wants = lock(&self.wants);
        for entry in entries {
            match entry {
                WantEntry::Cancel(cid) => given_up.extend(wants.remove(cid.hash())),
                WantEntry::Want { cid, kind, send_dont_have } => wants.add(Want { cid, kind, send_dont_have }),
            }
        }
        drop(wants);
        self.changed.notify_one();
        given_up
    }

    /// Keep a want until its block comes, if there is room for it; whether there is.
    pub fn keep(&self, want: Want, budget: &ServeBudget) -> bool {
        let mut wants = lock(&self.wants);
        if wants.waiting.len() >= MAX_WANTS {
            return false;
        }
        let Some(room) = budget.room_for_want(&self.share) else { return false };
        wants.waiting.insert(*want.cid.hash(), Waiting { want, _room: room });
        true
    }

    /// A block that it waits for is there now.
    pub fn release(&self, multihash: &Multihash<64>) {
        let mut wants = lock(&self.wants);
        if let Some(waiting) = wants.waiting.remove(multihash) {
            wants.add(waiting.want);
            self.changed.notify_one();
        }
    }

    /// Forget all wants; the blocks that it waited for.
    pub fn clear(&self) -> Vec<Multihash<64>> {
        std::mem::take(&mut *lock(&self.wants)).waiting.into_keys().collect()
    }

    /// The next want to answer, and whether it waited before.
    pub fn take_next(&self) -> Option<(Want, bool)> {
        let mut wants = lock(&self.wants);
        while let Some(multihash) = wants.order.pop_front() {
            // A cancelled want leaves its place in the order.
            if let Some(want) = wants.queued.remove(&multihash) {
                return Some((want, wants.waiting.remove(&multihash).is_some()));
            }
        }
        None
    }

    /// Answer these again: the message that held their answers was not taken.
    pub fn put_back(&self, taken: &[Want]) {
        let mut wants = lock(&self.wants);
        for want in taken {
            wants.add(*want);
        }
    }

    /// Until something new is wanted.
    pub async fn wait_changed(&self) {
        self.changed.notified().await;
    }

    /// How large a message to it may become.
    pub fn message_bytes(&self) -> usize {
        lock(&self.pace).message_bytes
    }

    /// On how many streams it may be served at once.
    pub fn lanes(&self) -> usize {
        lock(&self.pace).lanes()
    }

    /// Whether it took its last message slowly.
    pub fn is_slow(&self) -> bool {
        lock(&self.pace).is_slow
    }

    /// Note how long it took to take a message of `bytes`.
    pub fn note_taken(&self, bytes: usize, time: Duration) {
        lock(&self.pace).note_taken(bytes, time);
    }

    /// Note that it did not take a message in time.
    pub fn note_slow(&self) {
        lock(&self.pace).note_slow();
    }
}

/// What a peer is given at once, by how it took what it was given before.
struct Pace {
    message_bytes: usize,
    lanes: usize,
    most_lanes: usize,
    /// Bytes that it has to take in time before it has more than one lane.
    probation: usize,
    is_slow: bool,
}

impl Pace {
    fn new(lanes: usize) -> Self {
        let lanes = lanes.clamp(1, MAX_LANES);
        Self {
            message_bytes: FIRST_MESSAGE_BYTES,
            lanes,
            most_lanes: lanes,
            probation: PROBATION_BYTES,
            is_slow: false,
        }
    }

    fn lanes(&self) -> usize {
        if self.probation > 0 { 1 } else { self.lanes }
    }

    fn note_taken(&mut self, bytes: usize, time: Duration) {
        if time > SLOW {
            return self.note_slow();
        }
        self.is_slow = false;
        self.message_bytes = (self.message_bytes * 2).min(MAX_MESSAGE_BYTES);
        self.probation = self.probation.saturating_sub(bytes);
        self.lanes = if time > FULL { (self.lanes / 2).max(1) } else { (self.lanes + 1).min(self.most_lanes) };
    }

    fn note_slow(&mut self) {
        self.is_slow = true;
        self.message_bytes = FIRST_MESSAGE_BYTES;
        self.probation = SLOW_PROBATION_BYTES;
        self.lanes = 1;
    }
}

impl Wants {
    fn add(&mut self, want: Want) {
        let multihash = *want.cid.hash();
        if let Some(known) = self.queued.get_mut(&multihash) {
            // Wanting the block is more than wanting to know of it.
            if want.kind == WantKind::Block {
                *known = want;
            }
        } else if self.queued.len() < MAX_WANTS {
            self.queued.insert(multihash, want);
            self.order.push_back(multihash);
        }
    }

    /// Forget a want; its multihash if it was waiting for the block to come.
    fn remove(&mut self, multihash: &Multihash<64>) -> Option<Multihash<64>> {
        let waited = self.waiting.remove(multihash).map(|_| *multihash);
        self.queued.remove(multihash);
        // Wanting and cancelling in turns must not grow the order without bound.
        if self.order.len() > 2 * MAX_WANTS {
            self.order.retain(|queued| self.queued.contains_key(queued));
        }
        waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_given_as_much_at_once_as_it_takes() {
        let mut pace = Pace::new(8);
        let after = |pace: &mut Pace, messages: &[(usize, u64)]| {
            for (kib, milliseconds) in messages {
                pace.note_taken(kib << 10, Duration::from_millis(*milliseconds));
            }
            (pace.message_bytes >> 10, pace.lanes(), pace.is_slow)
        };
        assert_eq!(after(&mut pace, &[(64, 0), (128, 80), (256, 0)]), (512, 1, false), "nothing is known of it yet");
        assert_eq!(after(&mut pace, &[(512, 0), (512, 200)]), (512, 8, false));
        assert_eq!(after(&mut pace, &[(512, 1_500)]), (512, 4, false), "the line carries no more");
        assert_eq!(after(&mut pace, &[(512, 500)]), (512, 5, false));
        assert_eq!(after(&mut pace, &[(512, 2_001)]), (64, 1, true));
        assert_eq!(after(&mut pace, &[(64, 0), (2_048, 0)]), (256, 1, false), "new streams have room");
        assert_eq!(after(&mut pace, &[(512, 0); 12]), (512, 8, false));
    }
}

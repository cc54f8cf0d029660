//! What a subscriber is told, and the queue of it in which peers' words take up so much room and no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::multihash::Multihash;
use tokio::sync::mpsc;

use super::peer::Peer;

/// Words of peers about blocks that may wait in one queue; a peer can repeat them faster than they are dealt with, and
/// those that matter are asked for again.
const MAX_PRESENCES: usize = 1 << 14;

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
    /// A connected peer said what it speaks, or will not say it.
    Identified(Arc<Peer>),
    /// A peer is no longer connected.
    Disconnected(PeerId),
    /// A dial of a peer failed.
    Unreached(PeerId),
}

/// Where a subscriber's events are sent.
pub struct EventSender {
    sender: mpsc::UnboundedSender<Event>,
    presences: Arc<AtomicUsize>,
}

/// The events of one subscriber.
pub struct Events {
    receiver: mpsc::UnboundedReceiver<Event>,
    presences: Arc<AtomicUsize>,
}

/// An empty queue.
pub fn queue() -> (EventSender, Events) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let presences = Arc::<AtomicUsize>::default();
    (EventSender { sender, presences: presences.clone() }, Events { receiver, presences })
}

impl EventSender {
    /// Queue an event, unless it is a peer's word and too many of them wait.
    pub fn send(&self, event: Event) {
        if matches!(event, Event::Presence { .. }) {
            if self.presences.load(Ordering::Relaxed) >= MAX_PRESENCES {
                return;
            }
            self.presences.fetch_add(1, Ordering::Relaxed);
        }
        // A subscriber that is ending takes no more events.
        let _gone = self.sender.send(event);
    }
}

impl Events {
    /// The next event; none once the node has ended.
    pub async fn recv(&mut self) -> Option<Event> {
        let event = self.receiver.recv().await;
        self.count(event)
    }

    /// The next event if there is one.
    pub fn try_recv(&mut self) -> Option<Event> {
        let event = self.receiver.try_recv().ok();
        self.count(event)
    }

    fn count(&self, event: Option<Event>) -> Option<Event> {
        if matches!(event, Some(Event::Presence { .. })) {
            self.presences.fetch_sub(1, Ordering::Relaxed);
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinrail_ipfs::hash::hash;

    #[tokio::test]
    async fn repeated_words_are_left_out_and_nothing_else_is() {
        let (sender, mut events) = queue();
        let multihash = hash(0x12, 32, b"a block").expect("sha2-256");
        let word = || Event::Presence { from: PeerId::random(), multihash, have: true };
        for _ in 0..2 * MAX_PRESENCES {
            sender.send(word());
        }
        sender.send(Event::Disconnected(PeerId::random()));
        for _ in 0..MAX_PRESENCES {
            assert!(matches!(events.recv().await, Some(Event::Presence { .. })));
        }
        assert!(matches!(events.try_recv(), Some(Event::Disconnected(_))));
        sender.send(word());
        assert!(matches!(events.try_recv(), Some(Event::Presence { .. })), "there is room again");
        assert!(events.try_recv().is_none());
    }
}

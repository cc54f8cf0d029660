//! What holds of a root after any sequence of transitions that a storage may apply.

use std::time::Duration;

use pinrail_domain::{
    BLOCK_OVERHEAD, DagSize, FailureReason, LeaseKey, Progress, RootRecord, RootState, Settled, Unwanted, Verdict,
    Wanted,
};
use pinrail_spec::{Cid, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{NOW, SIZE, failure, token};

const LEASE: Duration = Duration::from_mins(1);

/// What happens to a root. A storage passes over what does not fit its state.
#[derive(Debug, Clone, Copy)]
enum Event {
    Want,
    Lose { is_held: bool },
    LoseHold,
    Lease,
    Renew { lease: usize },
    Restart,
    Settle { lease: usize, verdict: usize },
    Wake,
    Resume,
    Retire,
    Pass { seconds: u64 },
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Want),
        3 => any::<bool>().prop_map(|is_held| Event::Lose { is_held }),
        2 => Just(Event::LoseHold),
        6 => Just(Event::Lease),
        1 => (0..3_usize).prop_map(|lease| Event::Renew { lease }),
        1 => Just(Event::Restart),
        6 => (0..3_usize, 0..7_usize).prop_map(|(lease, verdict)| Event::Settle { lease, verdict }),
        1 => Just(Event::Wake),
        1 => Just(Event::Resume),
        1 => Just(Event::Retire),
        4 => (0..90_u64).prop_map(|seconds| Event::Pass { seconds }),
    ]
}

/// A root, and beside it what the events so far have to have made of it.
#[derive(Debug)]
struct World {
    root: RootRecord,
    inline: Option<DagSize>,
    now: Timestamp,
    requests: u64,
    holds: u64,
    /// Leases taken in this life, less those that were given back.
    attempts: u32,
    /// A request came since the last lease was taken.
    was_asked: bool,
    /// Every lease that was ever taken, the last one last.
    leases: Vec<LeaseKey>,
    /// Whether the last of them is still held.
    holds_lease: bool,
}

impl World {
    fn new(inline: Option<DagSize>) -> Self {
        Self {
            root: RootRecord::new(inline, 0, NOW),
            inline,
            now: NOW,
            requests: 1,
            holds: 0,
            attempts: 0,
            was_asked: false,
            leases: Vec::new(),
            holds_lease: false,
        }
    }

    /// Apply what happens; by how much the epoch has to have risen.
    fn apply(&mut self, event: Event) -> u64 {
        match event {
            Event::Want => self.want(),
            Event::Lose { is_held } if self.requests > 0 => {
                self.requests -= 1;
                self.holds += u64::from(is_held);
                let unwanted = self.root.lose_request(is_held, self.now);
                self.after_loss(unwanted)
            }
            Event::LoseHold if self.holds > 0 => {
                self.holds -= 1;
                let unwanted = self.root.lose_hold(self.now);
                self.after_loss(unwanted)
            }
            Event::Lease if self.root.may_be_pinned(self.now) || self.root.may_be_released(self.now) => self.lease(),
            Event::Renew { lease } => {
                if self.held(lease).is_some() {
                    self.root.renew_lease(self.now + LEASE);
                }
                0
            }
            Event::Restart => {
                self.root.end_lease();
                self.holds_lease = false;
                0
            }
            Event::Settle { lease, verdict } => self.settle(lease, verdict),
            Event::Wake if self.root.waiting => {
                self.root.wake(self.now);
                0
            }
            Event::Resume if self.root.is_unfinished() && self.root.lease.is_none() => {
                self.root.resume(self.now);
                0
            }
            Event::Retire if self.root.state == RootState::Pinned => {
                self.root.want_afresh(self.now);
                self.begin_anew()
            }
            Event::Pass { seconds } => {
                self.now = self.now + Duration::from_secs(seconds);
                0
            }
            _ => 0,
        }
    }

    fn begin_anew(&mut self) -> u64 {
        (self.attempts, self.holds_lease) = (0, false);
        1
    }

    fn want(&mut self) -> u64 {
        self.requests += 1;
        self.was_asked = true;
        match self.root.want(self.inline, self.now) {
            Wanted::Pinned | Wanted::Again => 0,
            Wanted::Inline | Wanted::Afresh => self.begin_anew(),
        }
    }

    fn after_loss(&mut self, unwanted: Unwanted) -> u64 {
        match unwanted {
            Unwanted::Kept => 0,
            Unwanted::Idle => {
                self.holds_lease = false;
                1
            }
            Unwanted::Releasing => self.begin_anew(),
        }
    }

    fn lease(&mut self) -> u64 {
        let number = u8::try_from(self.leases.len()).expect("sequences are short");
        self.root.take_lease(token(number), self.now + LEASE);
        let root = Cid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").expect("a CID").root();
        self.leases.push(LeaseKey { root, token: token(number), epoch: self.root.epoch });
        self.attempts += 1;
        (self.holds_lease, self.was_asked) = (true, false);
        1
    }

    /// The lease that was taken so many before the last one, if it is held.
    fn held(&self, back: usize) -> Option<&LeaseKey> {
        self.leases.iter().rev().nth(back).filter(|lease| self.root.is_held_by(lease))
    }

    fn settle(&mut self, lease: usize, verdict: usize) -> u64 {
        if self.held(lease).is_none() {
            return 0;
        }
        let (due, failure) = (self.now + LEASE / 2, failure(FailureReason::Stalled));
        let verdict = match verdict {
            0 => Verdict::Pinned { size: SIZE },
            1 => Verdict::Failed { failure },
            2 => Verdict::Retry { due, failure },
            3 => Verdict::Wait { due, failure },
            4 => Verdict::Pause { due, storage_full: false },
            5 => Verdict::Pause { due, storage_full: true },
            _ => Verdict::Released,
        };
        let Ok(settled) = self.root.settle(&verdict, self.now) else { return 0 };
        self.holds_lease = false;
        match verdict {
            Verdict::Wait { .. } | Verdict::Pause { .. } => self.attempts -= 1,
            _ => {}
        }
        if self.was_asked && matches!(verdict, Verdict::Retry { .. } | Verdict::Wait { .. }) {
            assert!(self.root.state == RootState::Releasing || self.root.may_be_pinned(self.now), "{:?}", self.root);
        }
        if settled == Settled::Released { self.release() } else { 0 }
    }

    /// The row goes, and the root is wanted once more at some time.
    fn release(&mut self) -> u64 {
        let gone = self.root.epoch;
        self.root = RootRecord::new(self.inline, gone, self.now);
        self.requests = 1;
        self.begin_anew();
        assert!(self.root.epoch > gone, "an epoch outlives its row");
        self.root.epoch - gone
    }

    fn check(&self) {
        let root = &self.root;
        assert_eq!((root.requests, root.refs), (self.requests, self.requests + self.holds));
        assert_eq!(root.refs == 0, root.state == RootState::Releasing, "it is releasing exactly while nothing is left");
        assert_eq!(root.attempts, self.attempts);
        self.check_leases();
        self.check_flags();
        self.check_bytes();
    }

    fn check_leases(&self) {
        let held = self.leases.iter().map(|lease| self.root.is_held_by(lease)).collect::<Vec<_>>();
        let last = held.len().checked_sub(1);
        for (index, is_held) in held.iter().enumerate() {
            assert_eq!(*is_held, Some(index) == last && self.holds_lease, "lease {index} of {}", held.len());
        }
        assert_eq!(self.root.lease.is_some(), self.holds_lease);
        assert!(self.root.lease.is_none() || self.root.state.is_unfinished() || self.root.refs == 0);
        let is_in_a_queue = self.root.is_unfinished() && self.root.lease.is_none();
        assert_eq!(self.root.queue_place().due, is_in_a_queue.then_some(self.root.due));
    }

    fn check_flags(&self) {
        let root = &self.root;
        assert_eq!(root.size.is_some(), root.state == RootState::Pinned);
        match root.state {
            RootState::Queued => assert!(root.lease.is_none() && root.failure.is_none() && !root.retry),
            RootState::Pinned => assert!(root.failure.is_none()),
            RootState::Failed => assert!(root.failure.is_some()),
            RootState::Pinning | RootState::Releasing => {}
        }
        if root.waiting {
            assert!(root.state == RootState::Pinning && root.lease.is_none() && root.requests > 0);
        }
        if root.requests == 0 {
            assert!(!root.may_be_pinned(self.now), "a hold is no reason to fetch");
        }
        assert!(root.wanted_since <= self.now);
    }

    fn check_bytes(&self) {
        let received = Progress { blocks: 1, bytes: 10 };
        let counted = match self.root.state {
            RootState::Queued | RootState::Pinning => 10 + BLOCK_OVERHEAD,
            RootState::Pinned => self.root.size.map_or(0, |size| size.bytes + size.blocks * BLOCK_OVERHEAD),
            RootState::Failed | RootState::Releasing => 0,
        };
        assert_eq!(self.root.counted_bytes(received), counted);
    }
}

/// Whether a state may follow another without a new life; `queued` and `releasing` never do.
fn may_follow(before: RootState, after: RootState) -> bool {
    use RootState::{Failed, Pinned, Pinning, Queued};
    before == after || matches!((before, after), (Queued, Pinning) | (Pinning, Pinned | Failed))
}

proptest! {
    #[test]
    fn any_sequence_keeps_the_rules(is_inline in proptest::bool::weighted(0.1), events in vec(any_event(), 0..120)) {
        let inline = is_inline.then_some(DagSize { blocks: 1, bytes: 3 });
        let mut world = World::new(inline);
        world.check();
        for event in events {
            let before = world.root.clone();
            let risen = world.apply(event);
            prop_assert_eq!(world.root.epoch, before.epoch + risen, "{:?}: {:?}", event, before);
            let is_lease = matches!(event, Event::Lease);
            let is_same_life = risen == 0 || is_lease || before.state == world.root.state;
            if is_same_life {
                prop_assert!(may_follow(before.state, world.root.state), "{:?}: {:?}", event, before);
            }
            world.check();
        }
    }
}

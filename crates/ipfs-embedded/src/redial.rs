//! When a peer or an address that was not reached may be dialled again.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

/// Waits of a peer that somebody named, who may be about to start it.
const NAMED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Waits of a peer that a look-up found, of which there are others.
const FOUND: (Duration, Duration) = (Duration::from_secs(5), Duration::from_hours(1));
/// An address of such a peer that failed so often in a row is left alone for so long.
const MAX_FAILURES: u32 = 3;
const ADDRESS_PAUSE: Duration = Duration::from_mins(10);
/// Peers, and addresses, whose failures are remembered.
const MAX_REMEMBERED: usize = 4_096;

/// Waits between dials, each twice the one before.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    wait: Duration,
    due: Instant,
}

impl Backoff {
    /// For a peer that somebody named: it is due now, then after 1 s, doubled up to a minute.
    pub fn of_named(now: Instant) -> Self {
        Self::new(NAMED, now)
    }

    fn new((first, longest): (Duration, Duration), now: Instant) -> Self {
        Self { first, longest, wait: first, due: now }
    }

    /// Whether a dial is due.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    /// A dial begins, or failed.
    pub fn note_attempt(&mut self, now: Instant) {
        self.due = now + self.wait;
        self.wait = (self.wait * 2).min(self.longest);
    }

    /// It is due now, after as many failures as before.
    pub fn make_due(&mut self, now: Instant) {
        self.due = now;
    }

    /// It was reached: a further dial is due at once, and its failures are forgotten.
    pub fn reset(&mut self, now: Instant) {
        *self = Self::new((self.first, self.longest), now);
    }
}

/// Peers that look-ups found and that were not reached.
#[derive(Debug, Default)]
pub struct FailedDials {
    peers: HashMap<PeerId, Backoff>,
    addresses: HashMap<Multiaddr, (u32, Instant)>,
}

impl FailedDials {
    /// Whether a peer may be dialled.
    pub fn allow(&self, peer: &PeerId, now: Instant) -> bool {
        self.peers.get(peer).is_none_or(|backoff| backoff.is_due(now))
    }

    /// Whether an address may be dialled.
    pub fn allow_address(&self, address: &Multiaddr, now: Instant) -> bool {
        let failed = self.addresses.get(address);
        failed.is_none_or(|(failures, last)| *failures < MAX_FAILURES || now.duration_since(*last) >= ADDRESS_PAUSE)
    }

    /// A dial of a peer at these addresses failed.
    pub fn note_failure<'a>(&mut self, peer: PeerId, tried: impl Iterator<Item = &'a Multiaddr>, now: Instant) {
        make_room(&mut self.peers, |backoff| backoff.due);
        self.peers.entry(peer).or_insert_with(|| Backoff::new(FOUND, now)).note_attempt(now);
        for address in tried {
            make_room(&mut self.addresses, |(_, last)| *last);
            let (failures, last) = self.addresses.entry(address.clone()).or_insert((0, now));
            (*failures, *last) = (*failures + 1, now);
        }
    }

    /// A peer was reached.
    pub fn forget(&mut self, peer: &PeerId, address: &Multiaddr) {
        self.peers.remove(peer);
        self.addresses.remove(address);
    }
}

/// Drop the older half of too many.
fn make_room<K: Eq + Hash + Clone, V>(entries: &mut HashMap<K, V>, since: impl Fn(&V) -> Instant) {
    if entries.len() < MAX_REMEMBERED {
        return;
    }
    let mut times = entries.values().map(&since).collect::<Vec<_>>();
    let (_, middle, _) = times.select_nth_unstable(MAX_REMEMBERED / 2);
    let middle = *middle;
    entries.retain(|_, entry| since(entry) > middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_fails_is_dialled_less_and_less_often() {
        let (start, peer) = (Instant::now(), PeerId::random());
        let address = "/ip4/203.0.113.1/tcp/1".parse::<Multiaddr>().expect("a multiaddr");
        let mut failed = FailedDials::default();
        let mut dialled = Vec::new();
        for second in 0..10_000 {
            let now = start + Duration::from_secs(second);
            if failed.allow(&peer, now) {
                dialled.push(second);
                failed.note_failure(peer, std::iter::empty(), now);
            }
        }
        assert_eq!(dialled, [0, 5, 15, 35, 75, 155, 315, 635, 1_275, 2_555, 5_115, 8_715]);
        failed.forget(&peer, &address);
        assert!(failed.allow(&peer, start));
    }

    #[tokio::test]
    async fn an_address_that_failed_three_times_is_left_alone() {
        let now = Instant::now();
        let address = "/ip4/203.0.113.1/tcp/1".parse::<Multiaddr>().expect("a multiaddr");
        let mut failed = FailedDials::default();
        for _ in 0..3 {
            assert!(failed.allow_address(&address, now));
            failed.note_failure(PeerId::random(), std::iter::once(&address), now);
        }
        assert!(!failed.allow_address(&address, now + ADDRESS_PAUSE / 2));
        assert!(failed.allow_address(&address, now + ADDRESS_PAUSE));
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded_and_the_newest_stays() {
        let (start, mut failed, last) = (Instant::now(), FailedDials::default(), PeerId::random());
        for second in 0..2 * MAX_REMEMBERED as u64 {
            failed.note_failure(PeerId::random(), std::iter::empty(), start + Duration::from_secs(second));
        }
        let now = start + Duration::from_secs(2 * MAX_REMEMBERED as u64);
        failed.note_failure(last, std::iter::empty(), now);
        assert!(failed.peers.len() <= MAX_REMEMBERED);
        assert!(!failed.allow(&last, now));
    }
}

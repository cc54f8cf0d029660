//! Which region of the keyspace is due when, and how far behind the node is; pure.
//!
//! Each region has a place of its own in the cycle, which begins elsewhere for each node, so that neither a node's work
//! nor that of all nodes together comes in waves.

use std::collections::HashMap;

use crate::dht::{K, Key, Prefix, covered};

/// All regions are announced once in this many milliseconds: addresses of provider records live for 24 hours.
pub const CYCLE_MS: u64 = 22 * 3_600 * 1_000;
/// A region has about this many servers: those that keep one record.
const SERVERS_OF_REGION: u64 = 20;
/// Regions are no smaller than this, in bits; a preimage of it is found in milliseconds.
const MAX_BITS: u32 = 16;

/// How many bits make a region of about k servers, by the keys of those closest to our own. Servers that crowd around us
/// on purpose make no more regions than [`MAX_BITS`] allows.
pub fn region_bits(own: &Key, closest: &[Key]) -> u32 {
    covered(own, closest, K).length().min(MAX_BITS)
}

/// The regions of one cycle. Times are milliseconds of one clock.
#[derive(Debug)]
pub struct Schedule {
    own: Key,
    bits: u32,
    /// When it began: regions that were never announced are late since then.
    began: u64,
    last: HashMap<Prefix, u64>,
}

impl Schedule {
    /// A schedule for a network of so many servers, with the last successes of its regions as they are known; those of
    /// other sizes are left out.
    pub fn new(own: Key, servers: u64, began: u64, last: impl IntoIterator<Item = (Prefix, u64)>) -> Self {
        let bits = (servers / SERVERS_OF_REGION).max(1).ilog2().min(MAX_BITS);
        let last = last.into_iter().filter(|(region, _)| region.length() == bits).collect();
        Self { own, bits, began, last }
    }

    /// The region among `regions` that is due for the longest at `now`; those never announced come first.
    pub fn due(&self, regions: impl IntoIterator<Item = Prefix>, now: u64) -> Option<Prefix> {
        let since = |region: &Prefix| match self.last.get(region) {
            None => Some(0),
            Some(last) => Some(self.slot(region, now)).filter(|slot| last < slot),
        };
        let due = regions.into_iter().filter_map(|region| Some((since(&region)?, region)));
        due.min().map(|(_, region)| region)
    }

    /// A region was announced at `now`.
    pub fn announced(&mut self, region: Prefix, now: u64) {
        self.last.insert(region, now);
    }

    /// How many milliseconds the region among `regions` that was announced the longest ago is over its cycle at `now`.
    pub fn behind_ms(&self, regions: impl IntoIterator<Item = Prefix>, now: u64) -> u64 {
        let since = regions.into_iter().map(|region| {
            let late = |last: &u64| now.saturating_sub(last.saturating_add(CYCLE_MS));
            self.last.get(&region).map_or(now.saturating_sub(self.began), late)
        });
        since.max().unwrap_or_default()
    }

    /// The latest of the region's turns that is not after `now`.
    fn slot(&self, region: &Prefix, now: u64) -> u64 {
        let place = region.index() ^ Prefix::of(&self.own, self.bits).index();
        let offset = (CYCLE_MS * place) >> self.bits;
        let into = (now % CYCLE_MS + CYCLE_MS - offset) % CYCLE_MS;
        now.saturating_sub(into)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 1_796_000_000_000;
    const MINUTE: u64 = 60_000;

    fn schedule(servers: u64, own: u8) -> Schedule {
        Schedule::new(Key::of(&[own]), servers, START, [])
    }

    #[test]
    fn regions_have_about_as_many_servers_as_keep_a_record() {
        for (servers, bits) in [(0, 0), (39, 0), (40, 1), (3_500, 7), (u64::MAX, MAX_BITS)] {
            assert_eq!(schedule(servers, 0).bits, bits, "{servers}");
        }
    }

    #[test]
    fn servers_that_crowd_around_us_do_not_make_regions_without_number() {
        let own = Key::of(b"own");
        let crowd: Vec<Key> = (60..).take(K).map(|bit| own.flip(bit)).collect();
        assert!(covered(&own, &crowd, K).length() > MAX_BITS);
        assert_eq!(region_bits(&own, &crowd), MAX_BITS);
        assert_eq!(region_bits(&own, &crowd[1..]), 0, "with fewer than k there are no others");
    }

    #[test]
    fn a_cycle_announces_each_region_once_and_evenly() {
        let (mut schedule, regions) = (schedule(3_500, 7), Prefix::all(7));
        for region in &regions {
            schedule.announced(*region, START);
        }
        let mut turns = Vec::new();
        for minute in 0..CYCLE_MS / MINUTE {
            let now = START + minute * MINUTE;
            while let Some(region) = schedule.due(regions.iter().copied(), now) {
                schedule.announced(region, now);
                turns.push((region, minute));
            }
            assert_eq!(schedule.behind_ms(regions.iter().copied(), now), 0);
        }
        assert_eq!(turns.len(), 128);
        let longest = turns.windows(2).map(|pair| pair[1].1 - pair[0].1).max();
        assert!(longest <= Some(11), "{longest:?}");
        let mut once = turns.into_iter().map(|(region, _)| region).collect::<Vec<_>>();
        once.sort();
        assert_eq!(once, regions);
    }

    #[test]
    fn what_was_missed_is_caught_up_with_and_nothing_is_done_twice() {
        let (mut first, regions) = (schedule(3_500, 7), Prefix::all(7));
        for region in &regions {
            first.announced(*region, START);
        }
        // It was offline for three hours, and what it did before is known.
        let now = START + 3 * 60 * MINUTE;
        let last = regions.iter().map(|region| (*region, START));
        let mut second = Schedule::new(Key::of(&[7]), 3_500, now, last);
        let mut missed = Vec::new();
        while let Some(region) = second.due(regions.iter().copied(), now) {
            second.announced(region, now);
            missed.push(region);
        }
        assert!((16..=19).contains(&missed.len()), "{}", missed.len());
        assert_eq!(second.due(regions.iter().copied(), now + MINUTE), None);
    }

    #[test]
    fn regions_without_a_success_are_due_at_once_and_count_as_late() {
        let (mut schedule, regions) = (schedule(80, 7), Prefix::all(2));
        let later = START + 5 * MINUTE;
        assert_eq!(schedule.behind_ms(regions.iter().copied(), later), 5 * MINUTE);
        for region in &regions {
            assert_eq!(schedule.due(regions.iter().copied(), later), Some(*region));
            schedule.announced(*region, later);
        }
        assert_eq!(schedule.due(regions.iter().copied(), later), None);
        assert_eq!(schedule.behind_ms(regions.iter().copied(), later + CYCLE_MS + MINUTE), MINUTE);
        assert_eq!(schedule.behind_ms([], later), 0);
    }

    proptest! {
        #[test]
        fn a_turn_comes_once_a_cycle(own: u8, index in 0..128_usize, now in START..START * 2) {
            let (schedule, region) = (schedule(3_500, own), Prefix::all(7)[index]);
            let slot = schedule.slot(&region, now);
            prop_assert!(slot <= now && now - slot < CYCLE_MS);
            prop_assert_eq!(schedule.slot(&region, slot), slot);
            prop_assert_eq!(schedule.slot(&region, slot + CYCLE_MS), slot + CYCLE_MS);
        }
    }
}

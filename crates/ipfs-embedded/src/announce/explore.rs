//! All servers of a region: closest servers are looked up for one gap of it after the other until there is none.

use std::collections::HashMap;

use crate::dht::{Dht, K, Key, PeerInfo, Prefix, covered};

/// A region that takes more look-ups is given up.
const MAX_LOOKUPS: usize = 64;
/// Look-ups that found too little to be true, after which a region is given up.
const MAX_POOR_LOOKUPS: usize = 2;

/// Servers with their places in the keyspace.
pub type Servers = Vec<(Key, PeerInfo)>;

/// Finds all servers of a part of the keyspace, and of a larger one if that has fewer than k. None if the network does
/// not answer well enough to tell.
pub async fn explore(dht: &Dht, wanted: Prefix) -> Option<Servers> {
    let mut exploration = Exploration::new(wanted);
    for round in 0..MAX_LOOKUPS as u64 {
        let Some(gap) = exploration.gap() else { return Some(exploration.found()) };
        let question = gap.preimage(round)?;
        let closest = dht.find_closest(&question).await;
        if !exploration.learn(Key::of(&question), closest) {
            return None;
        }
    }
    None
}

/// What is known of a region; pure.
#[derive(Debug)]
struct Exploration {
    prefix: Prefix,
    /// Parts of which all servers are known.
    covered: Vec<Prefix>,
    servers: HashMap<Key, PeerInfo>,
    poor: usize,
}

impl Exploration {
    fn new(prefix: Prefix) -> Self {
        Self { prefix, covered: Vec::new(), servers: HashMap::new(), poor: 0 }
    }

    /// The first part that is not known, after the region was widened as long as it has too few servers.
    fn gap(&mut self) -> Option<Prefix> {
        loop {
            let gap = first_gap(self.prefix, &self.covered);
            if gap.is_some() || self.prefix == Prefix::ALL || self.in_region().count() >= K {
                return gap;
            }
            self.prefix = self.prefix.parent();
        }
    }

    /// Takes in the servers closest to `target`; false if too many answers were too poor to be true.
    fn learn(&mut self, mut target: Key, closest: Vec<PeerInfo>) -> bool {
        let keys = closest.iter().map(PeerInfo::key).collect::<Vec<_>>();
        self.servers.extend(keys.iter().copied().zip(closest));
        if keys.is_empty() || keys.len() < K && self.servers.len() >= K {
            // There are others, as was seen before, so these are not all.
            self.poor += 1;
            return self.poor < MAX_POOR_LOOKUPS;
        }
        loop {
            let part = covered(&target, &keys, K);
            self.covered.retain(|known| !part.contains(known));
            self.covered.push(part);
            if part == Prefix::ALL || keys.iter().any(|key| part.contains_key(key)) {
                return true;
            }
            // The part is empty and all of them are in its sibling. They are also the closest to the target's image
            // there, for which one bit of each distance is another.
            target = target.flip(part.length() - 1);
        }
    }

    fn in_region(&self) -> impl Iterator<Item = (&Key, &PeerInfo)> {
        self.servers.iter().filter(|(key, _)| self.prefix.contains_key(key))
    }

    fn found(&self) -> Servers {
        self.in_region().map(|(key, server)| (*key, server.clone())).collect()
    }
}

fn first_gap(part: Prefix, known: &[Prefix]) -> Option<Prefix> {
    if known.iter().any(|known| known.contains(&part)) {
        return None;
    }
    if !known.iter().any(|known| part.contains(known)) {
        return Some(part);
    }
    part.halves().into_iter().find_map(|half| first_gap(half, known))
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;
    use proptest::prelude::*;

    use super::*;
    use crate::dht::closest;

    fn network(size: usize) -> Vec<(Key, PeerInfo)> {
        let server = |_| PeerInfo { id: PeerId::random(), addresses: Vec::new() };
        (0..size).map(server).map(|server| (server.key(), server)).collect()
    }

    fn closest_to(target: &Key, network: &[(Key, PeerInfo)]) -> Vec<PeerInfo> {
        let keys = network.iter().map(|(key, _)| *key).collect::<Vec<_>>();
        closest(target, &keys, K).into_iter().map(|index| network[index].1.clone()).collect()
    }

    /// Explores among servers that answer truly; what is known then and how many look-ups it took.
    fn run(wanted: Prefix, network: &[(Key, PeerInfo)]) -> (Exploration, usize) {
        let mut exploration = Exploration::new(wanted);
        let mut lookups = 0;
        while let Some(gap) = exploration.gap() {
            let target = Key::of(&gap.preimage(lookups as u64).expect("it is short"));
            assert!(exploration.learn(target, closest_to(&target, network)));
            lookups += 1;
            assert!(lookups <= MAX_LOOKUPS);
        }
        (exploration, lookups)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn all_servers_of_a_region_are_found(size in 1..400_usize, seed: u8, bits in 0..5_u32) {
            let network = network(size);
            let wanted = Prefix::of(&Key::of(&[seed]), bits);
            let (region, _) = run(wanted, &network);
            prop_assert!(region.prefix.contains(&wanted));
            let mut found = region.found().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
            let all = network.iter().map(|(key, _)| *key).filter(|key| region.prefix.contains_key(key));
            let mut all = all.collect::<Vec<_>>();
            found.sort();
            all.sort();
            prop_assert!(found.len() >= K.min(size));
            prop_assert_eq!(found, all);
        }
    }

    #[test]
    fn a_sweep_takes_few_look_ups() {
        let network = network(2_000);
        let lookups = Prefix::all(6).into_iter().map(|region| run(region, &network).1).sum::<usize>();
        assert!(lookups <= 5 * 64, "{lookups}");
    }

    #[test]
    fn a_network_that_answers_poorly_is_not_taken_for_a_small_one() {
        let network = network(100);
        let mut exploration = Exploration::new(Prefix::ALL);
        let target = Key::of(b"one");
        assert!(exploration.learn(target, closest_to(&target, &network)));
        assert!(exploration.learn(Key::of(b"other"), Vec::new()));
        assert!(!exploration.learn(Key::of(b"third"), closest_to(&target, &network)[..3].to_vec()));
        assert!(!exploration.covered.contains(&Prefix::ALL));
    }
}

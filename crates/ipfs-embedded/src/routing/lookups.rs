//! The look-ups under way and what earlier ones found: those for the same key are joined, and what was found is kept
//! for a while.

use std::collections::HashMap;
use std::time::Duration;

use libp2p::multihash::Multihash;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::dht::PeerInfo;

/// How long what was found is kept, and that nothing was.
const KEPT: Duration = Duration::from_mins(5);
const KEPT_IF_NONE: Duration = Duration::from_mins(1);
/// Keys that are remembered, those under way aside.
const MAX_KEPT: usize = 1_024;
/// Providers that are kept of one key.
const MAX_PROVIDERS: usize = 20;

/// Providers as they are found; it ends when the look-up does.
pub type Providers = mpsc::UnboundedReceiver<PeerInfo>;

/// The look-ups of a node.
#[derive(Debug, Default)]
pub struct Lookups(HashMap<Multihash<64>, Lookup>);

#[derive(Debug, Default)]
struct Lookup {
    providers: Vec<PeerInfo>,
    waiting: Vec<mpsc::UnboundedSender<PeerInfo>>,
    over: Option<Instant>,
    /// Something was found when nobody waited for it any more.
    is_unheard: bool,
}

impl Lookup {
    fn is_fresh(&self, now: Instant) -> bool {
        let kept = if self.providers.is_empty() { KEPT_IF_NONE } else { KEPT };
        self.over.is_none_or(|over| now.duration_since(over) < kept)
    }

    fn tell(&mut self, provider: &PeerInfo) {
        self.waiting.retain(|waiting| waiting.send(provider.clone()).is_ok());
        self.is_unheard |= self.waiting.is_empty();
    }
}

impl Lookups {
    /// The providers of a key: those that are known at `now`, then those that the look-up under way finds. None if a
    /// look-up is to be begun with [`Self::begin`].
    pub fn join(&mut self, key: &Multihash<64>, now: Instant) -> Option<Providers> {
        self.0.get_mut(key).filter(|lookup| lookup.is_fresh(now)).map(Self::subscribe)
    }

    /// The providers that the look-up under way will find from now on, or all if some came when nobody waited. None if
    /// there are neither.
    pub fn follow(&mut self, key: &Multihash<64>) -> Option<Providers> {
        let lookup = self.0.get_mut(key)?;
        if std::mem::take(&mut lookup.is_unheard) {
            return Some(Self::subscribe(lookup));
        }
        if lookup.over.is_some() {
            return None;
        }
        let (sender, providers) = mpsc::unbounded_channel();
        lookup.waiting.push(sender);
        Some(providers)
    }

    /// Begins a look-up.
    pub fn begin(&mut self, key: Multihash<64>, now: Instant) -> Providers {
        if self.0.len() >= MAX_KEPT {
            self.forget(now);
        }
        let lookup = self.0.entry(key).or_default();
        *lookup = Lookup::default();
        Self::subscribe(lookup)
    }

    /// A provider was found, or more addresses of one.
    pub fn found(&mut self, key: &Multihash<64>, mut provider: PeerInfo) {
        let Some(lookup) = self.0.get_mut(key) else { return };
        if let Some(known) = lookup.providers.iter_mut().find(|known| known.id == provider.id) {
            let before = known.addresses.len();
            known.extend(std::mem::take(&mut provider.addresses));
            if known.addresses.len() == before {
                return;
            }
            provider = known.clone();
        } else if lookup.providers.len() < MAX_PROVIDERS {
            lookup.providers.push(provider.clone());
        }
        lookup.tell(&provider);
    }

    /// A look-up is over at `now`.
    pub fn end(&mut self, key: &Multihash<64>, now: Instant) {
        if let Some(lookup) = self.0.get_mut(key) {
            lookup.over = Some(now);
            lookup.waiting.clear();
        }
    }

    fn subscribe(lookup: &mut Lookup) -> Providers {
        let (sender, providers) = mpsc::unbounded_channel();
        for provider in &lookup.providers {
            // The receiver is right here.
            let _open = sender.send(provider.clone());
        }
        if lookup.over.is_none() {
            lookup.waiting.push(sender);
        }
        providers
    }

    /// Forgets what is old, and if that is too little the older half.
    fn forget(&mut self, now: Instant) {
        self.0.retain(|_, lookup| lookup.is_fresh(now));
        if self.0.len() >= MAX_KEPT {
            let mut ends = self.0.values().filter_map(|lookup| lookup.over).collect::<Vec<_>>();
            ends.sort();
            let middle = ends.get(ends.len() / 2).copied();
            self.0.retain(|_, lookup| lookup.over.is_none_or(|over| Some(over) > middle));
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;
    use pinrail_ipfs::hash::hash;

    use super::*;

    fn key(name: u64) -> Multihash<64> {
        hash(0x12, 32, &name.to_be_bytes()).expect("sha2-256")
    }

    fn provider(ports: std::ops::Range<u16>) -> PeerInfo {
        let addresses = ports.map(|port| format!("/ip4/8.8.8.8/tcp/{port}").parse().expect("a multiaddr"));
        PeerInfo { id: PeerId::random(), addresses: addresses.collect() }
    }

    fn all(providers: &mut Providers) -> Vec<PeerInfo> {
        std::iter::from_fn(|| providers.try_recv().ok()).collect()
    }

    #[tokio::test]
    async fn those_who_join_are_told_all_of_it() {
        let (mut lookups, now, key) = (Lookups::default(), Instant::now(), key(1));
        let (one, two) = (provider(1..2), provider(2..3));
        assert!(lookups.join(&key, now).is_none());
        let mut first = lookups.begin(key, now);
        lookups.found(&key, one.clone());
        let mut second = lookups.join(&key, now).expect("it is under way");
        let mut later = lookups.follow(&key).expect("it is under way");
        lookups.found(&key, two.clone());
        lookups.found(&key, two.clone());
        lookups.end(&key, now);
        assert_eq!(all(&mut first), [one.clone(), two.clone()]);
        assert_eq!(all(&mut second), [one.clone(), two.clone()]);
        assert_eq!(all(&mut later), std::slice::from_ref(&two));
        assert!(first.is_closed() && second.is_closed() && later.is_closed());
        assert!(lookups.follow(&key).is_none());
        let mut third = lookups.join(&key, now).expect("it is known");
        assert_eq!((all(&mut third), third.is_closed()), (vec![one, two], true));
    }

    #[tokio::test]
    async fn what_nobody_heard_is_told_once_to_whoever_follows() {
        let (mut lookups, now, key) = (Lookups::default(), Instant::now(), key(1));
        drop(lookups.begin(key, now));
        let late = provider(1..2);
        lookups.found(&key, late.clone());
        lookups.end(&key, now);
        assert_eq!(all(&mut lookups.follow(&key).expect("it is not heard")), [late]);
        assert!(lookups.follow(&key).is_none());
    }

    #[tokio::test]
    async fn more_addresses_of_a_provider_are_told() {
        let (mut lookups, now, key) = (Lookups::default(), Instant::now(), key(1));
        let mut providers = lookups.begin(key, now);
        let whole = provider(1..4);
        let part = PeerInfo { addresses: whole.addresses[..1].to_vec(), ..whole.clone() };
        lookups.found(&key, part.clone());
        lookups.found(&key, whole.clone());
        assert_eq!(all(&mut providers), [part, whole]);
    }

    #[tokio::test]
    async fn what_was_found_is_kept_longer_than_that_nothing_was() {
        let (mut lookups, now) = (Lookups::default(), Instant::now());
        drop((lookups.begin(key(1), now), lookups.begin(key(2), now)));
        lookups.found(&key(1), provider(1..2));
        lookups.end(&key(1), now);
        lookups.end(&key(2), now);
        let mut is_known = |name, age| lookups.join(&key(name), now + age).is_some();
        assert!(is_known(1, KEPT / 2) && !is_known(1, KEPT));
        assert!(is_known(2, KEPT_IF_NONE / 2) && !is_known(2, KEPT_IF_NONE));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_the_newest_stay() {
        let (mut lookups, start) = (Lookups::default(), Instant::now());
        let last = 3 * MAX_KEPT as u64;
        for name in 0..=last {
            let now = start + Duration::from_millis(name);
            drop(lookups.begin(key(name), now));
            (0..50).for_each(|_| lookups.found(&key(name), provider(1..2)));
            lookups.end(&key(name), now);
        }
        assert!(lookups.0.len() <= MAX_KEPT + 1);
        assert!(lookups.0.values().all(|lookup| lookup.providers.len() == MAX_PROVIDERS));
        let now = start + Duration::from_millis(last);
        assert!(lookups.join(&key(last - 100), now).is_some() && lookups.join(&key(0), now).is_none());
    }
}

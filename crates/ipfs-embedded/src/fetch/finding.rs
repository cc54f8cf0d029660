//! When a fetch has providers looked up: one look-up at a time, of a block that it misses.

use std::time::Duration;

use libp2p::multihash::Multihash;
use tokio::time::Instant;

use crate::dht::PeerInfo;
use crate::routing::{Finder, Providers};

/// Named origins have this long to prove that they have the DAG before others are looked for.
const ORIGINS_FIRST: Duration = Duration::from_secs(1);
/// Another block is looked up no sooner than this after the last one was.
const INTERVAL: Duration = Duration::from_secs(30);

/// The look-ups of a fetch.
pub struct Finding {
    finder: Finder,
    /// What the look-up under way finds.
    providers: Option<Providers>,
    last: Option<Multihash<64>>,
    next: Instant,
}

impl Finding {
    /// No look-up so far; the first one waits a second for origins, if any are named.
    pub fn new(finder: Finder, has_origins: bool, now: Instant) -> Self {
        let next = if has_origins { now + ORIGINS_FIRST } else { now };
        Self { finder, providers: None, last: None, next }
    }

    /// Begins to look up a block that no source has, if it is time to.
    pub fn look_up(&mut self, key: Multihash<64>, now: Instant) {
        if self.is_to_be_looked_up(&key) && self.next <= now {
            self.providers = self.finder.find(key);
            self.last = Some(key);
            self.next = now + INTERVAL;
        }
    }

    /// Whether a look-up of this block is under way or is about to begin at `now`.
    pub fn is_awaited(&self, key: &Multihash<64>, now: Instant) -> bool {
        self.providers.is_some() || self.is_to_be_looked_up(key) && self.next <= now + ORIGINS_FIRST
    }

    /// The next provider that is found; it never comes while nothing is looked up. None once, when the look-up is over.
    pub async fn next_provider(&mut self) -> Option<PeerInfo> {
        let Some(providers) = &mut self.providers else { return std::future::pending().await };
        let provider = providers.recv().await;
        if provider.is_none() {
            self.providers = None;
        }
        provider
    }

    /// How the look-ups go that found nobody, for people; none if there was none.
    pub fn describe(&self) -> Option<String> {
        self.last?;
        let asked = self.finder.describe();
        Some(match self.providers {
            Some(_) => format!("providers are still being looked for {asked}"),
            None => format!("no provider was found {asked}"),
        })
    }

    fn is_to_be_looked_up(&self, key: &Multihash<64>) -> bool {
        self.finder.is_on() && self.providers.is_none() && self.last.as_ref() != Some(key)
    }
}

//! A client of a storage: what it learned from the answers and asks with next.

use std::time::Duration;

use pinrail_domain::{AccountId, Lease, LeaseKey, RequestId, TokenId};
use pinrail_spec::Timestamp;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::Index;
use uuid::Uuid;

use super::answer::Taken;

/// Something that a client knows, by how long ago it learned of it; or something that nobody knows.
///
/// Counted from the youngest, so that a history from which an operation is taken away still means the same.
#[derive(Debug, Clone, Copy)]
pub enum Pick {
    Young(u8),
    Any(Index),
    Unknown,
}

/// Mostly something young, seldom something that nobody knows.
pub fn any_pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        12 => (0..4_u8).prop_map(Pick::Young),
        4 => any::<Index>().prop_map(Pick::Any),
        1 => proptest::prelude::Just(Pick::Unknown),
    ]
}

impl Pick {
    /// Which of these, the oldest first, is meant.
    fn of<T>(self, known: &[T]) -> Option<&T> {
        match self {
            Self::Young(back) => usize::from(back).checked_rem(known.len()).map(|back| &known[known.len() - 1 - back]),
            Self::Any(index) => (!known.is_empty()).then(|| index.get(known)),
            Self::Unknown => None,
        }
    }
}

/// The moments that an operation goes by.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    /// What a process of the API takes for now: its machine's clock, which may have been put back.
    pub now: Timestamp,
    /// The database's time, which workers go by: never below the greatest that was stored.
    pub stored: Timestamp,
}

impl Moments {
    /// Those that are so much later.
    pub fn ahead(self, by: Duration) -> Self {
        Self { now: self.now + by, stored: self.stored + by }
    }
}

/// A pin request as its client remembers it.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub account: AccountId,
    pub id: RequestId,
    pub created: Timestamp,
}

/// What a client learned. Two that take the same operations make the same ids, whatever they talk to.
#[derive(Debug, Clone, Default)]
pub struct Client {
    number: u8,
    made: u32,
    pub accounts: Vec<AccountId>,
    pub requests: Vec<Known>,
    pub tokens: Vec<TokenId>,
    pub leases: Vec<Lease>,
}

impl Client {
    /// A further client, which knows what this one knows.
    pub fn further(&self, number: u8) -> Self {
        Self { number, ..self.clone() }
    }

    /// Ten bytes that no other call of any client gives.
    pub fn unique(&mut self) -> [u8; 10] {
        self.made += 1;
        let mut bytes = [0; 10];
        bytes[0] = self.number;
        bytes[6..].copy_from_slice(&self.made.to_be_bytes());
        bytes
    }

    pub fn account(&self, pick: Pick) -> AccountId {
        pick.of(&self.accounts).copied().unwrap_or(AccountId::from_uuid(Uuid::from_u128(404)))
    }

    pub fn token(&self, pick: Pick) -> TokenId {
        pick.of(&self.tokens).copied().unwrap_or(TokenId::from_uuid(Uuid::from_u128(404)))
    }

    pub fn request(&self, pick: Pick) -> Known {
        let unknown = || Known {
            account: self.account(Pick::Young(0)),
            id: RequestId::from_uuid(Uuid::from_u128(404)),
            created: Timestamp::from_millis(0),
        };
        pick.of(&self.requests).copied().unwrap_or_else(unknown)
    }

    /// When a request was created, if there is any.
    pub fn created(&self, index: Index) -> Option<Timestamp> {
        Pick::Any(index).of(&self.requests).map(|request| request.created)
    }

    pub fn lease(&self, pick: Pick) -> Option<&Lease> {
        pick.of(&self.leases)
    }

    /// The leases that are meant, those of nothing left out.
    pub fn lease_keys(&self, picks: &[Pick]) -> Vec<LeaseKey> {
        picks.iter().filter_map(|pick| self.lease(*pick)).map(|lease| lease.key.clone()).collect()
    }

    /// Remember leases; what is compared of them.
    pub fn take(&mut self, leases: Vec<Lease>) -> Vec<Taken> {
        let taken = leases.iter().cloned().map(|lease| Taken {
            root: lease.key.root,
            epoch: lease.key.epoch,
            task: lease.task,
            account: lease.account,
            attempt: lease.attempt,
            wanted_since: lease.wanted_since,
            until: lease.until,
        });
        let taken = taken.collect();
        self.leases.extend(leases);
        taken
    }
}

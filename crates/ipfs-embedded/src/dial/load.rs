//! What the dials under way take up, and whether there is room for another.

use std::collections::{HashMap, HashSet};

use libp2p::Multiaddr;
use pinrail_block_store::NodeKey;

use super::{Asker, Lane, UnderWay};
use crate::gate::Host;

/// Dials under way at once for one root.
pub(super) const MAX_DIALS_PER_ROOT: usize = 8;
/// Dials under way at once to one host, whatever the peer.
pub(super) const MAX_DIALS_PER_HOST: usize = 8;
/// Of these, dials for one account.
pub(super) const MAX_DIALS_PER_HOST_AND_ACCOUNT: usize = 4;
/// What the dials under way take up.
pub(super) struct Load<'a> {
    lanes: HashMap<Lane, usize>,
    accounts: HashMap<(Lane, Option<u128>), usize>,
    roots: HashMap<Option<NodeKey>, usize>,
    hosts: HashMap<&'a Host, usize>,
    hosts_of_accounts: HashMap<(&'a Host, Option<u128>), usize>,
    pub(super) addresses: HashSet<&'a Multiaddr>,
}

impl<'a> Load<'a> {
    pub(super) fn of(dials: impl Iterator<Item = &'a UnderWay>) -> Self {
        let mut load = Self {
            lanes: HashMap::new(),
            accounts: HashMap::new(),
            roots: HashMap::new(),
            hosts: HashMap::new(),
            hosts_of_accounts: HashMap::new(),
            addresses: HashSet::new(),
        };
        for dial in dials {
            let Asker { lane, account, root } = dial.asker;
            *load.lanes.entry(lane).or_default() += 1;
            *load.accounts.entry((lane, account)).or_default() += 1;
            *load.roots.entry(root).or_default() += 1;
            for host in dial.addresses.iter().map(|candidate| &candidate.host).collect::<HashSet<_>>() {
                *load.hosts.entry(host).or_default() += 1;
                *load.hosts_of_accounts.entry((host, account)).or_default() += 1;
            }
            load.addresses.extend(dial.addresses.iter().map(|candidate| &candidate.address));
        }
        load
    }

    /// Dials for the account that asks.
    pub(super) fn of_account(&self, Asker { lane, account, .. }: Asker) -> usize {
        self.accounts.get(&(lane, account)).copied().unwrap_or(0)
    }

    /// Whether the bounds of its lane, its account and its root allow another dial.
    pub(super) fn has_room_for(&self, asker: Asker) -> bool {
        let of_root = self.roots.get(&asker.root).copied().unwrap_or(0);
        self.lanes.get(&asker.lane).copied().unwrap_or(0) < asker.lane.max_dials()
            && self.of_account(asker) < asker.lane.max_dials_per_account()
            && (asker.root.is_none() || of_root < MAX_DIALS_PER_ROOT)
    }

    /// Whether the bounds of this host allow another dial.
    pub(super) fn has_room_at(&self, host: &Host, account: Option<u128>) -> bool {
        let of_account = self.hosts_of_accounts.get(&(host, account)).copied().unwrap_or(0);
        let of_all = self.hosts.get(host).copied().unwrap_or(0);
        of_all < MAX_DIALS_PER_HOST && of_account < MAX_DIALS_PER_HOST_AND_ACCOUNT
    }
}

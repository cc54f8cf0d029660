//! Steps of which more than one outcome is right, taken as they turned out elsewhere.
//!
//! A storage that locks row by row leaves out of a lease what another step holds at that moment, and chooses a node by
//! loads that another step is about to change. What it then does is a step that the reference might have taken too.

use pinrail_domain::{AccountId, Lease, NodeId, RequestId, most_for_one_account};
use pinrail_spec::{RootKey, Timestamp};

use super::MemoryStorage;
use super::fair_queue::Turns;
use super::tables::Tables;

/// What a worker asks for when it asks for leases.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub node: NodeId,
    pub now: Timestamp,
    pub until: Timestamp,
    pub limit: usize,
    pub slots: usize,
}

impl MemoryStorage {
    /// Lease these roots, each for the account that it was taken for, or to be released: whether it is their turn is
    /// not asked. `None`, and nothing is done, unless the worker may have every one of them and, with `all`, could not
    /// have had more.
    pub(crate) fn lease_these(
        &self,
        wanted: Wanted,
        roots: &[(RootKey, Option<AccountId>)],
        all: bool,
    ) -> Option<Vec<Lease>> {
        self.step_at(wanted.now, |tables| {
            if !tables.may_lease(wanted, roots) {
                return None;
            }
            let Wanted { node, now, until, .. } = wanted;
            let take = roots.iter().map(|(root, account)| tables.take_lease(root, node, *account, now, until));
            let leases = take.collect();
            let pins = roots.iter().filter(|(_, account)| account.is_some()).count();
            (!all || !tables.has_due(wanted, wanted.limit - pins)).then_some(leases)
        })
    }

    /// The nodes that a new request for a root, which replaces `old`, may give it to; none when it stays with its own.
    pub(crate) fn open_nodes(&self, root: &RootKey, old: Option<&RequestId>, now: Timestamp) -> Vec<NodeId> {
        self.step(|tables| {
            match (tables.roots.get(root), old.and_then(|old| tables.request_ids.get(old))) {
                (Some(row), _) if tables.is_live(&row.node, now) => return Vec::new(),
                (None, Some(old)) if tables.is_live(&tables.node_of(old), now) => return vec![tables.node_of(old)],
                _ => {}
            }
            let (live, silent): (Vec<_>, Vec<_>) = tables.in_service().partition(|node| tables.is_live(node, now));
            if live.is_empty() { silent } else { live }
        })
    }

    /// The nodes that are not retired, live or silent.
    pub(crate) fn nodes_in_service(&self) -> Vec<NodeId> {
        self.step(|tables| tables.in_service().collect())
    }

    /// Have roots that need a node go to this one from now on, whatever the loads; with `None` as before.
    pub(crate) fn give_roots_to(&self, node: Option<NodeId>) {
        self.step(|tables| tables.given_to = node);
    }
}

impl Tables {
    fn in_service(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.values().filter(|node| !node.retired).map(|node| node.id)
    }

    fn may_lease(&self, wanted: Wanted, roots: &[(RootKey, Option<AccountId>)]) -> bool {
        let Wanted { node, now, limit, slots, .. } = wanted;
        let mut running = self.running(&node, now);
        let (mut pins, mut releases) = (0, 0);
        let may_take = |(key, account): &(RootKey, Option<AccountId>)| {
            let Some(root) = self.roots.get(key) else { return false };
            let Some(account) = account else {
                releases += 1;
                return self.may_release(root, &node, now);
            };
            pins += 1;
            let running = running.entry(*account).or_default();
            *running += 1;
            let is_its = root.accounts().contains(account) && !self.is_blocked(account);
            self.may_pin(root, &node, now) && is_its && *running <= most_for_one_account(slots)
        };
        let all = roots.iter().all(may_take);
        all && pins <= limit
            && releases <= self.room_for_releases(&node, now, slots)
            && (roots.is_empty() || !self.is_retired(&node))
    }

    /// Whether the node could have more: so many to pin, or one to release.
    fn has_due(&self, wanted: Wanted, limit: usize) -> bool {
        let Wanted { node, now, slots, .. } = wanted;
        let has_pin = limit > 0 && Turns::new(self, node, now, slots).next().is_some();
        !self.is_retired(&node) && (has_pin || !self.due_releases(&node, now, slots).is_empty())
    }
}

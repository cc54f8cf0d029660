//! Roots in memory: what each transition of a root's life changes in other rows, and what readers are told.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::{AccountId, DagSize, NodeId, Progress, RootRecord, RootView, Wanted, take_origins_in_turns};
use pinrail_spec::{Cid, Multiaddr, RootKey, Timestamp};

use super::tables::{RequestKey, RootRow, Tables};

/// The most requests whose copy of the state changes in one step.
const COPIED_AT_ONCE: usize = 500;

impl Tables {
    pub fn root_mut(&mut self, key: &RootKey) -> &mut RootRow {
        self.roots.get_mut(key).expect("a root that requests, holds or a list of keys name has a row")
    }

    /// Apply a transition to a root; the copies in its requests follow its state.
    pub fn change<T>(&mut self, key: &RootKey, transition: impl FnOnce(&mut RootRecord) -> T) -> T {
        let root = self.root_mut(key);
        let before = root.record.state;
        let outcome = transition(&mut root.record);
        if root.record.state != before {
            root.behind = root.requests.clone();
            self.copy_status(key);
        }
        outcome
    }

    /// Count one more request for a root, which makes it wanted; the request's row exists already.
    pub fn want(&mut self, cid: &Cid, request: RequestKey, node: NodeId, now: Timestamp) {
        let (key, inline) = (cid.root(), DagSize::inline(cid));
        let Some(root) = self.roots.get_mut(&key) else {
            self.roots_made += 1;
            let record = RootRecord::new(inline, self.released_epoch, now);
            self.roots.insert(key, RootRow::new(self.roots_made, node, record, request));
            return;
        };
        root.requests.insert(request);
        match self.change(&key, |root| root.want(inline, now)) {
            Wanted::Pinned | Wanted::Again => {}
            Wanted::Inline => self.after_pinned(&key, now),
            Wanted::Afresh => self.after_wanted_afresh(&key),
        }
        self.move_from_silent_node(&key, now);
    }

    /// Forget what was received of a root that begins a new life; its requests' holds wait again.
    pub fn after_wanted_afresh(&mut self, key: &RootKey) {
        self.root_mut(key).received = Progress::default();
        self.end_holds_later(key, None);
    }

    /// Forget what was received of a root in favour of its size, and end its requests' holds.
    pub fn after_pinned(&mut self, key: &RootKey, now: Timestamp) {
        self.root_mut(key).received = Progress::default();
        self.end_holds_of_requests(key, now);
    }

    /// Change the copies of a root's state in its next requests.
    pub fn copy_status(&mut self, key: &RootKey) {
        let root = self.roots.get_mut(key).expect("its state is to be copied");
        let Some(status) = root.record.state.status() else { return };
        for _ in 0..COPIED_AT_ONCE {
            let Some(request) = root.behind.pop_first() else { return };
            self.requests.get_mut(&request).expect("a root names requests that exist").status = status;
        }
    }

    /// The origins of a root's requests in turns, those of the newest first.
    pub fn origins(&self, root: &RootRow) -> Vec<Multiaddr> {
        let requests = root.requests.iter().map(|key| (key, &self.requests[key]));
        let naming = requests.filter(|(_, request)| !request.pin.origins.is_empty());
        let by_age = naming.map(|(key, request)| ((key.1, request.id), (key.0, request.pin.origins.clone())));
        take_origins_in_turns(by_age.collect::<BTreeMap<_, _>>().into_values().rev())
    }

    /// What a reader of a request is told of its root.
    pub fn view(&self, root: &RootRow, now: Timestamp) -> RootView {
        root.record.view(root.received, !self.is_live(&root.node, now), now)
    }
}

impl RootRow {
    /// The row of a root with its first request.
    fn new(age: u64, node: NodeId, record: RootRecord, request: RequestKey) -> Self {
        Self {
            age,
            node,
            record,
            requests: BTreeSet::from([request]),
            holds: BTreeMap::new(),
            leased_for: None,
            received: Progress::default(),
            holders: BTreeSet::new(),
            behind: BTreeSet::new(),
        }
    }

    /// The accounts that want it, each once.
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        self.requests.iter().map(|(account, _)| *account).collect()
    }
}

//! How a root becomes wanted and unwanted, and what its readers are told.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::{AccountId, DagSize, LeaseKey, NodeId, Progress, RootState, RootView, take_origins_in_turns};
use pinrail_spec::{Cid, Multiaddr, RootKey, Timestamp};

use super::tables::{RequestKey, RootRow, Tables};

/// The most requests whose copy of the state changes in one step.
const COPIED_AT_ONCE: usize = 500;

/// The size of a DAG that its CID holds whole: one block, the digest.
pub fn whole_size(cid: &Cid) -> DagSize {
    DagSize { blocks: 1, bytes: u64::from(cid.inner().hash().size()) }
}

impl Tables {
    pub fn root_mut(&mut self, key: &RootKey) -> &mut RootRow {
        self.roots.get_mut(key).expect("a root that requests, holds or a list of keys name has a row")
    }

    /// Count one more request for a root, which makes it wanted; the request's row is there already.
    pub fn want(&mut self, cid: &Cid, request: RequestKey, node: NodeId, now: Timestamp) {
        let key = cid.root();
        if !self.roots.contains_key(&key) {
            self.roots_made += 1;
            let epoch = LeaseKey::epoch_before(now).max(self.released_epoch);
            self.roots.insert(key.clone(), RootRow { epoch, ..RootRow::new(self.roots_made, node, now) });
        }
        let root = self.root_mut(&key);
        let is_first = root.requests.is_empty();
        root.requests.insert(request);
        if cid.is_whole() && root.state != RootState::Pinned {
            return self.pin_whole(cid, now);
        }
        match root.state {
            RootState::Pinned => {}
            RootState::Failed | RootState::Releasing => self.want_afresh(&key, now),
            RootState::Queued | RootState::Pinning if is_first => self.want_afresh(&key, now),
            RootState::Queued | RootState::Pinning => root.hurry(now),
        }
        self.move_from_silent_node(&key, now);
    }

    /// Start anew, with fresh attempts and a fresh time limit.
    pub fn want_afresh(&mut self, key: &RootKey, now: Timestamp) {
        let root = self.root_mut(key);
        root.reset(RootState::Queued, now);
        root.wanted_since = now;
        root.progress = Progress::default();
        root.size = None;
        self.end_holds_later(key, None);
        self.change_copies(key);
    }

    /// A CID that holds its whole content needs no worker.
    fn pin_whole(&mut self, cid: &Cid, now: Timestamp) {
        let key = cid.root();
        let size = whole_size(cid);
        let root = self.root_mut(&key);
        root.reset(RootState::Pinned, now);
        root.wanted_since = now;
        root.progress = Progress { blocks: size.blocks, bytes: size.bytes };
        root.size = Some(size);
        self.end_holds_of_requests(&key, now);
        self.change_copies(&key);
    }

    /// Draw the consequence of a request that is gone from a root.
    pub fn after_request_went(&mut self, key: &RootKey, now: Timestamp) {
        let root = self.root_mut(key);
        if !root.requests.is_empty() {
            return;
        }
        if root.holds.is_empty() {
            root.reset(RootState::Releasing, now);
        } else if root.is_unfinished() {
            root.epoch += 1;
            root.lease = None;
            root.waiting = false;
        }
    }

    /// Draw the consequence of a hold that is gone from a root.
    pub fn after_hold_went(&mut self, key: &RootKey, now: Timestamp) {
        let root = self.root_mut(key);
        if root.requests.is_empty() && root.holds.is_empty() {
            root.reset(RootState::Releasing, now);
        }
    }

    /// Note that the copies of a root's state are behind it, and change the first of them.
    pub fn change_copies(&mut self, key: &RootKey) {
        let root = self.root_mut(key);
        root.behind = root.requests.clone();
        self.copy_status(key);
    }

    /// Change the copies of a root's state in its next requests.
    pub fn copy_status(&mut self, key: &RootKey) {
        let root = self.roots.get_mut(key).expect("its state is to be copied");
        let Some(status) = root.state.status() else { return };
        for _ in 0..COPIED_AT_ONCE {
            let Some(request) = root.behind.pop_first() else { return };
            self.requests.get_mut(&request).expect("a root names requests that are there").status = status;
        }
    }

    /// Whether an account that is not blocked wants the root.
    pub fn has_open_account(&self, root: &RootRow) -> bool {
        root.accounts().iter().any(|account| !self.is_blocked(account))
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
        RootView {
            state: root.state,
            attempts: root.attempts,
            progress: root.progress,
            size: root.size,
            failure: root.failure.clone(),
            due: (root.state == RootState::Pinning && !root.is_leased(now)).then_some(root.due),
            waiting: root.waiting,
            node_silent: !self.is_live(&root.node, now),
            paused: root.paused,
        }
    }
}

impl RootRow {
    /// A row that nothing wants yet.
    fn new(age: u64, node: NodeId, now: Timestamp) -> Self {
        Self {
            age,
            node,
            state: RootState::Queued,
            requests: BTreeSet::new(),
            holds: BTreeMap::new(),
            epoch: 0,
            due: now,
            wanted_since: now,
            attempts: 0,
            retry: false,
            waiting: false,
            paused: false,
            lease: None,
            progress: Progress::default(),
            size: None,
            failure: None,
            holders: BTreeSet::new(),
            behind: BTreeSet::new(),
        }
    }

    /// Whether it is wanted by someone or held, and neither whole nor given up.
    pub const fn is_unfinished(&self) -> bool {
        matches!(self.state, RootState::Queued | RootState::Pinning)
    }

    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.lease.as_ref().is_some_and(|lease| now < lease.until)
    }

    /// The accounts that want it, each once.
    pub fn accounts(&self) -> Vec<AccountId> {
        self.requests.iter().map(|(account, _)| *account).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What its accounts have counted for it.
    pub fn counted_bytes(&self) -> u64 {
        match self.state {
            RootState::Queued | RootState::Pinning => self.progress.counted_bytes(),
            RootState::Pinned => self.size.map_or(0, DagSize::counted_bytes),
            RootState::Failed | RootState::Releasing => 0,
        }
    }

    /// Enter a state that begins a new life: whoever worked on the old one has lost it.
    fn reset(&mut self, state: RootState, now: Timestamp) {
        self.state = state;
        self.epoch += 1;
        self.due = now;
        self.attempts = 0;
        self.retry = false;
        self.waiting = false;
        self.paused = false;
        self.lease = None;
        self.failure = None;
    }

    /// Be tried soon, for a new request may have brought the origin that was missing; a leased root once it is settled.
    fn hurry(&mut self, now: Timestamp) {
        self.retry = false;
        if !self.is_leased(now) {
            self.due = self.due.min(now);
        }
    }
}

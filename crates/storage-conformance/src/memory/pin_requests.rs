//! Pin requests in memory: added, replaced, removed, found.

use std::collections::BTreeSet;

use async_trait::async_trait;
use pinrail_domain::{AccountId, NewPinRequest, NodeId, PinPage, PinRequest, QueuePosition, RequestId, RootState};
use pinrail_spec::{PinFilter, RootKey, Status, Timestamp};
use pinrail_storage::{PinRequests, StorageError};

use super::MemoryStorage;
use super::accounts::missing_account;
use super::tables::{RequestKey, RequestRow, RootRow, Tables};

/// How far a place in the queue is counted.
const COUNTED_PLACES: usize = 1_000;

#[async_trait]
impl PinRequests for MemoryStorage {
    async fn add_pin_request(&self, request: &NewPinRequest, now: Timestamp) -> Result<PinRequest, StorageError> {
        self.step_for_workers(now, |tables| {
            let key = tables.accept(request, None, now)?;
            Ok(tables.show(&key, now))
        })
    }

    async fn replace_pin_request(
        &self,
        old: &RequestId,
        request: &NewPinRequest,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError> {
        self.step_for_workers(now, |tables| {
            let Some(old) = tables.own_request(&request.account, old) else { return Ok(None) };
            let new = tables.accept(request, Some(&old), now)?;
            tables.hand_over(&old, &new, now);
            Ok(Some(tables.show(&new, now)))
        })
    }

    async fn remove_pin_request(
        &self,
        account: &AccountId,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        Ok(self.step_for_workers(now, |tables| {
            let Some(key) = tables.own_request(account, id) else { return false };
            let row = tables.take_request(&key);
            tables.change(&row.root, |root| root.lose_request(false, now));
            for held in row.holds {
                tables.end_hold(row.id, &held, now);
            }
            true
        }))
    }

    async fn find_pin_request(
        &self,
        account: &AccountId,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError> {
        Ok(self.step(|tables| {
            let key = tables.own_request(account, id)?;
            let queue_position = tables.queue_position(account, &tables.requests[&key].root);
            Some(PinRequest { queue_position, ..tables.show(&key, now) })
        }))
    }

    async fn list_pin_requests(
        &self,
        account: &AccountId,
        filter: &PinFilter,
        now: Timestamp,
    ) -> Result<PinPage, StorageError> {
        Ok(self.step(|tables| tables.list(account, filter, now)))
    }
}

impl Tables {
    fn own_request(&self, account: &AccountId, id: &RequestId) -> Option<RequestKey> {
        self.request_ids.get(id).copied().filter(|(owner, _)| owner == account)
    }

    /// Judge a request, then write it and its root. Nothing is written when it is refused.
    fn accept(
        &mut self,
        request: &NewPinRequest,
        old: Option<&RequestKey>,
        now: Timestamp,
    ) -> Result<RequestKey, StorageError> {
        let account = self.accounts.get(&request.account).ok_or_else(|| missing_account(&request.account))?;
        let created = account.last_created.map_or(now, |last| now.max(last.next()));
        if self.request_ids.contains_key(&request.id) {
            return Err(StorageError::Conflict(format!("pin request {}", request.id)));
        }
        self.admit(&request.account, &request.pin, old)?;
        let node = self.choose_node(old.map(|old| self.node_of(old)), now)?;

        self.accounts.get_mut(&request.account).expect("it was there a moment ago").last_created = Some(created);
        let key = (request.account, created);
        self.insert_request(key, request);
        self.want(&request.pin.cid, key, node, now);
        // A root that needs no change of its state has none to copy: the request takes it as it stands.
        let state = self.roots[&request.pin.cid.root()].record.state;
        self.requests.get_mut(&key).expect("it was inserted").status = state.status().unwrap_or(Status::Queued);
        Ok(key)
    }

    fn insert_request(&mut self, key: RequestKey, request: &NewPinRequest) {
        let row = RequestRow {
            id: request.id,
            pin: request.pin.clone(),
            root: request.pin.cid.root(),
            status: Status::Queued,
            holds: BTreeSet::new(),
        };
        self.requests.insert(key, row);
        self.request_ids.insert(request.id, key);
    }

    pub fn node_of(&self, request: &RequestKey) -> NodeId {
        self.roots[&self.requests[request].root].node
    }

    /// Take the old request away; the new one holds its root, and what it held, unless it is pinned already.
    fn hand_over(&mut self, old: &RequestKey, new: &RequestKey, now: Timestamp) {
        let row = self.take_request(old);
        let new_root = self.requests[new].root.clone();
        let waits = self.roots[&new_root].record.state != RootState::Pinned;
        let inherited = if waits { row.holds.clone() } else { BTreeSet::new() };
        for held in &inherited {
            self.root_mut(held).holds.remove(&row.id);
            self.hold(new, held);
        }
        let is_held = waits && row.root != new_root && self.hold(new, &row.root);
        self.change(&row.root, |root| root.lose_request(is_held, now));
        for held in row.holds.difference(&inherited) {
            self.end_hold(row.id, held, now);
        }
    }

    /// Take a request's row away, and its place in its root.
    fn take_request(&mut self, key: &RequestKey) -> RequestRow {
        let row = self.requests.remove(key).expect("the request is there");
        self.request_ids.remove(&row.id);
        let root = self.root_mut(&row.root);
        root.requests.remove(key);
        root.behind.remove(key);
        row
    }

    /// A request with its root's status.
    pub fn show(&self, key: &RequestKey, now: Timestamp) -> PinRequest {
        let row = &self.requests[key];
        let root = &self.roots[&row.root];
        PinRequest {
            id: row.id,
            account: key.0,
            created: key.1,
            pin: row.pin.clone(),
            status: root.record.state.status().unwrap_or(row.status),
            root: self.view(root, now),
            delegates: self.nodes.get(&root.node).map_or_else(Vec::new, |node| node.delegates().to_vec()),
            queue_position: None,
            held_until: row.holds.iter().filter_map(|held| self.roots[held].holds.get(&row.id).copied()?).max(),
            as_of: now,
        }
    }

    fn queue_position(&self, account: &AccountId, key: &RootKey) -> Option<QueuePosition> {
        let place = |root: &RootRow| (root.record.due, root.age);
        let is_queued = |root: &RootRow| root.record.state == RootState::Queued;
        let own = self.roots.get(key).filter(|root| is_queued(root))?;
        let queued = self.roots.values().filter(|root| is_queued(root) && root.accounts().contains(account));
        let position = queued.filter(|root| place(root) < place(own)).count() + 1;
        let counted = u32::try_from(position).ok().filter(|_| position <= COUNTED_PLACES);
        Some(counted.map_or(QueuePosition::Beyond, QueuePosition::At))
    }
}

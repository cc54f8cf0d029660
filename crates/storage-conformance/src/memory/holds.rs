//! Holds in memory: what keeps the root of a replaced request until the new one is there.

use pinrail_domain::RequestId;
use pinrail_spec::{RootKey, Timestamp};

use super::tables::{RequestKey, Tables};

impl Tables {
    /// Have `owner` hold a root; whether it did not hold it already.
    pub fn hold(&mut self, owner: &RequestKey, root: &RootKey) -> bool {
        let request = self.requests.get_mut(owner).expect("a hold is owned by a request that exists");
        let (id, is_new) = (request.id, request.holds.insert(root.clone()));
        self.root_mut(root).holds.insert(id, None);
        is_new
    }

    /// End the hold of `owner`, whose row no longer names it, on a root.
    pub fn end_hold(&mut self, owner: RequestId, root: &RootKey, now: Timestamp) {
        self.root_mut(root).holds.remove(&owner);
        self.change(root, |root| root.lose_hold(now));
    }

    /// End all holds that requests of a root own, because it is pinned.
    pub fn end_holds_of_requests(&mut self, key: &RootKey, now: Timestamp) {
        for request in self.roots[key].requests.clone() {
            let row = self.requests.get_mut(&request).expect("a root names requests that exist");
            let (owner, held) = (row.id, std::mem::take(&mut row.holds));
            for root in held {
                self.end_hold(owner, &root, now);
            }
        }
    }

    /// Have all holds that requests of a root own end at `ends`, or as long as they wait.
    pub fn end_holds_later(&mut self, key: &RootKey, ends: Option<Timestamp>) {
        for request in self.roots[key].requests.clone() {
            let row = &self.requests[&request];
            let (owner, held) = (row.id, row.holds.clone());
            for root in held {
                self.root_mut(&root).holds.insert(owner, ends);
            }
        }
    }

    /// End the holds whose time has come; how many.
    pub fn expire_holds(&mut self, now: Timestamp) -> usize {
        let ended = self.roots.iter().flat_map(|(key, root)| {
            let over = root.holds.iter().filter(|(_, ends)| ends.is_some_and(|ends| ends <= now));
            over.map(move |(owner, _)| (*owner, key.clone()))
        });
        let ended = ended.collect::<Vec<_>>();
        for (owner, root) in &ended {
            let request = self.request_ids[owner];
            self.requests.get_mut(&request).expect("ids name requests that exist").holds.remove(root);
            self.end_hold(*owner, root, now);
        }
        ended.len()
    }
}

//! A root becomes wanted: by a new pin request, or afresh when its node is retired.

use pinrail_spec::Timestamp;

use super::RootRecord;
use crate::{DagSize, LeaseKey, RootState};

/// What a new pin request made of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It is pinned already.
    Pinned,
    /// Its CID holds all of it, so it is pinned now: holds that wait for it end, and what was received is forgotten.
    Inline,
    /// It was wanted already and is due at once, for the request may name the origin that was missing.
    Again,
    /// It begins a new life: what was received is forgotten, and holds that were to end after its failure stay.
    Afresh,
}

impl RootRecord {
    /// A root that no row exists of, with its first pin request; `inline` is its size if its CID holds all of it.
    ///
    /// Its epoch is above `released_epoch`, the greatest of any row that went, and above [`LeaseKey::epoch_before`].
    pub fn new(inline: Option<DagSize>, released_epoch: u64, now: Timestamp) -> Self {
        Self {
            state: if inline.is_some() { RootState::Pinned } else { RootState::Queued },
            requests: 1,
            refs: 1,
            epoch: LeaseKey::epoch_before(now).max(released_epoch) + 1,
            due: now,
            wanted_since: now,
            attempts: 0,
            retry: false,
            waiting: false,
            paused: false,
            lease: None,
            size: inline,
            failure: None,
        }
    }

    /// Count one more pin request; `inline` is the root's size if its CID holds all of it.
    pub fn want(&mut self, inline: Option<DagSize>, now: Timestamp) -> Wanted {
        let is_first = self.requests == 0;
        self.requests += 1;
        self.refs += 1;
        match (self.state, inline) {
            (RootState::Pinned, _) => Wanted::Pinned,
            (_, Some(size)) => {
                self.begin_anew(RootState::Pinned, now);
                self.wanted_since = now;
                self.size = Some(size);
                Wanted::Inline
            }
            (RootState::Queued | RootState::Pinning, None) if !is_first => {
                self.hurry(now);
                Wanted::Again
            }
            (RootState::Queued | RootState::Pinning | RootState::Failed | RootState::Releasing, None) => {
                self.want_afresh(now);
                Wanted::Afresh
            }
        }
    }

    /// Begin a new life as queued, with fresh attempts and a fresh time limit: nobody inherits another's failure.
    pub fn want_afresh(&mut self, now: Timestamp) {
        self.begin_anew(RootState::Queued, now);
        self.wanted_since = now;
    }

    /// Be tried soon; a leased root once its lease is settled, for which `retry` is unset as a mark.
    fn hurry(&mut self, now: Timestamp) {
        self.retry = false;
        if !self.is_leased(now) {
            self.due = self.due.min(now);
        }
    }

    /// Be tried at once, because a peer that has it connected.
    pub fn wake(&mut self, now: Timestamp) {
        self.waiting = false;
        self.retry = false;
        self.due = self.due.min(now);
    }

    /// Be due at once with a fresh time limit, because an account that wants it is blocked no longer.
    pub fn resume(&mut self, now: Timestamp) {
        self.due = self.due.min(now);
        self.wanted_since = now;
    }
}

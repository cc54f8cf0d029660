//! What was read last, to be told again for as long as nothing was committed.
//!
//! **Invariant:** nothing here is ever stale. The storage's revision is asked in each request before anything is read,
//! and what was read is kept under it; the first commit by any process, a revocation or a POST alike, moves it, and
//! then everything is forgotten. A database that tells no revision is read for every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use pinrail_domain::{AccountId, Standing, TokenId};
use pinrail_spec::Timestamp;

/// The most bytes that are kept.
const KEPT_BYTES: usize = 4 << 20;
/// A longer answer is not kept: it would push out all others.
const LONGEST: usize = 256 << 10;
/// What an entry takes beside its texts, roughly.
const ENTRY: usize = 512;
/// What the revocation id of a block takes.
const BLOCK: usize = 128;
/// How long an answer holds: it tells of silent nodes and of the next try, which time alone changes.
const HOLDS_FOR: Duration = Duration::from_secs(1);

/// The answers that hold at the latest revision.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    revision: u64,
    bytes: usize,
    standings: HashMap<TokenId, Arc<Standing>>,
    bodies: HashMap<(AccountId, String), (Timestamp, Bytes)>,
}

impl Answers {
    /// How a token stands, if that is known at `revision`.
    pub(crate) fn standing(&self, revision: u64, token: &TokenId) -> Option<Arc<Standing>> {
        self.at_least(revision, |kept| kept.standings.get(token).cloned())
    }

    /// Keep how a token stands, read after `revision` was.
    pub(crate) fn keep_standing(&self, revision: u64, standing: &Arc<Standing>) {
        let bytes = ENTRY + BLOCK * standing.token.revoked_blocks.len();
        self.keep(revision, bytes, |kept| {
            kept.standings.insert(standing.token.id, Arc::clone(standing));
        });
    }

    /// The document that answered what the account asked, if it still holds.
    pub(crate) fn body(&self, revision: u64, now: Timestamp, asked: &(AccountId, String)) -> Option<Bytes> {
        self.at_least(revision, |kept| {
            let (made, body) = kept.bodies.get(asked)?;
            (*made <= now && now.since(*made) < HOLDS_FOR).then(|| body.clone())
        })
    }

    /// Keep the document that answers what the account asked, read after `revision` was.
    pub(crate) fn keep_body(&self, revision: u64, now: Timestamp, asked: (AccountId, String), body: &Bytes) {
        if body.len() <= LONGEST {
            self.keep(revision, ENTRY + asked.1.len() + body.len(), |kept| {
                kept.bodies.insert(asked, (now, body.clone()));
            });
        }
    }

    /// Look at what is kept, which is as new as `revision` or newer.
    fn at_least<T>(&self, revision: u64, look: impl FnOnce(&Kept) -> Option<T>) -> Option<T> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.revision >= revision { look(&kept) } else { None }
    }

    /// Keep something, unless the database has moved on since it was read.
    fn keep(&self, revision: u64, bytes: usize, insert: impl FnOnce(&mut Kept)) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.revision > revision {
            return;
        }
        let is_full = kept.bytes + bytes > KEPT_BYTES;
        let old = (kept.revision < revision || is_full)
            .then(|| std::mem::replace(&mut *kept, Kept { revision, ..Kept::default() }));
        // What is replaced counts on, so the sum errs on the safe side.
        kept.bytes += bytes;
        insert(&mut kept);
        drop(kept);
        // Freed when nobody waits for it.
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(number: u64) -> (AccountId, String) {
        (AccountId::new(Timestamp::from_millis(0), [0; 10]), format!("/pins?limit={number}"))
    }

    #[test]
    fn an_answer_holds_at_its_revision_for_a_second() {
        let (answers, body) = (Answers::default(), Bytes::from_static(b"{}"));
        let at = Timestamp::from_millis;
        answers.keep_body(7, at(5_000), asked(1), &body);
        assert_eq!(answers.body(7, at(5_999), &asked(1)), Some(body.clone()));
        // Who asked before the last commit may be told what is newer.
        assert_eq!(answers.body(6, at(5_000), &asked(1)), Some(body.clone()));
        assert_eq!(answers.body(7, at(5_000), &asked(2)), None);
        assert_eq!(answers.body(7, at(6_000), &asked(1)), None, "a second later");
        assert_eq!(answers.body(7, at(4_999), &asked(1)), None, "by a clock that was put back");
        assert_eq!(answers.body(8, at(5_000), &asked(1)), None, "after a commit");
    }

    #[test]
    fn what_was_read_before_the_last_commit_is_not_kept() {
        let (answers, body, at) = (Answers::default(), Bytes::from_static(b"{}"), Timestamp::from_millis(0));
        answers.keep_body(8, at, asked(1), &body);
        answers.keep_body(7, at, asked(2), &body);
        assert_eq!(answers.body(8, at, &asked(2)), None);
        assert_eq!(answers.body(8, at, &asked(1)), Some(body.clone()));
        answers.keep_body(9, at, asked(2), &body);
        assert_eq!(answers.body(8, at, &asked(1)), None, "forgotten at the first revision that moved");
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let (answers, at) = (Answers::default(), Timestamp::from_millis(0));
        let body = Bytes::from(vec![b'x'; LONGEST]);
        for number in 0..100 {
            answers.keep_body(1, at, asked(number), &body);
            let kept = answers.0.lock().unwrap();
            let really: usize = kept.bodies.values().map(|(_, body)| body.len()).sum();
            assert!(really <= kept.bytes && kept.bytes <= KEPT_BYTES);
        }
        assert_eq!(answers.body(1, at, &asked(99)), Some(body));
        let longer = Bytes::from(vec![b'x'; LONGEST + 1]);
        answers.keep_body(1, at, asked(100), &longer);
        assert_eq!(answers.body(1, at, &asked(100)), None);
    }
}

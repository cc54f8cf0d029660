//! Locking roots with all that a transaction may change along with them.

use std::collections::BTreeSet;

use diesel::prelude::*;
use pinrail_domain::{Progress, RootState};
use pinrail_spec::RootKey;

use super::super::{Conn, RunQueryDsl, dialect};
use super::{ClaimChange, LockedRoot, UnitOfWork};
use crate::convert::from_column;
use crate::error::TxResult;
use crate::rows::{HoldRow, ProgressRow, QueueRow, Root, RootName, RootRow, root_name};
use crate::schema::{holds, queue, root_progress};

/// Which roots a transaction locks.
#[derive(Default)]
pub(crate) struct RootsToLock {
    pub(crate) names: BTreeSet<RootName>,
    pub(crate) keys: BTreeSet<i64>,
    /// The id of a request whose holds may end: the roots that it holds, too.
    pub(crate) owner: Option<Vec<u8>>,
    /// Whether one of them may become pinned: the roots that are held until then, too.
    pub(crate) with_held: bool,
}

impl RootsToLock {
    /// Roots by their names, as many as exist.
    pub(crate) fn named<'a>(roots: impl Iterator<Item = &'a RootKey>) -> Self {
        Self { names: roots.cloned().map(root_name).collect(), ..Self::default() }
    }

    /// Roots by their keys.
    pub(crate) fn keyed(keys: impl IntoIterator<Item = i64>) -> Self {
        Self { keys: keys.into_iter().collect(), ..Self::default() }
    }

    /// The same, and the roots that are held until one of these is pinned.
    pub(crate) fn with_held(self) -> Self {
        Self { with_held: true, ..self }
    }
}

impl UnitOfWork {
    /// Lock roots in the order of their keys, and read what these accounts and those of holds that may end have on them.
    pub(crate) async fn lock(conn: &mut Conn, wanted: RootsToLock, accounts: &[i64]) -> TxResult<Self> {
        let mut unit = Self::default();
        unit.lock_roots(conn, &wanted).await?;
        let mut accounts: BTreeSet<i64> = accounts.iter().copied().collect();
        if wanted.with_held || wanted.owner.is_some() {
            unit.load_holds(conn, &wanted).await?;
            accounts.extend(unit.holds.iter().map(|hold| hold.account));
        }
        unit.load_received(conn).await?;
        unit.load_claims(conn, &accounts.into_iter().collect::<Vec<_>>()).await?;
        Ok(unit)
    }

    async fn lock_roots(&mut self, conn: &mut Conn, wanted: &RootsToLock) -> TxResult<()> {
        for row in dialect::lock_roots(conn, wanted).await? {
            self.add_locked(row)?;
        }
        Ok(())
    }

    /// Add a root whose row was locked in another way, of which nothing was received that counts.
    pub(crate) fn add_locked(&mut self, row: RootRow) -> TxResult<i64> {
        let (root, received) = (Root::try_from(row)?, Progress::default());
        let key = root.key;
        self.keys.insert(root.name.clone(), key);
        let locked = LockedRoot { before: Some((root.clone(), received)), root, received, is_gone: false };
        self.roots.insert(key, locked);
        Ok(key)
    }

    /// The holds as they stand now that the roots are locked, and the roots of those that came since these were found.
    async fn load_holds(&mut self, conn: &mut Conn, wanted: &RootsToLock) -> TxResult<()> {
        let owner = wanted.owner.as_deref().unwrap_or_default();
        let named = wanted.names.iter().filter_map(|name| self.key_of(name));
        let awaited: Vec<i64> = named.chain(wanted.keys.iter().copied()).filter(|_| wanted.with_held).collect();
        let held = holds::table.filter(dialect::any_of("holds.awaited", &awaited)).or_filter(holds::owner.eq(owner));
        self.holds = held.order((holds::root, holds::owner)).load::<HoldRow>(conn).await?;
        let missing = self.holds.iter().map(|hold| hold.root).filter(|root| !self.roots.contains_key(root));
        let missing = RootsToLock::keyed(missing);
        if !missing.keys.is_empty() {
            self.lock_roots(conn, &missing).await?;
        }
        Ok(())
    }

    /// What was received of those that are neither pinned nor released, a failed one's too.
    async fn load_received(&mut self, conn: &mut Conn) -> TxResult<()> {
        let is_whole = |state| matches!(state, RootState::Pinned | RootState::Releasing);
        let partial = self.roots.values().filter(|locked| !is_whole(locked.root.record.state));
        let partial: Vec<i64> = partial.map(|locked| locked.root.key).collect();
        if partial.is_empty() {
            return Ok(());
        }
        let rows = root_progress::table.filter(dialect::any_of("root_progress.root", &partial));
        for row in rows.load::<ProgressRow>(conn).await? {
            let received = Progress { blocks: from_column(row.blocks), bytes: from_column(row.bytes) };
            if let Some(locked) = self.roots.get_mut(&row.root) {
                locked.received = received;
                locked.before.iter_mut().for_each(|before| before.1 = received);
            }
        }
        Ok(())
    }

    async fn load_claims(&mut self, conn: &mut Conn, accounts: &[i64]) -> TxResult<()> {
        if accounts.is_empty() || self.roots.is_empty() {
            return Ok(());
        }
        let rows = queue::table
            .filter(dialect::any_of("queue.root", &self.locked()))
            .filter(dialect::any_of("queue.account", accounts));
        for row in rows.load::<QueueRow>(conn).await? {
            let claims = row.claims();
            self.claims.insert((row.root, row.account), ClaimChange { before: claims, after: claims });
        }
        Ok(())
    }
}

//! Roots that a step has found and locked together, so that none waits for an answer of its own.

use std::collections::BTreeMap;

use diesel::prelude::*;
use pinrail_spec::RootKey;

use super::{Conn, dialect};
use crate::columns::to_column;
use crate::error::Step;
use crate::rows::{AccountRow, NodeRow, Root};

/// What names a root: its codec and multihash.
pub(super) type Name = (i64, Vec<u8>);

pub(super) fn name(root: RootKey) -> Name {
    (to_column(root.codec), root.multihash)
}

/// What adding requests asks first.
pub(super) struct Found {
    pub(super) accounts: Vec<AccountRow>,
    /// As in [`KnownRoots`].
    pub(super) roots: BTreeMap<Name, Option<Root>>,
    pub(super) nodes: Vec<NodeRow>,
}

/// Roots by codec and multihash as they were found and locked, `None` those that are not there.
#[derive(Default)]
pub(super) struct KnownRoots(pub(super) BTreeMap<Name, Option<Root>>);

impl KnownRoots {
    /// Find and lock roots in the order of their keys, where finding them one by one would take longer.
    pub(super) async fn lock(conn: &mut Conn, wanted: impl Iterator<Item = &RootKey>) -> Step<Self> {
        Ok(Self(dialect::lock_roots(conn, wanted).await?))
    }

    /// A root as it was found, or as it is found and locked now. It is taken out, since it changes when it is used.
    pub(super) async fn take(&mut self, conn: &mut Conn, root: &RootKey) -> Step<Option<Root>> {
        let name = name(root.clone());
        match self.0.remove(&name) {
            Some(found) => Ok(found),
            None => Ok(dialect::find_root(conn, name.0, &name.1).await.optional()?),
        }
    }

    /// Forget them all: the step has changed some in another way.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

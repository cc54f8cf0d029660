//! What is carried on in small steps: copies of states, and roots that wait for a source.

use diesel::prelude::*;
use pinrail_domain::NodeId;
use pinrail_spec::{RootKey, Timestamp};

use super::nodes::KnownNodes;
use super::unit_of_work::{RootsToLock, UnitOfWork};
use super::{Conn, RunQueryDsl, dialect};
use crate::convert::{root_key, to_column};
use crate::error::TxResult;
use crate::schema::roots;

/// Carry the next root's state to up to 500 more of its requests; whether there is more to do.
pub(crate) async fn copy_statuses(conn: &mut Conn) -> TxResult<bool> {
    let Some(row) = dialect::claim_to_copy(conn).await.optional()? else { return Ok(false) };
    let mut unit = UnitOfWork::default();
    let key = unit.add_locked(row)?;
    unit.copy_further(conn, key).await?;
    unit.flush(conn).await?;
    let left = roots::table.filter(roots::copied_account.is_not_null());
    Ok(diesel::select(diesel::dsl::exists(left)).get_result(conn).await?)
}

/// Make waiting roots of a node due at once.
pub(crate) async fn wake(conn: &mut Conn, node: &NodeId, keys: &[RootKey], now: Timestamp) -> TxResult<()> {
    let Some(node) = KnownNodes::load(conn).await?.key_of(*node) else { return Ok(()) };
    let mut unit = UnitOfWork::lock(conn, RootsToLock::named(keys.iter()), &[]).await?;
    for key in unit.locked() {
        let root = unit.root(key)?;
        if root.node == node && root.record.waiting {
            unit.change(key, |root| root.record.wake(now))?;
        }
    }
    unit.flush(conn).await
}

/// Up to `limit` roots of a node that wait for a source, those after `after`.
pub(crate) async fn list_waiting(
    conn: &mut Conn,
    node: &NodeId,
    after: Option<&RootKey>,
    limit: usize,
) -> TxResult<Vec<RootKey>> {
    let Some(node) = KnownNodes::load(conn).await?.key_of(*node) else { return Ok(Vec::new()) };
    let mut waiting = roots::table
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("waiting"))
        .filter(roots::node.eq(node))
        .order((roots::codec, roots::multihash))
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((roots::codec, roots::multihash))
        .into_boxed();
    if let Some(after) = after {
        let codec = to_column(after.codec);
        let later = roots::codec.gt(codec).or(roots::multihash.gt(&after.multihash));
        waiting = waiting.filter(roots::codec.ge(codec)).filter(later);
    }
    let rows: Vec<(i64, Vec<u8>)> = waiting.load(conn).await?;
    Ok(rows.iter().map(|(codec, multihash)| root_key(*codec, multihash)).collect())
}

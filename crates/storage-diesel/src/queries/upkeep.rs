//! What is carried on in small steps: copies of states, and roots that wait for a source.

use diesel::prelude::*;
use pinrail_domain::NodeId;
use pinrail_spec::{RootKey, Timestamp};

use super::change::{Change, copy_state};
use super::known::KnownRoots;
use super::nodes::Fleet;
use super::tally::Tally;
use super::{Conn, RunQueryDsl, dialect};
use crate::columns::{root_key, to_column};
use crate::error::Step;
use crate::schema::roots;

/// Carry the next root's state to up to 500 more of its requests; whether there is more to do.
pub(crate) async fn copy_statuses(conn: &mut Conn) -> Step<bool> {
    let Some(mut root) = dialect::claim_to_copy(conn).await.optional()? else { return Ok(false) };
    let mut tally = Tally::default();
    copy_state(conn, &mut root, &mut tally).await?;
    let cursor =
        (roots::copied_account.eq(root.work.copied_account), roots::copied_created.eq(root.work.copied_created));
    dialect::write_later(conn, diesel::update(roots::table.find(root.key)).set(cursor)).await?;
    tally.flush(conn).await?;
    let left = roots::table.filter(roots::copied_account.is_not_null());
    Ok(diesel::select(diesel::dsl::exists(left)).get_result(conn).await?)
}

/// Make waiting roots of a node due at once.
pub(crate) async fn wake(conn: &mut Conn, node: &NodeId, keys: &[RootKey], now: Timestamp) -> Step<()> {
    let Some(node) = Fleet::load(conn).await?.key_of(*node) else { return Ok(()) };
    let mut known = KnownRoots::lock(conn, keys.iter()).await?;
    let mut tally = Tally::default();
    for key in keys {
        let found = known.take(conn, key).await?;
        let Some(root) = found.filter(|root| root.work.node == node && root.work.waiting) else { continue };
        let mut change = Change::of(root);
        let work = change.work();
        work.waiting = false;
        work.retry = false;
        work.due = work.due.min(now.as_millis());
        change.finish(conn, &mut tally).await?;
    }
    tally.flush(conn).await
}

/// Up to `limit` roots of a node that wait for a source, those after `after`.
pub(crate) async fn list_waiting(
    conn: &mut Conn,
    node: &NodeId,
    after: Option<&RootKey>,
    limit: usize,
) -> Step<Vec<RootKey>> {
    let Some(node) = Fleet::load(conn).await?.key_of(*node) else { return Ok(Vec::new()) };
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

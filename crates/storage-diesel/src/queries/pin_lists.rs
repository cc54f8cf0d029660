//! Pin requests as their owner reads them: one, or a page of a list.

use std::collections::HashMap;

use diesel::dsl::{AsSelect, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use pinrail_domain::{AccountId, PinPage, PinRequest, Progress, QueuePosition, RequestId, RootState};
use pinrail_spec::{Multiaddr, PinFilter, Timestamp};

use super::accounts::account_key;
use super::clock::{self, Clock};
use super::nodes::KnownNodes;
use super::pin_filters::{Matching, count_matching};
use super::{Conn, Db, RunQueryDsl, holds};
use crate::convert::{from_column, id, moment};
use crate::error::{TxError, TxResult};
use crate::rows::{NodeRow, PinRequestRow, Root, RootRow, State};
use crate::schema::{accounts, nodes, pin_requests, root_progress, roots};

/// How far a place in the queue is counted, as it stands in [`AHEAD`] too.
const COUNTED_PLACES: i64 = 1_000;

/// How many of the account's queued roots come before a queued one, by due, then age; counted up to 1,000 on each node,
/// whose places the index has in their order.
const AHEAD: &str = "CASE WHEN roots.state = 'queued' THEN (SELECT CAST(SUM(of_node.n) AS BIGINT) FROM (SELECT (
    SELECT COUNT(*) FROM (SELECT 1 FROM queue WHERE queue.account = pin_requests.account AND queue.node = each.key
    AND queue.rank = 0 AND queue.due IS NOT NULL AND (queue.due, queue.root) < (roots.due, roots.key) LIMIT 1000
    ) AS ahead) AS n FROM nodes AS each) AS of_node) END";

/// Roots that are looked up at once: a fixed number, so that there is one statement for pages of all lengths.
const LOOKED_UP: usize = 10;

/// Blocks and bytes received of a root, if any were.
type Received = Option<(i64, i64)>;

/// One request with whose it is, its root and node, how many are ahead of it, when its holds end, and what the clock
/// shows.
#[derive(Queryable)]
pub(crate) struct FoundRequest {
    pub(crate) account: Vec<u8>,
    pub(crate) request: PinRequestRow,
    root: RootRow,
    received: Received,
    node: NodeRow,
    ahead: Option<i64>,
    held: Option<i64>,
    clock: i64,
}

/// All requests, each with its root's truth and its place in the queue. One statement, and so one snapshot.
#[diesel::dsl::auto_type]
pub(crate) fn found_rows() -> _ {
    let request: AsSelect<PinRequestRow, Db> = PinRequestRow::as_select();
    let root: AsSelect<RootRow, Db> = RootRow::as_select();
    let node: AsSelect<NodeRow, Db> = NodeRow::as_select();
    let ahead: SqlLiteral<Nullable<BigInt>> = sql(AHEAD);
    let held: SqlLiteral<Nullable<BigInt>> = holds::last_end();
    let clock: SqlLiteral<BigInt> = clock::shown();
    pin_requests::table
        .inner_join(accounts::table)
        .inner_join(roots::table)
        .inner_join(nodes::table.on(nodes::key.eq(roots::node)))
        .left_join(root_progress::table.on(root_progress::root.eq(roots::key)))
        .select((
            accounts::id,
            request,
            root,
            (root_progress::blocks, root_progress::bytes).nullable(),
            node,
            ahead,
            held,
            clock,
        ))
}

/// What an account is told of its own request, its status the root's truth.
pub(crate) fn shown(conn: &Conn, found: &FoundRequest, now: Timestamp) -> TxResult<PinRequest> {
    let account = AccountId::from_uuid(id(&found.account)?);
    let FoundRequest { request, root, received, node, ahead, held, clock, .. } = found;
    let now = Clock::reading(conn, *clock).moment(now);
    let root = Root::try_from(root.clone())?;
    let state = State(root.record.state);
    let queue_position = (state.0 == RootState::Queued).then(|| position(ahead.unwrap_or(0)));
    let node = node.node()?;
    let node = (node.delegates().to_vec(), !node.is_live(now));
    let shown = show(account, request, state, &root, progress(*received), node, now)?;
    Ok(PinRequest { queue_position, held_until: held.map(moment), ..shown })
}

/// The place behind so many.
fn position(ahead: i64) -> QueuePosition {
    match u32::try_from(ahead + 1) {
        Ok(place) if ahead < COUNTED_PLACES => QueuePosition::At(place),
        _ => QueuePosition::Beyond,
    }
}

/// A page of the account's requests, the newest first, and how many match.
pub(crate) async fn list_pin_requests(
    conn: &mut Conn,
    account: &AccountId,
    filter: &PinFilter,
    now: Timestamp,
) -> TxResult<PinPage> {
    let Some(key) = account_key(conn, account).await? else { return Ok(PinPage { count: 0, requests: Vec::new() }) };
    let now = Clock::read(conn).await?.moment(now);
    // Each number of pairs is a text of its own.
    conn.keep_prepared(filter.meta.is_empty());
    let matching = Matching::of(conn, key, filter).await?;
    let page = matching.page(conn).await?;
    let count = count_matching(conn, &matching, &page).await?;
    conn.keep_prepared(true);
    let rows = page.rows;
    if rows.is_empty() {
        return Ok(PinPage { count: from_column(count), requests: Vec::new() });
    }
    let known = roots_of(conn, &rows).await?;
    let nodes = KnownNodes::load(conn).await?;
    let ends = ends_of(conn, &rows, &known).await?;
    let show = |row: &PinRequestRow| {
        let (root, received) = known.get(&row.root).ok_or_else(|| TxError::corrupt("a request without a root"))?;
        let node = nodes.describe(root.node, now)?;
        let shown = show(*account, row, row.status, root, progress(*received), node, now)?;
        Ok(PinRequest { held_until: ends.get(&row.id).copied().map(moment), ..shown })
    };
    Ok(PinPage { count: from_column(count), requests: rows.iter().map(show).collect::<TxResult<_>>()? })
}

/// The roots of some requests, with what was received of them.
async fn roots_of(conn: &mut Conn, rows: &[PinRequestRow]) -> TxResult<HashMap<i64, (Root, Received)>> {
    let mut keys: Vec<i64> = rows.iter().map(|row| row.root).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut known = HashMap::with_capacity(keys.len());
    for some in keys.chunks(LOOKED_UP) {
        let mut some = some.to_vec();
        some.resize(LOOKED_UP, some[0]);
        let found: Vec<(RootRow, Received)> = roots::table
            .left_join(root_progress::table.on(root_progress::root.eq(roots::key)))
            .filter(roots::key.eq_any(some))
            .select((RootRow::as_select(), (root_progress::blocks, root_progress::bytes).nullable()))
            .load(conn)
            .await?;
        for (row, received) in found {
            known.insert(row.key, (Root::try_from(row)?, received));
        }
    }
    Ok(known)
}

/// Until when what some requests replaced is held. Holds have an end only while the root that they wait for is failed.
async fn ends_of(
    conn: &mut Conn,
    rows: &[PinRequestRow],
    roots: &HashMap<i64, (Root, Received)>,
) -> TxResult<HashMap<Vec<u8>, i64>> {
    let has_failed =
        |row: &&PinRequestRow| roots.get(&row.root).is_some_and(|(root, _)| root.record.state == RootState::Failed);
    let failed: Vec<Vec<u8>> = rows.iter().filter(has_failed).map(|row| row.id.clone()).collect();
    holds::last_ends(conn, &failed, LOOKED_UP).await
}

fn progress(received: Received) -> Progress {
    let (blocks, bytes) = received.unwrap_or_default();
    Progress { blocks: from_column(blocks), bytes: from_column(bytes) }
}

/// What is told of a request whose root is on a node that can be dialled there, and may be silent.
fn show(
    account: AccountId,
    row: &PinRequestRow,
    status: State,
    root: &Root,
    progress: Progress,
    (delegates, node_silent): (Vec<Multiaddr>, bool),
    now: Timestamp,
) -> TxResult<PinRequest> {
    let status = status.0.status().ok_or_else(|| TxError::corrupt("a request of a root that is releasing"))?;
    Ok(PinRequest {
        id: RequestId::from_uuid(id(&row.id)?),
        account,
        created: moment(row.created),
        pin: row.pin()?,
        status,
        root: root.record.view(progress, node_silent, now),
        delegates,
        queue_position: None,
        held_until: None,
        as_of: now,
    })
}

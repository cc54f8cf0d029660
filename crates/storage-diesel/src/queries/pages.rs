//! Pin requests as their owner reads them: one, or a page of a list.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use pinrail_domain::{AccountId, PinPage, PinRequest, Progress, QueuePosition, RequestId, RootState};
use pinrail_spec::{Multiaddr, PinFilter, Timestamp};

use super::Conn;
use super::accounts::account_key;
use super::change::received;
use super::matching::{Matching, count_matching};
use super::nodes::Fleet;
use crate::columns::{from_column, id, id_bytes, moment};
use crate::error::{Failed, Step};
use crate::rows::{RequestRow, Root, State};
use crate::schema::{accounts, pin_requests, queue, root_progress, roots};

/// How far a place in the queue is counted.
const COUNTED_PLACES: i64 = 1_000;

/// One request, its status the root's truth, with its place in the queue.
pub(crate) async fn find_pin_request(
    conn: &mut Conn,
    account: &AccountId,
    id: &RequestId,
    now: Timestamp,
) -> Step<Option<PinRequest>> {
    let owned = accounts::table.filter(accounts::id.eq(id_bytes(account.as_uuid()))).select(accounts::key);
    let found: Option<(RequestRow, Root)> = pin_requests::table
        .inner_join(roots::table)
        .filter(pin_requests::id.eq(id_bytes(id.as_uuid())))
        .filter(pin_requests::account.eq_any(owned))
        .select((RequestRow::as_select(), Root::as_select()))
        .get_result(conn)
        .await
        .optional()?;
    let Some((row, root)) = found else { return Ok(None) };
    let reader = Reader { account: *account, fleet: Fleet::load(conn).await?, delegates: HashMap::new(), now };
    let progress = received(conn, &root).await?;
    let state = root.work.state;
    let queue_position =
        if state.0 == RootState::Queued { Some(position(conn, row.account, &root).await?) } else { None };
    let mut reader = reader;
    Ok(Some(PinRequest { queue_position, ..reader.show(&row, state, &root, progress)? }))
}

/// The place of a queued root among the account's queued roots, by due, then age.
async fn position(conn: &mut Conn, account: i64, root: &Root) -> Step<QueuePosition> {
    let due = root.work.due;
    let ahead = queue::table
        .filter(queue::account.eq(account))
        .filter(queue::rank.eq(0))
        .filter(queue::due.is_not_null())
        .filter(queue::due.le(due))
        .filter(queue::due.lt(due).or(queue::root.lt(root.key)));
    let beyond = ahead.order((queue::due, queue::root)).offset(COUNTED_PLACES - 1).limit(1).select(queue::root);
    if beyond.get_result::<i64>(conn).await.optional()?.is_some() {
        return Ok(QueuePosition::Beyond);
    }
    let ahead: i64 = ahead.count().get_result(conn).await?;
    Ok(u32::try_from(ahead + 1).map_or(QueuePosition::Beyond, QueuePosition::At))
}

/// A page of the account's requests, the newest first, and how many match.
pub(crate) async fn list_pin_requests(
    conn: &mut Conn,
    account: &AccountId,
    filter: &PinFilter,
    now: Timestamp,
) -> Step<PinPage> {
    let Some(key) = account_key(conn, account).await? else { return Ok(PinPage { count: 0, requests: Vec::new() }) };
    let matching = Matching::of(conn, key, filter).await?;
    let rows = matching.page(conn).await?;
    let count = count_matching(conn, &matching, &rows).await?;
    let known = roots_of(conn, &rows).await?;
    let fleet = Fleet::load(conn).await?;
    let mut reader = Reader { account: *account, fleet, delegates: HashMap::new(), now };
    let show = |row: &RequestRow| {
        let (root, progress) = known.get(&row.root).ok_or_else(|| Failed::corrupt("a request without a root"))?;
        reader.show(row, row.status, root, *progress)
    };
    Ok(PinPage { count: from_column(count), requests: rows.iter().map(show).collect::<Step<_>>()? })
}

/// The roots of some requests, with what was received of them.
async fn roots_of(conn: &mut Conn, rows: &[RequestRow]) -> Step<HashMap<i64, (Root, Progress)>> {
    let mut keys: Vec<i64> = rows.iter().map(|row| row.root).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut known = HashMap::with_capacity(keys.len());
    for key in keys {
        let (root, received): (Root, Option<(i64, i64)>) = roots::table
            .left_join(root_progress::table.on(root_progress::root.eq(roots::key)))
            .filter(roots::key.eq(key))
            .select((Root::as_select(), (root_progress::blocks, root_progress::bytes).nullable()))
            .get_result(conn)
            .await?;
        let whole = root.work.dag_blocks.zip(root.work.dag_bytes);
        let (blocks, bytes) = whole.or(received).unwrap_or_default();
        known.insert(key, (root, Progress { blocks: from_column(blocks), bytes: from_column(bytes) }));
    }
    Ok(known)
}

/// What is the same for all requests of an answer.
struct Reader {
    account: AccountId,
    fleet: Fleet,
    delegates: HashMap<i64, (Vec<Multiaddr>, bool)>,
    now: Timestamp,
}

impl Reader {
    fn show(&mut self, row: &RequestRow, status: State, root: &Root, progress: Progress) -> Step<PinRequest> {
        let node = root.work.node;
        let (delegates, node_silent) = match self.delegates.get(&node) {
            Some(known) => known.clone(),
            None => self.delegates.entry(node).or_insert(self.fleet.describe(node, self.now)?).clone(),
        };
        let status = status.0.status().ok_or_else(|| Failed::corrupt("a request of a root that is releasing"))?;
        Ok(PinRequest {
            id: RequestId::from_uuid(id(&row.id)?),
            account: self.account,
            created: moment(row.created),
            pin: row.pin()?,
            status,
            root: root.view(progress, node_silent, self.now.as_millis())?,
            delegates,
            queue_position: None,
        })
    }
}

//! Counters held against what they count, and places in queues against how roots stand, for an operator's check and for
//! tests.
//!
//! However much there is, what is read at once stays small: roots come a page at a time with all that refers to them,
//! accounts a page at a time with their requests, and only sums for each account and each node are kept to the end.

use std::collections::BTreeMap;

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use pinrail_domain::Progress;

use super::counter_deltas::BUCKET_SHIFTS;
use super::unit_of_work::place;
use super::{Conn, RunQueryDsl};
use crate::CounterMismatch;
use crate::convert::{from_column, to_column};
use crate::counters::{Counter, Counters};
use crate::error::TxResult;
use crate::rows::{QueueRow, Root, RootRow, State};
use crate::schema::{accounts, holds, nodes, pin_counts, pin_requests, queue, root_progress, roots};

/// Roots of a page.
const ROOTS: i64 = 5_000;
/// Accounts of a page.
const ACCOUNTS: i64 = 1_000;
/// Requests that one statement counts.
const REQUESTS: i64 = 10_000;

/// Keys after the first and up to the second. Pages leave no gap between them, so that what refers to a row that is
/// gone is found too.
#[derive(Clone, Copy)]
struct Keys(i64, i64);

impl Keys {
    /// Those after `after` that a page of these keys in their order stands for, of which `limit` were asked for.
    fn of_page(after: i64, page: impl ExactSizeIterator<Item = i64>, limit: i64) -> Self {
        let is_last = i64::try_from(page.len()).is_ok_and(|len| len < limit);
        Self(after, page.last().filter(|_| !is_last).unwrap_or(i64::MAX))
    }
}

/// Count everything that has a counter, and say where the two differ.
pub(crate) async fn check_counters(conn: &mut Conn) -> TxResult<Vec<CounterMismatch>> {
    let mut sums = Counters::default();
    read_sums(conn, &mut sums).await?;
    let mut found = check_roots(conn, &mut sums).await?;
    found.extend(check_requests(conn, &mut sums).await?);
    found.extend(sums.differences());
    found.sort_by(|one, other| one.what.cmp(&other.what));
    Ok(found)
}

/// What accounts and nodes say.
async fn read_sums(conn: &mut Conn, sums: &mut Counters) -> TxResult<()> {
    let rows: Vec<(i64, i64, i64, i64)> = accounts::table
        .select((accounts::key, accounts::used_requests, accounts::used_queued_roots, accounts::used_bytes))
        .load(conn)
        .await?;
    for (account, requests, queued, bytes) in rows {
        sums.stored(Counter::Requests(account), requests);
        sums.stored(Counter::QueuedRoots(account), queued);
        sums.stored(Counter::Bytes(account), bytes);
    }
    let rows: Vec<(i64, i64)> = nodes::table.select((nodes::key, nodes::load)).load(conn).await?;
    for (node, load) in rows {
        sums.stored(Counter::Load(node), load);
    }
    Ok(())
}

/// Go through all roots with what refers to them.
async fn check_roots(conn: &mut Conn, sums: &mut Counters) -> TxResult<Vec<CounterMismatch>> {
    let (mut found, mut after) = (Vec::new(), i64::MIN);
    while after < i64::MAX {
        let page = roots::table.filter(roots::key.gt(after)).order(roots::key).limit(ROOTS);
        let page: Vec<RootRow> = page.select(RootRow::as_select()).load(conn).await?;
        let keys = Keys::of_page(after, page.iter().map(|row| row.key), ROOTS);
        let mut counters = Counters::default();
        let standing = read_roots(conn, keys, page, &mut counters, sums).await?;
        count_claims(conn, keys, &mut counters).await?;
        read_claims(conn, keys, &standing, &mut counters, sums).await?;
        found.extend(counters.differences());
        after = keys.1;
    }
    Ok(found)
}

/// How each root stands, and the bytes it counts for.
type Standing = BTreeMap<i64, (Root, i64)>;

/// What roots say of themselves, and how they stand.
async fn read_roots(
    conn: &mut Conn,
    keys: Keys,
    page: Vec<RootRow>,
    counters: &mut Counters,
    sums: &mut Counters,
) -> TxResult<Standing> {
    let received = root_progress::table.filter(root_progress::root.gt(keys.0)).filter(root_progress::root.le(keys.1));
    let received = received.select((root_progress::root, (root_progress::blocks, root_progress::bytes)));
    let received: Vec<(i64, (i64, i64))> = received.load(conn).await?;
    let received: BTreeMap<i64, (i64, i64)> = received.into_iter().collect();
    let mut standing = Standing::new();
    for row in page {
        let root = Root::try_from(row)?;
        counters.stored(Counter::RootRequests(root.key), to_column(root.record.requests));
        counters.stored(Counter::Claims(root.key), to_column(root.record.refs));
        sums.counted(Counter::Load(root.node), i64::from(root.record.is_unfinished()));
        let (blocks, bytes) = received.get(&root.key).copied().unwrap_or_default();
        let received = Progress { blocks: from_column(blocks), bytes: from_column(bytes) };
        let bytes = to_column(root.record.counted_bytes(received));
        standing.insert(root.key, (root, bytes));
    }
    Ok(standing)
}

/// Count requests for roots and holds on them.
async fn count_claims(conn: &mut Conn, keys: Keys, counters: &mut Counters) -> TxResult<()> {
    let requests = pin_requests::table.filter(pin_requests::root.gt(keys.0)).filter(pin_requests::root.le(keys.1));
    let requests = requests.group_by((pin_requests::root, pin_requests::account));
    let rows: Vec<(i64, i64, i64)> =
        requests.select((pin_requests::root, pin_requests::account, count_star())).load(conn).await?;
    for (root, account, n) in rows {
        counters.counted(Counter::RootRequests(root), n);
        counters.counted(Counter::Claims(root), n);
        counters.counted(Counter::Wants { account, root }, n);
    }
    let held = holds::table.filter(holds::root.gt(keys.0)).filter(holds::root.le(keys.1));
    let held = held.group_by((holds::root, holds::account));
    let rows: Vec<(i64, i64, i64)> = held.select((holds::root, holds::account, count_star())).load(conn).await?;
    for (root, account, n) in rows {
        counters.counted(Counter::Claims(root), n);
        counters.counted(Counter::Holds { account, root }, n);
    }
    Ok(())
}

/// What accounts have on roots, and what that comes to.
async fn read_claims(
    conn: &mut Conn,
    keys: Keys,
    standing: &Standing,
    counters: &mut Counters,
    sums: &mut Counters,
) -> TxResult<()> {
    let rows = queue::table.filter(queue::root.gt(keys.0)).filter(queue::root.le(keys.1));
    let rows: Vec<QueueRow> = rows.load(conn).await?;
    for row in rows {
        let QueueRow { root, account, requests, holds, .. } = row;
        counters.stored(Counter::Wants { account, root }, requests);
        counters.stored(Counter::Holds { account, root }, holds);
        let Some((held, bytes)) = standing.get(&root) else { continue };
        let queued = requests > 0 && held.record.is_unfinished();
        sums.counted(Counter::QueuedRoots(account), i64::from(queued));
        sums.counted(Counter::Bytes(account), *bytes);
        compare_place(counters, &row, held);
    }
    Ok(())
}

/// Hold a root's place in an account's queue against how the root stands: in a wrong one it would be leased out of turn,
/// by another node, or never. A missing due counts as 0.
fn compare_place(counters: &mut Counters, row: &QueueRow, held: &Root) {
    let QueueRow { account, root, requests, node, rank, due, .. } = *row;
    let place = (requests > 0).then(|| place(held));
    let mut compare = |counter, stored, counted| {
        counters.stored(counter, stored);
        counters.counted(counter, counted);
    };
    if let Some((_, holder, wanted, _)) = place {
        compare(Counter::PlaceNode { account, root }, node, holder);
        compare(Counter::PlaceRank { account, root }, i64::from(rank), i64::from(wanted));
    }
    let wanted = place.and_then(|(_, _, _, wanted)| {
        // Whose lease has expired is put back, and keeps the lease until somebody takes it over.
        let put_back = due.filter(|_| held.record.is_unfinished()).map(|_| held.record.due.as_millis());
        wanted.or(put_back)
    });
    compare(Counter::PlaceDue { account, root }, due.unwrap_or(0), wanted.unwrap_or(0));
}

/// Go through all requests, account by account, with the counters of their buckets.
async fn check_requests(conn: &mut Conn, sums: &mut Counters) -> TxResult<Vec<CounterMismatch>> {
    let (mut found, mut after) = (Vec::new(), i64::MIN);
    while after < i64::MAX {
        let page = accounts::table.filter(accounts::key.gt(after)).order(accounts::key).limit(ACCOUNTS);
        let page: Vec<i64> = page.select(accounts::key).load(conn).await?;
        let keys = Keys::of_page(after, page.into_iter(), ACCOUNTS);
        let mut counters = Counters::default();
        read_buckets(conn, keys, &mut counters).await?;
        count_requests(conn, keys, &mut counters, sums).await?;
        found.extend(counters.differences());
        after = keys.1;
    }
    Ok(found)
}

/// What the buckets of accounts say.
async fn read_buckets(conn: &mut Conn, keys: Keys, counters: &mut Counters) -> TxResult<()> {
    let rows = pin_counts::table.filter(pin_counts::account.gt(keys.0)).filter(pin_counts::account.le(keys.1));
    let columns = (pin_counts::account, pin_counts::level, pin_counts::bucket, pin_counts::status, pin_counts::n);
    let rows: Vec<(i64, i16, i64, State, i64)> = rows.select(columns).load(conn).await?;
    for (account, level, bucket, State(status), n) in rows {
        counters.stored(Counter::bucket(account, level, bucket, status), n);
    }
    Ok(())
}

/// Count the requests of accounts, by account and bucket.
async fn count_requests(conn: &mut Conn, keys: Keys, counters: &mut Counters, sums: &mut Counters) -> TxResult<()> {
    let mut last = Some((keys.0, i64::MAX));
    while let Some(after) = last {
        let counts = counts_after(conn, after, keys.1).await?;
        for (account, small, State(status), n, carried, _) in &counts {
            sums.counted(Counter::Requests(*account), *n);
            sums.counted(Counter::Bytes(*account), *carried);
            for (level, shift) in (0..).zip(BUCKET_SHIFTS) {
                let bucket = small >> (shift - BUCKET_SHIFTS[0]);
                counters.counted(Counter::bucket(*account, level, bucket, *status), *n);
            }
        }
        last = counts.iter().map(|(account, _, _, _, _, created)| (*account, *created)).max();
    }
    Ok(())
}

/// An account, a small bucket, a status, how many requests that is, the bytes that they carry, and when the last of them
/// was created.
type Count = (i64, i64, State, i64, i64, i64);

/// The bytes that a request carries.
const CARRIED: &str =
    "COALESCE(octet_length(name), 0) + COALESCE(octet_length(origins), 0) + COALESCE(octet_length(meta), 0)";

/// Count the requests that follow an account and a time, of accounts up to `greatest`; none when there are no more.
async fn counts_after(conn: &mut Conn, (account, created): (i64, i64), greatest: i64) -> TxResult<Vec<Count>> {
    // Diesel knows no query within FROM. Both databases find the few rows in the key's index.
    let counts = format!(
        "SELECT account, ordinal >> {}, status, COUNT(*), CAST(SUM(carried) AS BIGINT), MAX(created) FROM
         (SELECT account, created, ordinal, status, {CARRIED} AS carried FROM pin_requests",
        BUCKET_SHIFTS[0]
    );
    let counts = sql::<(BigInt, BigInt, Text, BigInt, BigInt, BigInt)>(&counts)
        .sql(" WHERE (account, created) > (")
        .bind::<BigInt, _>(account)
        .sql(", ")
        .bind::<BigInt, _>(created)
        .sql(") AND account <= ")
        .bind::<BigInt, _>(greatest)
        .sql(" ORDER BY account, created LIMIT ")
        .bind::<BigInt, _>(REQUESTS)
        .sql(") AS page GROUP BY 1, 2, 3");
    Ok(counts.load(conn).await?)
}

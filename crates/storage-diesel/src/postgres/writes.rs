//! Rows written by one statement for each table, which takes an array for each column: its text is the same however many
//! rows there are.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, SmallInt, Text};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::queries::counter_deltas::UsageDelta;
use super::queries::unit_of_work::{Place, StatusCopy};
use crate::rows::{CountRow, MetaRow, PinRequestRow, QueueRow, RootRow};

/// The epoch is chosen here, so that no row can go between the choice and the insert.
const INSERT_ROOTS: &str = "INSERT INTO roots (key, codec, multihash, node, state, requests, refs, epoch, due,
        wanted_since, attempts, retry, waiting, paused, dag_blocks, dag_bytes)
    SELECT key, codec, multihash, node, state, requests, refs, greatest(epoch, released_epoch + 1), due, wanted_since,
        0, false, false, false, dag_blocks, dag_bytes
    FROM (SELECT released_epoch FROM service) AS service, unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        AS new (key, codec, multihash, node, state, requests, refs, epoch, due, wanted_since, dag_blocks, dag_bytes)";

const UPDATE_ROOTS: &str = "UPDATE roots SET node = new.node, state = new.state, requests = new.requests,
        refs = new.refs, epoch = new.epoch, due = new.due, wanted_since = new.wanted_since, attempts = new.attempts,
        retry = new.retry, lease_token = new.lease_token, lease_until = new.lease_until, lease_node = new.lease_node,
        lease_account = new.lease_account, waiting = new.waiting, paused = new.paused, dag_blocks = new.dag_blocks,
        dag_bytes = new.dag_bytes, failure = new.failure, copied_account = new.copied_account,
        copied_created = new.copied_created
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
        AS new (key, node, state, requests, refs, epoch, due, wanted_since, attempts, retry, lease_token, lease_until,
            lease_node, lease_account, waiting, paused, dag_blocks, dag_bytes, failure, copied_account, copied_created)
    WHERE roots.key = new.key";

const INSERT_REQUESTS: &str = "INSERT INTO pin_requests (account, created, id, ordinal, cid, root, name, folded_name,
        origins, meta, token, status)
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

const INSERT_META: &str = "INSERT INTO pin_meta (account, key, value, created) SELECT * FROM unnest($1, $2, $3, $4)";

const UPDATE_STATUSES: &str = "UPDATE pin_requests SET status = new.status
    FROM unnest($1, $2, $3) AS new (account, created, status)
    WHERE pin_requests.account = new.account AND pin_requests.created = new.created";

const UPSERT_CLAIMS: &str = "INSERT INTO queue (root, account, requests, holds, node, rank, due)
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (root, account) DO UPDATE SET requests = excluded.requests, holds = excluded.holds,
        node = excluded.node, rank = excluded.rank, due = excluded.due";

const UPDATE_PLACES: &str = "UPDATE queue SET node = new.node, rank = new.rank, due = new.due
    FROM unnest($1, $2, $3, $4) AS new (root, node, rank, due)
    WHERE queue.root = new.root AND queue.requests > 0";

const UPDATE_USAGE: &str = "UPDATE accounts SET used_requests = used_requests + new.requests,
        used_queued_roots = used_queued_roots + new.queued_roots, used_bytes = used_bytes + new.bytes,
        last_created = last_created + new.created, next_ordinal = next_ordinal + new.ordinals
    FROM unnest($1, $2, $3, $4, $5, $6) AS new (account, requests, queued_roots, bytes, created, ordinals)
    WHERE accounts.key = new.account";

const ADD_COUNTS: &str = "INSERT INTO pin_counts (account, level, bucket, status, n, since)
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6)
    ON CONFLICT (account, level, bucket, status) DO UPDATE SET n = pin_counts.n + excluded.n,
        since = least(pin_counts.since, excluded.since)";

/// The values of a column.
fn column<T, V>(rows: &[T], value: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

type Ints = Array<BigInt>;
type MaybeInts = Array<Nullable<BigInt>>;
type Texts = Array<Text>;
type MaybeTexts = Array<Nullable<Text>>;

/// Insert new roots, each with an epoch above that of every root whose row went.
pub(crate) async fn insert_roots(conn: &mut Conn, rows: Vec<RootRow>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let insert = sql_query(INSERT_ROOTS)
        .bind::<Ints, _>(column(&rows, |row| row.key))
        .bind::<Ints, _>(column(&rows, |row| row.codec))
        .bind::<Array<Binary>, _>(column(&rows, |row| row.multihash.clone()))
        .bind::<Ints, _>(column(&rows, |row| row.node))
        .bind::<Texts, _>(column(&rows, |row| row.state))
        .bind::<Ints, _>(column(&rows, |row| row.requests))
        .bind::<Ints, _>(column(&rows, |row| row.refs))
        .bind::<Ints, _>(column(&rows, |row| row.epoch))
        .bind::<Ints, _>(column(&rows, |row| row.due))
        .bind::<Ints, _>(column(&rows, |row| row.wanted_since))
        .bind::<MaybeInts, _>(column(&rows, |row| row.dag_blocks))
        .bind::<MaybeInts, _>(column(&rows, |row| row.dag_bytes));
    insert.execute(conn).await.map(drop)
}

/// Save how roots stand.
pub(crate) async fn update_roots(conn: &mut Conn, rows: Vec<RootRow>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let update = sql_query(UPDATE_ROOTS)
        .bind::<Ints, _>(column(&rows, |row| row.key))
        .bind::<Ints, _>(column(&rows, |row| row.node))
        .bind::<Texts, _>(column(&rows, |row| row.state))
        .bind::<Ints, _>(column(&rows, |row| row.requests))
        .bind::<Ints, _>(column(&rows, |row| row.refs))
        .bind::<Ints, _>(column(&rows, |row| row.epoch))
        .bind::<Ints, _>(column(&rows, |row| row.due))
        .bind::<Ints, _>(column(&rows, |row| row.wanted_since))
        .bind::<Ints, _>(column(&rows, |row| row.attempts))
        .bind::<Array<Bool>, _>(column(&rows, |row| row.retry))
        .bind::<Array<Nullable<Binary>>, _>(column(&rows, |row| row.lease_token.clone()))
        .bind::<MaybeInts, _>(column(&rows, |row| row.lease_until))
        .bind::<MaybeInts, _>(column(&rows, |row| row.lease_node))
        .bind::<MaybeInts, _>(column(&rows, |row| row.lease_account))
        .bind::<Array<Bool>, _>(column(&rows, |row| row.waiting))
        .bind::<Array<Bool>, _>(column(&rows, |row| row.paused))
        .bind::<MaybeInts, _>(column(&rows, |row| row.dag_blocks))
        .bind::<MaybeInts, _>(column(&rows, |row| row.dag_bytes))
        .bind::<MaybeTexts, _>(column(&rows, |row| row.failure.clone()))
        .bind::<MaybeInts, _>(column(&rows, |row| row.copied_account))
        .bind::<MaybeInts, _>(column(&rows, |row| row.copied_created));
    update.execute(conn).await.map(drop)
}

pub(crate) async fn insert_requests(conn: &mut Conn, rows: Vec<PinRequestRow>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let insert = sql_query(INSERT_REQUESTS)
        .bind::<Ints, _>(column(&rows, |row| row.account))
        .bind::<Ints, _>(column(&rows, |row| row.created))
        .bind::<Array<Binary>, _>(column(&rows, |row| row.id.clone()))
        .bind::<Ints, _>(column(&rows, |row| row.ordinal))
        .bind::<Texts, _>(column(&rows, |row| row.cid.clone()))
        .bind::<Ints, _>(column(&rows, |row| row.root))
        .bind::<MaybeTexts, _>(column(&rows, |row| row.name.clone()))
        .bind::<MaybeTexts, _>(column(&rows, |row| row.folded_name.clone()))
        .bind::<MaybeTexts, _>(column(&rows, |row| row.origins.clone()))
        .bind::<MaybeTexts, _>(column(&rows, |row| row.meta.clone()))
        .bind::<Array<Binary>, _>(column(&rows, |row| row.token.clone()))
        .bind::<Texts, _>(column(&rows, |row| row.status));
    insert.execute(conn).await.map(drop)
}

pub(crate) async fn insert_meta(conn: &mut Conn, rows: Vec<MetaRow>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let insert = sql_query(INSERT_META)
        .bind::<Ints, _>(column(&rows, |row| row.account))
        .bind::<Texts, _>(column(&rows, |row| row.key.clone()))
        .bind::<Texts, _>(column(&rows, |row| row.value.clone()))
        .bind::<Ints, _>(column(&rows, |row| row.created));
    insert.execute(conn).await.map(drop)
}

/// Write copies of states into requests.
pub(crate) async fn update_statuses(conn: &mut Conn, copies: Vec<StatusCopy>) -> QueryResult<()> {
    if copies.is_empty() {
        return Ok(());
    }
    let update = sql_query(UPDATE_STATUSES)
        .bind::<Ints, _>(column(&copies, |copy| copy.0))
        .bind::<Ints, _>(column(&copies, |copy| copy.1))
        .bind::<Texts, _>(column(&copies, |copy| copy.2));
    update.execute(conn).await.map(drop)
}

/// Write what accounts have on roots.
pub(crate) async fn upsert_claims(conn: &mut Conn, rows: Vec<QueueRow>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let upsert = sql_query(UPSERT_CLAIMS)
        .bind::<Ints, _>(column(&rows, |row| row.root))
        .bind::<Ints, _>(column(&rows, |row| row.account))
        .bind::<Ints, _>(column(&rows, |row| row.requests))
        .bind::<Ints, _>(column(&rows, |row| row.holds))
        .bind::<Ints, _>(column(&rows, |row| row.node))
        .bind::<Array<SmallInt>, _>(column(&rows, |row| row.rank))
        .bind::<MaybeInts, _>(column(&rows, |row| row.due));
    upsert.execute(conn).await.map(drop)
}

/// Put roots in their places in the queues of the accounts that have requests for them.
pub(crate) async fn update_places(conn: &mut Conn, places: Vec<Place>) -> QueryResult<()> {
    if places.is_empty() {
        return Ok(());
    }
    let update = sql_query(UPDATE_PLACES)
        .bind::<Ints, _>(column(&places, |place| place.0))
        .bind::<Ints, _>(column(&places, |place| place.1))
        .bind::<Array<SmallInt>, _>(column(&places, |place| place.2))
        .bind::<MaybeInts, _>(column(&places, |place| place.3));
    update.execute(conn).await.map(drop)
}

/// Count what accounts use more or less.
pub(crate) async fn update_usage(conn: &mut Conn, deltas: Vec<(i64, UsageDelta)>) -> QueryResult<()> {
    if deltas.is_empty() {
        return Ok(());
    }
    let update = sql_query(UPDATE_USAGE)
        .bind::<Ints, _>(column(&deltas, |(account, _)| *account))
        .bind::<Ints, _>(column(&deltas, |(_, delta)| delta.requests))
        .bind::<Ints, _>(column(&deltas, |(_, delta)| delta.queued_roots))
        .bind::<Ints, _>(column(&deltas, |(_, delta)| delta.bytes))
        .bind::<Ints, _>(column(&deltas, |(_, delta)| delta.created))
        .bind::<Ints, _>(column(&deltas, |(_, delta)| delta.ordinals));
    update.execute(conn).await.map(drop)
}

/// Count requests more or less in buckets, since the oldest of those that came.
pub(crate) async fn add_counts(conn: &mut Conn, rows: Vec<CountRow>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let upsert = sql_query(ADD_COUNTS)
        .bind::<Ints, _>(column(&rows, |row| row.account))
        .bind::<Array<SmallInt>, _>(column(&rows, |row| row.level))
        .bind::<Ints, _>(column(&rows, |row| row.bucket))
        .bind::<Texts, _>(column(&rows, |row| row.status.clone()))
        .bind::<Ints, _>(column(&rows, |row| row.n))
        .bind::<Ints, _>(column(&rows, |row| row.since));
    upsert.execute(conn).await.map(drop)
}

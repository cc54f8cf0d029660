//! Accepting a pin request: judged against the account's limits, its root wanted, its rows written.

use diesel::prelude::*;
use pinrail_domain::{
    LeaseKey, Limits, NewPinRequest, PinRequest, Progress, QuotaExceeded, RootState, Usage, carried_bytes,
};
use pinrail_spec::{Cid, RootKey, Timestamp, fold};
use pinrail_storage::StorageError;

use super::change::{Change, place, received, want_afresh};
use super::known::KnownRoots;
use super::nodes::Fleet;
use super::tally::Tally;
use super::{Conn, RunQueryDsl, dialect, holds};
use crate::columns::{addresses_text, counted, from_column, id_bytes, json_text, look_up_text, moment, to_column};
use crate::error::{Failed, Step};
use crate::rows::{AccountRow, NewRoot, RequestRow, Root, State, Work};
use crate::schema::{pin_meta, pin_requests, queue};
use crate::transfer::rows::{PinMeta, Queued};

/// The root of the request that an accepted one replaces.
pub(super) struct Replaced {
    pub(super) root: i64,
    pub(super) node: i64,
    pub(super) is_unfinished: bool,
    /// What the request counts for beside its root.
    pub(super) carried_bytes: i64,
}

/// What there is before a request is accepted.
pub(super) struct Before<'a> {
    /// Its root, locked.
    pub(super) root: Option<Root>,
    /// What it replaces.
    pub(super) replaced: Option<&'a Replaced>,
}

impl Before<'_> {
    /// Find and lock the root of a request that replaces none.
    pub(super) async fn find(conn: &mut Conn, request: &NewPinRequest, known: &mut KnownRoots) -> Step<Self> {
        let root = known.take(conn, &request.pin.cid.root()).await?;
        if request.pin.cid.is_whole() {
            // Whatever is held until it is there changes now.
            known.forget();
        }
        Ok(Self { root, replaced: None })
    }
}

/// What of an account stands on one root.
#[derive(Default, Clone, Copy)]
struct Stake {
    requests: i64,
    holds: i64,
}

/// What an accepted request came to: what the client is told, and the key of its root.
pub(super) type Accepted = (PinRequest, i64);

/// Accept a request of an account whose row is locked.
///
/// Refused inside means that nothing was written and nothing tallied, so that a step that accepts several requests
/// goes on with the next.
pub(super) async fn accept(
    conn: &mut Conn,
    account: &AccountRow,
    fleet: &Fleet,
    request: &NewPinRequest,
    before: Before<'_>,
    now: Timestamp,
    tally: &mut Tally,
) -> Step<Result<Accepted, StorageError>> {
    let key = request.pin.cid.root();
    let Before { root: found, replaced } = before;
    let stake = stake(conn, account, found.as_ref()).await?;
    let preferred = replaced.map(|replaced| replaced.node).filter(|node| fleet.is_live(*node, now));
    let node = preferred.or_else(|| fleet.choose(now));

    let usage = usage(conn, account, replaced, tally).await?;
    let admitted = admit(account, &usage, request, found.as_ref(), stake, replaced);
    let node = match (admitted, node) {
        (Ok(()), Some(node)) => node,
        (Ok(()), None) => return Ok(Err(refusal(conn, request, StorageError::NoNode).await?)),
        (Err(quota), _) => return Ok(Err(refusal(conn, request, StorageError::Quota(quota)).await?)),
    };
    let (root, progress) = match found {
        Some(root) => {
            let root = want(conn, root, &request.pin.cid, fleet, now, tally).await?;
            let progress = received(conn, &root).await?;
            (root, progress)
        }
        None => make(conn, &key, &request.pin.cid, node, now, tally).await?,
    };
    add_stake(conn, account, &root, stake, progress, tally).await?;
    if request.pin.cid.is_whole() {
        holds::end_holds_awaiting(conn, root.key, now.as_millis(), tally).await?;
    }
    let created = write(conn, account, request, &root, now, tally).await?;
    let shown = show(request, &root, progress, fleet, created, now)?;
    Ok(Ok((shown, root.key)))
}

/// A taken id is told before any other refusal.
async fn refusal(conn: &mut Conn, request: &NewPinRequest, refused: StorageError) -> Step<StorageError> {
    let same = pin_requests::table.filter(pin_requests::id.eq(id_bytes(request.id.as_uuid())));
    let is_taken: bool = diesel::select(diesel::dsl::exists(same)).get_result(conn).await?;
    Ok(if is_taken { StorageError::Conflict(format!("the pin request {}", request.id)) } else { refused })
}

async fn stake(conn: &mut Conn, account: &AccountRow, root: Option<&Root>) -> Step<Stake> {
    let Some(root) = root else { return Ok(Stake::default()) };
    let row = queue::table.find((root.key, account.key)).select((queue::requests, queue::holds));
    let found: Option<(i64, i64)> = row.get_result(conn).await.optional()?;
    Ok(found.map(|(requests, holds)| Stake { requests, holds }).unwrap_or_default())
}

/// What the account uses, with the replaced request gone.
async fn usage(conn: &mut Conn, account: &AccountRow, replaced: Option<&Replaced>, tally: &Tally) -> Step<Usage> {
    let usage = tally.usage(account);
    let Some(replaced) = replaced else { return Ok(usage) };
    let row = queue::table.find((replaced.root, account.key)).select(queue::requests);
    let requests: i64 = row.get_result(conn).await?;
    let unqueued = u64::from(requests == 1 && replaced.is_unfinished);
    Ok(Usage {
        requests: usage.requests.saturating_sub(1),
        queued_roots: usage.queued_roots.saturating_sub(unqueued),
        bytes: usage.bytes.saturating_sub(from_column(replaced.carried_bytes)),
    })
}

/// Judge the account's limits, with the replaced request gone and its root held.
fn admit(
    account: &AccountRow,
    usage: &Usage,
    request: &NewPinRequest,
    root: Option<&Root>,
    stake: Stake,
    replaced: Option<&Replaced>,
) -> Result<(), QuotaExceeded> {
    let is_same = replaced.is_some_and(|replaced| root.is_some_and(|root| root.key == replaced.root));
    Limits::admit_same_root(from_column(stake.requests - i64::from(is_same)))?;

    let (limits, carried) = (account.limits(), carried_bytes(&request.pin));
    let pinned = root.filter(|root| root.work.state.0 == RootState::Pinned);
    let cid = &request.pin.cid;
    if pinned.is_some() || cid.is_whole() {
        limits.admit(usage, false)?;
        let size = pinned.map_or_else(|| counted(1, whole_bytes(cid)), |root| root.work.counted((0, 0)));
        let is_new = stake.requests + stake.holds == 0;
        return limits.admit_bytes(usage, carried + if is_new { from_column(size) } else { 0 });
    }
    let is_waited_for = stake.requests > 0 && root.is_some_and(|root| root.work.is_unfinished());
    limits.admit(usage, !is_waited_for)?;
    limits.admit_bytes(usage, carried)
}

/// The size of a DAG that its CID holds whole: one block, the digest.
fn whole_bytes(cid: &Cid) -> i64 {
    i64::from(cid.inner().hash().size())
}

/// Make the row of a root that nobody wanted before; with what is there of it. Its epoch is the database's to choose
/// and is not told.
async fn make(
    conn: &mut Conn,
    key: &RootKey,
    cid: &Cid,
    node: i64,
    now: Timestamp,
    tally: &mut Tally,
) -> Step<(Root, Progress)> {
    let mut work = Work { requests: 1, refs: 1, ..Work::new(node, now.as_millis()) };
    if cid.is_whole() {
        work.be_pinned(1, whole_bytes(cid));
    } else {
        tally.load(node, 1);
    }
    let bytes = from_column(work.dag_bytes.unwrap_or(0));
    let progress = Progress { blocks: from_column(work.dag_blocks.unwrap_or(0)), bytes };
    let (codec, multihash) = (to_column(key.codec), key.multihash.clone());
    let epoch_before = to_column(LeaseKey::epoch_before(now));
    let row = NewRoot { codec, multihash: multihash.clone(), work: work.clone(), epoch_before };
    let made = dialect::write_root(conn, row).await?;
    Ok((Root { key: made, codec, multihash, work }, progress))
}

/// Want a root once more.
async fn want(conn: &mut Conn, root: Root, cid: &Cid, fleet: &Fleet, now: Timestamp, tally: &mut Tally) -> Step<Root> {
    let millis = now.as_millis();
    let mut change = Change::of(root);
    let is_first = change.root.work.requests == 0;
    change.work().requests += 1;
    change.work().refs += 1;
    match change.root.work.state.0 {
        RootState::Pinned => {}
        _ if cid.is_whole() => {
            change.clear_progress(conn).await?;
            change.work().begin_anew(RootState::Pinned, millis);
            change.work().wanted_since = millis;
            change.work().be_pinned(1, whole_bytes(cid));
        }
        RootState::Queued | RootState::Pinning if !is_first => hurry(change.work(), millis),
        _ => want_afresh(conn, &mut change, millis).await?,
    }
    let work = change.work();
    if work.is_unfinished() && !work.is_leased(millis) {
        let node = fleet.keep_or_move(work.node, now);
        if node != work.node {
            work.end_lease();
            work.node = node;
        }
    }
    change.finish(conn, tally).await
}

/// Be tried soon, for a new request may have brought the origin that was missing; a leased root once it is settled.
fn hurry(work: &mut Work, now: i64) {
    work.retry = false;
    if !work.is_leased(now) {
        work.due = work.due.min(now);
    }
}

/// Count the request for the account, and stand in its queue.
async fn add_stake(
    conn: &mut Conn,
    account: &AccountRow,
    root: &Root,
    stake: Stake,
    progress: Progress,
    tally: &mut Tally,
) -> Step<()> {
    if stake.requests == 0 {
        tally.queued_roots(account.key, i64::from(root.work.is_unfinished()));
    }
    if stake.requests + stake.holds == 0 {
        tally.bytes(account.key, to_column(progress.counted_bytes()));
    }
    let (rank, due) = place(&root.work);
    let node = root.work.node;
    let row = Queued { root: root.key, account: account.key, requests: 1, holds: 0, node, rank, due };
    Ok(dialect::write_queued(conn, row).await?)
}

/// Write the request's rows; when it was created.
async fn write(
    conn: &mut Conn,
    account: &AccountRow,
    request: &NewPinRequest,
    root: &Root,
    now: Timestamp,
    tally: &mut Tally,
) -> Step<i64> {
    let (created, ordinal) = tally.issue(account, now.as_millis());
    let row = RequestRow {
        account: account.key,
        created,
        id: id_bytes(request.id.as_uuid()),
        ordinal,
        cid: request.pin.cid.as_str().to_owned(),
        root: root.key,
        name: request.pin.name.clone(),
        folded_name: request.pin.name.as_deref().map(fold),
        origins: (!request.pin.origins.is_empty()).then(|| addresses_text(&request.pin.origins)),
        meta: if request.pin.meta.is_empty() { None } else { Some(json_text(&request.pin.meta)?) },
        token: id_bytes(request.token.as_uuid()),
        status: root.work.state,
    };
    tally.bytes(account.key, row.carried_bytes());
    dialect::write_request(conn, row).await?;
    for (key, value) in &request.pin.meta {
        let (key, value) = (look_up_text(key).into_owned(), look_up_text(value).into_owned());
        dialect::write_meta(conn, PinMeta { account: account.key, key, value, created }).await?;
    }
    tally.requests(account.key, 1);
    tally.count(account.key, ordinal, created, root.work.state.0, 1);
    Ok(created)
}

/// What the client is told.
fn show(
    request: &NewPinRequest,
    root: &Root,
    progress: Progress,
    fleet: &Fleet,
    created: i64,
    now: Timestamp,
) -> Step<PinRequest> {
    let state = root.work.state.0;
    let (delegates, node_silent) = fleet.describe(root.work.node, now)?;
    Ok(PinRequest {
        id: request.id,
        account: request.account,
        created: moment(created),
        pin: request.pin.clone(),
        status: state.status().ok_or_else(|| Failed::corrupt("a wanted root is releasing"))?,
        root: root.view(progress, node_silent, now.as_millis())?,
        delegates,
        queue_position: None,
        held_until: None,
        as_of: now,
    })
}

/// Delete a request's rows and count it no more. Its status is what it is now: the step may have copied another.
pub(super) async fn delete_request(conn: &mut Conn, request: &RequestRow, tally: &mut Tally) -> Step<()> {
    let status: State = diesel::delete(pin_requests::table.find((request.account, request.created)))
        .returning(pin_requests::status)
        .get_result(conn)
        .await?;
    for (key, value) in request.meta()? {
        let (key, value) = (look_up_text(&key), look_up_text(&value));
        let pair = pin_meta::table.find((request.account, key, value, request.created));
        dialect::write_later(conn, diesel::delete(pair)).await?;
    }
    tally.requests(request.account, -1);
    tally.bytes(request.account, -request.carried_bytes());
    tally.count(request.account, request.ordinal, request.created, status.0, -1);
    Ok(())
}

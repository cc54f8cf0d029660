//! Pin requests added, replaced and removed.

use std::collections::BTreeSet;

use diesel::prelude::*;
use pinrail_domain::{
    AccountId, Admission, DagSize, NewPinRequest, PinRequest, RequestId, RootRecord, RootState, Usage,
};
use pinrail_spec::{Cid, Timestamp};
use pinrail_storage::StorageError;

use super::accounts::lock_account;
use super::clock::Clock;
use super::nodes::KnownNodes;
use super::unit_of_work::{RootsToLock, UnitOfWork};
use super::{Conn, RunQueryDsl, dialect};
use crate::convert::{from_column, id_bytes, moment};
use crate::error::{TxError, TxResult};
use crate::rows::{AccountRow, HoldRow, PinRequestRow, Root, State, root_name};
use crate::schema::pin_requests;

/// The request that an accepted one replaces, and its root.
struct Replaced {
    row: PinRequestRow,
    node: i64,
    /// Whether the account waits for its root, and with this request alone.
    unqueues: bool,
}

/// Add pin requests in one step, in their order.
///
/// One that is refused has no effect on the others. Any other error, a taken id among them, fails the step: then they
/// have to be added one by one.
pub(crate) async fn add_pin_requests(
    conn: &mut Conn,
    requests: &[(&NewPinRequest, Timestamp)],
) -> TxResult<Vec<Result<PinRequest, StorageError>>> {
    let ids: BTreeSet<_> = requests.iter().map(|(request, _)| id_bytes(request.account.as_uuid())).collect();
    let accounts = dialect::lock_accounts(conn, ids).await?;
    let cids = || requests.iter().map(|(request, _)| &request.pin.cid);
    let names: BTreeSet<_> = cids().map(|cid| root_name(cid.root())).collect();
    let with_held = cids().any(Cid::is_whole);
    let wanted = RootsToLock { names: names.clone(), with_held, ..RootsToLock::default() };
    let keys: Vec<i64> = accounts.iter().map(|account| account.key).collect();
    let mut unit = UnitOfWork::lock(conn, wanted, &keys).await?;
    let missing = names.iter().filter(|name| unit.key_of(name).is_none()).count();
    let (mut acceptance, clock) = Acceptance::prepare(conn, missing).await?;

    let mut answers = Vec::with_capacity(requests.len());
    for (request, now) in requests {
        let id = id_bytes(request.account.as_uuid());
        let Some(account) = accounts.iter().find(|account| account.id == id) else {
            answers.push(Err(StorageError::Missing(format!("the account {}", request.account))));
            continue;
        };
        answers.push(match acceptance.accept(&mut unit, account, request, None, clock.moment(*now))? {
            Ok(added) => Ok(added),
            Err(refused) => Err(refusal(conn, request, refused).await?),
        });
    }
    unit.flush(conn).await?;
    Ok(answers)
}

/// Add one pin request.
pub(crate) async fn add_pin_request(conn: &mut Conn, request: &NewPinRequest, now: Timestamp) -> TxResult<PinRequest> {
    let mut added = add_pin_requests(conn, &[(request, now)]).await?;
    Ok(added.pop().ok_or_else(|| TxError::corrupt("a request that was judged has no answer"))??)
}

/// Replace `old` by `request`.
pub(crate) async fn replace_pin_request(
    conn: &mut Conn,
    old: &RequestId,
    request: &NewPinRequest,
    now: Timestamp,
) -> TxResult<Option<PinRequest>> {
    let Some(account) = lock_account(conn, &request.account).await? else { return Ok(None) };
    let now = Clock::read(conn).await?.moment(now);
    let Some(old) = find_own(conn, &account, old).await? else { return Ok(None) };
    let key = request.pin.cid.root();
    let wanted =
        RootsToLock { keys: [old.root].into(), owner: Some(old.id.clone()), ..RootsToLock::named([&key].into_iter()) };
    let mut unit = UnitOfWork::lock(conn, wanted.with_held(), &[account.key]).await?;
    let missing = usize::from(unit.key_of(&root_name(key.clone())).is_none());
    let (mut acceptance, _) = Acceptance::prepare(conn, missing).await?;

    let old_root = unit.root(old.root)?;
    let unqueues = old_root.record.is_unfinished() && unit.claims_of(old.root, account.key).requests == 1;
    let replaced = Replaced { node: old_root.node, unqueues, row: old };
    let added = match acceptance.accept(&mut unit, &account, request, Some(&replaced), now)? {
        Ok(added) => added,
        Err(refused) => return Err(refusal(conn, request, refused).await?.into()),
    };
    let old = replaced.row;
    if added.root.state == RootState::Pinned {
        unit.lose_request((old.root, account.key), None, now)?;
        unit.end_holds_of(&old.id, now)?;
    } else {
        let new_root = unit.key_of(&root_name(key)).ok_or_else(|| TxError::corrupt("a root that was added is gone"))?;
        let owner = id_bytes(request.id.as_uuid());
        unit.inherit_holds(&old.id, &owner, new_root);
        let is_held = new_root != old.root && !unit.will_hold(&owner, old.root);
        let hold = HoldRow { owner, root: old.root, account: account.key, awaited: new_root, ends: None };
        unit.lose_request((old.root, account.key), is_held.then_some(hold), now)?;
    }
    unit.remove_request(old);
    unit.flush(conn).await?;
    Ok(Some(added))
}

/// Remove a request; whether it existed.
pub(crate) async fn remove_pin_request(
    conn: &mut Conn,
    account: &AccountId,
    id: &RequestId,
    now: Timestamp,
) -> TxResult<bool> {
    let Some(account) = lock_account(conn, account).await? else { return Ok(false) };
    let now = Clock::read(conn).await?.moment(now);
    let Some(request) = find_own(conn, &account, id).await? else { return Ok(false) };
    let wanted = RootsToLock { owner: Some(request.id.clone()), ..RootsToLock::keyed([request.root]) };
    let mut unit = UnitOfWork::lock(conn, wanted, &[account.key]).await?;
    unit.lose_request((request.root, account.key), None, now)?;
    unit.end_holds_of(&request.id, now)?;
    unit.remove_request(request);
    unit.flush(conn).await?;
    Ok(true)
}

/// What is needed to accept pin requests, beside what is locked.
struct Acceptance {
    nodes: KnownNodes,
    /// Keys for roots that no row exists of.
    keys: Vec<i64>,
}

impl Acceptance {
    async fn prepare(conn: &mut Conn, new_roots: usize) -> TxResult<(Self, Clock)> {
        let mut keys = if new_roots == 0 { Vec::new() } else { dialect::new_root_keys(conn, new_roots).await? };
        keys.reverse();
        let (nodes, clock) = KnownNodes::load_with_clock(conn).await?;
        Ok((Self { nodes, keys }, clock))
    }

    /// Accept a request of an account whose row is locked. Refused means that nothing has changed.
    fn accept(
        &mut self,
        unit: &mut UnitOfWork,
        account: &AccountRow,
        request: &NewPinRequest,
        replaced: Option<&Replaced>,
        now: Timestamp,
    ) -> TxResult<Result<PinRequest, StorageError>> {
        let name = root_name(request.pin.cid.root());
        let found = unit.key_of(&name);
        let claims = found.map(|key| unit.claims_of(key, account.key)).unwrap_or_default();
        let admission = Admission {
            pin: &request.pin,
            usage: usage(unit, account, replaced),
            root: found.map(|key| unit.root(key)).transpose()?.map(|root| &root.record),
            claims,
            replaces_same_root: replaced.is_some_and(|replaced| Some(replaced.row.root) == found),
        };
        if let Err(quota) = account.limits().admit_pin(&admission) {
            return Ok(Err(StorageError::Quota(quota)));
        }
        let preferred = replaced.map(|replaced| replaced.node).filter(|node| self.nodes.is_live(*node, now));
        let Some(node) = preferred.or_else(|| self.nodes.choose(now)) else { return Ok(Err(StorageError::NoNode)) };

        let inline = DagSize::inline(&request.pin.cid);
        let key = if let Some(key) = found {
            unit.want(key, inline, now)?;
            self.keep_or_move(unit, key, now)?;
            key
        } else {
            let key = self.keys.pop().ok_or_else(|| TxError::corrupt("a new root has no key"))?;
            let record = RootRecord::new(inline, 0, now);
            unit.add_root(Root { key, name, node, record, leased_for: None, copied: None });
            key
        };
        let state = State(unit.root(key)?.record.state);
        let (created, ordinal) = unit.deltas.issue(account, now.as_millis());
        let row = PinRequestRow::new(request, (account.key, created, ordinal), key, state)?;
        unit.add_request(row, &request.pin.meta)?;
        self.nodes.follow(&unit.deltas);
        self.answer(unit, request, key, created, now).map(Ok)
    }

    /// Give an unfinished root that nobody works on to a live node.
    fn keep_or_move(&self, unit: &mut UnitOfWork, key: i64, now: Timestamp) -> TxResult<()> {
        let root = unit.root(key)?;
        if root.record.is_unfinished() && !root.record.is_leased(now) {
            let node = self.nodes.keep_or_move(root.node, now);
            if node != root.node {
                unit.change(key, |root| {
                    root.record.end_lease();
                    root.node = node;
                })?;
            }
        }
        Ok(())
    }

    fn answer(
        &self,
        unit: &UnitOfWork,
        request: &NewPinRequest,
        key: i64,
        created: i64,
        now: Timestamp,
    ) -> TxResult<PinRequest> {
        let root = unit.root(key)?;
        let (delegates, node_silent) = self.nodes.describe(root.node, now)?;
        let status = root.record.state.status().ok_or_else(|| TxError::corrupt("a wanted root is releasing"))?;
        Ok(PinRequest {
            id: request.id,
            account: request.account,
            created: moment(created),
            pin: request.pin.clone(),
            status,
            root: root.record.view(unit.received(key), node_silent, now),
            delegates,
            queue_position: None,
            held_until: None,
            as_of: now,
        })
    }
}

/// What the account uses, without the request that is replaced.
fn usage(unit: &UnitOfWork, account: &AccountRow, replaced: Option<&Replaced>) -> Usage {
    let usage = unit.deltas.usage_of(account);
    let Some(Replaced { row, unqueues, .. }) = replaced else { return usage };
    usage.without_request(from_column(row.carried_bytes()), *unqueues)
}

/// Returns the refusal that the caller gets: a taken id comes before any other.
async fn refusal(conn: &mut Conn, request: &NewPinRequest, refused: StorageError) -> TxResult<StorageError> {
    let same = pin_requests::table.filter(pin_requests::id.eq(id_bytes(request.id.as_uuid())));
    let is_taken: bool = diesel::select(diesel::dsl::exists(same)).get_result(conn).await?;
    Ok(if is_taken { StorageError::Conflict(format!("the pin request {}", request.id)) } else { refused })
}

/// A request of the account. One of another account is not found by the database itself, so that neither the answer nor
/// its time tells them apart.
async fn find_own(conn: &mut Conn, account: &AccountRow, id: &RequestId) -> TxResult<Option<PinRequestRow>> {
    let own = pin_requests::table
        .filter(pin_requests::id.eq(id_bytes(id.as_uuid())))
        .filter(pin_requests::account.eq(account.key));
    Ok(own.select(PinRequestRow::as_select()).get_result(conn).await.optional()?)
}

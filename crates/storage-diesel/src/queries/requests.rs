//! Pin requests accepted, replaced and removed.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use pinrail_domain::{AccountId, NewPinRequest, PinRequest, RequestId, RootState};
use pinrail_spec::Timestamp;
use pinrail_storage::StorageError;

use super::accept::{Before, Replaced, accept, delete_request};
use super::accounts::lock_account;
use super::change::Change;
use super::clock::Clock;
use super::known::{self, Found, KnownRoots};
use super::nodes::Fleet;
use super::releases::{Claim, drop_claim, settle_claims, unclaim};
use super::tally::Tally;
use super::{Conn, RunQueryDsl, dialect, holds};
use crate::columns::id_bytes;
use crate::error::{Failed, Step};
use crate::rows::{AccountRow, RequestRow, Root};
use crate::schema::pin_requests;

/// Accept a pin request.
pub(crate) async fn add_pin_request(conn: &mut Conn, request: &NewPinRequest, now: Timestamp) -> Step<PinRequest> {
    let mut added = add_pin_requests(conn, &[(request, now)]).await?;
    Ok(added.pop().ok_or_else(|| Failed::corrupt("a request that was judged has no answer"))??)
}

/// Accept pin requests in one step, in their order: what is counted for all of them is read once and written once.
///
/// One that is refused has no effect on the others. Whatever else goes wrong, an id that is taken among it, fails
/// the step: then they have to be added one by one.
pub(crate) async fn add_pin_requests(
    conn: &mut Conn,
    requests: &[(&NewPinRequest, Timestamp)],
) -> Step<Vec<Result<PinRequest, StorageError>>> {
    let Locked { accounts, mut roots, mut fleet } = lock(conn, requests).await?;
    let clock = Clock::read(conn).await?;
    let mut tally = Tally::default();
    let mut answers = Vec::with_capacity(requests.len());
    for (request, now) in requests {
        let Some(account) = accounts.get(request.account.as_uuid().as_bytes().as_slice()) else {
            answers.push(Err(StorageError::Missing(format!("the account {}", request.account))));
            continue;
        };
        let before = Before::find(conn, request, &mut roots).await?;
        let accepted = accept(conn, account, &fleet, request, before, clock.moment(*now), &mut tally).await?;
        fleet.follow(&tally);
        answers.push(accepted.map(|(shown, _)| shown));
    }
    tally.flush(conn).await?;
    Ok(answers)
}

/// What was locked and found for requests.
pub(crate) struct Locked {
    /// The accounts' rows, by id.
    accounts: BTreeMap<Vec<u8>, AccountRow>,
    roots: KnownRoots,
    fleet: Fleet,
}

/// Lock and find what adding these requests needs, accounts before roots and each in the order of their keys: steps of other
/// processes that lock the same ones do not wait for one another in a circle.
pub(crate) async fn lock(conn: &mut Conn, requests: &[(&NewPinRequest, Timestamp)]) -> Step<Locked> {
    let ids: BTreeSet<_> = requests.iter().map(|(request, _)| id_bytes(request.account.as_uuid())).collect();
    let roots = requests.iter().map(|(request, _)| request.pin.cid.root());
    let Found { accounts, roots, nodes } = dialect::look_up(conn, ids, roots).await?;
    let accounts = accounts.into_iter().map(|account| (account.id.clone(), account)).collect();
    Ok(Locked { accounts, roots: KnownRoots(roots), fleet: Fleet::of(nodes)? })
}

/// Replace `old` by `request`.
pub(crate) async fn replace_pin_request(
    conn: &mut Conn,
    old: &RequestId,
    request: &NewPinRequest,
    now: Timestamp,
) -> Step<Option<PinRequest>> {
    let Some(account) = lock_account(conn, &request.account).await? else { return Ok(None) };
    let now = Clock::read(conn).await?.moment(now);
    let Some(old) = find_own(conn, &account, old).await? else { return Ok(None) };
    let key = request.pin.cid.root();
    let locked = dialect::lock_roots_of(conn, &old, Some(&key)).await?;
    let old_root = own(&locked, &old)?;

    let mut tally = Tally::default();
    let replaced = Replaced {
        root: old_root.key,
        node: old_root.work.node,
        is_unfinished: old_root.work.is_unfinished(),
        carried_bytes: old.carried_bytes(),
    };
    let fleet = Fleet::load(conn).await?;
    let name = known::name(key);
    let root = locked.into_iter().find(|root| (root.codec, &root.multihash) == (name.0, &name.1));
    let before = Before { root, replaced: Some(&replaced) };
    let (shown, new_root) = accept(conn, &account, &fleet, request, before, now, &mut tally).await??;
    delete_request(conn, &old, &mut tally).await?;
    if shown.root.state == RootState::Pinned {
        let old_root = dialect::lock_root(conn, old.root).await?;
        unclaim(conn, old_root, account.key, Claim::Request, now.as_millis(), &mut tally).await?;
        holds::end_holds_of(conn, &old.id, now.as_millis(), &mut tally).await?;
    } else {
        let new_id = id_bytes(request.id.as_uuid());
        holds::inherit(conn, &old.id, &new_id, new_root).await?;
        give_up(conn, &account, &old, &new_id, new_root, now.as_millis(), &mut tally).await?;
    }
    tally.flush(conn).await?;
    Ok(Some(shown))
}

/// Take the replaced request off its root, which the new one holds unless it is the same.
async fn give_up(
    conn: &mut Conn,
    account: &AccountRow,
    old: &RequestRow,
    new_id: &[u8],
    new_root: i64,
    now: i64,
    tally: &mut Tally,
) -> Step<()> {
    let is_held = new_root != old.root && holds::hold(conn, new_id, old.root, account.key, new_root).await?;
    let mut change = Change::of(dialect::lock_root(conn, old.root).await?);
    drop_claim(conn, &mut change, account.key, Claim::Request, tally).await?;
    if !is_held {
        change.work().refs -= 1;
    }
    settle_claims(conn, &mut change, Claim::Request, now).await?;
    change.finish(conn, tally).await?;
    Ok(())
}

/// Remove a request; whether it was there.
pub(crate) async fn remove_pin_request(
    conn: &mut Conn,
    account: &AccountId,
    id: &RequestId,
    now: Timestamp,
) -> Step<bool> {
    let Some(account) = lock_account(conn, account).await? else { return Ok(false) };
    let now = Clock::read(conn).await?.moment(now);
    let Some(request) = find_own(conn, &account, id).await? else { return Ok(false) };
    let locked = dialect::lock_roots_of(conn, &request, None).await?;
    let root = own(&locked, &request)?.clone();
    let mut tally = Tally::default();
    delete_request(conn, &request, &mut tally).await?;
    unclaim(conn, root, account.key, Claim::Request, now.as_millis(), &mut tally).await?;
    holds::end_holds_of(conn, &request.id, now.as_millis(), &mut tally).await?;
    tally.flush(conn).await?;
    Ok(true)
}

/// A request's root among those that were locked for it.
fn own<'a>(locked: &'a [Root], request: &RequestRow) -> Step<&'a Root> {
    let own = locked.iter().find(|root| root.key == request.root);
    own.ok_or_else(|| Failed::corrupt("a request's root is gone"))
}

/// A request of the account. To the database one of another account is one that is not there, so that neither the
/// answer nor the time that it takes tells them apart.
async fn find_own(conn: &mut Conn, account: &AccountRow, id: &RequestId) -> Step<Option<RequestRow>> {
    let found: Option<RequestRow> = pin_requests::table
        .filter(pin_requests::id.eq(id_bytes(id.as_uuid())))
        .filter(pin_requests::account.eq(account.key))
        .select(RequestRow::as_select())
        .get_result(conn)
        .await
        .optional()
        .map_err(Failed::from)?;
    Ok(found)
}

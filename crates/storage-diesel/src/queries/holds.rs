//! Holds: what keeps the root of a replaced request until the request that replaced it is pinned.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use pinrail_spec::Timestamp;

use super::unit_of_work::{RootsToLock, UnitOfWork};
use super::{Conn, RunQueryDsl, dialect};
use crate::error::TxResult;
use crate::rows::HoldRow;
use crate::schema::holds;

/// Holds that end in one step when their time has come.
const EXPIRED_AT_ONCE: i64 = 500;

/// When the last of a request's holds ends, as a part of a query of requests; null while they wait without an end.
pub(crate) fn last_end() -> SqlLiteral<Nullable<BigInt>> {
    sql("(SELECT MAX(ends) FROM holds WHERE holds.owner = pin_requests.id)")
}

/// When the last holds of these requests end, for those that have an end. They are looked up `at_once`, a fixed number,
/// so that there is one statement for any number of them.
pub(crate) async fn last_ends(conn: &mut Conn, owners: &[Vec<u8>], at_once: usize) -> TxResult<HashMap<Vec<u8>, i64>> {
    let mut ends: HashMap<Vec<u8>, i64> = HashMap::new();
    for some in owners.chunks(at_once) {
        let mut some = some.to_vec();
        some.resize(at_once, some[0].clone());
        let ending = holds::table.filter(holds::owner.eq_any(some)).filter(holds::ends.is_not_null());
        let found: Vec<(Vec<u8>, i64)> =
            ending.select((holds::owner, holds::ends.assume_not_null())).load(conn).await?;
        for (owner, end) in found {
            let last = ends.entry(owner).or_insert(end);
            *last = end.max(*last);
        }
    }
    Ok(ends)
}

/// End some of the holds whose time has come; how many.
pub(crate) async fn expire_holds(conn: &mut Conn, now: Timestamp) -> TxResult<usize> {
    let over = || holds::table.filter(holds::ends.is_not_null()).filter(holds::ends.le(now.as_millis()));
    let found = over().order((holds::root, holds::owner)).limit(EXPIRED_AT_ONCE).select((holds::root, holds::account));
    let found: Vec<(i64, i64)> = found.load(conn).await?;
    let (roots, accounts): (Vec<i64>, Vec<i64>) = found.into_iter().unzip();
    let mut unit = UnitOfWork::lock(conn, RootsToLock::keyed(roots.clone()), &accounts).await?;
    // A hold that was added or ended since it was found is none of these any more: its root is locked only now.
    let still = over().filter(dialect::any_of("holds.root", &roots)).order((holds::root, holds::owner));
    let mut ended: Vec<HoldRow> = still.load(conn).await?;
    ended.retain(|hold| accounts.contains(&hold.account));
    let many = ended.len();
    unit.end_holds(ended, now)?;
    unit.flush(conn).await?;
    Ok(many)
}

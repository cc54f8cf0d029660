//! Rows that a step finds and locks before anything else, by what the caller knows of them.

use std::collections::{BTreeMap, BTreeSet};

use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool};
use diesel_async::RunQueryDsl;
use pinrail_spec::RootKey;

use super::known::{self, Found, Name};
use super::questions::{Question, Questions};
use super::{Conn, nodes};
use crate::rows::{AccountRow, RequestRow, Root, SORTED};
use crate::schema::{accounts, roots};

/// What stands before and after the keys of roots in a condition on these and on those held until one of them is there,
/// which are looked up one by one too.
const WITH_HELD: &str = "roots.key = ANY(ARRAY(WITH found (key) AS (SELECT unnest(";
const WITH_HELD_END: &str = ")) SELECT key FROM found UNION ALL SELECT held.root FROM found, \
    LATERAL (SELECT holds.root FROM holds WHERE holds.awaited = found.key OFFSET 0) AS held))";

/// What adding requests has to know: rows of accounts and of roots, locked in the order of their keys until the
/// transaction ends, those of nodes, and keys for as many roots as may be made. All of it is asked for at once.
pub(super) async fn look_up(
    conn: &mut Conn,
    ids: BTreeSet<Vec<u8>>,
    wanted: impl Iterator<Item = RootKey>,
) -> QueryResult<Found> {
    let mut questions = Questions::default();
    let rows = accounts::table.filter(accounts::id.eq_any(ids)).order(accounts::key + SORTED);
    let accounts = questions.add(rows.select(AccountRow::as_select()).for_no_key_update())?;
    let names = names(wanted);
    let roots = ask_roots(&mut questions, &names)?;
    let keys = ask_keys(&mut questions, names.len())?;
    let nodes = questions.add(nodes::rows())?;

    let answers = conn.ask(questions).await?;
    conn.batch().keys.extend(answers.to(&keys)?);
    let roots = by_name(names, answers.to(&roots)?);
    Ok(Found { accounts: answers.to(&accounts)?, roots, nodes: answers.to(&nodes)? })
}

/// Which of these roots are there, locked in the order of their keys until the transaction ends, and with them those
/// that are held until one of these is there.
pub(super) async fn lock_roots<'a>(
    conn: &mut Conn,
    wanted: impl Iterator<Item = &'a RootKey>,
) -> QueryResult<BTreeMap<Name, Option<Root>>> {
    let names = names(wanted.cloned());
    let rows = roots::table.filter(keyed(WITH_HELD, &names, WITH_HELD_END)).order(roots::key + SORTED);
    let rows = rows.select(Root::as_select()).for_no_key_update().load(conn).await?;
    Ok(by_name(names, rows))
}

/// The root of a request that goes, and that of the one that replaces it if it is there, with what either holds or
/// ends the hold of: locked in the order of their keys until the transaction ends.
pub(super) async fn lock_roots_of(
    conn: &mut Conn,
    request: &RequestRow,
    new: Option<&RootKey>,
) -> QueryResult<Vec<Root>> {
    let own = sql::<Bool>("roots.key = ").bind::<BigInt, _>(request.root);
    let held = own.sql(" OR roots.key = ANY(ARRAY(SELECT holds.root FROM holds WHERE holds.owner = ");
    let held = held.bind::<Binary, _>(request.id.clone()).sql("))");
    let new = keyed(WITH_HELD, &names(new.into_iter().cloned()), WITH_HELD_END);
    let rows = roots::table.filter(held).or_filter(new).order(roots::key + SORTED);
    rows.select(Root::as_select()).for_no_key_update().load(conn).await
}

/// Take keys for roots that are to be made.
pub(super) async fn take_keys(conn: &mut Conn, many: usize) -> QueryResult<()> {
    let mut questions = Questions::default();
    let keys = ask_keys(&mut questions, many)?;
    let answers = conn.ask(questions).await?;
    conn.batch().keys.extend(answers.to(&keys)?);
    Ok(())
}

/// Lock the accounts that want these roots, in the order of their keys, until the
/// transaction ends: a step that will count for them must not hold a root that one of their own steps waits for.
pub(super) async fn lock_accounts_of<'a>(conn: &mut Conn, roots: impl Iterator<Item = &'a RootKey>) -> QueryResult<()> {
    let waiting =
        keyed("accounts.key = ANY(ARRAY(SELECT account FROM queue WHERE root = ANY(", &names(roots.cloned()), ")))");
    let rows = accounts::table.filter(waiting).order(accounts::key + SORTED);
    rows.select(accounts::key).for_no_key_update().load::<i64>(conn).await.map(|_| ())
}

fn ask_roots(questions: &mut Questions, names: &BTreeSet<Name>) -> QueryResult<Question<Root>> {
    let rows = roots::table.filter(keyed("roots.key = ANY(", names, ")")).order(roots::key + SORTED);
    questions.add(rows.select(Root::as_select()).for_no_key_update())
}

fn ask_keys(questions: &mut Questions, many: usize) -> QueryResult<Question<i64>> {
    let next = sql::<BigInt>("nextval('roots_key_seq') FROM generate_series(1, ");
    let many = i64::try_from(many).unwrap_or(i64::MAX);
    questions.add(diesel::select(next.bind::<BigInt, _>(many).sql(")")))
}

fn by_name(names: BTreeSet<Name>, rows: Vec<Root>) -> BTreeMap<Name, Option<Root>> {
    let mut known: BTreeMap<Name, Option<Root>> = names.into_iter().map(|name| (name, None)).collect();
    for root in rows {
        if let Some(place) = known.get_mut(&(root.codec, root.multihash.clone())) {
            *place = Some(root);
        }
    }
    known
}

fn names(roots: impl Iterator<Item = RootKey>) -> BTreeSet<Name> {
    roots.map(known::name).collect()
}

/// A condition on the keys of those of the roots with these codecs and multihashes that are there, which stand between
/// its beginning and its end. Each is looked up on its own: no plan can make of that reading them all.
fn keyed<T>(begins: &str, wanted: &BTreeSet<Name>, ends: &str) -> Box<dyn BoxableExpression<T, Pg, SqlType = Bool>> {
    let (codecs, multihashes): (Vec<i64>, Vec<Vec<u8>>) = wanted.iter().cloned().unzip();
    let condition = sql::<Bool>(begins).sql(" ARRAY(SELECT found.key FROM unnest(");
    let condition = condition.bind::<Array<BigInt>, _>(codecs).sql(", ").bind::<Array<Binary>, _>(multihashes).sql(
        ") AS wanted (codec, multihash), LATERAL (SELECT roots.key FROM roots WHERE roots.codec = wanted.codec \
        AND roots.multihash = wanted.multihash LIMIT 1) AS found) ",
    );
    Box::new(condition.sql(ends))
}

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
use crate::rows::{AccountRow, Root};
use crate::schema::{accounts, roots};

/// What is added to a key to sort rows by it once they are found: to go through a whole index because that has the
/// order looks cheap to a planner that takes the table for nearly empty, and its plan stays when the table has grown.
pub(super) const SORTED: i64 = 0;

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

/// Which of these roots are there, locked in the order of their keys until the transaction ends.
pub(super) async fn lock_roots<'a>(
    conn: &mut Conn,
    wanted: impl Iterator<Item = &'a RootKey>,
) -> QueryResult<BTreeMap<Name, Option<Root>>> {
    let names = names(wanted.cloned());
    let mut questions = Questions::default();
    let roots = ask_roots(&mut questions, &names)?;
    let answers = conn.ask(questions).await?;
    Ok(by_name(names, answers.to(&roots)?))
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

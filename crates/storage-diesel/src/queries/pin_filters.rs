//! The filters of a list as queries, each led by the index that fits whatever the database guesses of its tables:
//! without statistics SQLite has chosen plans that are a thousand times slower.

use std::borrow::Cow;
use std::cmp::Reverse;

use diesel::dsl::exists;
use diesel::expression::BoxableExpression;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable};
use pinrail_domain::RootState;
use pinrail_spec::{Match, NameFilter, PinFilter, Status, Timestamp, fold};
use pinrail_storage::PAGE_BYTES;

use super::{Conn, Db, RunQueryDsl, counts, dialect};
use crate::convert::{look_up_text, to_column};
use crate::error::TxResult;
use crate::rows::{PinRequestRow, State};
use crate::schema::{pin_meta, pin_requests, roots};

/// Above so many requests with a pair, the page is walked and each request is asked for the pair.
const RARE: i64 = 10_000;

/// Requests whose texts are read at once: of a longer page, some more than it has room for may be read in vain.
const PORTION: usize = 50;

/// The newest requests that match.
pub(crate) struct Page {
    pub(crate) rows: Vec<PinRequestRow>,
    /// Whether no others match.
    is_all: bool,
}

/// What leads a query: the column that an index begins with, after the account.
#[derive(Debug, Clone, Copy)]
enum Lead {
    /// All of the account's requests.
    Account,
    /// Those with one status.
    Status(State),
    /// Those for one root.
    Root(i64),
}

/// A filter, ready to be asked.
pub(crate) struct Matching<'a> {
    account: i64,
    filter: &'a PinFilter,
    statuses: Vec<State>,
    /// Queries that share no request: together they have all that match.
    leads: Vec<Lead>,
    /// Whether to begin with the requests that have the first of these pairs.
    is_rare: bool,
    meta: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

type Rows<'q> = diesel::helper_types::IntoBoxed<'q, pin_requests::table, Db>;

impl<'a> Matching<'a> {
    /// Look at a filter of an account.
    pub(crate) async fn of(conn: &mut Conn, account: i64, filter: &'a PinFilter) -> TxResult<Self> {
        let statuses: Vec<State> = Status::ALL
            .into_iter()
            .filter(|status| filter.statuses.contains(status))
            .map(|status| State(state_of(status)))
            .collect();
        let mut meta: Vec<_> =
            filter.meta.iter().map(|(key, value)| (look_up_text(key), look_up_text(value))).collect();
        let is_rare = lead_with_rarest(conn, account, &mut meta).await?;
        let is_narrow = filter.name.is_some() || is_rare;
        let leads = if !filter.roots.is_empty() {
            wanted_roots(conn, filter).await?.into_iter().map(Lead::Root).collect()
        } else if is_narrow || statuses.len() == Status::ALL.len() {
            vec![Lead::Account]
        } else {
            statuses.iter().copied().map(Lead::Status).collect()
        };
        Ok(Self { account, filter, statuses, leads, is_rare, meta })
    }

    /// The newest requests that match, up to the filter's limit and to [`PAGE_BYTES`].
    pub(crate) async fn page(&self, conn: &mut Conn) -> TxResult<Page> {
        let limit = usize::from(self.filter.limit);
        let is_short = limit <= PORTION && self.leads.len() <= Status::ALL.len();
        let (rows, found) = if is_short { self.newest(conn).await? } else { self.newest_in_portions(conn).await? };
        let mut bytes = 0;
        let room = rows.iter().position(|row| {
            bytes += row.bytes();
            bytes >= PAGE_BYTES
        });
        let length = room.map_or(rows.len(), |last| last + 1);
        let is_all = found < limit && length == found;
        Ok(Page { rows: rows.into_iter().take(length).collect(), is_all })
    }

    /// The newest requests up to the limit, and how many they are.
    async fn newest(&self, conn: &mut Conn) -> TxResult<(Vec<PinRequestRow>, usize)> {
        let mut page: Vec<PinRequestRow> = Vec::new();
        for lead in &self.leads {
            let rows = self.rows(*lead).order(pin_requests::created.desc()).limit(i64::from(self.filter.limit));
            page.extend(rows.select(PinRequestRow::as_select()).load(conn).await?);
        }
        page.sort_by_key(|row| Reverse(row.created));
        page.truncate(usize::from(self.filter.limit));
        let found = page.len();
        Ok((page, found))
    }

    /// The newest requests, no more portions of them than a page has room for, and how many there are up to the limit.
    async fn newest_in_portions(&self, conn: &mut Conn) -> TxResult<(Vec<PinRequestRow>, usize)> {
        let mut keys: Vec<i64> = Vec::new();
        for lead in &self.leads {
            let rows = self.rows(*lead).order(pin_requests::created.desc()).limit(i64::from(self.filter.limit));
            keys.extend(rows.select(pin_requests::created).load::<i64>(conn).await?);
        }
        keys.sort_unstable_by_key(|key| Reverse(*key));
        keys.truncate(usize::from(self.filter.limit));
        let (mut page, mut bytes) = (Vec::with_capacity(keys.len()), 0);
        for portion in keys.chunks(PORTION) {
            let mut wanted = portion.to_vec();
            // Always as many, so that there is one statement.
            wanted.resize(PORTION, portion[0]);
            let rows = pin_requests::table.filter(pin_requests::account.eq(self.account));
            let rows = rows.filter(pin_requests::created.eq_any(wanted)).select(PinRequestRow::as_select());
            let mut rows: Vec<PinRequestRow> = rows.load(conn).await?;
            rows.sort_by_key(|row| Reverse(row.created));
            bytes += rows.iter().map(PinRequestRow::bytes).sum::<usize>();
            page.append(&mut rows);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok((page, keys.len()))
    }

    /// The requests of one lead that match.
    fn rows(&self, lead: Lead) -> Rows<'_> {
        let rows = pin_requests::table.filter(pin_requests::account.eq(self.account));
        let mut rows = rows.into_boxed().filter(dialect::requests_go_on());
        rows = match lead {
            Lead::Account => rows,
            Lead::Status(status) => rows.filter(pin_requests::status.eq(status)),
            Lead::Root(root) => rows.filter(pin_requests::root.eq(root)),
        };
        if !matches!(lead, Lead::Status(_)) && self.statuses.len() < Status::ALL.len() {
            // Joined to nothing, so that no index by status seems to fit.
            // Always as many, so that there is one text.
            let words = self.statuses.iter().map(|status| status.0.as_str()).cycle().take(Status::ALL.len());
            let words: Vec<&str> = words.collect();
            rows = rows.filter(dialect::status_word().eq_any(words));
        }
        if let Some(before) = self.filter.before {
            rows = rows.filter(pin_requests::created.lt(before.as_millis()));
        }
        if let Some(after) = self.filter.after {
            rows = rows.filter(pin_requests::created.gt(after.as_millis()));
        }
        if let Some(name) = &self.filter.name {
            rows = rows.filter(named(name));
        }
        self.with_meta(rows)
    }

    /// The pair of meta that is all that is asked for, beside times.
    fn only_pair(&self) -> Option<(&str, &str)> {
        let is_alone = self.filter.roots.is_empty() && self.filter.name.is_none();
        match &self.meta[..] {
            [(key, value)] if is_alone && self.statuses.len() == Status::ALL.len() => Some((key, value)),
            _ => None,
        }
    }

    fn with_meta<'q>(&'q self, mut rows: Rows<'q>) -> Rows<'q> {
        for (index, (key, value)) in self.meta.iter().enumerate() {
            let pairs = pin_meta::table
                .filter(pin_meta::account.eq(self.account))
                .filter(pin_meta::key.eq(&**key))
                .filter(pin_meta::value.eq(&**value));
            rows = if index == 0 && self.is_rare {
                rows.filter(pin_requests::created.eq_any(pairs.select(pin_meta::created)))
            } else {
                rows.filter(exists(pairs.filter(pin_meta::created.eq(pin_requests::created))))
            };
        }
        rows
    }
}

/// The state that a status copies.
const fn state_of(status: Status) -> RootState {
    match status {
        Status::Queued => RootState::Queued,
        Status::Pinning => RootState::Pinning,
        Status::Pinned => RootState::Pinned,
        Status::Failed => RootState::Failed,
    }
}

/// A condition on a request.
pub(crate) type Condition<'a> = Box<dyn BoxableExpression<pin_requests::table, Db, SqlType = Nullable<Bool>> + 'a>;

/// The requests whose names match. Wildcards mean themselves.
fn named(filter: &NameFilter) -> Condition<'_> {
    let folded = fold(&filter.text);
    match filter.matching {
        Match::Exact => {
            // One index serves both: equal names fold equally.
            Box::new(pin_requests::folded_name.eq(folded).and(pin_requests::name.eq(&filter.text)))
        }
        Match::Iexact => Box::new(pin_requests::folded_name.eq(folded)),
        Match::Partial => dialect::name_holds(&filter.text, folded),
        Match::Ipartial => dialect::folded_name_holds(folded),
    }
}

/// The keys of the filter's roots, those that anybody pins.
async fn wanted_roots(conn: &mut Conn, filter: &PinFilter) -> TxResult<Vec<i64>> {
    let mut keys = Vec::with_capacity(filter.roots.len());
    for root in &filter.roots {
        let row =
            roots::table.filter(roots::codec.eq(to_column(root.codec))).filter(roots::multihash.eq(&root.multihash));
        keys.extend(row.select(roots::key).get_result::<i64>(conn).await.optional()?);
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Put the rarest pair first; whether it is rare enough to begin with.
async fn lead_with_rarest(conn: &mut Conn, account: i64, meta: &mut [(Cow<'_, str>, Cow<'_, str>)]) -> TxResult<bool> {
    for bound in [RARE / 100, RARE] {
        for index in 0..meta.len() {
            let (key, value) = &meta[index];
            let beyond = pin_meta::table
                .filter(pin_meta::account.eq(account))
                .filter(pin_meta::key.eq(&**key))
                .filter(pin_meta::value.eq(&**value))
                .order(pin_meta::created)
                .offset(bound)
                .select(pin_meta::created);
            if beyond.first::<i64>(conn).await.optional()?.is_none() {
                meta.swap(0, index);
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// How many match in all. `before` and `after` bound the count too, so a page that was not cut is all there is.
pub(crate) async fn count_matching(conn: &mut Conn, matching: &Matching<'_>, page: &Page) -> TxResult<i64> {
    let filter = matching.filter;
    if page.is_all {
        return Ok(i64::try_from(page.rows.len()).unwrap_or(i64::MAX));
    }
    if filter.roots.is_empty() && filter.name.is_none() && filter.meta.is_empty() {
        let (before, after) = (filter.before.map(Timestamp::as_millis), filter.after.map(Timestamp::as_millis));
        return counts::count(conn, matching.account, &matching.statuses, before, after).await;
    }
    if let Some(pair) = matching.only_pair() {
        return count_pair(conn, matching, pair).await;
    }
    let mut count = 0;
    for lead in &matching.leads {
        count += matching.rows(*lead).count().get_result::<i64>(conn).await?;
    }
    Ok(count)
}

/// How many requests have a pair of meta: as many as there are rows of it.
async fn count_pair(conn: &mut Conn, matching: &Matching<'_>, (key, value): (&str, &str)) -> TxResult<i64> {
    let mut rows = pin_meta::table
        .filter(pin_meta::account.eq(matching.account))
        .filter(pin_meta::key.eq(key))
        .filter(pin_meta::value.eq(value))
        .into_boxed()
        .filter(dialect::pairs_go_on());
    if let Some(before) = matching.filter.before {
        rows = rows.filter(pin_meta::created.lt(before.as_millis()));
    }
    if let Some(after) = matching.filter.after {
        rows = rows.filter(pin_meta::created.gt(after.as_millis()));
    }
    Ok(rows.count().get_result(conn).await?)
}

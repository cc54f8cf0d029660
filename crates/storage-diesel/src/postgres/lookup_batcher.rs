//! What requests look up by an id: for all that come at the same time with one query.
//!
//! **Invariant:** a query begins after each of those that it answers has asked, so whatever was committed before
//! somebody asks is seen: a revocation holds at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Binary, Bool};
use diesel_async::RunQueryDsl;
use futures::FutureExt;
use futures::future::BoxFuture;
use pinrail_domain::{AccountId, PinRequest, RequestId, Standing, TokenId};
use pinrail_spec::Timestamp;
use pinrail_storage::StorageError;

use super::Conn;
use super::batcher::Batcher;
use super::pool::{Access, Pool};
use super::queries::pin_lists::{FoundRequest, found_rows, shown};
use super::queries::tokens::{StandingRow, standing_rows};
use crate::convert::id_bytes;
use crate::error::TxResult;
use crate::schema::access_tokens;

/// Queries of one kind that are on their way at one time: one that hangs does not hold up all requests.
const AT_ONCE: usize = 2;

/// What stands before the ids of accounts and of requests, and after them, in a condition on those requests that are of
/// the account that asks for them. Each is looked up on its own, and one of another account is to the server one that
/// is not there: neither the answer nor its time tells them apart.
const OWN: &str = "pin_requests.id = ANY(ARRAY(SELECT own.id FROM unnest(";
const OWN_END: &str = ") AS wanted (account, id), LATERAL (SELECT one.id FROM pin_requests AS one, accounts AS its \
    WHERE one.id = wanted.id AND its.id = wanted.account AND one.account = its.key LIMIT 1) AS own))";

/// Which request is wanted, of which account, and when.
type Wanted = (AccountId, RequestId, Timestamp);
type Outcome<A> = Result<Option<A>, StorageError>;
/// Finds what several ask for, in their order.
type Find<Q, A> = for<'c> fn(&'c mut Conn, Arc<[Q]>) -> BoxFuture<'c, TxResult<Vec<Option<A>>>>;

/// What looks up.
pub(super) struct LookupBatcher {
    standings: Batcher<TokenId, Option<Standing>>,
    requests: Batcher<Wanted, Option<PinRequest>>,
}

impl LookupBatcher {
    /// Begin to answer.
    pub(super) fn start(pool: &Arc<Pool>) -> Self {
        Self {
            standings: answer(pool, |conn, tokens| find_standings(conn, tokens).boxed()),
            requests: answer(pool, |conn, wanted| find_requests(conn, wanted).boxed()),
        }
    }

    /// How a token stands.
    pub(super) async fn standing(&self, token: TokenId) -> Outcome<Standing> {
        self.standings.ask(token).await
    }

    /// One request of an account.
    pub(super) async fn request(&self, account: AccountId, id: RequestId, now: Timestamp) -> Outcome<PinRequest> {
        self.requests.ask((account, id, now)).await
    }
}

/// A lane that answers each group by one query.
fn answer<Q, A>(pool: &Arc<Pool>, find: Find<Q, A>) -> Batcher<Q, Option<A>>
where
    Q: Copy + Send + Sync + 'static,
    A: Clone + Send + 'static,
{
    let pool = Arc::clone(pool);
    Batcher::start(AT_ONCE, Duration::ZERO, move |asked| {
        let pool = Arc::clone(&pool);
        async move { answer_all(&pool, find, asked).await }
    })
}

async fn answer_all<Q: Copy, A: Clone>(pool: &Pool, find: Find<Q, A>, asked: Vec<Q>) -> Vec<Outcome<A>> {
    match run(pool, find, &asked).await {
        Ok(found) => found.into_iter().map(Ok).collect(),
        // A row that contradicts itself fails the query: those who did not ask for it are not to suffer.
        Err(StorageError::Corrupt(_)) if asked.len() > 1 => {
            let mut outcomes = Vec::with_capacity(asked.len());
            for one in asked {
                outcomes.push(run(pool, find, &[one]).await.map(|mut found| found.pop().flatten()));
            }
            outcomes
        }
        Err(error) => vec![Err(error); asked.len()],
    }
}

async fn run<Q: Copy, A>(pool: &Pool, find: Find<Q, A>, asked: &[Q]) -> Result<Vec<Option<A>>, StorageError> {
    let asked: Arc<[Q]> = Arc::from(asked);
    pool.run(Access::LookUp, move |conn| find(conn, asked)).await
}

async fn find_standings(conn: &mut Conn, tokens: Arc<[TokenId]>) -> TxResult<Vec<Option<Standing>>> {
    let ids: BTreeSet<_> = tokens.iter().map(|token| id_bytes(token.as_uuid())).collect();
    let rows: Vec<StandingRow> = standing_rows().filter(access_tokens::id.eq_any(ids)).load(conn).await?;
    let rows: HashMap<_, _> = rows.iter().map(|row| (row.token.id.as_slice(), row)).collect();
    let told = |token: &TokenId| {
        let row = rows.get(id_bytes(token.as_uuid()).as_slice());
        row.map(|row| row.standing()).transpose()
    };
    tokens.iter().map(told).collect()
}

async fn find_requests(conn: &mut Conn, wanted: Arc<[Wanted]>) -> TxResult<Vec<Option<PinRequest>>> {
    let pairs = wanted.iter().map(|(account, id, _)| (id_bytes(account.as_uuid()), id_bytes(id.as_uuid())));
    let (accounts, ids): (Vec<_>, Vec<_>) = pairs.unzip();
    let own = sql::<Bool>(OWN).bind::<Array<Binary>, _>(accounts).sql(", ").bind::<Array<Binary>, _>(ids).sql(OWN_END);
    let rows: Vec<FoundRequest> = found_rows().filter(own).load(conn).await?;
    let rows: HashMap<_, _> = rows.iter().map(|row| ((row.account.clone(), row.request.id.clone()), row)).collect();
    let told = |(account, id, now): &Wanted| {
        let row = rows.get(&(id_bytes(account.as_uuid()), id_bytes(id.as_uuid())));
        row.map(|row| shown(conn, row, *now)).transpose()
    };
    wanted.iter().map(told).collect()
}

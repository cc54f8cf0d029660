//! What requests look up by an id: for all that come at the same time with one query.
//!
//! **Invariant:** a query begins after each of those that it answers has asked, so whatever was committed before
//! somebody asks is seen: a revocation holds at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures::FutureExt;
use futures::future::BoxFuture;
use pinrail_domain::{AccountId, PinRequest, RequestId, Standing, TokenId};
use pinrail_spec::Timestamp;
use pinrail_storage::StorageError;

use super::Conn;
use super::lane::Lane;
use super::pages::{Found, found_rows, shown};
use super::pool::{Access, Pool};
use super::tokens::{StandingRow, standing_rows};
use crate::columns::id_bytes;
use crate::error::Step;
use crate::schema::{access_tokens, pin_requests};

/// Queries of one kind that are on their way at one time: one that hangs does not hold up all requests.
const AT_ONCE: usize = 2;

/// Which request is wanted, of which account, and when.
type Wanted = (AccountId, RequestId, Timestamp);
type Outcome<A> = Result<Option<A>, StorageError>;
/// Finds what several ask for. A row that contradicts itself fails those alone who asked for it.
type Find<Q, A> = for<'c> fn(&'c mut Conn, Arc<[Q]>) -> BoxFuture<'c, Step<Vec<Outcome<A>>>>;

/// What looks up.
pub(super) struct LookUps {
    standings: Lane<TokenId, Option<Standing>>,
    requests: Lane<Wanted, Option<PinRequest>>,
}

impl LookUps {
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
fn answer<Q, A>(pool: &Arc<Pool>, find: Find<Q, A>) -> Lane<Q, Option<A>>
where
    Q: Send + Sync + 'static,
    A: Send + 'static,
{
    let pool = Arc::clone(pool);
    Lane::start(AT_ONCE, move |asked| {
        let (pool, asked): (_, Arc<[Q]>) = (Arc::clone(&pool), Arc::from(asked));
        async move {
            let many = asked.len();
            let found = pool.run(Access::LookUp, move |conn| find(conn, asked)).await;
            found.unwrap_or_else(|error| (0..many).map(|_| Err(error.clone())).collect())
        }
    })
}

async fn find_standings(conn: &mut Conn, tokens: Arc<[TokenId]>) -> Step<Vec<Outcome<Standing>>> {
    let ids: BTreeSet<_> = tokens.iter().map(|token| id_bytes(token.as_uuid())).collect();
    let rows: Vec<StandingRow> = standing_rows().filter(access_tokens::id.eq_any(ids)).load(conn).await?;
    let rows: HashMap<_, _> = rows.iter().map(|row| (row.token.as_slice(), row)).collect();
    let told = |token: &TokenId| {
        let row = rows.get(id_bytes(token.as_uuid()).as_slice());
        row.map(|row| row.standing()).transpose().map_err(StorageError::from)
    };
    Ok(tokens.iter().map(told).collect())
}

async fn find_requests(conn: &mut Conn, wanted: Arc<[Wanted]>) -> Step<Vec<Outcome<PinRequest>>> {
    let ids: BTreeSet<_> = wanted.iter().map(|(_, id, _)| id_bytes(id.as_uuid())).collect();
    let rows: Vec<Found> = found_rows().filter(pin_requests::id.eq_any(ids)).load(conn).await?;
    let rows: HashMap<_, _> = rows.iter().map(|row| (row.request.id.as_slice(), row)).collect();
    let told = |(account, id, now): &Wanted| {
        let row = rows.get(id_bytes(id.as_uuid()).as_slice());
        row.map_or(Ok(None), |row| shown(conn, *account, row, *now)).map_err(StorageError::from)
    };
    Ok(wanted.iter().map(told).collect())
}

//! Leases: taken, renewed, read.

use diesel::dsl::max;
use diesel::prelude::*;
use pinrail_domain::{
    Lease, LeaseKey, LeaseNews, LeaseTask, LeaseToken, MAX_REQUESTS_WITH_ORIGINS, NodeId, RootState,
    take_origins_in_turns,
};
use pinrail_spec::{Multiaddr, RootKey, Timestamp};

use super::fair_turns::{FairTurns, Turn};
use super::nodes::KnownNodes;
use super::unit_of_work::{RootsToLock, UnitOfWork, place};
use super::{Conn, RunQueryDsl, dialect};
use crate::convert::{addresses, moment, root_key, to_column};
use crate::error::{TxError, TxResult};
use crate::rows::{AccountRow, Root, RootRow, root_name};
use crate::schema::{accounts, holds, pin_requests, queue, roots};

/// Leases that random bytes are asked for at once.
const RANDOM_AT_ONCE: i64 = 32;
/// Requests for one root whose origins are read at once, and accounts if there are more.
const ORIGINS_PAGE: i64 = 64;

/// The node that takes leases, when, and until when.
struct Taker {
    node: i64,
    /// The nodes whose roots it may take: its own, and those that are not live.
    nodes: Vec<i64>,
    now: Timestamp,
    until: Timestamp,
    /// Random bytes for the tokens of leases to come.
    random: Vec<Vec<u8>>,
}

/// Take up to `limit` due roots of a node to pin, and beside them releases.
pub(crate) async fn lease_due(
    conn: &mut Conn,
    node: &NodeId,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
    slots: usize,
) -> TxResult<Vec<Lease>> {
    dialect::lock_leases(conn, node).await?;
    let known = KnownNodes::load(conn).await?;
    let Some(node) = known.in_service(node) else { return Ok(Vec::new()) };
    let mut nodes = known.abandoned(now);
    nodes.retain(|other| *other != node);
    nodes.push(node);
    let mut taker = Taker { node, nodes, now, until, random: Vec::new() };
    put_back_expired(conn, now).await?;

    let mut unit = UnitOfWork::default();
    let mut leases = Vec::new();
    let mut turns = FairTurns::load(conn, node, taker.nodes.clone(), now, slots).await?;
    while leases.len() < limit
        && let Some((root, turn)) = turns.next(conn, limit).await?
    {
        if let Some(lease) = taker.take(conn, &mut unit, root, Some(turn)).await? {
            leases.push(lease);
            turns.serve(conn, turn).await?;
        }
    }
    for root in taker.due_releases(conn, known.retired(), slots).await? {
        leases.extend(taker.take(conn, &mut unit, root, None).await?);
    }
    unit.flush(conn).await?;
    Ok(leases)
}

/// Put roots whose lease has expired back into the queues, from which a lease takes them. The lease's token stays,
/// since it can be renewed until another takes over.
async fn put_back_expired(conn: &mut Conn, now: Timestamp) -> TxResult<()> {
    let mut places = Vec::new();
    for row in dialect::claim_expired(conn, now.as_millis()).await? {
        let mut root = Root::try_from(row)?;
        root.record.end_lease();
        places.push(place(&root));
    }
    Ok(dialect::update_places(conn, places).await?)
}

impl Taker {
    /// Lease a root for the account whose turn it is, or to be released; `None` if another step has it, or if it is no
    /// longer as it was when the queue was read.
    async fn take(
        &mut self,
        conn: &mut Conn,
        unit: &mut UnitOfWork,
        root: i64,
        turn: Option<Turn>,
    ) -> TxResult<Option<Lease>> {
        if unit.has(root) {
            return Ok(None);
        }
        let Some(row) = dialect::claim_root(conn, root).await.optional()? else { return Ok(None) };
        let key = unit.add_locked(row)?;
        let root = unit.root(key)?;
        let is_free = match turn {
            Some(_) => root.record.may_be_pinned(self.now) && self.nodes.contains(&root.node),
            None => root.record.may_be_released(self.now),
        };
        if !is_free {
            return Ok(None);
        }
        let token = self.token(conn).await?;
        unit.change(key, |root| {
            root.node = self.node;
            root.leased_for = Some((self.node, turn.map(|turn| turn.key)));
            root.record.take_lease(token, self.until);
        })?;
        if turn.is_some() {
            unit.add_holder(key, self.node);
        }
        describe(conn, unit.root(key)?, turn).await.map(Some)
    }

    /// The releases that the node may take now: its own, and those of retired nodes, whose roots others may have too.
    async fn due_releases(&self, conn: &mut Conn, retired: Vec<i64>, slots: usize) -> TxResult<Vec<i64>> {
        let now = self.now.as_millis();
        let running: i64 = roots::table
            .filter(roots::lease_token.is_not_null())
            .filter(roots::lease_until.gt(now))
            .filter(roots::lease_node.eq(self.node))
            .filter(roots::lease_account.is_null())
            .count()
            .get_result(conn)
            .await?;
        let room = to_column(slots as u64).saturating_sub(running).max(0);
        let mut due: Vec<(i64, i64)> = Vec::new();
        // One node at a time, so that the index has each one's in their order: there may be a million.
        for node in retired.into_iter().chain([self.node]) {
            let of_node = roots::table
                .filter(roots::node.eq(node))
                .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("state = 'releasing'"))
                .filter(roots::due.le(now))
                .filter(roots::lease_token.is_null().or(roots::lease_until.le(now)))
                .select((roots::due, roots::key));
            due.extend(of_node.order((roots::due, roots::key)).limit(room).load::<(i64, i64)>(conn).await?);
        }
        due.sort_unstable();
        due.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        Ok(due.into_iter().map(|(_, key)| key).collect())
    }

    /// A token for another lease.
    async fn token(&mut self, conn: &mut Conn) -> TxResult<LeaseToken> {
        if self.random.is_empty() {
            self.random = dialect::random_bytes(conn, RANDOM_AT_ONCE).await?;
        }
        let random = self.random.pop().and_then(|random| random.try_into().ok());
        let random = random.ok_or_else(|| TxError::corrupt("random bytes of another number than ten"))?;
        Ok(LeaseToken::new(self.now, random))
    }
}

/// The lease as the worker is told of it.
async fn describe(conn: &mut Conn, root: &Root, turn: Option<Turn>) -> TxResult<Lease> {
    let task = match turn {
        None => LeaseTask::Release,
        Some(_) => LeaseTask::Pin { origins: origins(conn, root.key).await?, previous: previous(conn, root).await? },
    };
    Ok(Lease {
        key: root.lease_key()?,
        task,
        account: turn.map(|turn| turn.id),
        attempt: root.record.attempts,
        wanted_since: root.record.wanted_since,
        until: root.record.lease.map_or(moment(0), |lease| lease.until),
    })
}

/// The youngest root on this root's node that its requests hold and that is pinned.
async fn previous(conn: &mut Conn, root: &Root) -> TxResult<Option<RootKey>> {
    let held = holds::table.filter(holds::awaited.eq(root.key)).select(holds::root);
    let held: Vec<i64> = held.load(conn).await?;
    if held.is_empty() {
        return Ok(None);
    }
    let rows = roots::table.filter(dialect::any_of("roots.key", &held)).select(RootRow::as_select());
    let rows: Vec<RootRow> = rows.load(conn).await?;
    let pinned = rows.into_iter().filter(|row| row.state.0 == RootState::Pinned && row.node == root.node);
    Ok(pinned.max_by_key(|row| row.key).map(|row| root_key(row.codec, &row.multihash)))
}

/// The origins of a root's requests in turns, those of the newest first.
async fn origins(conn: &mut Conn, root: i64) -> TxResult<Vec<Multiaddr>> {
    let naming = pin_requests::table.filter(pin_requests::root.eq(root)).filter(pin_requests::origins.is_not_null());
    let newest = naming.order((pin_requests::created.desc(), pin_requests::id.desc())).limit(ORIGINS_PAGE);
    let mut rows: Vec<NamesOrigins> = newest.select(NamesOrigins::as_select()).load(conn).await?;
    if i64::try_from(rows.len()).is_ok_and(|count| count >= ORIGINS_PAGE) {
        rows = newest_of_each_account(conn, root).await?;
    }
    let read = |row: NamesOrigins| Ok((row.account, addresses(&row.origins.unwrap_or_default())?));
    Ok(take_origins_in_turns(rows.into_iter().map(read).collect::<TxResult<Vec<_>>>()?))
}

/// Of the accounts that named origins of a root last, the newest requests that do.
async fn newest_of_each_account(conn: &mut Conn, root: i64) -> TxResult<Vec<NamesOrigins>> {
    let naming = pin_requests::table.filter(pin_requests::root.eq(root)).filter(pin_requests::origins.is_not_null());
    let last = naming.group_by(pin_requests::account).order(max(pin_requests::created).desc()).limit(ORIGINS_PAGE);
    let accounts: Vec<i64> = last.select(pin_requests::account).load(conn).await?;
    let most = i64::try_from(MAX_REQUESTS_WITH_ORIGINS).unwrap_or(i64::MAX);
    let mut rows = Vec::new();
    for account in accounts {
        let newest = naming.filter(pin_requests::account.eq(account)).order(pin_requests::created.desc()).limit(most);
        let further: Vec<NamesOrigins> = newest.select(NamesOrigins::as_select()).load(conn).await?;
        rows.extend(further);
    }
    rows.sort_by(|one, other| (other.created, &other.id).cmp(&(one.created, &one.id)));
    Ok(rows)
}

/// A request that names origins.
#[derive(Queryable, Selectable)]
#[diesel(table_name = pin_requests)]
struct NamesOrigins {
    account: i64,
    created: i64,
    id: Vec<u8>,
    origins: Option<String>,
}

/// The key of the root that a lease holds, which is locked.
pub(crate) fn held(unit: &UnitOfWork, lease: &LeaseKey) -> TxResult<Option<i64>> {
    let Some(key) = unit.key_of(&root_name(lease.root.clone())) else { return Ok(None) };
    Ok(unit.root(key)?.record.is_held_by(lease).then_some(key))
}

/// Make leases end at `until`; which of them still stand.
pub(crate) async fn renew(conn: &mut Conn, leases: &[LeaseKey], until: Timestamp) -> TxResult<Vec<bool>> {
    let roots = RootsToLock::named(leases.iter().map(|lease| &lease.root));
    let mut unit = UnitOfWork::lock(conn, roots, &[]).await?;
    let mut stand = Vec::with_capacity(leases.len());
    for lease in leases {
        let key = held(&unit, lease)?;
        stand.push(key.is_some());
        if let Some(key) = key {
            unit.change(key, |root| root.record.renew_lease(until))?;
        }
    }
    unit.flush(conn).await?;
    Ok(stand)
}

/// What a worker has to know of its leases.
pub(crate) async fn read_leases(conn: &mut Conn, leases: &[LeaseKey]) -> TxResult<Vec<LeaseNews>> {
    let mut news = Vec::with_capacity(leases.len());
    for lease in leases {
        let row = roots::table
            .filter(roots::codec.eq(to_column(lease.root.codec)))
            .filter(roots::multihash.eq(&lease.root.multihash));
        let row: Option<RootRow> = row.select(RootRow::as_select()).get_result(conn).await.optional()?;
        let root = row.map(Root::try_from).transpose()?;
        news.push(match root.filter(|root| root.record.is_held_by(lease)) {
            None => LeaseNews::Lost,
            Some(root) if is_over_quota(conn, root.key).await? => LeaseNews::OverQuota,
            Some(root) => LeaseNews::Wanted { origins: origins(conn, root.key).await? },
        });
    }
    Ok(news)
}

/// Whether of the accounts that want a root and are not blocked every one is over its bytes.
async fn is_over_quota(conn: &mut Conn, root: i64) -> TxResult<bool> {
    let open: Vec<AccountRow> = queue::table
        .inner_join(accounts::table.on(accounts::key.eq(queue::account)))
        .filter(queue::root.eq(root))
        .filter(queue::requests.gt(0))
        .filter(accounts::blocked.is_null())
        .select(AccountRow::as_select())
        .load(conn)
        .await?;
    Ok(!open.is_empty() && open.iter().all(|account| account.limits().bytes_spent(&account.usage())))
}

//! Leases: taken, renewed, read.

use diesel::dsl::max;
use diesel::prelude::*;
use pinrail_domain::{
    Lease, LeaseKey, LeaseNews, LeaseTask, LeaseToken, MAX_REQUESTS_WITH_ORIGINS, NodeId, RootState,
    take_origins_in_turns,
};
use pinrail_spec::{Multiaddr, RootKey, Timestamp};

use super::change::{Change, place};
use super::known::KnownRoots;
use super::nodes::Fleet;
use super::tally::Tally;
use super::turns::{Served, Turns};
use super::{Conn, RunQueryDsl, dialect};
use crate::columns::{addresses, id_bytes, moment, root_key, to_column};
use crate::error::{Failed, Step};
use crate::rows::{AccountRow, Root, SORTED, State};
use crate::schema::{accounts, holds, pin_requests, queue, root_holders, roots};

/// Leases that random bytes are asked for at once.
const RANDOM_AT_ONCE: i64 = 32;
/// Requests for one root whose origins are read at once, and accounts if there are more.
const ORIGINS_PAGE: i64 = 64;

/// Who takes leases, when, and until when.
struct Taker {
    node: i64,
    /// Whose roots it may take: its own, and those of nodes that are not live.
    nodes: Vec<i64>,
    now: i64,
    until: i64,
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
) -> Step<Vec<Lease>> {
    dialect::lock_leases(conn, node).await?;
    let fleet = Fleet::load(conn).await?;
    let Some(node) = fleet.in_service(node) else { return Ok(Vec::new()) };
    let mut nodes = fleet.abandoned(now);
    nodes.retain(|other| *other != node);
    nodes.push(node);
    let mut taker = Taker { node, nodes, now: now.as_millis(), until: until.as_millis(), random: Vec::new() };
    put_back_expired(conn, taker.now).await?;

    let mut tally = Tally::default();
    let mut leases = Vec::new();
    let mut turns = Turns::load(conn, node, taker.nodes.clone(), taker.now, slots).await?;
    while leases.len() < limit
        && let Some((root, account)) = turns.next(conn, limit).await?
    {
        let claimed = dialect::claim_root(conn, root).await.optional()?;
        if let Some(root) = claimed.filter(|root| taker.may_pin(root)) {
            leases.push(take(conn, root, Some(account), &mut taker, &mut tally).await?);
            turns.serve(conn).await?;
        }
    }
    for root in due_releases(conn, &taker, fleet.retired(), slots).await? {
        let claimed = dialect::claim_root(conn, root).await.optional()?;
        if let Some(root) = claimed.filter(|root| taker.may_release(root)) {
            leases.push(take(conn, root, None, &mut taker, &mut tally).await?);
        }
    }
    tally.flush(conn).await?;
    Ok(leases)
}

/// Put roots whose lease has expired back into the queues, from which a lease takes them. The lease's token stays,
/// since it can be renewed until another takes over.
async fn put_back_expired(conn: &mut Conn, now: i64) -> Step<()> {
    for mut root in dialect::claim_expired(conn, now).await? {
        root.work.end_lease();
        let (rank, due) = place(&root.work);
        let places = queue::table.filter(queue::root.eq(root.key)).filter(queue::requests.gt(0));
        let update = diesel::update(places).set((queue::rank.eq(rank), queue::due.eq(due)));
        dialect::write_later(conn, update).await?;
    }
    Ok(())
}

/// The releases that the node may take now: its own, and those of retired nodes, whose roots others may have too.
async fn due_releases(conn: &mut Conn, taker: &Taker, retired: Vec<i64>, slots: usize) -> Step<Vec<i64>> {
    let running: i64 = roots::table
        .filter(roots::lease_token.is_not_null())
        .filter(roots::lease_until.gt(taker.now))
        .filter(roots::lease_node.eq(taker.node))
        .filter(roots::lease_account.is_null())
        .count()
        .get_result(conn)
        .await?;
    let room = to_column(u64::try_from(slots).unwrap_or(u64::MAX)).saturating_sub(running).max(0);
    let mut due: Vec<(i64, i64)> = Vec::new();
    // One node at a time, so that the index has each one's in their order: there may be a million.
    for node in retired.into_iter().chain([taker.node]) {
        let of_node = roots::table
            .filter(roots::node.eq(node))
            .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("state = 'releasing'"))
            .filter(roots::due.le(taker.now))
            .filter(roots::lease_token.is_null().or(roots::lease_until.le(taker.now)))
            .select((roots::due, roots::key));
        due.extend(of_node.order((roots::due, roots::key)).limit(room).load::<(i64, i64)>(conn).await?);
    }
    due.sort_unstable();
    due.truncate(usize::try_from(room).unwrap_or(usize::MAX));
    Ok(due.into_iter().map(|(_, key)| key).collect())
}

impl Taker {
    /// Whether a root, as it is now that it is locked, may be leased to be pinned. A new request may have given it to
    /// another node since the queue was read.
    fn may_pin(&self, root: &Root) -> bool {
        root.work.is_unfinished()
            && root.work.requests > 0
            && self.is_free(root)
            && self.nodes.contains(&root.work.node)
    }

    fn may_release(&self, root: &Root) -> bool {
        root.work.state.0 == RootState::Releasing && self.is_free(root)
    }

    fn is_free(&self, root: &Root) -> bool {
        root.work.due <= self.now && !root.work.is_leased(self.now)
    }

    /// A token for another lease.
    async fn token(&mut self, conn: &mut Conn) -> Step<LeaseToken> {
        if self.random.is_empty() {
            self.random = dialect::random_bytes(conn, RANDOM_AT_ONCE).await?;
        }
        let random = self.random.pop().and_then(|random| random.try_into().ok());
        let random = random.ok_or_else(|| Failed::corrupt("random bytes of another number than ten"))?;
        Ok(LeaseToken::new(moment(self.now), random))
    }
}

async fn take(
    conn: &mut Conn,
    root: Root,
    account: Option<Served>,
    taker: &mut Taker,
    tally: &mut Tally,
) -> Step<Lease> {
    let token = taker.token(conn).await?;
    let mut change = Change::of(root);
    let work = change.work();
    work.node = taker.node;
    work.lease_token = Some(id_bytes(token.as_uuid()));
    work.lease_until = Some(taker.until);
    work.lease_node = Some(taker.node);
    work.lease_account = account.as_ref().map(|account| account.key);
    work.epoch += 1;
    work.attempts += 1;
    if account.is_some() {
        work.state = State(RootState::Pinning);
        work.retry = true;
        work.waiting = false;
        work.paused = false;
        let holder = (root_holders::root.eq(change.root.key), root_holders::node.eq(taker.node));
        let insert = diesel::insert_into(root_holders::table).values(holder).on_conflict_do_nothing();
        dialect::write_later(conn, insert).await?;
    }
    let root = change.finish(conn, tally).await?;
    describe(conn, &root, account).await
}

/// The lease as the worker is told of it.
async fn describe(conn: &mut Conn, root: &Root, account: Option<Served>) -> Step<Lease> {
    let (task, account) = match account {
        None => (LeaseTask::Release, None),
        Some(account) => {
            let previous = previous(conn, root).await?;
            let task = LeaseTask::Pin { origins: origins(conn, root.key).await?, previous };
            (task, Some(account.id))
        }
    };
    Ok(Lease {
        key: root.lease_key()?,
        task,
        account,
        attempt: u32::try_from(root.work.attempts).unwrap_or(u32::MAX),
        wanted_since: moment(root.work.wanted_since),
        until: moment(root.work.lease_until.unwrap_or_default()),
    })
}

/// The youngest root on this root's node that its requests hold and that is whole.
async fn previous(conn: &mut Conn, root: &Root) -> Step<Option<RootKey>> {
    let held = holds::table.inner_join(roots::table.on(roots::key.eq(holds::root)));
    let whole = held
        .filter(holds::awaited.eq(root.key))
        .filter(roots::node.eq(root.work.node))
        .filter(roots::state.eq(State(RootState::Pinned)));
    let youngest: Option<(i64, Vec<u8>)> = whole
        .order((roots::key + SORTED).desc())
        .select((roots::codec, roots::multihash))
        .first(conn)
        .await
        .optional()?;
    Ok(youngest.map(|(codec, multihash)| root_key(codec, &multihash)))
}

/// The origins of a root's requests in turns, those of the newest first.
async fn origins(conn: &mut Conn, root: i64) -> Step<Vec<Multiaddr>> {
    let naming = pin_requests::table.filter(pin_requests::root.eq(root)).filter(pin_requests::origins.is_not_null());
    let newest = naming.order((pin_requests::created.desc(), pin_requests::id.desc())).limit(ORIGINS_PAGE);
    let mut rows: Vec<NamesOrigins> = newest.select(NamesOrigins::as_select()).load(conn).await?;
    if i64::try_from(rows.len()).is_ok_and(|count| count >= ORIGINS_PAGE) {
        rows = newest_of_each_account(conn, root).await?;
    }
    let read = |row: NamesOrigins| Ok((row.account, addresses(&row.origins.unwrap_or_default())?));
    Ok(take_origins_in_turns(rows.into_iter().map(read).collect::<Step<Vec<_>>>()?))
}

/// Of the accounts that named origins of a root last, the newest requests that do.
async fn newest_of_each_account(conn: &mut Conn, root: i64) -> Step<Vec<NamesOrigins>> {
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

/// The root that a lease holds, locked.
pub(super) async fn held(conn: &mut Conn, lease: &LeaseKey, known: &mut KnownRoots) -> Step<Option<Root>> {
    Ok(known.take(conn, &lease.root).await?.filter(|root| root.is_held_by(lease)))
}

/// Make leases end at `until`; which of them still stand.
pub(crate) async fn renew(conn: &mut Conn, leases: &[LeaseKey], until: Timestamp) -> Step<Vec<bool>> {
    let mut known = KnownRoots::lock(conn, leases.iter().map(|lease| &lease.root)).await?;
    let mut stand = Vec::with_capacity(leases.len());
    for lease in leases {
        let root = held(conn, lease, &mut known).await?;
        stand.push(root.is_some());
        let Some(root) = root else { continue };
        let renewed = diesel::update(roots::table.find(root.key)).set(roots::lease_until.eq(until.as_millis()));
        dialect::write_later(conn, renewed).await?;
        let places = queue::table.filter(queue::root.eq(root.key)).filter(queue::due.is_not_null());
        dialect::write_later(conn, diesel::update(places).set(queue::due.eq(None::<i64>))).await?;
    }
    Ok(stand)
}

/// What a worker has to know of its leases.
pub(crate) async fn read_leases(conn: &mut Conn, leases: &[LeaseKey]) -> Step<Vec<LeaseNews>> {
    let mut news = Vec::with_capacity(leases.len());
    for lease in leases {
        let row = roots::table
            .filter(roots::codec.eq(to_column(lease.root.codec)))
            .filter(roots::multihash.eq(&lease.root.multihash));
        let root: Option<Root> = row.select(Root::as_select()).get_result(conn).await.optional()?;
        news.push(match root.filter(|root| root.is_held_by(lease)) {
            None => LeaseNews::Lost,
            Some(root) if is_over_quota(conn, root.key).await? => LeaseNews::OverQuota,
            Some(root) => LeaseNews::Wanted { origins: origins(conn, root.key).await? },
        });
    }
    Ok(news)
}

/// Whether of the accounts that want a root and are not blocked every one is over its bytes.
async fn is_over_quota(conn: &mut Conn, root: i64) -> Step<bool> {
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

//! Rows as they are loaded and saved, and what they say in the domain's words.

use std::collections::BTreeMap;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use pinrail_domain::{
    Access, Account, AccountId, DagSize, LeaseKey, LeaseToken, Limits, Node, NodeId, Progress, RootState, RootView,
    Usage,
};
use pinrail_spec::{Cid, Pin, RootKey};

use crate::columns::{addresses, backend, counted, from_column, id, id_bytes, json, moment, role, root_key};
use crate::error::{Failed, Step};
use crate::schema::{accounts, nodes, pin_requests, roots};

/// A root's state as a column holds it: its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub(crate) struct State(pub(crate) RootState);

impl<DB: Backend> FromSql<Text, DB> for State
where
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let word = String::from_sql(bytes)?;
        word.parse().map(Self).map_err(|()| format!("the state of a root is {word:?}").into())
    }
}

impl<DB: Backend> ToSql<Text, DB> for State
where
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.as_str().to_sql(out)
    }
}

/// An account's row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = accounts)]
pub(crate) struct AccountRow {
    pub(crate) key: i64,
    pub(crate) id: Vec<u8>,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) role: String,
    pub(crate) blocked: Option<String>,
    pub(crate) access_since: Option<i64>,
    pub(crate) access_by: Option<String>,
    pub(crate) access_until: Option<i64>,
    pub(crate) limit_requests: Option<i64>,
    pub(crate) limit_queued_roots: Option<i64>,
    pub(crate) limit_bytes: Option<i64>,
    pub(crate) used_requests: i64,
    pub(crate) used_queued_roots: i64,
    pub(crate) used_bytes: i64,
    pub(crate) last_created: i64,
    pub(crate) next_ordinal: i64,
    pub(crate) created: i64,
    pub(crate) access_withdrawn: Option<i64>,
}

impl AccountRow {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            requests: self.limit_requests.map(from_column),
            queued_roots: self.limit_queued_roots.map(from_column),
            bytes: self.limit_bytes.map(from_column),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            requests: from_column(self.used_requests),
            queued_roots: from_column(self.used_queued_roots),
            bytes: from_column(self.used_bytes),
        }
    }

    pub(crate) fn access(&self) -> Option<Access> {
        access(self.access_since, self.access_by.clone(), self.access_until)
    }

    pub(crate) fn account(&self) -> Step<Account> {
        Ok(Account {
            id: AccountId::from_uuid(id(&self.id)?),
            name: self.name.clone(),
            email: self.email.clone(),
            role: role(&self.role)?,
            blocked: self.blocked.clone(),
            access: self.access(),
            access_withdrawn: self.access_withdrawn.map(moment),
            limits: self.limits(),
            usage: self.usage(),
            created: moment(self.created),
        })
    }
}

/// A grant of access, from an account's three columns.
pub(crate) fn access(since: Option<i64>, by: Option<String>, until: Option<i64>) -> Option<Access> {
    Some(Access { since: moment(since?), by: by.unwrap_or_default(), until: until.map(moment) })
}

/// A node's row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = nodes)]
pub(crate) struct NodeRow {
    pub(crate) key: i64,
    pub(crate) id: Vec<u8>,
    pub(crate) backend: String,
    pub(crate) peer_id: String,
    pub(crate) addresses: String,
    pub(crate) heartbeat: i64,
    pub(crate) load: i64,
    pub(crate) retired: bool,
}

impl NodeRow {
    /// The node without its addresses, which are dear to read and which only answers need.
    pub(crate) fn standing(&self) -> Step<Node> {
        Ok(Node {
            id: NodeId::from_uuid(id(&self.id)?),
            backend: backend(&self.backend)?,
            peer_id: self.peer_id.clone(),
            addresses: Vec::new(),
            heartbeat: moment(self.heartbeat),
            load: from_column(self.load),
            retired: self.retired,
        })
    }

    pub(crate) fn node(&self) -> Step<Node> {
        Ok(Node { addresses: addresses(&self.addresses)?, ..self.standing()? })
    }
}

/// A root's row: what it is, and how it stands.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = roots)]
pub(crate) struct Root {
    pub(crate) key: i64,
    pub(crate) codec: i64,
    pub(crate) multihash: Vec<u8>,
    #[diesel(embed)]
    pub(crate) work: Work,
}

/// The row of a root that nobody wanted before.
#[derive(Debug)]
pub(crate) struct NewRoot {
    pub(crate) codec: i64,
    pub(crate) multihash: Vec<u8>,
    pub(crate) work: Work,
    /// Its epoch is greater than this one.
    pub(crate) epoch_before: i64,
}

impl NewRoot {
    /// What names the root.
    pub(crate) fn name(&self) -> (i64, &[u8]) {
        (self.codec, &self.multihash)
    }
}

/// What is added to a key to sort rows by it once they are found: to go through a whole index because that has the
/// order looks cheap to a planner that takes the table for nearly empty, and its plan stays when the table has grown.
pub(crate) const SORTED: i64 = 0;

/// How a root stands: what changes of its row.
#[derive(Debug, Clone, Queryable, Selectable, AsChangeset, Insertable)]
#[diesel(table_name = roots, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(crate) struct Work {
    pub(crate) node: i64,
    pub(crate) state: State,
    pub(crate) requests: i64,
    pub(crate) refs: i64,
    #[diesel(skip_insertion)]
    pub(crate) epoch: i64,
    pub(crate) due: i64,
    pub(crate) wanted_since: i64,
    pub(crate) attempts: i64,
    pub(crate) retry: bool,
    pub(crate) lease_token: Option<Vec<u8>>,
    pub(crate) lease_until: Option<i64>,
    pub(crate) lease_node: Option<i64>,
    pub(crate) lease_account: Option<i64>,
    pub(crate) waiting: bool,
    pub(crate) paused: bool,
    pub(crate) dag_blocks: Option<i64>,
    pub(crate) dag_bytes: Option<i64>,
    pub(crate) failure: Option<String>,
    pub(crate) copied_account: Option<i64>,
    pub(crate) copied_created: Option<i64>,
}

impl Work {
    /// A row that nothing wants yet.
    pub(crate) const fn new(node: i64, now: i64) -> Self {
        Self {
            node,
            state: State(RootState::Queued),
            requests: 0,
            refs: 0,
            epoch: 0,
            due: now,
            wanted_since: now,
            attempts: 0,
            retry: false,
            lease_token: None,
            lease_until: None,
            lease_node: None,
            lease_account: None,
            waiting: false,
            paused: false,
            dag_blocks: None,
            dag_bytes: None,
            failure: None,
            copied_account: None,
            copied_created: None,
        }
    }

    /// Whether it is still to be fetched.
    pub(crate) const fn is_unfinished(&self) -> bool {
        is_unfinished(self.state.0)
    }

    /// Whether an unexpired lease holds it.
    pub(crate) fn is_leased(&self, now: i64) -> bool {
        self.lease_token.is_some() && self.lease_until.is_some_and(|until| until > now)
    }

    /// End its lease, whoever has it.
    pub(crate) fn end_lease(&mut self) {
        self.lease_token = None;
        self.lease_until = None;
        self.lease_node = None;
        self.lease_account = None;
    }

    /// Begin to carry its state to all of its requests.
    pub(crate) const fn begin_copy(&mut self) {
        self.copied_account = Some(i64::MIN);
        self.copied_created = Some(i64::MIN);
    }

    /// Enter a state that begins a new life: whoever worked on the old one has lost it.
    pub(crate) fn begin_anew(&mut self, state: RootState, now: i64) {
        self.end_lease();
        self.state = State(state);
        self.epoch += 1;
        self.due = now;
        self.attempts = 0;
        self.retry = false;
        self.waiting = false;
        self.paused = false;
        self.dag_blocks = None;
        self.dag_bytes = None;
        self.failure = None;
    }

    /// Let go of the lease until `due`.
    pub(crate) fn put_off(&mut self, due: i64) {
        self.end_lease();
        self.due = due;
    }

    /// The bytes that it counts for in its accounts, with what was received of it.
    pub(crate) fn counted(&self, received: (i64, i64)) -> i64 {
        match self.state.0 {
            RootState::Pinned => counted(self.dag_blocks.unwrap_or(0), self.dag_bytes.unwrap_or(0)),
            RootState::Queued | RootState::Pinning => counted(received.0, received.1),
            RootState::Failed | RootState::Releasing => 0,
        }
    }

    /// Be whole, with a DAG of this size.
    pub(crate) fn be_pinned(&mut self, blocks: i64, bytes: i64) {
        self.end_lease();
        self.state = State(RootState::Pinned);
        self.failure = None;
        self.dag_blocks = Some(blocks);
        self.dag_bytes = Some(bytes);
    }
}

/// Whether a root in this state is still to be fetched.
pub(crate) const fn is_unfinished(state: RootState) -> bool {
    matches!(state, RootState::Queued | RootState::Pinning)
}

impl Root {
    pub(crate) fn root_key(&self) -> RootKey {
        root_key(self.codec, &self.multihash)
    }

    /// Whether `lease` holds it, expired or not.
    pub(crate) fn is_held_by(&self, lease: &LeaseKey) -> bool {
        let token = id_bytes(lease.token.as_uuid());
        self.work.lease_token.as_ref() == Some(&token) && from_column(self.work.epoch) == lease.epoch
    }

    /// What proves the lease that it has.
    pub(crate) fn lease_key(&self) -> Step<LeaseKey> {
        let token = self.work.lease_token.as_deref().unwrap_or_default();
        Ok(LeaseKey {
            root: self.root_key(),
            token: LeaseToken::from_uuid(id(token)?),
            epoch: from_column(self.work.epoch),
        })
    }

    /// What a reader of a request is told of it.
    pub(crate) fn view(&self, progress: Progress, node_silent: bool, now: i64) -> Step<RootView> {
        let work = &self.work;
        let idle = work.state.0 == RootState::Pinning && !work.is_leased(now);
        Ok(RootView {
            state: work.state.0,
            attempts: u32::try_from(work.attempts).unwrap_or(u32::MAX),
            progress,
            size: work
                .dag_blocks
                .zip(work.dag_bytes)
                .map(|(blocks, bytes)| DagSize { blocks: from_column(blocks), bytes: from_column(bytes) }),
            failure: work.failure.as_deref().map(|text| json("failure", text)).transpose()?,
            due: idle.then(|| moment(work.due)),
            waiting: work.waiting,
            node_silent,
            paused: work.paused,
        })
    }
}

/// A pin request's row.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = pin_requests, treat_none_as_default_value = false)]
pub(crate) struct RequestRow {
    pub(crate) account: i64,
    pub(crate) created: i64,
    pub(crate) id: Vec<u8>,
    pub(crate) ordinal: i64,
    pub(crate) cid: String,
    pub(crate) root: i64,
    pub(crate) name: Option<String>,
    pub(crate) folded_name: Option<String>,
    pub(crate) origins: Option<String>,
    pub(crate) meta: Option<String>,
    pub(crate) token: Vec<u8>,
    pub(crate) status: State,
}

/// What an owner wants to find a request again with, from its column.
pub(crate) fn meta_of(column: Option<&str>) -> Step<BTreeMap<String, String>> {
    Ok(column.map(|text| json("meta", text)).transpose()?.unwrap_or_default())
}

impl RequestRow {
    /// The bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        [&self.name, &self.origins, &self.meta].into_iter().flatten().map(String::len).sum()
    }

    /// The bytes that it counts for in its account: as [`pinrail_domain::carried_bytes`] of its pin.
    pub(crate) fn carried_bytes(&self) -> i64 {
        i64::try_from(self.bytes()).unwrap_or(i64::MAX)
    }

    /// What its owner wants to find again with it.
    pub(crate) fn meta(&self) -> Step<BTreeMap<String, String>> {
        meta_of(self.meta.as_deref())
    }

    /// What was asked for.
    pub(crate) fn pin(&self) -> Step<Pin> {
        let cid = Cid::parse(&self.cid).map_err(|error| Failed::corrupt(format!("CID {:?}: {error}", self.cid)))?;
        let origins = self.origins.as_deref().map(addresses).transpose()?.unwrap_or_default();
        Ok(Pin { cid, name: self.name.clone(), origins, meta: self.meta()? })
    }
}

//! The rows of the tables, each described once: for the queries, and for backups and copies, which move every column.

mod account;
mod claims;
mod node;
mod pin_request;
mod root;
mod state;
mod token;

use diesel::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::schema::{
    access_tokens, accounts, audit_log, holds, nodes, pin_counts, pin_meta, pin_requests, queue, queue_accounts,
    root_holders, root_progress, roots, service, signing_keys,
};
use crate::transfer::TransferError;
use crate::{postgres, sqlite};

pub(crate) use account::access;
pub(crate) use pin_request::meta_of;
pub(crate) use root::{Root, RootName, root_name};
pub(crate) use state::State;
pub(crate) use token::key_number;

/// A table's row.
pub(crate) trait Row: Serialize + DeserializeOwned + Stored<sqlite::Conn> + Stored<postgres::Conn> {
    /// The table's name.
    const TABLE: &'static str;
    /// Its columns.
    const COLUMNS: &'static [&'static str];
}

/// A row that a connection can read and write.
pub(crate) trait Stored<Conn>: Sized {
    /// The rows after `after` in the order of the table's key, the first ones without it; at most a page.
    async fn page(conn: &mut Conn, after: Option<&Self>) -> QueryResult<Vec<Self>>;

    /// Add rows as they are.
    async fn insert(conn: &mut Conn, rows: &[Self]) -> QueryResult<()>;

    /// How many there are.
    async fn count(conn: &mut Conn) -> QueryResult<i64>;
}

/// Something that is done with one table after another.
pub(crate) trait EachTable {
    /// Do it with the table of `R`.
    async fn table<R: Row>(&mut self) -> Result<(), TransferError>;
}

/// The rows of the tables, which stand in such an order that none refers to a later one.
///
/// **Invariant:** each has all columns of its table in their order, or it could not be read: a row is loaded from the
/// table without a list of columns.
macro_rules! tables {
    ($($(#[$more:meta])* $row:ident of $table:ident { $($(#[$how:meta])* $column:ident: $type:ty,)* })*) => {
        $(
            #[derive(Debug, Clone, Queryable, Selectable, Insertable, Serialize, Deserialize)]
            #[diesel(table_name = $table, treat_none_as_default_value = false)]
            $(#[$more])*
            #[serde(deny_unknown_fields)]
            pub(crate) struct $row {
                $($(#[$how])* pub(crate) $column: $type,)*
            }

            impl Row for $row {
                const TABLE: &'static str = stringify!($table);
                const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),*];
            }
        )*

        /// Do something with every table.
        pub(crate) async fn each_table(what: &mut impl EachTable) -> Result<(), TransferError> {
            $(what.table::<$row>().await?;)*
            Ok(())
        }
    };
}

tables! {
    ServiceRow of service {
        key: i64,
        #[serde(with = "hex")]
        id: Vec<u8>,
        clock: i64,
        needs: String,
        released_epoch: i64,
    }
    NodeRow of nodes {
        key: i64,
        #[serde(with = "hex")]
        id: Vec<u8>,
        backend: String,
        peer_id: String,
        addresses: String,
        heartbeat: i64,
        load: i64,
        retired: bool,
    }
    AccountRow of accounts {
        key: i64,
        #[serde(with = "hex")]
        id: Vec<u8>,
        name: String,
        email: Option<String>,
        role: String,
        blocked: Option<String>,
        access_since: Option<i64>,
        access_by: Option<String>,
        access_until: Option<i64>,
        limit_requests: Option<i64>,
        limit_queued_roots: Option<i64>,
        limit_bytes: Option<i64>,
        used_requests: i64,
        used_queued_roots: i64,
        used_bytes: i64,
        last_created: i64,
        next_ordinal: i64,
        created: i64,
        access_withdrawn: Option<i64>,
    }
    AuditRow of audit_log {
        key: i64,
        at: i64,
        actor: String,
        action: String,
        account: Option<i64>,
        details: String,
        subject: String,
    }
    KeyRow of signing_keys {
        id: i64,
        #[serde(with = "hex")]
        public_key: Vec<u8>,
        state: String,
        created: i64,
    }
    TokenRow of access_tokens {
        #[serde(with = "hex")]
        id: Vec<u8>,
        account: i64,
        name: String,
        scopes: String,
        expires: Option<i64>,
        created: i64,
        key_id: i64,
        #[serde(with = "hex")]
        revocation_id: Vec<u8>,
        last_used: Option<i64>,
        revoked: Option<i64>,
        revoked_blocks: Option<String>,
    }
    #[derive(AsChangeset)]
    #[diesel(primary_key(key, codec, multihash), treat_none_as_null = true)]
    RootRow of roots {
        key: i64,
        codec: i64,
        #[serde(with = "hex")]
        multihash: Vec<u8>,
        node: i64,
        state: State,
        requests: i64,
        refs: i64,
        epoch: i64,
        due: i64,
        wanted_since: i64,
        attempts: i64,
        retry: bool,
        #[serde(with = "optional_hex")]
        lease_token: Option<Vec<u8>>,
        lease_until: Option<i64>,
        lease_node: Option<i64>,
        lease_account: Option<i64>,
        waiting: bool,
        paused: bool,
        dag_blocks: Option<i64>,
        dag_bytes: Option<i64>,
        failure: Option<String>,
        copied_account: Option<i64>,
        copied_created: Option<i64>,
    }
    ProgressRow of root_progress {
        root: i64,
        blocks: i64,
        bytes: i64,
    }
    HolderRow of root_holders {
        root: i64,
        node: i64,
    }
    PinRequestRow of pin_requests {
        account: i64,
        created: i64,
        #[serde(with = "hex")]
        id: Vec<u8>,
        ordinal: i64,
        cid: String,
        root: i64,
        name: Option<String>,
        folded_name: Option<String>,
        origins: Option<String>,
        meta: Option<String>,
        #[serde(with = "hex")]
        token: Vec<u8>,
        status: State,
    }
    MetaRow of pin_meta {
        account: i64,
        key: String,
        value: String,
        created: i64,
    }
    CountRow of pin_counts {
        account: i64,
        level: i16,
        bucket: i64,
        status: String,
        n: i64,
        since: i64,
    }
    HoldRow of holds {
        #[serde(with = "hex")]
        owner: Vec<u8>,
        root: i64,
        account: i64,
        awaited: i64,
        ends: Option<i64>,
    }
    QueueRow of queue {
        root: i64,
        account: i64,
        requests: i64,
        holds: i64,
        node: i64,
        rank: i16,
        due: Option<i64>,
    }
    ServedRow of queue_accounts {
        account: i64,
        node: i64,
        last_served: i64,
    }
}

/// Bytes that may be absent, as text of hexadecimal digits.
mod optional_hex {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Hex(#[serde(with = "hex")] Vec<u8>);

    #[expect(clippy::ref_option, reason = "serde hands it over so")]
    pub fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        bytes.clone().map(Hex).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<Hex>::deserialize(from)?.map(|Hex(bytes)| bytes))
    }
}

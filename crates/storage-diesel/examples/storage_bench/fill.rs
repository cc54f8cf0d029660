//! Fills accounts with pins at once, as if they had been added one after another and settled since.

use anyhow::{Result, ensure};
use pinrail_storage_diesel::Database;

use crate::place::Sql;
use crate::scene::{PEER, system_time};

/// Pins in one transaction.
const AT_ONCE: u64 = 100_000;
/// From so many pins on, indices are dropped first and made again at the end where the database can.
const LARGE: u64 = 200_000;

/// What an account is filled with.
#[derive(Debug, Clone, Copy)]
pub struct Fill {
    pub pins: u64,
    /// Whether every other one is pinned; otherwise all are queued.
    pub pinned: bool,
    /// Whether each has two pairs of meta: `app`, with one of four values, and `album`, which 500 in a row share.
    pub meta: bool,
}

/// Give an account, which has to be empty, pins on all nodes in turn.
pub async fn account(database: &Database, name: &str, fill: Fill) -> Result<()> {
    let mut sql = Sql::to(database).await?;
    let of_account = |column: &str| {
        format!("SELECT CAST({column} AS TEXT) AS answer FROM accounts WHERE name = '{}'", name.replace('\'', "''"))
    };
    let used = sql.number(&of_account("next_ordinal")).await?;
    ensure!(used == 0, "the account {name} has had pins, wanted an empty one");
    let account = sql.number(&of_account("key")).await?;
    Filling::begin(database, &mut sql, fill, account, fill.pins).await?.run(&mut sql).await
}

/// Make accounts that are called `crowd 0`, `crowd 1` and so on, and give each so many pins.
pub async fn crowd(database: &Database, accounts: u64, fill: Fill) -> Result<()> {
    let mut sql = Sql::to(database).await?;
    let first = sql.number("SELECT CAST(COALESCE(MAX(key), 0) + 1 AS TEXT) AS answer FROM accounts").await?;
    let words = Words::of(database);
    let numbers = words.numbers(0, accounts);
    let id = words.id(&format!("{first} + n"), "n", "n");
    sql.run(&format!(
        "INSERT INTO accounts (key, id, name, role, used_requests, used_queued_roots, used_bytes, last_created,
            next_ordinal, created)
         SELECT {first} + n, {id}, 'crowd ' || n, 'pinner', 0, 0, 0, 0, 0, 1 FROM ({numbers}) AS numbers;
         {}",
        words.follow("accounts")
    ))
    .await?;
    let all = Fill { pins: accounts * fill.pins, ..fill };
    Filling::begin(database, &mut sql, all, first, fill.pins).await?.run(&mut sql).await
}

/// What the requests of an account carry, all of it in ASCII.
const CARRIED: &str =
    " + COALESCE((SELECT CAST(SUM(LENGTH(name) + LENGTH(origins) + COALESCE(LENGTH(meta), 0)) AS BIGINT)
    FROM pin_requests WHERE account = accounts.key), 0)";

/// A fill under way: consecutive accounts from `account` on get `each` pins.
struct Filling {
    words: Words,
    fill: Fill,
    account: i64,
    each: u64,
    /// The key of the first root.
    root: i64,
    /// When the first pin of each account was created.
    created: i64,
}

impl Filling {
    async fn begin(database: &Database, sql: &mut Sql, fill: Fill, account: i64, each: u64) -> Result<Self> {
        let root = sql.number("SELECT CAST(COALESCE(MAX(key), 0) + 1 AS TEXT) AS answer FROM roots").await?;
        let created = system_time().as_millis() - i64::try_from(each)?;
        Ok(Self { words: Words::of(database), fill, account, each, root, created })
    }

    async fn run(&self, sql: &mut Sql) -> Result<()> {
        sql.run(self.words.setup()).await?;
        let indices = if self.fill.pins >= LARGE { self.words.take_indices(sql).await? } else { Vec::new() };
        for first in (0..self.fill.pins).step_by(usize::try_from(AT_ONCE)?) {
            let end = self.fill.pins.min(first + AT_ONCE);
            sql.run(&format!("BEGIN; {}; COMMIT", self.rows(first, end))).await?;
        }
        sql.run(&format!("BEGIN; {}; COMMIT", self.counters())).await?;
        for index in indices {
            sql.run(&index).await?;
        }
        sql.run(&format!("{}; {}", self.words.follow("roots"), self.words.teardown())).await
    }

    /// The rows of the pins from `first` up to and without `end`.
    fn rows(&self, first: u64, end: u64) -> String {
        let Self { words, account, each, root, created, .. } = self;
        let numbers = words.numbers(first, end);
        let is_pinned = if self.fill.pinned { "n % 2 = 1" } else { "FALSE" };
        let id = words.id("created", "account", "root");
        let (digest, hex, token) = (words.digest(), words.hex("multihash"), words.token());
        let meta = if self.fill.meta { "'{\"album\":\"' || album || '\",\"app\":\"' || app || '\"}'" } else { "NULL" };
        let pairs = if self.fill.meta {
            "INSERT INTO pin_meta (account, key, value, created) SELECT account, 'app', app, created FROM filling;
             INSERT INTO pin_meta (account, key, value, created) SELECT account, 'album', album, created FROM filling;"
        } else {
            ""
        };
        // A root is pinned as a worker leaves it: leased once, with nothing due.
        format!(
            "DROP TABLE IF EXISTS filling;
             CREATE TEMPORARY TABLE filling AS
             SELECT n, {account} + n / {each} AS account, n % {each} AS ordinal, {created} + n % {each} AS created,
                {root} + n AS root, {digest} AS multihash, fleet.key AS node, {is_pinned} AS is_pinned,
                'app-' || (n % 4) AS app, 'album-' || (n / 500) AS album
             FROM ({numbers}) AS numbers JOIN (
                SELECT key, ROW_NUMBER() OVER (ORDER BY key) - 1 AS place, COUNT(*) OVER () AS many
                FROM nodes WHERE NOT retired
             ) AS fleet ON n / 2 % many = place;
             INSERT INTO roots (key, codec, multihash, node, state, requests, refs, epoch, due, wanted_since, attempts,
                retry, waiting, paused, dag_blocks, dag_bytes)
             SELECT root, 85, multihash, node, CASE WHEN is_pinned THEN 'pinned' ELSE 'queued' END, 1, 1,
                created * 65536 + 1, created, created, CASE WHEN is_pinned THEN 1 ELSE 0 END, is_pinned, FALSE, FALSE,
                CASE WHEN is_pinned THEN 3 END, CASE WHEN is_pinned THEN 100000 END FROM filling;
             INSERT INTO root_holders (root, node) SELECT root, node FROM filling WHERE is_pinned;
             INSERT INTO pin_requests (account, created, id, ordinal, cid, root, name, folded_name, origins, meta,
                token, status)
             SELECT account, created, {id}, ordinal, 'f0155' || {hex}, root, 'Photo ' || n || '.jpg',
                'photo ' || n || '.jpg', '[\"/ip4/203.0.113.7/tcp/4001{PEER}\",\"/ip4/203.0.113.7/udp/4001/quic-v1{PEER}\"]',
                {meta}, {token}, CASE WHEN is_pinned THEN 'pinned' ELSE 'queued' END FROM filling;
             {pairs}
             INSERT INTO queue (root, account, requests, holds, node, rank, due)
             SELECT root, account, 1, 0, node, CASE WHEN is_pinned THEN 2 ELSE 0 END,
                CASE WHEN is_pinned THEN NULL ELSE created END FROM filling"
        )
    }

    /// The counters of everything above.
    fn counters(&self) -> String {
        let Self { account, each, created, fill, root, .. } = self;
        let end = *account + i64::try_from(fill.pins / each).unwrap_or(i64::MAX);
        let accounts = format!("account >= {account} AND account < {end}");
        let of = |what: &str| {
            format!("COALESCE((SELECT {what} FROM pin_counts WHERE account = accounts.key AND level = 1), 0)")
        };
        format!(
            "INSERT INTO pin_counts (account, level, bucket, status, n, since)
             SELECT account, 0, ordinal >> 10, status, COUNT(*), MIN(created) FROM pin_requests WHERE {accounts}
             GROUP BY account, ordinal >> 10, status;
             INSERT INTO pin_counts (account, level, bucket, status, n, since)
             SELECT account, 1, bucket >> 10, status, SUM(n), MIN(since) FROM pin_counts WHERE {accounts}
             GROUP BY account, bucket >> 10, status;
             UPDATE accounts SET used_requests = {each}, used_queued_roots = {}, used_bytes = {},
                last_created = {created} + {each} - 1, next_ordinal = {each} WHERE key >= {account} AND key < {end};
             UPDATE nodes SET load = load + (SELECT COUNT(*) FROM roots
                WHERE roots.node = nodes.key AND roots.key >= {root} AND state = 'queued')",
            of("SUM(CASE WHEN status = 'queued' THEN n END)"),
            of("SUM(CASE WHEN status = 'pinned' THEN n * (100000 + 3 * 1024) END)") + CARRIED,
        )
    }
}

/// What the databases say differently.
#[derive(Clone, Copy)]
enum Words {
    Sqlite,
    Postgres,
}

impl Words {
    const fn of(database: &Database) -> Self {
        match database {
            Database::Sqlite(_) => Self::Sqlite,
            Database::Postgres(_) => Self::Postgres,
        }
    }

    /// It is a benchmark's database: what a power cut leaves of it is of no use anyway.
    const fn setup(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "PRAGMA busy_timeout = 30000; PRAGMA synchronous = OFF; PRAGMA cache_size = -1048576;
                 PRAGMA temp_store = MEMORY"
            }
            Self::Postgres => "SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; SET work_mem = '64MB'",
        }
    }

    /// Leave the database as it is after a while of normal use.
    const fn teardown(self) -> &'static str {
        match self {
            Self::Sqlite => "DROP TABLE IF EXISTS filling; PRAGMA wal_checkpoint(TRUNCATE)",
            // Its own upkeep does so within a minute.
            Self::Postgres => "DROP TABLE IF EXISTS filling; ANALYZE",
        }
    }

    fn numbers(self, first: u64, end: u64) -> String {
        match self {
            Self::Sqlite => format!(
                "WITH RECURSIVE counted (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < {end})
                 SELECT n FROM counted"
            ),
            Self::Postgres => format!("SELECT n FROM generate_series({first}::bigint, {end} - 1) AS n"),
        }
    }

    /// A multihash that nothing has.
    const fn digest(self) -> &'static str {
        match self {
            Self::Sqlite => "unhex('1220' || hex(randomblob(32)))",
            Self::Postgres => "'\\x1220'::bytea || sha256(convert_to(n || ' ' || random(), 'UTF8'))",
        }
    }

    fn hex(self, bytes: &str) -> String {
        match self {
            Self::Sqlite => format!("lower(hex({bytes}))"),
            Self::Postgres => format!("encode({bytes}, 'hex')"),
        }
    }

    /// The bytes of a UUIDv7 with a time and two numbers.
    fn id(self, millis: &str, one: &str, other: &str) -> String {
        match self {
            Self::Sqlite => {
                format!("unhex(printf('%012x7%03x8000%012x', {millis}, ({one}) & 4095, {other}))")
            }
            Self::Postgres => format!(
                "decode(lpad(to_hex({millis}), 12, '0') || '7' || lpad(to_hex(({one}) & 4095), 3, '0') || '8000'
                    || lpad(to_hex({other}), 12, '0'), 'hex')"
            ),
        }
    }

    const fn token(self) -> &'static str {
        match self {
            Self::Sqlite => "zeroblob(16)",
            Self::Postgres => "decode(repeat('00', 16), 'hex')",
        }
    }

    /// Have the next key that a table gives come after those that were written.
    fn follow(self, table: &str) -> String {
        match self {
            Self::Sqlite => String::new(),
            Self::Postgres => {
                format!("SELECT setval(pg_get_serial_sequence('{table}', 'key'), (SELECT MAX(key) FROM {table}))")
            }
        }
    }

    /// Drop the indices of the large tables that hold nothing together, and give what makes them again.
    async fn take_indices(self, sql: &mut Sql) -> Result<Vec<String>> {
        let Self::Postgres = self else { return Ok(Vec::new()) };
        let of = |what: &str| {
            format!(
                "SELECT {what} AS answer FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                 WHERE indrelid IN ('roots'::regclass, 'pin_requests'::regclass, 'queue'::regclass)
                 AND NOT indisunique ORDER BY indexrelid"
            )
        };
        let mut again = sql.ask(&of("pg_get_indexdef(indexrelid)")).await?;
        for name in sql.ask(&of("relname")).await? {
            sql.run(&format!("DROP INDEX {name}")).await?;
        }
        again.push("VACUUM ANALYZE".to_owned());
        Ok(again)
    }
}

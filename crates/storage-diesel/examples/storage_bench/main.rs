//! Measures the storage on SQLite and prints the figures as JSON, each beside its yardstick.
//!
//! `storage_bench [--folder DIR] [--requests N] [--pins N]`: `--requests` are added for each rate (20,000), `--pins`
//! is how many the large account has (100,000; with 0 nothing is read).
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its arguments")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod bare;
#[path = "../../src/sqlite/gathering.rs"]
mod gathering;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pinrail_domain::{AccountId, Backend, DagSize, Limits, NewPinRequest, NodeId, RequestId, Role, TokenId, Verdict};
use pinrail_spec::{Cid, Multiaddr, Pin, PinFilter, Status, Timestamp};
use pinrail_storage::{
    Accounts, NewAccount, NodeRegistration, Nodes, PinRequests, RootQueue, Settlement, StorageError,
};
use pinrail_storage_diesel::{SqliteOptions, SqliteStorage, migrate};
use serde_json::{Value, json};

use bare::Row;

/// Connections that add at once.
const CONNECTIONS: u64 = 16;
const PEER: &str = "/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN";

static SERIAL: AtomicU64 = AtomicU64::new(1);
static SETTLED: AtomicU64 = AtomicU64::new(0);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let folder = argument("--folder").map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    let requests = number("--requests", 20_000)?;
    let pins = number("--pins", 100_000)?;

    let bare = bare::rate(&folder.join("bare.sqlite"), Row::Whole, CONNECTIONS, requests).await?;
    let short = bare::rate(&folder.join("short.sqlite"), Row::Short, CONNECTIONS, requests).await?;
    let one = add_rate(&folder.join("one.sqlite"), 1, requests, false).await?;
    let hundred = add_rate(&folder.join("hundred.sqlite"), 100, requests, false).await?;
    let begun = Instant::now();
    let beside = add_rate(&folder.join("beside.sqlite"), 1, requests, true).await?;
    let settled = per_second(SETTLED.load(Ordering::Relaxed), begun.elapsed());
    let mut reads = Vec::new();
    if pins > 0 {
        reads.push(read_times(&folder.join("small.sqlite"), 1_000).await?);
        reads.push(read_times(&folder.join("large.sqlite"), pins).await?);
    }
    let figures = json!({
        "bare_inserts_per_second": bare,
        "bare_short_inserts_per_second": short,
        "adds_per_second": { "one_account": one, "hundred_accounts": hundred, "while_settling": beside },
        "settled_per_second_beside": settled,
        "reads": reads,
    });
    println!("{}", serde_json::to_string_pretty(&figures)?);
    Ok(())
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn number(name: &str, otherwise: u64) -> Result<u64, std::num::ParseIntError> {
    argument(name).map_or(Ok(otherwise), |text| text.parse())
}

fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn unique() -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&SERIAL.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

/// A database with accounts and a node.
struct Stage {
    storage: Arc<SqliteStorage>,
    accounts: Vec<AccountId>,
    node: NodeId,
}

async fn set_up(path: &Path, accounts: u64) -> Result<Stage, Box<dyn std::error::Error>> {
    migrate(path)?;
    let storage = Arc::new(SqliteStorage::open(path, SqliteOptions::default(), Arc::new(system_time)).await?);
    let node = NodeId::new(system_time(), unique());
    let addresses = ["/ip4/203.0.113.1/tcp/4401", "/ip4/203.0.113.1/udp/4401/quic-v1"];
    let addresses =
        addresses.iter().map(|address| Multiaddr::parse(&format!("{address}{PEER}"))).collect::<Result<_, _>>()?;
    let registration =
        NodeRegistration { id: node, backend: Backend::Embedded, peer_id: "bench".to_owned(), addresses };
    storage.register_node(&registration, system_time()).await?;
    let mut ids = Vec::new();
    for number in 0..accounts {
        let (id, name) = (AccountId::new(system_time(), unique()), format!("account {number}"));
        let account = NewAccount { id, name, email: None, role: Role::Pinner, limits: Limits::UNLIMITED };
        ids.push(storage.add_account(&account, system_time()).await?.id);
    }
    Ok(Stage { storage, accounts: ids, node })
}

/// A request as Kubo sends it: a name, two origins, a root of its own.
fn request(account: AccountId) -> Result<NewPinRequest, Box<dyn std::error::Error + Send + Sync>> {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let origins = ["/ip4/203.0.113.7/tcp/4001", "/ip4/203.0.113.7/udp/4001/quic-v1"];
    let origins =
        origins.iter().map(|address| Multiaddr::parse(&format!("{address}{PEER}"))).collect::<Result<_, _>>()?;
    let id = RequestId::new(system_time(), unique());
    let digest = [0, 1, 2, 3].map(|part| format!("{:016x}", scatter(serial * 4 + part))).concat();
    Ok(NewPinRequest {
        id,
        account,
        token: TokenId::new(Timestamp::from_millis(0), [0; 10]),
        pin: Pin {
            cid: Cid::parse(&format!("f01551220{digest}"))?,
            name: Some(format!("photo {serial}.jpg")),
            origins,
            meta: [].into(),
        },
    })
}

/// A number scattered over all of them, as digests are: a new root goes anywhere into the index (`SplitMix64`).
const fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Requests added in a second by 16 at once, if asked for while a worker settles 500 roots a second.
async fn add_rate(
    path: &Path,
    accounts: u64,
    requests: u64,
    settling: bool,
) -> Result<u64, Box<dyn std::error::Error>> {
    let stage = set_up(path, accounts).await?;
    let prepared = prepare(&stage, requests, CONNECTIONS)?;
    let worker = settling.then(|| tokio::spawn(settle_forever(path.to_owned(), stage.node)));
    let begun = Instant::now();
    add(&stage, prepared).await?;
    let rate = per_second(requests, begun.elapsed());
    if let Some(worker) = worker {
        worker.abort();
    }
    Ok(rate)
}

/// Requests made beforehand, for each of those who add them at once.
type Prepared = Vec<Vec<NewPinRequest>>;

fn prepare(stage: &Stage, requests: u64, connections: u64) -> Result<Prepared, Box<dyn std::error::Error>> {
    let of_one = |connection| {
        let account = |position| {
            let index = usize::try_from(position * connections + connection)?;
            request(stage.accounts[index % stage.accounts.len()])
        };
        (0..(requests + connections - 1 - connection) / connections).map(account).collect::<Result<Vec<_>, _>>()
    };
    Ok((0..connections).map(of_one).collect::<Result<_, _>>().map_err(|error| error.to_string())?)
}

async fn add(stage: &Stage, prepared: Prepared) -> Result<(), Box<dyn std::error::Error>> {
    let mut tasks = tokio::task::JoinSet::new();
    for requests in prepared {
        let storage = Arc::clone(&stage.storage);
        tasks.spawn(async move {
            for request in requests {
                storage.add_pin_request(&request, system_time()).await?;
            }
            Ok::<_, StorageError>(())
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome??;
    }
    Ok(())
}

/// Fill an account by 256 at once.
async fn fill(stage: &Stage, pins: u64) -> Result<(), Box<dyn std::error::Error>> {
    let (portion, mut filled) = (65_536, 0);
    while filled < pins {
        add(stage, prepare(stage, portion.min(pins - filled), 256)?).await?;
        filled += portion;
    }
    Ok(())
}

/// A worker in its own process: 125 roots leased and settled four times a second.
async fn settle_forever(path: PathBuf, node: NodeId) -> Result<(), StorageError> {
    let options = SqliteOptions { commit_interval: Duration::from_millis(100), ..SqliteOptions::default() };
    let storage = SqliteStorage::open(&path, options, Arc::new(system_time)).await;
    let storage = storage.map_err(|error| StorageError::Unavailable(error.to_string()))?;
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    loop {
        ticks.tick().await;
        let now = system_time();
        let leases = storage.lease_due(&node, now, now + Duration::from_mins(1), 125, 1_000).await?;
        let verdict = Verdict::Pinned { size: DagSize { blocks: 3, bytes: 100_000 } };
        let settle = |lease: &pinrail_domain::Lease| Settlement { lease: lease.key.clone(), verdict: verdict.clone() };
        let outcomes = storage.settle(&leases.iter().map(settle).collect::<Vec<_>>(), now).await?;
        let settled = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        SETTLED.fetch_add(u64::try_from(settled).unwrap_or(0), Ordering::Relaxed);
    }
}

/// Median times of the reads in an account with so many pins, and of a walk through it by ten.
async fn read_times(path: &Path, pins: u64) -> Result<Value, Box<dyn std::error::Error>> {
    let stage = set_up(path, 1).await?;
    let begun = Instant::now();
    fill(&stage, pins).await?;
    let filled = begun.elapsed();
    let (storage, account) = (&stage.storage, stage.accounts[0]);
    let first = everything(10, None);
    let newest = storage.list_pin_requests(&account, &first, system_time()).await?.requests;
    let newest = newest.first().ok_or("the account is empty")?.clone();
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..1_000 {
        let begun = Instant::now();
        storage.find_pin_request(&account, &newest.id, system_time()).await?;
        times[0].push(begun.elapsed());
        let begun = Instant::now();
        storage.list_pin_requests(&account, &first, system_time()).await?;
        times[1].push(begun.elapsed());
        let begun = Instant::now();
        storage
            .list_pin_requests(&account, &PinFilter { statuses: vec![Status::Queued], ..first.clone() }, system_time())
            .await?;
        times[2].push(begun.elapsed());
    }
    let [find, list, by_status] = times.map(median_micros);
    let (walked, pages) = walk(&stage, account, pins.min(100_000)).await?;
    Ok(json!({
        "pins": pins,
        "filled_per_second": per_second(pins, filled),
        "find_micros": find,
        "first_page_micros": list,
        "first_page_of_a_status_micros": by_status,
        "walk_by_ten": { "pages": pages, "seconds": walked.as_secs_f64(), "micros_per_page": walked.as_micros() as f64 / pages as f64 },
    }))
}

fn everything(limit: u16, before: Option<Timestamp>) -> PinFilter {
    PinFilter {
        roots: Vec::new(),
        name: None,
        statuses: Status::ALL.to_vec(),
        before,
        after: None,
        meta: [].into(),
        limit,
    }
}

/// Walk through up to `pins` of the newest requests as Kubo's `ls` does, with a count each time.
async fn walk(stage: &Stage, account: AccountId, pins: u64) -> Result<(Duration, u64), Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let (mut before, mut pages) = (None, 0);
    while pages < pins / 10 {
        let page = stage.storage.list_pin_requests(&account, &everything(10, before), system_time()).await?;
        let Some(last) = page.requests.last() else { break };
        before = Some(last.created);
        pages += 1;
    }
    Ok((begun.elapsed(), pages))
}

fn median_micros(mut times: Vec<Duration>) -> u64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

fn per_second(count: u64, took: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000 / took.as_micros().max(1)).unwrap_or(u64::MAX)
}

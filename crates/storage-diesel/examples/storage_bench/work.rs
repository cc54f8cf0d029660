//! Workers that claim roots and settle them, without fetching anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use pinrail_domain::{DagSize, Lease, NodeId, Verdict};
use pinrail_storage::{Settlement, Storage};
use pinrail_storage_diesel::Database;
use tokio::task::JoinSet;

use crate::bare;
use crate::figure::Figure;
use crate::fill::{self, Fill};
use crate::place::{self, Place, Sql};
use crate::reads::median;
use crate::scene::{Scene, per_second, stopwatch, system_time};

/// Roots that a worker settles four times a second, so that they are 500 in a second.
const AT_ONCE: usize = 125;

/// Accounts that wait, each for one root.
const WAITING: u64 = 10_000;
/// How often a lease among them is measured.
const LEASES: usize = 9;

static SETTLED: AtomicU64 = AtomicU64::new(0);

/// How many roots [`settle_forever`] has settled in this process.
pub fn settled() -> u64 {
    SETTLED.load(Ordering::Relaxed)
}

/// Rates of claiming and settling `roots` by one worker and by four, and how long a lease takes when many wait.
pub async fn measure(place: &Place, roots: u64) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for workers in [1, 4] {
        let bare = bare::claim_rate(place, workers, roots).await?;
        let ours = rate(place, workers, roots).await?;
        let many = if workers == 1 { "one worker" } else { "four workers" };
        figures.extend([
            Figure::rate(format!("bare rows claimed and finished, {many}"), bare),
            Figure::rate(format!("roots claimed and settled, {many}"), ours)
                .at_least(500.0, "what one worker settles while pins are posted")
                .limited_by(
                    "each root is leased, and its requests, holds and origins are asked for, by statements of its own",
                ),
        ]);
    }
    let lease = lease_among_waiting(place).await?;
    let lease = Figure::time(format!("a lease among {WAITING} accounts whose roots are not due"), lease);
    figures.push(lease.within(Duration::from_millis(100), "how often a worker asks"));
    Ok(figures)
}

/// How long it takes to find that none of many accounts has a root that is due, the median.
async fn lease_among_waiting(place: &Place) -> Result<Duration> {
    let scene = Scene::set_up(place, 0, 1).await?;
    fill::crowd(&scene.database, WAITING, Fill { pins: 1, pinned: false, meta: false }).await?;
    let later = "UPDATE roots SET due = due + 3600000; UPDATE queue SET due = due + 3600000";
    Sql::to(&scene.database).await?.run(later).await?;
    let mut times = Vec::with_capacity(LEASES);
    for _ in 0..LEASES {
        let begun = stopwatch();
        let many = claim_and_settle(scene.storage.as_ref(), scene.nodes[0], AT_ONCE).await?;
        times.push(begun.elapsed());
        anyhow::ensure!(many == 0, "{many} roots were leased before their time");
    }
    scene.clear().await?;
    Ok(median(times))
}

async fn rate(place: &Place, workers: u64, roots: u64) -> Result<f64> {
    let scene = Scene::set_up(place, 1, workers).await?;
    let pins = Fill { pins: roots, pinned: false, meta: false };
    fill::account(&scene.database, "account 0", pins).await?;
    let begun = stopwatch();
    let mut tasks = JoinSet::new();
    for node in scene.nodes.clone() {
        let storage = place::open(&scene.database, Duration::ZERO).await?;
        tasks.spawn(async move {
            let mut all = 0;
            loop {
                let many = claim_and_settle(storage.as_ref(), node, usize::try_from(bare::CLAIMED)?).await?;
                if many == 0 {
                    return anyhow::Ok(all);
                }
                all += many;
            }
        });
    }
    let mut settled = 0;
    while let Some(outcome) = tasks.join_next().await {
        settled += outcome??;
    }
    let took = begun.elapsed();
    anyhow::ensure!(settled == roots, "{settled} roots were settled, wanted {roots}");
    scene.clear().await?;
    Ok(per_second(roots, took))
}

/// Lease up to `limit` roots and settle them as pinned; how many they were.
async fn claim_and_settle(storage: &dyn Storage, node: NodeId, limit: usize) -> Result<u64> {
    let now = system_time();
    let leases = storage.lease_due(&node, now, now + Duration::from_mins(1), limit, 1_000).await?;
    let verdict = Verdict::Pinned { size: DagSize { blocks: 3, bytes: 100_000 } };
    let settle = |lease: &Lease| Settlement { lease: lease.key.clone(), verdict: verdict.clone() };
    let mut settled = 0;
    for outcome in storage.settle(&leases.iter().map(settle).collect::<Vec<_>>(), now).await? {
        outcome?;
        settled += 1;
    }
    Ok(settled)
}

/// A worker in its own process: 125 roots leased and settled four times a second.
pub async fn settle_forever(database: Database, node: NodeId) -> Result<()> {
    let storage = place::open(&database, Duration::from_millis(100)).await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    loop {
        ticks.tick().await;
        let settled = claim_and_settle(storage.as_ref(), node, AT_ONCE).await?;
        SETTLED.fetch_add(settled, Ordering::Relaxed);
    }
}

/// Settle for the node of a database that others work on, and print each second how many a second it came to.
pub async fn settle_and_tell(database: Database) -> Result<()> {
    let storage = place::open(&database, Duration::ZERO).await?;
    let nodes = storage.list_nodes().await?;
    let node = nodes.iter().find(|node| !node.retired).map(|node| node.id);
    let node = node.ok_or_else(|| anyhow::anyhow!("no node has registered in the database"))?;
    let settling = tokio::spawn(settle_forever(database, node));
    let begun = stopwatch();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    // The first one comes at once, when nothing can have been settled.
    ticks.tick().await;
    while !settling.is_finished() {
        ticks.tick().await;
        storage.beat(&node, system_time()).await?;
        println!("settled {:.0}", per_second(settled(), begun.elapsed()));
    }
    settling.await?
}

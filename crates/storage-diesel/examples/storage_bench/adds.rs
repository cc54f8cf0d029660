//! Requests added by many at once; bare inserts with the same group commit show what the machine is capable of.

use std::sync::Arc;

use anyhow::Result;
use pinrail_domain::NewPinRequest;
use pinrail_storage::StorageError;

use crate::bare::{self, Load};
use crate::figure::Figure;
use crate::place::Place;
use crate::scene::{Scene, per_second, request, stopwatch, system_time};
use crate::work;

/// Clients that add at once.
pub const CLIENTS: u64 = 16;
/// Accounts that share the load in the figures with many.
const ACCOUNTS: u64 = 100;
const PROMISED: &str = "what is promised for POST /pins";

/// Rates of adding, `requests` for each.
pub async fn measure(place: &Place, requests: u64) -> Result<Vec<Figure>> {
    let one = Load { clients: CLIENTS, accounts: 1, inserts: requests };
    let many = Load { accounts: ACCOUNTS, ..one };
    let bare_one = bare::rate(place, one).await?;
    let bare_many = bare::rate(place, many).await?;
    let (added, _) = rate(place, one, false).await?;
    let (added_to_many, _) = rate(place, many, false).await?;
    let (beside, settled) = rate(place, one, true).await?;
    let promised = if place.is_postgres() { 2_000.0 } else { 5_000.0 };
    let mut figures = vec![
        Figure::rate("bare inserts, 16 at once, one account", bare_one),
        Figure::rate("bare inserts, 16 at once, a hundred accounts", bare_many),
        Figure::rate("requests added, 16 at once, one account", added).at_least(promised, PROMISED),
        Figure::rate("requests added, 16 at once, a hundred accounts", added_to_many).at_least(promised, PROMISED),
        Figure::rate("requests added, 16 at once, beside settling", beside).at_least(promised, PROMISED),
        Figure::rate("roots settled meanwhile", settled).at_least(500.0, "what a worker settles beside"),
    ];
    if place.is_postgres() {
        let batched = Load { clients: 160, ..many };
        let bare = bare::rate(place, batched).await?;
        let (added, _) = rate(place, batched, false).await?;
        figures.extend([
            Figure::rate("bare inserts, 160 at once, a hundred accounts", bare),
            Figure::rate("requests added, 160 at once, a hundred accounts", added).at_least(4_000.0, PROMISED),
        ]);
    }
    let limit = "a request is five rows in five tables with nine indices, and its counters; the bare insert is one row \
        with two";
    Ok(figures.into_iter().map(|figure| figure.limited_by(limit)).collect())
}

/// Requests added in a second, if asked for while a worker settles 500 roots a second, and what it settled.
async fn rate(place: &Place, load: Load, settling: bool) -> Result<(f64, f64)> {
    let scene = Scene::set_up(place, load.accounts, 1).await?;
    let prepared = prepare(&scene, load.inserts, load.clients)?;
    let worker = settling.then(|| tokio::spawn(work::settle_forever(scene.database.clone(), scene.nodes[0])));
    let (begun, before) = (stopwatch(), work::settled());
    add(&scene, prepared).await?;
    let (took, settled) = (begun.elapsed(), work::settled() - before);
    if let Some(worker) = worker {
        worker.abort();
        // It ends as aborted, or with the error that kept it from settling.
        if let Ok(outcome) = worker.await {
            outcome?;
        }
    }
    scene.clear().await?;
    Ok((per_second(load.inserts, took), per_second(settled, took)))
}

/// Requests made beforehand, for each of those who add them at once.
type Prepared = Vec<Vec<NewPinRequest>>;

fn prepare(scene: &Scene, requests: u64, clients: u64) -> Result<Prepared> {
    let of_one = |client| {
        let of_turn = |turn| {
            let index = usize::try_from(turn * clients + client)?;
            request(scene.accounts[index % scene.accounts.len()])
        };
        (0..requests / clients).map(of_turn).collect::<Result<Vec<_>>>()
    };
    (0..clients).map(of_one).collect()
}

async fn add(scene: &Scene, prepared: Prepared) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for requests in prepared {
        let storage = Arc::clone(&scene.storage);
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

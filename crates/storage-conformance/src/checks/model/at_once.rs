//! Several clients at once: there is an order of their steps in which the reference gives the same answers.
//!
//! A step that was answered before another was asked comes before it in that order. Afterwards everything that can be
//! read is read, and has to be what it is at the end of that same order. The order is looked for by trying them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pinrail_storage::Storage;

use super::accounts::AccountOperation;
use super::alone::Pair;
use super::client::{Client, Moments, Pick};
use super::nodes::NodeOperation;
use super::operation::{Crowd, Operation};
use super::order::{Search, Taken};
use super::queue::QueueOperation;
use super::requests::RequestOperation;
use super::seen::Seen;
use crate::Fixture;
use crate::samples::everything;

/// Let the clients of a crowd loose; why no order explains what they were answered, if none does.
pub async fn live(fixture: &Fixture, crowd: &Crowd) -> Result<(), String> {
    let seen = Seen::default();
    let mut pair = Pair::new(fixture, &seen);
    for operation in &crowd.before.0 {
        pair.step(operation).await.map_err(|wrong| format!("before the crowd, {operation:?}: {wrong}"))?;
    }
    let moments = pair.moments();
    let (reference, client, reference_client) = pair.into_parts();
    let clients = |first: &Client| (1..=crowd.at_once.len()).map(|number| first.further(number_of(number))).collect();
    let clients_at_once: Vec<Client> = clients(&client);
    let parts = crowd.at_once.iter().map(|part| (explicable(&part.steps), moments.ahead(part.ahead)));
    let (mut taken, clients_after) = take_at_once(fixture, clients_at_once, parts.collect()).await;
    let ticks = AtomicU64::new(SURVEY);
    for ((taken, mut client), part) in taken.iter_mut().zip(clients_after).zip(&crowd.at_once) {
        let (survey, moments) = (survey(&client), moments.ahead(part.ahead));
        taken.extend(take_all(fixture.storage.as_ref(), &mut client, &survey, moments, &ticks).await);
    }
    let moments = crowd.at_once.iter().map(|part| moments.ahead(part.ahead)).collect();
    let search = Search { taken: &taken, moments, locks_rows: fixture.locks_rows() };
    let found = search.explains(&reference, &clients(&reference_client), &vec![0; taken.len()]);
    fixture.recount().await?;
    if found { Ok(()) } else { Err(format!("no order of these steps gives these answers:{}", told(&taken))) }
}

/// The steps whose answers an order of whole steps explains: a node is retired in several, some roots in each.
fn explicable(steps: &[Operation]) -> Vec<Operation> {
    let is_retirement = |step: &&Operation| matches!(step, Operation::Node(NodeOperation::Retire { .. }));
    steps.iter().filter(|step| !is_retirement(step)).cloned().collect()
}

/// When the looking around begins, later than everything of the crowd.
const SURVEY: u64 = 1 << 32;

fn number_of(client: usize) -> u8 {
    u8::try_from(client).expect("a few clients")
}

/// Have each client take its steps in a task of its own.
async fn take_at_once(
    fixture: &Fixture,
    clients: Vec<Client>,
    parts: Vec<(Vec<Operation>, Moments)>,
) -> (Vec<Vec<Taken>>, Vec<Client>) {
    let ticks = Arc::new(AtomicU64::new(0));
    let start = Arc::new(tokio::sync::Barrier::new(clients.len()));
    let tasks = clients.into_iter().zip(parts).enumerate().map(|(place, (mut client, (operations, moments)))| {
        let (storage, ticks, start) = (Arc::clone(fixture.storage_of(place)), Arc::clone(&ticks), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            (take_all(storage.as_ref(), &mut client, &operations, moments, &ticks).await, client)
        })
    });
    let outcomes = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    outcomes.into_iter().map(|outcome| outcome.expect("no client panicked")).unzip()
}

async fn take_all(
    storage: &dyn Storage,
    client: &mut Client,
    operations: &[Operation],
    moments: Moments,
    ticks: &AtomicU64,
) -> Vec<Taken> {
    let mut taken = Vec::with_capacity(operations.len());
    for operation in operations {
        let asked = ticks.fetch_add(1, Ordering::SeqCst);
        let outcome = operation.take(client, storage, moments).await;
        let answered = ticks.fetch_add(1, Ordering::SeqCst);
        taken.push(Taken { operation: operation.clone(), asked, answered, outcome });
    }
    taken
}

/// Everything that a client can read of what it knows, and all that is due.
fn survey(client: &Client) -> Vec<Operation> {
    let young = |back: usize| Pick::Young(u8::try_from(back).expect("a short history"));
    let accounts = (0..client.accounts.len()).flat_map(|back| {
        let (account, filter) = (young(back), everything());
        let list = RequestOperation::List { account, filter, before: None, after: None };
        [Operation::Account(AccountOperation::Find { account }), Operation::Request(list)]
    });
    let requests = (0..client.requests.len())
        .map(|back| Operation::Request(RequestOperation::Find { request: young(back), by: None }));
    let leases = (0..client.leases.len()).map(young).collect();
    let waiting = |node| QueueOperation::Waiting { node, after: None, limit: 1_000 };
    let rest = [Operation::Queue(QueueOperation::News { leases }), Operation::Node(NodeOperation::List)];
    let nodes = (1..=4).flat_map(|node| {
        let due = QueueOperation::Lease { node, limit: 1_000, slots: 4_000 };
        [Operation::Queue(waiting(node)), Operation::Node(NodeOperation::Beat { node }), Operation::Queue(due)]
    });
    accounts.chain(requests).chain(rest).chain(nodes).collect()
}

/// What was done at once, a line for each step; without the looking around afterwards.
fn told(taken: &[Vec<Taken>]) -> String {
    let line = |(client, step): (usize, &Taken)| {
        let Taken { operation, asked, answered, outcome } = step;
        format!("\nclient {client}, {asked} to {answered}: {operation:?}: {outcome:?}")
    };
    let steps = taken.iter().enumerate().flat_map(|(client, steps)| steps.iter().map(move |step| (client, step)));
    steps.filter(|(_, step)| step.asked < SURVEY).map(line).collect()
}

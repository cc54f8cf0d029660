//! Several clients at once: there is an order of their steps in which the reference gives the same answers.
//!
//! A step that was answered before another was asked comes before it in that order. Afterwards everything that can be
//! read is read, and has to be what it is at the end of that same order. The order is looked for by trying them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use pinrail_storage::Storage;

use super::accounts::AccountOperation;
use super::alone::Pair;
use super::answer::{Answer, Outcome};
use super::client::{Client, Moments, Pick};
use super::nodes::NodeOperation;
use super::operation::{Crowd, Operation};
use super::queue::QueueOperation;
use super::requests::RequestOperation;
use crate::samples::everything;
use crate::{Fixture, MemoryStorage};

/// A step that a client took.
#[derive(Debug, Clone)]
struct Taken {
    operation: Operation,
    /// Ticks of one counter for all clients.
    asked: u64,
    answered: u64,
    outcome: Outcome,
}

/// Let the clients of a crowd loose; why no order explains what they were answered, if none does.
pub async fn live(fixture: &Fixture, crowd: &Crowd) -> Result<(), String> {
    let mut pair = Pair::new(fixture);
    for operation in crowd.before.0.iter().filter(|step| !(fixture.locks_rows() && is_further_node(step))) {
        pair.step(operation).await.map_err(|wrong| format!("before the crowd, {operation:?}: {wrong}"))?;
    }
    let moments = pair.moments();
    let (reference, client, reference_client) = pair.into_parts();
    let clients = |first: &Client| (1..=crowd.at_once.len()).map(|number| first.further(number_of(number))).collect();
    let clients_at_once: Vec<Client> = clients(&client);
    let at_once = crowd.at_once.iter().map(|steps| explicable(fixture, steps)).collect::<Vec<_>>();
    let (mut taken, clients_after) = take_at_once(fixture, clients_at_once, &at_once, moments).await;
    let ticks = AtomicU64::new(SURVEY);
    for (taken, mut client) in taken.iter_mut().zip(clients_after) {
        let survey = survey(&client);
        taken.extend(take_all(fixture.storage.as_ref(), &mut client, &survey, moments, &ticks).await);
    }
    let search = Search { taken: &taken, moments, locks_rows: fixture.locks_rows() };
    let found = search.explains(&reference, &clients(&reference_client), &vec![0; taken.len()]);
    fixture.recount().await?;
    if found { Ok(()) } else { Err(format!("no order of these steps gives these answers:{}", told(&taken))) }
}

/// The steps whose answers an order of whole steps explains: a node is retired in several, some roots in each.
fn explicable(fixture: &Fixture, steps: &[Operation]) -> Vec<Operation> {
    let is_lease = |step: &Operation| matches!(step, Operation::Queue(QueueOperation::Lease { .. }));
    let is_retirement = |step: &Operation| matches!(step, Operation::Node(NodeOperation::Retire { .. }));
    let is_left_out =
        |step: &Operation| is_retirement(step) || (fixture.locks_rows() && (is_lease(step) || is_further_node(step)));
    steps.iter().filter(|step| !is_left_out(step)).cloned().collect()
}

const fn is_further_node(step: &Operation) -> bool {
    matches!(step, Operation::Node(NodeOperation::Register { node: 2.., .. }))
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
    operations: &[Vec<Operation>],
    moments: Moments,
) -> (Vec<Vec<Taken>>, Vec<Client>) {
    let ticks = Arc::new(AtomicU64::new(0));
    let start = Arc::new(tokio::sync::Barrier::new(clients.len()));
    let tasks = clients.into_iter().zip(operations).map(|(mut client, operations)| {
        let (storage, ticks, start) = (Arc::clone(&fixture.storage), Arc::clone(&ticks), Arc::clone(&start));
        let operations = operations.clone();
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

/// Everything that a client can read of what it knows.
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
    let rest = [
        Operation::Queue(QueueOperation::News { leases }),
        Operation::Queue(waiting(1)),
        Operation::Queue(waiting(2)),
        Operation::Node(NodeOperation::List),
    ];
    accounts.chain(requests).chain(rest).collect()
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

/// The search for an order of what all clients did.
struct Search<'taken> {
    taken: &'taken [Vec<Taken>],
    moments: Moments,
    /// Whether the storage locks rows one by one ([`Fixture::locking_rows`]).
    locks_rows: bool,
}

impl Search<'_> {
    /// Whether the steps from `next` on have an order in which the reference, as it stands, gives their answers.
    fn explains(&self, reference: &MemoryStorage, clients: &[Client], next: &[usize]) -> bool {
        let pending = |client: usize| self.taken[client].get(next[client]);
        let all = || (0..self.taken.len()).filter_map(|client| Some((client, pending(client)?)));
        let Some(first_answer) = all().map(|(_, step)| step.answered).min() else { return true };
        // What was asked after another pending step was answered cannot come before that.
        all().filter(|(_, step)| step.asked < first_answer).any(|(client, step)| {
            let reference = reference.fork();
            let mut clients = clients.to_vec();
            let answer = step.operation.take(&mut clients[client], &reference, self.moments);
            let answer = answer.now_or_never().expect("the reference answers at once");
            let mut next = next.to_vec();
            next[client] += 1;
            self.agree(&step.operation, answer, &step.outcome) && self.explains(&reference, &clients, &next)
        })
    }

    /// Whether the reference's answer is the one that was given. Nothing locks a node's row for a new request, or the
    /// node's sign of life would wait for it: what the answer tells of the node was so at some moment of the step, not
    /// at the one of its commit. What later reads tell of it is compared whole.
    fn agree(&self, operation: &Operation, answer: Outcome, given: &Outcome) -> bool {
        let is_new =
            matches!(operation, Operation::Request(RequestOperation::Add { .. } | RequestOperation::Replace { .. }));
        if self.locks_rows && is_new { without_node(answer) == without_node(given.clone()) } else { answer == *given }
    }
}

/// An answer without what it tells of the node that holds or will hold a root.
fn without_node(mut outcome: Outcome) -> Outcome {
    if let Ok(Answer::Request(Some(request))) = &mut outcome {
        request.delegates.clear();
        request.root.node_silent = false;
    }
    outcome
}

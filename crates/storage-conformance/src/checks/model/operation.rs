//! What is asked of a storage, and the histories that are drawn of it.

use std::fmt;
use std::time::Duration;

use pinrail_storage::Storage;
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, prop_oneof};
use proptest::sample::select;

use super::accounts::{AccountOperation, add_unlimited, any_account_operation};
use super::answer::{Answer, Outcome};
use super::client::{Client, Moments};
use super::nodes::{NodeOperation, any_node_operation, register};
use super::queue::{QueueOperation, any_queue_operation};
use super::requests::{RequestOperation, any_request_operation};
use super::stretches::any_stretch;
use super::tokens::{TokenOperation, any_token_operation};
use super::values::any_time;

/// One step of a history, by whom the storage serves with it.
#[derive(Debug, Clone)]
pub enum Operation {
    Account(AccountOperation),
    Token(TokenOperation),
    Request(RequestOperation),
    Node(NodeOperation),
    Queue(QueueOperation),
    /// The database is asked whether it answers and accepts writes.
    Ready,
    Clock(ClockOperation),
}

/// What happens to the clock of the machine.
#[derive(Debug, Clone)]
pub enum ClockOperation {
    Advance(Duration),
    /// Somebody puts it back.
    PutBack(Duration),
    /// The database's clock is looked at.
    Read,
}

/// A history by one client, a line for each step.
#[derive(Clone)]
pub struct History(pub Vec<Operation>);

impl fmt::Debug for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(number, operation)| write!(formatter, "\n{number}: {operation:?}"))
    }
}

/// Histories of 20 steps to some 350, which mostly begin with two accounts and two nodes.
pub fn any_history() -> impl Strategy<Value = History> {
    let step = prop_oneof![60 => any_operation().prop_map(|step| vec![step]), 1 => any_stretch()];
    (any_beginning(), vec(step, 20..250)).prop_map(|(beginning, rest)| History([beginning, rest.concat()].concat()))
}

/// What several clients do: a history that is over before they begin, and what each then asks at once.
#[derive(Debug, Clone)]
pub struct Crowd {
    pub before: History,
    pub at_once: Vec<Part>,
}

/// What one of several clients does.
#[derive(Debug, Clone)]
pub struct Part {
    pub steps: Vec<Operation>,
    /// How far its clock is ahead of the first one's.
    pub ahead: Duration,
}

/// Three clients with two to four steps each.
pub fn any_crowd() -> impl Strategy<Value = Crowd> {
    let before = (any_beginning(), vec(any_operation(), 5..30));
    let before = before.prop_map(|(beginning, rest)| History([beginning, rest].concat()));
    // Alike, a moment apart, and so far that leases have expired, or nodes have fallen silent.
    let ahead = select(vec![0, 0, 0, 0, 1, 61_000, 301_000]).prop_map(Duration::from_millis);
    let part = (vec(any_atomic_operation(), 2..=4), ahead).prop_map(|(steps, ahead)| Part { steps, ahead });
    (before, vec(part, 3)).prop_map(|(before, at_once)| Crowd { before, at_once })
}

fn any_beginning() -> impl Strategy<Value = Vec<Operation>> {
    let usual = vec![
        Operation::Account(add_unlimited("ada")),
        Operation::Account(add_unlimited("bob")),
        Operation::Node(register(1)),
        Operation::Node(register(2)),
    ];
    prop_oneof![19 => Just(usual), 1 => Just(Vec::new())]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![20 => any_atomic_operation(), 1 => any_clock_operation().prop_map(Operation::Clock)]
}

/// Any operation but those on the clock, which is one for all clients.
fn any_atomic_operation() -> BoxedStrategy<Operation> {
    prop_oneof![
        3 => any_account_operation().prop_map(Operation::Account),
        1 => any_token_operation().prop_map(Operation::Token),
        16 => any_request_operation().prop_map(Operation::Request),
        4 => any_node_operation().prop_map(Operation::Node),
        14 => any_queue_operation().prop_map(Operation::Queue),
        1 => Just(Operation::Ready),
    ]
    .boxed()
}

fn any_clock_operation() -> impl Strategy<Value = ClockOperation> {
    prop_oneof![
        6 => any_time().prop_map(ClockOperation::Advance),
        1 => any_time().prop_map(ClockOperation::PutBack),
        1 => Just(ClockOperation::Read),
    ]
}

impl Operation {
    /// Have a client ask for it. What is done to the clock is done by the history.
    pub async fn take(&self, client: &mut Client, storage: &dyn Storage, moments: Moments) -> Outcome {
        match self {
            Self::Account(operation) => operation.take(client, storage, moments).await,
            Self::Token(operation) => operation.take(client, storage, moments).await,
            Self::Request(operation) => operation.take(client, storage, moments).await,
            Self::Node(operation) => operation.take(storage, moments).await,
            Self::Queue(operation) => operation.take(client, storage, moments).await,
            Self::Ready => {
                storage.ready().await?;
                Ok(Answer::Done)
            }
            Self::Clock(_) => Ok(Answer::Done),
        }
    }

    /// The moment that it has the database store once it is answered so, below which its clock then never is. One that
    /// changes nothing stores none.
    pub fn stores(&self, answer: &Answer, moments: Moments) -> Option<pinrail_spec::Timestamp> {
        match (self, answer) {
            (Self::Node(operation), _) => (!matches!(operation, NodeOperation::List)).then_some(moments.stored),
            (_, Answer::Leases(leases)) => (!leases.is_empty()).then_some(moments.stored),
            (_, Answer::Settled(settled)) => settled.iter().any(Result::is_ok).then_some(moments.stored),
            (Self::Request(RequestOperation::Add { .. }), _) => Some(moments.now),
            (Self::Request(RequestOperation::Remove { .. }), removed) => {
                (*removed == Answer::Flag(true)).then_some(moments.now)
            }
            _ => None,
        }
    }
}

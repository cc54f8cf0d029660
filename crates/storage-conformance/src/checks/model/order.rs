//! The search for an order of what several clients did, in which the reference gives the answers that they were given.
//!
//! Of a storage that locks rows some answers to steps that others overlap are right although the reference would give
//! another ([`Fixture::locking_rows`](crate::Fixture::locking_rows)). Of those the reference is asked for the one that
//! was given: the same roots are leased if the worker may have each of them, and a new root goes to any live node.

use futures::FutureExt;
use pinrail_domain::NodeId;

use super::answer::{Answer, Outcome};
use super::client::{Client, Moments};
use super::operation::Operation;
use super::queue::QueueOperation;
use super::requests::RequestOperation;
use crate::MemoryStorage;

/// A step that a client took.
#[derive(Debug, Clone)]
pub struct Taken {
    pub operation: Operation,
    /// Ticks of one counter for all clients.
    pub asked: u64,
    pub answered: u64,
    pub outcome: Outcome,
}

/// The search among all orders.
pub struct Search<'taken> {
    /// What each client took.
    pub taken: &'taken [Vec<Taken>],
    /// The moments that each of them goes by.
    pub moments: Vec<Moments>,
    /// Whether the storage locks rows one by one.
    pub locks_rows: bool,
}

/// How the reference takes a step.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// By its own rules.
    AsAlone,
    /// With the leases that were given; whether they have to be all that were due.
    AsGiven { all: bool },
    /// With this node for a root that needs one.
    OnNode(NodeId),
}

impl Search<'_> {
    /// Whether the steps from `next` on have an order in which the reference, as it stands, gives their answers.
    pub fn explains(&self, reference: &MemoryStorage, clients: &[Client], next: &[usize]) -> bool {
        let pending = |client: usize| self.taken[client].get(next[client]);
        let all = || (0..self.taken.len()).filter_map(|client| Some((client, pending(client)?)));
        let Some(first_answer) = all().map(|(_, step)| step.answered).min() else { return true };
        // What was asked after another pending step was answered cannot come before that.
        all().filter(|(_, step)| step.asked < first_answer).any(|(client, step)| {
            let mut next = next.to_vec();
            next[client] += 1;
            self.ways(client, step, &clients[client], reference).into_iter().any(|way| {
                let reference = reference.fork();
                let mut clients = clients.to_vec();
                self.take(way, step, &mut clients[client], (&reference, self.moments[client]))
                    && self.explains(&reference, &clients, &next)
            })
        })
    }

    /// The ways in which the reference may take a step.
    fn ways(&self, number: usize, step: &Taken, client: &Client, reference: &MemoryStorage) -> Vec<Way> {
        if !self.locks_rows {
            return vec![Way::AsAlone];
        }
        let (pin, old) = match &step.operation {
            Operation::Queue(QueueOperation::Lease { .. }) => {
                return vec![Way::AsGiven { all: !self.is_overlapped(step) }];
            }
            Operation::Request(RequestOperation::Add { pin, .. }) => (pin, None),
            Operation::Request(RequestOperation::Replace { pin, request, .. }) => {
                (pin, Some(client.request(*request).id))
            }
            _ => return vec![Way::AsAlone],
        };
        let open = if self.is_beside_a_change_of_nodes(step) {
            reference.nodes_in_service()
        } else {
            reference.open_nodes(&pin.cid.root(), old.as_ref(), self.moments[number].now)
        };
        if open.is_empty() || !self.is_overlapped(step) {
            return vec![Way::AsAlone];
        }
        open.into_iter().map(Way::OnNode).collect()
    }

    /// The steps of other clients that were under way meanwhile.
    fn overlapping(&self, step: &Taken) -> impl Iterator<Item = &Taken> {
        let (asked, answered) = (step.asked, step.answered);
        let others = self.taken.iter().flatten().filter(move |other| other.asked != asked);
        others.filter(move |other| other.asked < answered && asked < other.answered)
    }

    fn is_overlapped(&self, step: &Taken) -> bool {
        self.overlapping(step).next().is_some()
    }

    /// Have the reference take a step; whether its answer is the one that was given.
    fn take(
        &self,
        way: Way,
        step: &Taken,
        client: &mut Client,
        (reference, moments): (&MemoryStorage, Moments),
    ) -> bool {
        let answer = match (way, &step.operation, &step.outcome) {
            (Way::AsGiven { all }, Operation::Queue(operation), Ok(Answer::Leases(given))) => {
                let leases = operation.lease_these(given, all, client, reference, moments);
                return leases.is_some_and(|leases| leases == *given);
            }
            (Way::OnNode(node), operation, _) => {
                reference.give_roots_to(Some(node));
                let answer = operation.take(client, reference, moments).now_or_never();
                reference.give_roots_to(None);
                answer
            }
            (_, operation, _) => operation.take(client, reference, moments).now_or_never(),
        };
        let answer = answer.expect("the reference answers at once");
        if self.may_differ_in_node(step) {
            without_node(answer) == without_node(step.outcome.clone())
        } else {
            answer == step.outcome
        }
    }

    /// Whether what an answer tells of the node need not be so when the step is done. Nothing locks a node's row for a
    /// new request, or the node's sign of life would wait for it: it was so at some moment of the step, and it may not
    /// be when a step that changed the node overlapped. What later reads tell of it is compared whole.
    fn may_differ_in_node(&self, step: &Taken) -> bool {
        let is_new = matches!(
            step.operation,
            Operation::Request(RequestOperation::Add { .. } | RequestOperation::Replace { .. })
        );
        self.locks_rows && is_new && self.is_beside_a_change_of_nodes(step)
    }

    /// Whether another client was about to register a node, or to say that one is alive: what a step read of the nodes
    /// may then not be so when it is done.
    fn is_beside_a_change_of_nodes(&self, step: &Taken) -> bool {
        self.overlapping(step).any(|other| matches!(other.operation, Operation::Node(_)))
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

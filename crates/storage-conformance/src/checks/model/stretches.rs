//! Steps that have to follow one another for something to happen which chance alone hardly leads to.

use std::time::Duration;

use pinrail_domain::{Limits, Progress};
use pinrail_spec::Pin;
use proptest::prelude::{BoxedStrategy, Just, Strategy, prop_oneof};

use super::accounts::AccountOperation;
use super::client::Pick;
use super::nodes::NodeOperation;
use super::operation::{ClockOperation, Operation};
use super::queue::{QueueOperation, Ruling, Word};
use super::requests::RequestOperation;
use super::values::any_pin;

const YOUNGEST: Pick = Pick::Young(0);
const A_DAY: Duration = Duration::from_hours(24);

/// One of them.
pub fn any_stretch() -> BoxedStrategy<Vec<Operation>> {
    let pauses = any_pin().prop_map(|pin| [add(pin), work(Word::Pause), vec![find()]].concat());
    prop_oneof![
        2 => (any_pin(), any_pin()).prop_map(|(old, new)| hold_expires(old, new)),
        2 => any_pin().prop_map(bytes_are_spent),
        1 => pauses,
        1 => Just(vec![find()]),
    ]
    .boxed()
}

/// What replaces a pinned root fails, and a day later the hold on the old one is over.
fn hold_expires(old: Pin, new: Pin) -> Vec<Operation> {
    let replace = RequestOperation::Replace { request: YOUNGEST, by: None, pin: new, same_id: None };
    let day = Operation::Clock(ClockOperation::Advance(A_DAY));
    [
        add(old),
        work(Word::Done),
        vec![Operation::Request(replace)],
        work(Word::Failed),
        vec![find(), day, Operation::Queue(QueueOperation::ExpireHolds), find()],
    ]
    .concat()
}

/// A fetch comes so far that its account has no room for more.
fn bytes_are_spent(pin: Pin) -> Vec<Operation> {
    let allow = |limits| {
        let account = YOUNGEST;
        Operation::Account(AccountOperation::Access { account, is_granted: true, until: None, limits: Some(limits) })
    };
    let reports = vec![(YOUNGEST, Progress { blocks: 1, bytes: 1_000 })];
    let look = [QueueOperation::Report { reports }, QueueOperation::News { leases: vec![YOUNGEST] }];
    [
        vec![allow(Limits { bytes: Some(1_000), ..Limits::UNLIMITED })],
        add(pin),
        lease(),
        look.map(Operation::Queue).to_vec(),
        vec![allow(Limits::UNLIMITED)],
    ]
    .concat()
}

fn add(pin: Pin) -> Vec<Operation> {
    vec![Operation::Request(RequestOperation::Add { account: YOUNGEST, pin, same_id: None })]
}

fn find() -> Operation {
    Operation::Request(RequestOperation::Find { request: YOUNGEST, by: None })
}

/// Have the first nodes take all that is due.
fn lease() -> Vec<Operation> {
    let lease = |node| {
        let beat = Operation::Node(NodeOperation::Beat { node });
        [beat, Operation::Queue(QueueOperation::Lease { node, limit: 64, slots: 64 })]
    };
    (1..=2).flat_map(lease).collect()
}

/// Have the first nodes take all that is due, and settle the last of it.
fn work(word: Word) -> Vec<Operation> {
    let settlements = (0..4).map(|back| Ruling::plain(Pick::Young(back), word)).collect();
    [lease(), vec![Operation::Queue(QueueOperation::Settle { settlements })]].concat()
}

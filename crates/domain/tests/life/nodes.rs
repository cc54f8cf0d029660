//! Which node an unfinished root belongs to.

use std::time::Duration;

use pinrail_domain::{Backend, Node, NodeId, SILENCE};
use pinrail_spec::Timestamp;

use super::NOW;

fn id(number: u8) -> NodeId {
    NodeId::new(NOW, [number; 10])
}

fn node(number: u8, load: u64, silent_for: Duration, retired: bool) -> Node {
    let silent_for = i64::try_from(silent_for.as_millis()).expect("a short time");
    let heartbeat = Timestamp::from_millis(NOW.as_millis() - silent_for);
    let (peer_id, addresses) = (format!("peer {number}"), Vec::new());
    Node { id: id(number), backend: Backend::Embedded, peer_id, addresses, heartbeat, load, retired }
}

/// A node that is live.
fn live(number: u8, load: u64) -> Node {
    node(number, load, Duration::ZERO, false)
}

/// A node that has been silent for so many minutes after it counts as silent.
fn silent(number: u8, minutes: u64) -> Node {
    node(number, 0, SILENCE + Duration::from_mins(minutes), false)
}

/// A node that was heard of just now and is out of service.
fn retired(number: u8) -> Node {
    node(number, 0, Duration::ZERO, true)
}

#[test]
fn an_unfinished_root_stays_with_a_live_node_and_leaves_a_silent_or_retired_one() {
    let cases = [
        ("a live one keeps it, whatever its load", vec![live(1, 9), live(2, 0)], 1),
        ("from a silent one it goes to the least loaded live one", vec![silent(1, 0), live(2, 5), live(3, 4)], 3),
        ("of equal loads to the least id", vec![silent(1, 0), live(3, 4), live(2, 4)], 2),
        ("with no live one it stays with a silent one", vec![silent(1, 5), silent(2, 0)], 1),
        ("from a retired one it goes to a live one", vec![retired(1), live(2, 5), live(3, 4)], 3),
        ("or to the silent one that was heard of last", vec![retired(1), silent(2, 5), silent(3, 1)], 3),
        ("but never to another retired one", vec![retired(1), retired(2)], 1),
        ("from an unknown one it goes to any, as from a retired one", vec![silent(2, 0)], 2),
        ("it stays where nobody is known", vec![], 1),
    ];
    for (rule, nodes, wanted) in cases {
        assert_eq!(Node::keep_or_move(&nodes, id(1), NOW), id(wanted), "{rule}");
    }
}

#[test]
fn a_node_is_silent_five_minutes_after_it_was_heard() {
    assert_eq!(SILENCE, Duration::from_mins(5));
    let almost = SILENCE.saturating_sub(Duration::from_millis(1));
    for (silent_for, is_live) in [(Duration::ZERO, true), (almost, true), (SILENCE, false)] {
        assert_eq!(node(1, 0, silent_for, false).is_live(NOW), is_live, "{silent_for:?}");
        assert!(!node(1, 0, silent_for, true).is_live(NOW), "retired");
    }
}

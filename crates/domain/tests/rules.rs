//! Limits, nodes, access and the states of a root.

use std::time::Duration;

use pinrail_domain::{
    Access, Account, AccountId, Backend, Limits, Node, NodeId, Role, RootRecord, RootState, SILENCE, Usage,
};
use pinrail_spec::{Multiaddr, Status, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_795_410_000_000);

#[test]
fn a_limit_admits_up_to_itself() {
    let limits = Limits { requests: Some(2), queued_roots: Some(1), bytes: Some(100) };
    let cases = [
        (Usage { requests: 1, queued_roots: 0, bytes: 99 }, true, None),
        (Usage { requests: 2, queued_roots: 0, bytes: 0 }, false, Some("pin requests")),
        (Usage { requests: 0, queued_roots: 1, bytes: 0 }, true, Some("queued roots")),
        (Usage { requests: 0, queued_roots: 1, bytes: 0 }, false, None),
        (Usage { requests: 0, queued_roots: 0, bytes: 100 }, true, Some("bytes")),
        (Usage { requests: 0, queued_roots: 0, bytes: 100 }, false, None),
    ];
    for (index, (usage, new_root, wanted)) in cases.into_iter().enumerate() {
        assert_eq!(limits.admit(&usage, new_root).err().map(|over| over.what), wanted, "case {index}");
        assert!(Limits::UNLIMITED.admit(&usage, new_root).is_ok(), "case {index}");
    }
    assert!(!limits.bytes_spent(&Usage { bytes: 100, ..Usage::default() }));
    assert!(limits.bytes_spent(&Usage { bytes: 101, ..Usage::default() }));
}

fn node(number: u8, load: u64, silent_for: Duration, retired: bool) -> Node {
    let heartbeat = Timestamp::from_millis(NOW.as_millis() - i64::try_from(silent_for.as_millis()).unwrap());
    let address = "/ip4/203.0.113.7/tcp/4401/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5";
    Node {
        id: NodeId::new(NOW, [number; 10]),
        backend: Backend::Embedded,
        peer_id: "12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5".to_owned(),
        addresses: vec![Multiaddr::parse(address).unwrap(); 6],
        heartbeat,
        load,
        retired,
    }
}

#[test]
fn the_least_loaded_live_node_is_chosen() {
    let chosen = |nodes: &[Node]| Node::choose(nodes, NOW).map(|node| node.id);
    let (busy, idle) = (node(1, 9, Duration::ZERO, false), node(2, 3, Duration::ZERO, false));
    let (silent, longer) = (node(3, 0, SILENCE, false), node(4, 0, SILENCE * 2, false));
    let retired = node(5, 0, Duration::ZERO, true);
    assert_eq!(chosen(&[busy.clone(), idle.clone(), silent.clone(), retired.clone()]), Some(idle.id));
    assert_eq!(chosen(&[longer, silent.clone(), retired.clone()]), Some(silent.id));
    assert_eq!(chosen(&[retired]), None);
    assert_eq!(chosen(&[]), None);
    assert_eq!(idle.delegates().len(), 4);
}

#[test]
fn access_ends_when_it_says() {
    let access = |until| Some(Access { since: NOW, by: "operator".to_owned(), until });
    let account = |access, blocked: Option<&str>| Account {
        id: AccountId::new(NOW, [1; 10]),
        name: "ann".to_owned(),
        email: None,
        role: Role::Pinner,
        blocked: blocked.map(str::to_owned),
        access,
        access_withdrawn: None,
        limits: Limits::STANDARD,
        usage: Usage::default(),
        created: NOW,
    };
    assert!(account(access(None), None).may_pin(NOW));
    assert!(account(access(Some(NOW.next())), None).may_pin(NOW));
    assert!(!account(access(Some(NOW)), None).may_pin(NOW));
    assert!(!account(access(None), Some("spam")).may_pin(NOW));
    assert!(!account(None, None).may_pin(NOW));
}

#[test]
fn a_root_that_is_wanted_again_never_stays_failed_or_releasing() {
    use RootState::{Failed, Pinned, Pinning, Queued, Releasing};
    for (state, wanted, status) in [
        (Queued, Queued, Some(Status::Queued)),
        (Pinning, Pinning, Some(Status::Pinning)),
        (Pinned, Pinned, Some(Status::Pinned)),
        (Failed, Queued, Some(Status::Failed)),
        (Releasing, Queued, None),
    ] {
        let mut root = RootRecord { state, ..RootRecord::new(None, 0, NOW) };
        root.want(None, NOW);
        assert_eq!((root.state, state.status()), (wanted, status), "{state:?}");
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    assert_eq!("lost".parse::<RootState>(), Err(()));
}

//! Whose dial comes next, whatever others ask for.

use super::load::{MAX_DIALS_PER_HOST, MAX_DIALS_PER_HOST_AND_ACCOUNT, MAX_DIALS_PER_ROOT};
use super::*;
use crate::attempts::Outcome;
use crate::gate::DialPolicy;
use crate::network::commands;

const VICTIM: Asker = Asker { lane: Lane::Fetch, account: Some(1), root: None };
const ATTACKER: Asker = Asker { account: Some(2), ..VICTIM };
const LOOK_UP: Asker = Asker { lane: Lane::LookUp, account: None, root: None };

fn dials() -> Dials {
    let gate = OutboundGate::new(DialPolicy { allow_private: true, never: Vec::new() });
    Dials::new(&Dialer::new(gate, commands().0))
}

/// An address of `peer` on the host with this number.
fn address(host: u8, port: u16, peer: PeerId) -> Multiaddr {
    format!("/ip4/203.0.113.{host}/tcp/{port}/p2p/{peer}").parse().expect("a multiaddr")
}

/// Ask for a peer of its own at this address.
fn ask(dials: &mut Dials, asker: Asker, host: u8, port: u16) -> PeerId {
    let peer = PeerId::random();
    dials.add(DialRequest { asker, peer, addresses: vec![address(host, port, peer)] }, Instant::now());
    peer
}

/// A dial ends without having reached its peer.
fn end(dials: &mut Dials, connection: ConnectionId) {
    dials.failed(connection, &DialError::Aborted, Instant::now());
}

/// Begin as many dials as there may be, and return their peers.
fn begin_all(dials: &mut Dials, now: Instant) -> Vec<(PeerId, ConnectionId)> {
    let begun = std::iter::from_fn(|| dials.next(now));
    begun.map(|options| (options.get_peer_id().expect("a peer"), options.connection_id())).collect()
}

#[tokio::test]
async fn one_host_is_not_dialled_by_many_at_once() {
    let (mut dials, now) = (dials(), Instant::now());
    for port in 1..=20 {
        ask(&mut dials, Asker { account: Some(u128::from(port)), ..Asker::default() }, 1, port);
    }
    let begun = begin_all(&mut dials, now);
    assert_eq!(begun.len(), MAX_DIALS_PER_HOST);
    ask(&mut dials, VICTIM, 2, 1);
    assert_eq!(begin_all(&mut dials, now).len(), 1, "another host has room");
    end(&mut dials, begun[0].1);
    assert_eq!(begin_all(&mut dials, now).len(), 1, "one ended");
}

#[tokio::test]
async fn an_address_is_dialled_once_however_many_ask() {
    let (mut dials, now, peer) = (dials(), Instant::now(), PeerId::random());
    let mut begun = Vec::new();
    for account in 0..5 {
        let asker = Asker { account: Some(account), ..Asker::default() };
        dials.add(DialRequest { asker, peer, addresses: vec![address(1, 1, peer)] }, Instant::now());
        begun.extend(begin_all(&mut dials, now));
    }
    assert_eq!(begun.len(), 1);
    end(&mut dials, begun[0].1);
    assert!(begin_all(&mut dials, now).is_empty(), "it was dialled a moment ago");
    dials.look_again();
    assert_eq!(begin_all(&mut dials, now + SAME_ADDRESS).len(), 1);
    dials.forget(&peer);
    assert!(!dials.is_waiting(), "whoever else asked for it needs no dial");
}

#[tokio::test]
async fn one_account_leaves_room_for_others_everywhere() {
    let (mut dials, now) = (dials(), Instant::now());
    for port in 1..=60 {
        ask(&mut dials, ATTACKER, 1, port);
    }
    assert_eq!(begin_all(&mut dials, now).len(), MAX_DIALS_PER_HOST_AND_ACCOUNT);
    let on_the_same_host = ask(&mut dials, VICTIM, 1, 100);
    assert_eq!(begin_all(&mut dials, now).iter().map(|(peer, _)| *peer).collect::<Vec<_>>(), [on_the_same_host]);
    for host in 2..=61 {
        ask(&mut dials, ATTACKER, host, 1);
    }
    begin_all(&mut dials, now);
    let elsewhere = ask(&mut dials, VICTIM, 62, 1);
    assert_eq!(begin_all(&mut dials, now).iter().map(|(peer, _)| *peer).collect::<Vec<_>>(), [elsewhere]);
}

#[tokio::test]
async fn what_becomes_free_goes_to_the_account_with_the_fewest_dials() {
    let (mut dials, now) = (dials(), Instant::now());
    for account in 2..=9 {
        for host in 1..=20 {
            ask(
                &mut dials,
                Asker { account: Some(account), ..Asker::default() },
                host,
                u16::try_from(account).expect("small"),
            );
        }
    }
    let begun = begin_all(&mut dials, now);
    assert_eq!(begun.len(), MAX_DIALS);
    let victim = ask(&mut dials, VICTIM, 200, 1);
    assert!(begin_all(&mut dials, now).is_empty());
    end(&mut dials, begun[0].1);
    assert_eq!(begin_all(&mut dials, now)[0].0, victim);
}

#[tokio::test]
async fn roots_of_an_account_take_turns_and_what_failed_goes_behind() {
    let (mut dials, now) = (dials(), Instant::now());
    let root = |number: u8| {
        Some(NodeKey::from(&cid::Cid::new_v1(0x55, pinrail_ipfs::hash::hash(0x12, 32, &[number]).expect("sha2-256"))))
    };
    let (first, second) = (Asker { root: root(1), ..VICTIM }, Asker { root: root(2), ..VICTIM });
    let many = (1..=20).map(|host| ask(&mut dials, first, host, 1)).collect::<Vec<_>>();
    let one = ask(&mut dials, second, 100, 1);
    let begun = begin_all(&mut dials, now);
    assert_eq!([begun[0].0, begun[1].0], [many[0], one]);
    assert_eq!(begun.len(), 1 + MAX_DIALS_PER_ROOT);

    let (mut dials, fails) = (self::dials(), PeerId::random());
    dials.attempts.note(&address(1, 1, fails), Outcome::Unreachable);
    dials.add(DialRequest { asker: first, peer: fails, addresses: vec![address(1, 1, fails)] }, Instant::now());
    let new = ask(&mut dials, first, 2, 1);
    assert_eq!(begin_all(&mut dials, now).iter().map(|(peer, _)| *peer).collect::<Vec<_>>(), [new, fails]);
}

#[tokio::test]
async fn every_address_of_a_peer_has_its_turn_and_the_one_that_worked_comes_first() {
    let (mut dials, now, peer) = (dials(), Instant::now(), PeerId::random());
    let addresses = (1..=20).map(|host| address(host, 1, peer)).collect::<Vec<_>>();
    dials.attempts.note(&addresses[19], Outcome::Connected);
    dials.add(DialRequest { asker: VICTIM, peer, addresses: addresses.clone() }, Instant::now());
    let mut tried = Vec::new();
    while let Some(options) = dials.next(now) {
        let batch = dials.under_way[&options.connection_id()].addresses.iter();
        tried.push(batch.map(|candidate| candidate.address.clone()).collect::<Vec<_>>());
        assert!(tried.iter().all(|batch| batch.len() <= MAX_ADDRESSES));
        end(&mut dials, options.connection_id());
    }
    assert!(tried[0].contains(&addresses[19]), "{tried:?}");
    let mut all = tried.concat();
    all.sort_by_key(ToString::to_string);
    let mut wanted = addresses;
    wanted.sort_by_key(ToString::to_string);
    assert_eq!(all, wanted);
}

#[tokio::test]
async fn a_full_queue_loses_what_the_greediest_account_asked_last() {
    let mut dials = dials();
    let victim = ask(&mut dials, VICTIM, 1, 1);
    for port in 1..=2 * u16::try_from(MAX_QUEUED).expect("small") {
        ask(&mut dials, ATTACKER, 2, port);
    }
    assert_eq!(dials.queue.len(), MAX_QUEUED);
    assert!(dials.has(&victim));
    let (peer, addresses) = (PeerId::random(), vec![address(3, 1, PeerId::random())]);
    assert_eq!(dials.add(DialRequest { asker: ATTACKER, peer, addresses }, Instant::now()), Some(peer));
    let nowhere = PeerId::random();
    assert_eq!(
        dials.add(DialRequest { asker: VICTIM, peer: nowhere, addresses: Vec::new() }, Instant::now()),
        Some(nowhere)
    );
}

#[tokio::test]
async fn look_ups_and_fetches_take_no_dials_from_each_other() {
    let (mut dials, now) = (dials(), Instant::now());
    for host in 1..=2 * u8::try_from(MAX_LOOK_UP_DIALS).expect("small") {
        ask(&mut dials, LOOK_UP, host, 1);
    }
    let looking_up = begin_all(&mut dials, now);
    assert_eq!(looking_up.len(), MAX_LOOK_UP_DIALS);
    for account in 1..=20 {
        for host in 100..=110 {
            ask(&mut dials, Asker { account: Some(account), ..VICTIM }, host, u16::try_from(account).expect("small"));
        }
    }
    assert_eq!(begin_all(&mut dials, now).len(), MAX_DIALS);
    let (peer, connection) = looking_up[0];
    assert!(dials.reached(connection, &peer, &address(1, 1, peer)), "it is known what it is for");
    assert_eq!(begin_all(&mut dials, now).len(), 1);
}

#[tokio::test]
async fn connections_for_look_ups_are_bounded_until_they_are_closed() {
    let (mut dials, now, mut connected) = (dials(), Instant::now(), Vec::new());
    for port in 1.. {
        ask(&mut dials, LOOK_UP, 1, port);
        let Some((peer, connection)) = begin_all(&mut dials, now).pop() else { break };
        dials.reached(connection, &peer, &address(1, port, peer));
        connected.push(connection);
    }
    assert_eq!(connected.len(), MAX_LOOK_UP_CONNECTIONS);
    dials.closed(connected[0]);
    assert_eq!(begin_all(&mut dials, now).len(), 1);
}

#[tokio::test]
async fn tcp_is_dialled_before_other_transports() {
    let (mut dials, now, peer) = (dials(), Instant::now(), PeerId::random());
    let text = |wire: &str| format!("/ip4/203.0.113.1/{wire}/p2p/{peer}").parse::<Multiaddr>().expect("a multiaddr");
    let (quic, tcp, websocket) = (text("udp/4001/quic-v1"), text("tcp/4001"), text("tcp/443/tls/ws"));
    let addresses = vec![websocket.clone(), quic.clone(), tcp.clone()];
    dials.add(DialRequest { asker: VICTIM, peer, addresses }, now);
    let wires = |dials: &Dials| dials.under_way.values().flat_map(|dial| &dial.addresses).map(|one| one.wire).max();
    assert_eq!((begin_all(&mut dials, now).len(), wires(&dials)), (1, Some(Wire::Tcp)));
    let later = now + HEAD_START;
    dials.look_again();
    assert_eq!(
        (begin_all(&mut dials, later).len(), wires(&dials)),
        (1, Some(Wire::Quic)),
        "it did not connect in time"
    );
    // One that is known to work goes before.
    let (mut dials, peer) = (self::dials(), PeerId::random());
    dials.attempts.note(&quic, Outcome::Connected);
    dials.add(DialRequest { asker: VICTIM, peer, addresses: vec![tcp, quic] }, now);
    assert_eq!((begin_all(&mut dials, now).len(), wires(&dials)), (1, Some(Wire::Quic)));
}

#[tokio::test]
async fn a_found_peer_that_failed_is_left_alone_for_a_while_and_a_named_one_is_not() {
    let (mut dials, now, peer) = (dials(), Instant::now(), PeerId::random());
    let request = |asker| DialRequest { asker, peer, addresses: vec![address(1, 1, peer)] };
    dials.add(request(LOOK_UP), now);
    let begun = begin_all(&mut dials, now);
    dials.failed(begun[0].1, &DialError::Aborted, now);
    let soon = now + Duration::from_secs(4);
    assert_eq!(dials.add(request(LOOK_UP), soon), Some(peer));
    assert_eq!(dials.add(request(VICTIM), soon), None);
    assert_eq!(dials.add(request(LOOK_UP), now + Duration::from_secs(5)), None);
}

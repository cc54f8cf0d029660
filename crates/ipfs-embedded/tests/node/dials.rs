//! Dials of one account while those of another are held open by sockets that never answer.

use std::io::ErrorKind;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use pinrail_ipfs_embedded::{FetchError, FetchRequest, NotReached};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{TestNode, flat, raw, request};

/// Pins of the account that names silent origins.
const SILENT: u64 = 60;

/// A socket that accepts connections and never says a word.
async fn silent_socket() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

fn silent_address(port: u16, peer: PeerId) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer}").parse().expect("a multiaddr")
}

/// A request of this account with more patience than any dial.
fn of_account(account: u128, root: cid::Cid, origins: &[Multiaddr]) -> FetchRequest {
    FetchRequest { account: Some(account), no_source_timeout: Duration::from_mins(5), ..request(root, origins) }
}

/// Whether the other side still waits on this connection.
fn is_held(stream: &TcpStream) -> bool {
    let mut bytes = [0; 1024];
    loop {
        match stream.try_read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_origins_of_one_account_do_not_keep_another_waiting() {
    let dag = flat(3, 1_000, 71);
    let root = dag[3].0;
    let (sink, source) = (TestNode::start().await, TestNode::with(root, &dag).await);
    let (mut accepts, mut sockets) = (JoinSet::new(), Vec::new());
    for number in 0..SILENT {
        let (listener, port) = silent_socket().await;
        accepts.spawn(async move { listener.accept().await.expect("a connection").0 });
        sockets.push((raw(format!("nobody has number {number}")).0, silent_address(port, PeerId::random())));
    }
    let attack =
        sockets.iter().map(|(root, origin)| sink.node.fetch(of_account(2, *root, std::slice::from_ref(origin))));
    let attack = futures::future::select_all(attack.map(Box::pin));
    let victim = async {
        let mut held = Vec::new();
        while held.len() < 4 {
            held.push(accepts.join_next().await.expect("one more").expect("it is accepted"));
        }
        let fetched = sink.node.fetch(of_account(1, root, &source.node.addresses())).await;
        assert_eq!(fetched.expect("it is fetched").blocks, 4);
        assert!(held.iter().all(is_held), "the dials of the other account go on");
    };
    tokio::select! {
        (ended, ..) = attack => panic!("a fetch that nobody can serve ended: {ended:?}"),
        () = victim => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_behind_twenty_that_never_answer_is_reached() {
    let dag = flat(3, 1_000, 72);
    let root = dag[3].0;
    let (sink, source) = (TestNode::start().await, TestNode::with(root, &dag).await);
    let (mut listeners, mut origins) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let (listener, port) = silent_socket().await;
        listeners.push(listener);
        origins.push(silent_address(port, source.node.peer_id()));
    }
    origins.extend(source.node.addresses());
    let fetched = sink.node.fetch(of_account(1, root, &origins)).await;
    assert_eq!(fetched.expect("it is fetched").blocks, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_was_not_tried_is_not_told_as_unreachable() {
    let sink = TestNode::start().await;
    let (mut listeners, mut origins) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let (listener, port) = silent_socket().await;
        listeners.push(listener);
        origins.push(silent_address(port, PeerId::random()));
    }
    let mut wanted = of_account(1, raw(&b"nobody has it"[..]).0, &origins);
    wanted.no_source_timeout = Duration::from_secs(1);
    let Err(FetchError::NotProvided { tried, .. }) = sink.node.fetch(wanted).await else { panic!("nobody has it") };
    assert!(tried.contains("20 origins were not tried yet"), "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_learns_whether_the_peer_was_reached() {
    let (node, other) = (TestNode::start().await, TestNode::start().await);
    let address = other.node.addresses()[0].clone();
    assert_eq!(node.node.connect(address.clone()).await, Ok(()));
    assert_eq!(node.node.connect(address).await, Ok(()), "it is connected already");
    let (listener, port) = silent_socket().await;
    drop(listener);
    assert_eq!(node.node.connect(silent_address(port, PeerId::random())).await, Err(NotReached));
    let public_only = TestNode::start_public().await;
    assert_eq!(public_only.node.connect(other.node.addresses()[0].clone()).await, Err(NotReached));
}

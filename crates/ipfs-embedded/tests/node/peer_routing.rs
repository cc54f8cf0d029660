//! Origins that are named by their peer id alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use libp2p::PeerId;
use libp2p::core::multiaddr::Protocol;
use pinrail_ipfs_embedded::{FetchError, Multiaddr, PeerRouting};

use crate::support::{TestNode, flat, raw, request};

/// Knows where one peer is.
struct Known {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    asked: AtomicUsize,
}

#[async_trait]
impl PeerRouting for Known {
    async fn find_peer(&self, peer: PeerId) -> Vec<Multiaddr> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if peer == self.peer { self.addresses.clone() } else { Vec::new() }
    }
}

fn bare(peer: PeerId) -> Multiaddr {
    Multiaddr::empty().with(Protocol::P2p(peer))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_without_an_address_is_looked_up() {
    let dag = flat(3, 1_000, 510);
    let (sink, source) = (TestNode::start().await, TestNode::with(dag[3].0, &dag).await);
    let peer = source.node.peer_id();
    // What is found may belong to another, or lead nowhere.
    let mut addresses = TestNode::start().await.node.addresses();
    addresses.push("/ip4/127.0.0.1/tcp/1".parse().expect("a multiaddr"));
    let mut own = source.node.addresses()[0].clone();
    own.pop();
    addresses.push(own);
    let routing = Arc::new(Known { peer, addresses, asked: AtomicUsize::new(0) });
    sink.node.set_peer_routing(routing.clone());
    let fetched = sink.fetch(dag[3].0, &[bare(peer)]).await;
    assert_eq!(fetched.expect("it is found and fetched").blocks, 4);
    assert_eq!(routing.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_not_found_is_told_as_that() {
    let sink = TestNode::start().await;
    let mut wanted = request(raw(&b"nobody has it"[..]).0, &[bare(PeerId::random())]);
    // It ends because the look-up did, long before this.
    wanted.no_source_timeout = Duration::from_hours(1);
    wanted.answer_timeout = Some(Duration::from_secs(1));
    let ended = sink.node.fetch(wanted).await;
    let Err(FetchError::NotProvided { tried, .. }) = ended else { panic!("nobody has it: {ended:?}") };
    let told = "the one origin was named without an address and could not be found or reached";
    assert!(tried.starts_with(told), "{tried}");
}

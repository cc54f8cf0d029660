//! Thousands of connections at once: the limits hold, memory too, and whoever was there is served.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, PortUse};
use libp2p::core::upgrade::Version;
use libp2p::core::{Endpoint, Transport};
use libp2p::{Multiaddr, PeerId, noise, tcp, yamux};
use pinrail_ipfs_embedded::{Keypair, NodeLimits};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;

use crate::hostile::resident_bytes;
use crate::support::{TestNode, flat};

/// Connections that are tried, and how many the node lets in.
const TRIED: usize = 2_000;
const LET_IN: u32 = 1_500;
/// Handshakes at once, under what the node allows.
const AT_ONCE: usize = 64;

/// A peer that connects and does nothing more, as cheaply as that can be had.
fn dialler() -> Boxed<(PeerId, StreamMuxerBox)> {
    let noise = noise::Config::new(&Keypair::generate_ed25519()).expect("a key");
    let tcp = tcp::tokio::Transport::new(tcp::Config::default());
    tcp.upgrade(Version::V1).authenticate(noise).multiplex(yamux::Config::default()).boxed()
}

async fn connect(address: Multiaddr) -> Option<StreamMuxerBox> {
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let dialled = dialler().dial(address, options).expect("it is TCP").await;
    dialled.ok().map(|(_, connection)| connection)
}

/// Both ends of each connection are files of this process.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("as many files as the system allows");
    assert!(limit.maximum.is_none_or(|most| most > 8_192), "wanted a limit of more than 8192 open files");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_bounded_and_a_good_peer_is_served_in_it() {
    allow_many_files();
    let dag = flat(24, 256 << 10, 95);
    let root = dag[24].0;
    let limits = NodeLimits {
        incoming: LET_IN,
        incoming_per_block: LET_IN,
        stranger_idle: Duration::from_hours(1),
        pending_per_block: u32::try_from(AT_ONCE).expect("few"),
        ..NodeLimits::default()
    };
    let node = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    node.put(root, &dag).await;
    let address = node.node.addresses()[0].clone();
    let good = TestNode::start().await;
    let small = flat(1, 100, 96);
    node.put(small[1].0, &small).await;
    good.fetch(small[1].0, &node.node.addresses()).await.expect("it is alone so far");

    let before = resident_bytes();
    let gate = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut dials = JoinSet::new();
    for _ in 0..TRIED {
        let (gate, address) = (gate.clone(), address.clone());
        dials.spawn(async move {
            let _turn = gate.acquire_owned().await.expect("it is never closed");
            connect(address).await
        });
    }
    let crowd = dials.join_all().await.into_iter().flatten().collect::<Vec<_>>();
    // Those who are refused learn of it only after their handshake; the good peer was let in before.
    let limit = LET_IN as usize;
    assert!(crowd.len() >= limit, "{} came through", crowd.len());
    while node.node.connected_peers() < limit {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(node.node.connected_peers(), limit);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 250 << 20, "both ends of {} connections take {} MiB", crowd.len(), grown >> 20);
    assert_eq!(good.fetch(root, &[]).await.expect("it is served").blocks, 25);

    // Once they are gone there is room for others.
    drop(crowd);
    let (late, addresses) = (TestNode::start().await, node.node.addresses());
    let fetched = futures::stream::repeat(())
        .then(|()| late.fetch(root, &addresses))
        .filter_map(|fetched| std::future::ready(fetched.ok()));
    assert_eq!(std::pin::pin!(fetched).next().await.expect("it never ends").blocks, 25);
}

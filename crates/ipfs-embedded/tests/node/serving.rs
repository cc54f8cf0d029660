//! Peers that take what they asked for a byte at a time: others are served meanwhile.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures::AsyncReadExt;
use libp2p::swarm::Stream;
use pinrail_ipfs_embedded::NodeLimits;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::script::{Script, read_message, wants, write_message};
use crate::support::{TestNode, flat, until};

/// Peers that read slowly, from several networks of which none is the victim's.
const SLOW_READERS: u8 = 40;
const NETWORKS: u8 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_read_a_byte_now_and_then_take_serving_from_nobody() {
    let dag = flat(8, 1 << 20, 210);
    let root = dag[8].0;
    // Strangers have 3 MiB of it, of which one network may have 2.
    let limits = NodeLimits { serve_bytes: 8 << 20, ..NodeLimits::default() };
    let source = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    source.put(root, &dag).await;
    let (source, cids) = (&source, dag.iter().map(|(cid, _)| *cid).collect::<Vec<_>>());
    let mut slow = JoinSet::new();
    for index in 0..SLOW_READERS {
        let reader = Script::start_at(Ipv4Addr::new(127, 0, 10, index + 1)).await;
        reader.dial(source.node.addresses()[0].clone());
        let mut stream = reader.open().await;
        write_message(&mut stream, &wants(&cids)).await.expect("it is sent");
        slow.spawn(async move {
            let _asking = stream;
            loop {
                let mut answer = reader.accept().await;
                let mut byte = [0];
                while answer.read_exact(&mut byte).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
    }
    until(|| source.node.stats().serve_bytes_held >= 2 << 20).await;
    let victim = TestNode::start().await;
    assert_eq!(victim.fetch_patiently(root, &source.node.addresses()).await.expect("it is served").blocks, 9);
    slow.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn siblings_are_served_whatever_all_strangers_hold() {
    let dag = flat(8, 1 << 20, 211);
    let root = dag[8].0;
    let limits = NodeLimits { serve_bytes: 8 << 20, ..NodeLimits::default() };
    let source = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    source.put(root, &dag).await;
    let cids = dag.iter().map(|(cid, _)| *cid).collect::<Vec<_>>();
    let mut silent = Vec::new();
    for network in 0..NETWORKS {
        let reader = Script::start_at(Ipv4Addr::new(127, 0, 20 + network, 1)).await;
        reader.dial(source.node.addresses()[0].clone());
        let mut stream = reader.open().await;
        write_message(&mut stream, &wants(&cids)).await.expect("it is sent");
        silent.push((reader, stream));
    }
    until(|| source.node.stats().serve_bytes_held >= 3 << 20).await;
    let sibling = TestNode::start().await;
    source.node.set_fellows(sibling.node.addresses());
    assert_eq!(sibling.fetch_patiently(root, &source.node.addresses()).await.expect("it is served").blocks, 9);
}

/// Hand on every message of a stream.
async fn read_on(mut stream: Stream, messages: mpsc::UnboundedSender<Vec<u8>>) {
    while let Ok(message) = read_message(&mut stream).await {
        messages.send(message).expect("the test waits");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_with_a_backlog_is_served_on_several_streams() {
    let dag = flat(48, 512 << 10, 212);
    let source = TestNode::with(dag[48].0, &dag).await;
    let reader = Script::start().await;
    reader.dial(source.node.addresses()[0].clone());
    let mut stream = reader.open().await;
    let cids = dag.iter().map(|(cid, _)| *cid).collect::<Vec<_>>();
    write_message(&mut stream, &wants(&cids)).await.expect("it is sent");
    let (mut reading, mut waiting) = (JoinSet::new(), Vec::new());
    let (sent, mut received) = mpsc::unbounded_channel();
    // It reads well, and so gets seven streams more; what they carry waits until they are read.
    reading.spawn(read_on(reader.accept().await, sent.clone()));
    while waiting.len() < 7 {
        waiting.push(reader.accept().await);
    }
    for stream in waiting {
        reading.spawn(read_on(stream, sent.clone()));
    }
    let (mut bytes, all) = (0, dag.iter().map(|(_, block)| block.len()).sum::<usize>());
    while bytes < all {
        bytes += received.recv().await.expect("it is sent").len();
    }
}

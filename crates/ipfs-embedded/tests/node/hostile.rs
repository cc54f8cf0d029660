//! Peers that lie, stall, vanish, flood or never read.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use pinrail_domain::DagSize;
use pinrail_ipfs_embedded::FetchError;
use tokio::sync::watch;

use crate::script::{Script, blocks, read_message, varint, wants, write_message};
use crate::support::{Block, TestNode, content, flat, raw, request};

/// Fetch `dag` while `hostile` and an honest node are its origins.
async fn fetch_beside(sink: &TestNode, hostile: &Script, dag: &[Block]) -> Result<DagSize, FetchError> {
    let root = dag.last().expect("a root").0;
    let honest = TestNode::with(root, dag).await;
    let mut origins = honest.node.addresses();
    origins.insert(0, hostile.address.clone());
    sink.fetch(root, &origins).await
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_nobodys_blocks_and_their_sender_is_dropped() {
    let dag = flat(20, 1000, 1);
    let (sink, liar) = (TestNode::start().await, Script::start().await);
    // It is connected before the honest one, which could be done before the liar is asked.
    liar.dial(sink.node.addresses()[0].clone());
    let mut stream = liar.open().await;
    let lying = async {
        // As soon as the node asks for anything.
        read_message(&mut liar.accept().await).await.expect("a wantlist");
        let lies = (0..20).map(|index| (dag[index].0, content(1000, 1_000 + index as u64).into())).collect::<Vec<_>>();
        write_message(&mut stream, &blocks(&lies)).await.expect("it is sent");
        liar.wait_closed().await;
    };
    let (fetched, ()) = tokio::join!(fetch_beside(&sink, &liar, &dag), lying);
    assert_eq!(fetched.expect("it is fetched").blocks, 21);
    for index in 0..20 {
        assert!(!sink.has(&raw(content(1000, 1_000 + index)).0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_nobody_asked_for_are_not_kept() {
    let (sink, sender) = (TestNode::start().await, Script::start().await);
    sender.dial(sink.node.addresses()[0].clone());
    let mut stream = sender.open().await;
    let unwanted = (0..7).map(|index| raw(content(1000, index))).collect::<Vec<_>>();
    write_message(&mut stream, &blocks(&unwanted)).await.expect("it is sent");
    // Seven are forgiven, the next one is too many.
    write_message(&mut stream, &blocks(&[raw(&b"one more"[..])])).await.expect("it is sent");
    sender.wait_closed().await;
    assert!(unwanted.iter().all(|(cid, _)| !sink.has(cid)));
    // It is not let in again.
    sender.dial(sink.node.addresses()[0].clone());
    sender.wait_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_4_mib_ends_its_stream() {
    let (sink, sender) = (TestNode::start().await, Script::start().await);
    sender.dial(sink.node.addresses()[0].clone());
    for claimed in [(4 << 20) + 1, usize::MAX >> 1] {
        let mut stream = sender.open().await;
        stream.write_all(&varint(claimed)).await.expect("it is sent");
        stream.flush().await.expect("it is sent");
        let mut byte = [0];
        let read = stream.read(&mut byte).await;
        assert!(!matches!(read, Ok(1)), "the stream is closed, not answered");
    }
    // The connection itself is as good as before.
    let dag = flat(3, 100, 2);
    sink.put(dag[3].0, &dag).await;
    write_message(&mut sender.open().await, &wants(&[dag[0].0])).await.expect("it is sent");
    let answer = read_message(&mut sender.accept().await).await.expect("an answer");
    assert!(answer.windows(100).any(|window| window == &dag[0].1[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_over_2_mib_that_nobody_asked_for_are_strikes() {
    let (sink, sender) = (TestNode::start().await, Script::start().await);
    sender.dial(sink.node.addresses()[0].clone());
    let mut stream = sender.open().await;
    for index in 0..8 {
        let big = raw(content((2 << 20) + 1, index));
        write_message(&mut stream, &blocks(std::slice::from_ref(&big))).await.expect("it is sent");
    }
    sender.wait_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_never_answers_holds_nothing_up() {
    let (sink, silent) = (TestNode::start().await, Script::start().await);
    let fetched = fetch_beside(&sink, &silent, &flat(600, 1000, 4)).await;
    assert_eq!(fetched.expect("it is fetched").blocks, 601);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_alone_never_answers_is_no_source() {
    let (sink, silent) = (TestNode::start().await, Script::start().await);
    let mut wanted = request(raw(&b"asked in vain"[..]).0, std::slice::from_ref(&silent.address));
    wanted.no_source_timeout = Duration::from_secs(1);
    let ended = sink.node.fetch(wanted).await;
    assert!(matches!(ended, Err(FetchError::NotProvided { .. })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_says_it_has_it_and_never_sends_it_stalls() {
    let wanted_block = raw(&b"promised"[..]);
    let (sink, liar) = (TestNode::start().await, Script::start().await);
    let promising = async {
        read_message(&mut liar.accept().await).await.expect("a wantlist");
        let mut presence = vec![0x0a, 36];
        presence.extend(wanted_block.0.to_bytes());
        let mut message = vec![0x22, 38];
        message.extend(presence);
        write_message(&mut liar.open().await, &message).await.expect("it is sent");
        std::future::pending::<()>().await;
    };
    let mut wanted = request(wanted_block.0, std::slice::from_ref(&liar.address));
    wanted.no_source_timeout = Duration::from_millis(500);
    wanted.stall_timeout = Duration::from_secs(2);
    tokio::select! {
        ended = sink.node.fetch(wanted) => assert!(matches!(ended, Err(FetchError::Stalled { .. })), "{ended:?}"),
        () = promising => unreachable!("it never ends"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_may_vanish_in_the_middle_of_a_dag() {
    let dag = flat(50, 1000, 5);
    let root = dag[50].0;
    let (sink, vanishing) = (TestNode::start().await, Script::start().await);
    let mut wanted = request(root, std::slice::from_ref(&vanishing.address));
    let (origins, known) = watch::channel(vec![vanishing.address.clone()]);
    let (progress, mut seen) = watch::channel(DagSize::default());
    (wanted.origins, wanted.progress) = (known, progress);
    let vanish = async {
        read_message(&mut vanishing.accept().await).await.expect("a wantlist");
        let mut stream = vanishing.open().await;
        write_message(&mut stream, &blocks(&dag[50..])).await.expect("the root is sent");
        seen.wait_for(|totals| totals.blocks == 1).await.expect("the root is stored");
        drop(vanishing);
        // Then somebody else turns up.
        let honest = TestNode::with(root, &dag).await;
        origins.send_replace(honest.node.addresses());
        std::future::pending::<()>().await;
    };
    tokio::select! {
        fetched = sink.node.fetch(wanted) => assert_eq!(fetched.expect("it is fetched").blocks, 51),
        () = vanish => unreachable!("it never ends"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_want_everything_and_never_read_cost_little_and_delay_nobody() {
    let dag = flat(24, 1 << 20, 6);
    let root = dag[24].0;
    let source = TestNode::with(root, &dag).await;
    let cids = dag.iter().map(|(cid, _)| *cid).collect::<Vec<_>>();
    let mut floods = Vec::new();
    for _ in 0..16 {
        let flood = Script::start().await;
        flood.dial(source.node.addresses()[0].clone());
        let mut stream = flood.open().await;
        for _ in 0..40 {
            write_message(&mut stream, &wants(&cids)).await.expect("it is sent");
        }
        floods.push((flood, stream));
    }
    let before = resident_bytes();
    let sink = TestNode::start().await;
    let fetched = sink.fetch(root, &source.node.addresses()).await;
    assert_eq!(fetched.expect("it is fetched").blocks, 25);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 250 << 20, "16 peers that asked for 15 GiB cost {} MiB", grown >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_the_limit_are_refused_and_those_there_go_on() {
    let dag = flat(3, 100, 7);
    let node = TestNode::start_with(|options| options.limits.incoming = 3).await.expect("the node starts");
    node.put(dag[3].0, &dag).await;
    let address = node.node.addresses()[0].clone();
    let mut within = Vec::new();
    for _ in 0..3 {
        let peer = Script::start().await;
        peer.dial(address.clone());
        peer.open().await;
        within.push(peer);
    }
    for _ in 0..5 {
        let beyond = Script::start().await;
        beyond.dial(address.clone());
        beyond.wait_closed().await;
    }
    assert_eq!(node.node.connected_peers(), 3);
    write_message(&mut within[0].open().await, &wants(&[dag[0].0])).await.expect("it is sent");
    let answer = read_message(&mut within[0].accept().await).await.expect("an answer");
    assert!(answer.windows(100).any(|window| window == &dag[0].1[..]));
}

/// The memory that this process holds.
pub fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4096
}

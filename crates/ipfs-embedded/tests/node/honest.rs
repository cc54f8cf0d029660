//! Peers that mean well and answer as Kubo and Helia do, which is not always what was asked for.

use libp2p::swarm::Stream;
use pinrail_ipfs_embedded::FetchError;

use crate::script::{Script, blocks, read_message, write_message};
use crate::support::{TestNode, content, flat, raw};

/// Read what the node says on its stream for wants until it names `name`.
async fn read_until(peer: &Script, stream: &mut Option<Stream>, name: &[u8]) {
    loop {
        let open = match stream {
            Some(open) => open,
            None => stream.insert(peer.accept().await),
        };
        match read_message(open).await {
            Ok(message) if message.windows(name.len()).any(|window| window == name) => return,
            Ok(_) => {}
            // It gives up a stream that was idle and opens another.
            Err(_) => *stream = None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_copies_of_small_blocks_that_were_asked_about_are_no_strikes() {
    let (sink, source, second) = (TestNode::start().await, TestNode::start().await, Script::start().await);
    second.dial(sink.node.addresses()[0].clone());
    let (mut stream, mut wanted) = (second.open().await, None);
    let answering = async {
        for salt in 0..12 {
            let dag = flat(1, 100, 70 + salt);
            let root = dag[1].0;
            source.put(root, &dag).await;
            sink.fetch(root, &source.node.addresses()).await.expect("the origin has it");
            read_until(&second, &mut wanted, &root.to_bytes()).await;
            write_message(&mut stream, &blocks(&dag[1..])).await.expect("it is sent");
        }
    };
    second.while_connected(answering).await;
    // It is served on as any other.
    second.get(&mut stream, &flat(1, 100, 70)[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_over_2_mib_that_was_asked_for_ends_its_fetch_and_is_no_strike() {
    let size = (2 << 20) + 1;
    let big = raw(content(size, 3));
    let (sink, sender) = (TestNode::start().await, Script::start().await);
    let sending = async {
        read_message(&mut sender.accept().await).await.expect("a wantlist");
        let mut stream = sender.open().await;
        // More often than strikes are forgiven, as over several attempts.
        for _ in 0..9 {
            write_message(&mut stream, &blocks(std::slice::from_ref(&big))).await.expect("it is sent");
        }
        stream
    };
    let fetching = async { sink.fetch(big.0, std::slice::from_ref(&sender.address)).await };
    let (ended, mut stream) = tokio::join!(fetching, sending);
    let Err(FetchError::BlockTooLarge { cid, size: told }) = ended else { panic!("{ended:?}") };
    assert_eq!((cid, told), (big.0.to_string(), size));
    assert!(!sink.has(&big.0));
    let small = flat(1, 100, 82);
    sink.put(small[1].0, &small).await;
    sender.get(&mut stream, &small[0]).await;
}

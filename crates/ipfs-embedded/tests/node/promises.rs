//! Peers that say they have everything and send nothing: they lose their turn to those that send.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pinrail_ipfs_embedded::FetchError;

use crate::script::{Script, haves, read_message, write_message};
use crate::support::{TestNode, flat, raw, request, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_promises_everything_holds_no_fetch_up() {
    let dag = flat(600, 1000, 230);
    let root = dag[600].0;
    let sink = TestNode::start().await;
    let mut liars = Vec::new();
    for _ in 0..24 {
        let liar = Script::start().await;
        liar.dial(sink.node.addresses()[0].clone());
        let mut stream = liar.open().await;
        write_message(&mut stream, &[]).await.expect("it is sent");
        let cids = dag.iter().map(|(cid, _)| *cid).collect::<Vec<_>>();
        liars.push(tokio::spawn(async move {
            loop {
                let mut asked = liar.accept().await;
                while read_message(&mut asked).await.is_ok() {
                    write_message(&mut stream, &haves(&cids)).await.expect("it is sent");
                }
            }
        }));
    }
    until(|| sink.node.connected_peers() == 24).await;
    // It is none of the origins, and says that it has it as the others do.
    let honest = TestNode::with(root, &dag).await;
    honest.node.connect(sink.node.addresses()[0].clone()).await.expect("it is reached");
    until(|| sink.node.connected_peers() == 25).await;
    let fetched = sink.fetch_patiently(root, &[]).await;
    assert_eq!(fetched.expect("it is fetched").blocks, 601);
    liars.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_of_a_peer_that_did_not_keep_it_counts_for_nothing() {
    let promised = raw(&b"promised"[..]).0;
    let dag = flat(300, 1000, 231);
    let (sink, liar) = (TestNode::start().await, Arc::new(Script::start().await));
    let (said, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let all = dag.iter().map(|(cid, _)| *cid).chain([promised]).collect::<Vec<_>>();
    let lying = tokio::spawn({
        let (liar, said, asked) = (liar.clone(), said.clone(), asked.clone());
        let leaves = dag[..300].iter().map(|(cid, _)| cid.to_bytes()).collect::<Vec<_>>();
        async move {
            loop {
                let mut stream = liar.accept().await;
                while let Ok(message) = read_message(&mut stream).await {
                    let named = leaves.iter().filter(|leaf| message.windows(leaf.len()).any(|part| part == &leaf[..]));
                    asked.fetch_add(named.count(), Ordering::SeqCst);
                    write_message(&mut liar.open().await, &haves(&all)).await.expect("it is sent");
                    said.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    });
    liar.dial(sink.node.addresses()[0].clone());
    until(|| sink.node.connected_peers() == 1).await;
    let mut wanted = request(promised, &[]);
    wanted.no_source_timeout = Duration::from_secs(1);
    let ended = sink.node.fetch(wanted).await;
    assert!(matches!(ended, Err(FetchError::NotProvided { .. })), "it is no source any more: {ended:?}");
    assert!(said.load(Ordering::SeqCst) > 0);

    asked.store(0, Ordering::SeqCst);
    let honest = TestNode::with(dag[300].0, &dag).await;
    let fetched = sink.fetch_patiently(dag[300].0, &honest.node.addresses()).await;
    assert_eq!(fetched.expect("it is fetched").blocks, 301);
    assert_eq!(asked.load(Ordering::SeqCst), 0, "leaves that it was asked for");
    lying.abort();
}

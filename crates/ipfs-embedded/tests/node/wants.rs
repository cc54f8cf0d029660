//! Wants of blocks that are not there yet: kept until they come, within bounds, and not told to strangers.

use std::collections::HashSet;

use cid::Cid;
use pinrail_block_store::NodeKey;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::script::{Script, cancels, read_message, wants, write_message};
use crate::support::{TestNode, content, flat, raw, until};

fn contains(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}

/// What is said until `part` is.
async fn hear(said: &mut UnboundedReceiver<Vec<u8>>, part: &[u8]) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    while heard.last().is_none_or(|message: &Vec<u8>| !contains(message, part)) {
        heard.push(said.recv().await.expect("it runs"));
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_was_asked_for_in_vain_is_sent_when_it_comes() {
    let dag = flat(2, 1000, 220);
    let (node, source) = (TestNode::start().await, TestNode::with(dag[2].0, &dag).await);
    let (asker, mut said) = Script::start().await.listen();
    asker.dial(node.node.addresses()[0].clone());
    let mut stream = asker.open().await;
    write_message(&mut stream, &wants(&[dag[0].0, dag[1].0])).await.expect("it is sent");
    hear(&mut said, &dag[0].0.to_bytes()).await;
    until(|| node.node.stats().wants_kept == 2).await;
    // What is taken back is not sent.
    write_message(&mut stream, &cancels(&[dag[1].0])).await.expect("it is sent");
    until(|| node.node.stats().wants_kept == 1).await;
    node.fetch(dag[2].0, &source.node.addresses()).await.expect("it is fetched");
    let mut heard = hear(&mut said, &dag[0].1).await;
    assert_eq!(node.node.stats().wants_kept, 0);
    write_message(&mut stream, &wants(&[dag[2].0])).await.expect("it is sent");
    heard.extend(hear(&mut said, &dag[2].1).await);
    assert!(!heard.iter().any(|message| contains(message, &dag[1].1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn wants_are_kept_within_bounds_and_while_their_peer_is_connected() {
    let node = TestNode::start().await;
    let (asker, mut said) = Script::start().await.listen();
    asker.dial(node.node.addresses()[0].clone());
    let mut stream = asker.open().await;
    for salt in 0..3 {
        let cids = (0..1_000).map(|index| raw(content(10, salt << 32 | index)).0).collect::<Vec<_>>();
        write_message(&mut stream, &wants(&cids)).await.expect("it is sent");
        // All are answered, in their order, before the next are asked.
        hear(&mut said, &cids[999].to_bytes()).await;
    }
    assert_eq!(node.node.stats().wants_kept, 1_024);
    drop((asker, stream));
    until(|| node.node.stats().wants_kept == 0).await;
}

/// Which of `cids` a peer has been asked for, once it was asked for `last`.
async fn asked_until(said: &mut UnboundedReceiver<Vec<u8>>, cids: &[Cid], last: &Cid) -> HashSet<Cid> {
    let heard = hear(said, &last.to_bytes()).await;
    let asked = |cid: &&Cid| heard.iter().any(|message| contains(message, &cid.to_bytes()));
    cids.iter().filter(asked).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_asked_for_the_newest_roots_only() {
    let node = TestNode::start().await;
    let (stranger, mut said) = Script::start().await.listen();
    let roots = (0..300).map(|index| raw(content(10, 5_000 + index)).0).collect::<Vec<_>>();
    for root in &roots[..299] {
        node.node.watch_for(NodeKey::from(root));
    }
    // It did not come to us, so it is none who waits to be asked.
    node.node.connect(stranger.address.clone()).await.expect("it is reached");
    let asked = asked_until(&mut said, &roots, &roots[283]).await;
    assert_eq!(asked, roots[283..299].iter().copied().collect());
    // What is added is among the newest.
    node.node.watch_for(NodeKey::from(&roots[299]));
    let asked = asked_until(&mut said, &roots, &roots[299]).await;
    assert!(asked.is_disjoint(&roots[..283].iter().copied().collect()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_dials_us_is_asked_for_more_and_a_sibling_for_all() {
    let node = TestNode::start().await;
    let (newcomer, mut newcomer_heard) = Script::start().await.listen();
    let (sibling, mut sibling_heard) = Script::start().await.listen();
    let roots = (0..300).map(|index| raw(content(10, 6_000 + index)).0).collect::<Vec<_>>();
    for root in &roots {
        node.node.watch_for(NodeKey::from(root));
    }
    newcomer.dial(node.node.addresses()[0].clone());
    let asked = asked_until(&mut newcomer_heard, &roots, &roots[100]).await;
    assert_eq!(asked, roots[100..].iter().copied().collect());
    node.node.set_fellows(vec![sibling.address.clone()]);
    // It need not answer to be asked for the rest.
    let asked = asked_until(&mut sibling_heard, &roots, &roots[0]).await;
    assert_eq!(asked.len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_closes_the_stream_of_its_answer_is_answered_on_another() {
    let dag = flat(2, 1000, 221);
    let (node, source) = (TestNode::start().await, TestNode::with(dag[2].0, &dag).await);
    let asker = Script::start().await;
    asker.dial(node.node.addresses()[0].clone());
    let mut stream = asker.open().await;
    write_message(&mut stream, &wants(&[dag[0].0])).await.expect("it is sent");
    let mut answer = asker.accept().await;
    let said = read_message(&mut answer).await.expect("that it is not there");
    assert!(contains(&said, &dag[0].0.to_bytes()));
    drop(answer);
    until(|| node.node.stats().wants_kept == 1).await;
    node.fetch(dag[2].0, &source.node.addresses()).await.expect("it is fetched");
    let (_asker, mut said) = asker.listen();
    hear(&mut said, &dag[0].1).await;
}

//! The checks that every IPFS backend passes, over the embedded node with another one beside it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pinrail_ipfs_conformance::{Dag, Fixture, Provider};
use pinrail_ipfs_embedded::EmbeddedBackend;
use pinrail_spec::Multiaddr;

use crate::support::{TestNode, put_blocks, raw};

pinrail_ipfs_conformance::check_backend!(crate::conformance::fresh_node);

async fn fresh_node() -> Fixture {
    let TestNode { node, folder, .. } = TestNode::start().await;
    let backend = EmbeddedBackend::new(Arc::new(node), Duration::from_mins(1), Arc::new(|| 1_000));
    Fixture { backend: Box::new(backend), provider: Box::new(Peer(TestNode::start().await)), held: Box::new(folder) }
}

struct Peer(TestNode);

#[async_trait]
impl Provider for Peer {
    async fn provide(&self, dag: &Dag) {
        for (cid, bytes) in &dag.blocks {
            // As raw: the store would not take a malformed node, and bytes are served whatever they are kept as.
            let held = raw(bytes.clone());
            assert_eq!(held.0.hash(), cid.hash());
            put_blocks(self.0.node.store(), held.0, &[held]).await;
        }
    }

    async fn addresses(&self) -> Vec<Multiaddr> {
        let own = self.0.node.addresses();
        own.iter().map(|address| Multiaddr::parse(&address.to_string()).expect("it names the peer")).collect()
    }

    async fn connect(&self, delegates: &[Multiaddr]) {
        for delegate in delegates {
            self.0.node.connect(delegate.as_str().parse().expect("a multiaddr")).await.expect("it is reached");
        }
    }
}

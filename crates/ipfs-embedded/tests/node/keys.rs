//! Peers whose identity is a key of another kind than our own nodes have.

use pinrail_ipfs_embedded::Keypair;
use rcgen::{KeyPair, PKCS_RSA_SHA256};

use crate::support::{TestNode, flat};

/// As Kubo made it until 0.7, and as four of the public bootstrap nodes have it.
fn rsa() -> Keypair {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key of 2048 bits");
    Keypair::rsa_from_pkcs8(&mut key.serialize_der()).expect("a private key")
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_with_keys_of_every_kind_are_fetched_from() {
    for keypair in [rsa(), Keypair::generate_secp256k1(), Keypair::generate_ecdsa()] {
        let kind = keypair.key_type();
        let source = TestNode::start_with(|options| options.keypair = keypair).await.expect("the node starts");
        let blocks = flat(3, 1_000, 400);
        source.put(blocks[3].0, &blocks).await;
        let fetched = TestNode::start().await.fetch(blocks[3].0, &source.node.addresses()).await;
        assert_eq!(fetched.unwrap_or_else(|error| panic!("{kind}: {error}")).blocks, 4);
    }
}

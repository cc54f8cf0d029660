//! A real node's answers over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use pinrail_ipfs_embedded::{DialPolicy, Keypair, Node, NodeLimits, NodeOptions, RoutingOptions};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

use super::{router, serve};
use crate::scratch::Scratch;
use crate::system::now;

/// The CID of nothing, which is nowhere as a block.
const NOWHERE: &str = "bafkreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi";

struct Scene {
    node: Arc<Node>,
    /// The CID of a block that the node has, and that nobody pinned.
    cid: String,
    address: SocketAddr,
    _scratch: Scratch,
}

struct Answer {
    status: u16,
    kind: String,
    kept: String,
    body: String,
}

impl Scene {
    async fn start() -> Self {
        let scratch = Scratch::new("pinrail-routing-").expect("a folder");
        let store = scratch.open_blocks().expect("a store");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "told over HTTP").expect("it is written");
        let (into, path) = (store.clone(), file.path().to_owned());
        let roots = spawn_blocking(move || pinrail_unixfs::add(&into, &path, now())).await.expect("no panic");
        let cid = roots.expect("it is added").first().expect("a root").to_string();
        let options = NodeOptions {
            keypair: Keypair::generate_ed25519(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr")],
            announce: Vec::new(),
            dial: DialPolicy::default(),
            limits: NodeLimits::default(),
            routing: RoutingOptions::default(),
        };
        let node = Arc::new(Node::start(options, store).await.expect("a node"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(serve(listener, router(Arc::clone(&node))));
        Self { node, cid, address, _scratch: scratch }
    }

    async fn get(&self, path: &str, accept: &'static str) -> Answer {
        let url = format!("http://{}/routing/v1/{path}", self.address);
        let ask = move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut response = agent.get(url).header("accept", accept).call().expect("it answers");
            let header = |name: &str| {
                response.headers().get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
            };
            let (status, kind, kept) = (response.status().as_u16(), header("content-type"), header("cache-control"));
            let body = response.body_mut().read_to_string().expect("text");
            Answer { status, kind, kept, body }
        };
        spawn_blocking(ask).await.expect("no panic")
    }
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!((self.status, self.kind.as_str()), (200, "application/json"), "{}", self.body);
        serde_json::from_str(&self.body).expect("JSON")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_is_the_provider_of_every_block_that_it_has() {
    let scene = Scene::start().await;
    let answer = scene.get(&format!("providers/{}", scene.cid), "application/json").await;
    let (json, id) = (answer.json(), scene.node.peer_id().to_string());
    let record = &json["Providers"][0];
    assert_eq!((&record["Schema"], &record["ID"]), (&Value::from("peer"), &Value::from(id)));
    assert_eq!(record["Protocols"], serde_json::json!(["transport-bitswap"]));
    let address = record["Addrs"][0].as_str().expect("an address");
    assert!(address.starts_with("/ip4/127.0.0.1/tcp/") && !address.contains("/p2p/"), "{address}");
    assert_eq!(answer.kept, "public, max-age=300");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_it_does_not_have_it_names_nobody() {
    let scene = Scene::start().await;
    let none = scene.get(&format!("providers/{NOWHERE}"), "application/json").await;
    assert_eq!((none.json(), none.kept.as_str()), (serde_json::json!({ "Providers": [] }), "public, max-age=15"));
    let stranger = Keypair::generate_ed25519().public().to_peer_id();
    assert_eq!(scene.get(&format!("peers/{stranger}"), "").await.json(), serde_json::json!({ "Peers": [] }));
    assert_eq!(scene.get("providers/nonsense", "").await.status, 400);
    assert_eq!(scene.get("peers/nonsense", "").await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_as_lines_where_these_are_asked_for() {
    let scene = Scene::start().await;
    let answer = scene.get(&format!("providers/{}", scene.cid), "application/x-ndjson, application/json").await;
    assert_eq!(answer.kind, "application/x-ndjson");
    assert_eq!(answer.body.lines().count(), 1);
    let record: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(record["Schema"], "peer");
    let none = scene.get(&format!("providers/{NOWHERE}"), "application/x-ndjson").await;
    assert_eq!((none.status, none.body.as_str()), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_it_is_itself_by_either_spelling_of_its_id() {
    let scene = Scene::start().await;
    let id = scene.node.peer_id();
    let multihash = pinrail_spec::RootKey { codec: 0x72, multihash: id.to_bytes() };
    let as_cid = multihash.to_cid().expect("a CID").to_string();
    for spelling in [id.to_string(), as_cid] {
        let json = scene.get(&format!("peers/{spelling}"), "").await.json();
        assert_eq!(json["Peers"][0]["ID"], id.to_string(), "{spelling}");
    }
    let json = scene.get(&format!("peers/{id}?filter-addrs=quic-v1"), "").await.json();
    assert_eq!(json, serde_json::json!({ "Peers": [] }));
}

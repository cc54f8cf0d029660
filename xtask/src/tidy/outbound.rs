//! Nothing opens an outbound connection but the node's gate and the few places that are named here.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::graph::Graph;
use super::sources;

/// Where product code is; the other folders of a crate hold tests, examples and benchmarks.
const PRODUCT: [&str; 2] = ["bins", "crates"];
/// Crates that no product is built from.
const FOR_TESTS: [&str; 5] = ["testbed", "chaos", "e2e", "storage-conformance", "ipfs-conformance"];

/// What opens a connection, sends a datagram or resolves a name.
const OPENERS: [&str; 14] = [
    "TcpStream::connect",
    "TcpSocket",
    "UdpSocket",
    "UnixStream",
    "HttpConnector",
    "client::legacy",
    "client::conn",
    "lookup_host",
    "to_socket_addrs",
    "config.connect(",
    "tcp::tokio::Transport",
    "dns::tokio::Transport",
    "quic::tokio::Transport",
    "websocket::",
];

/// Clients of the network as packages, which product crates do not use at all.
const CLIENTS: [&str; 6] = ["curl", "hyper-rustls", "isahc", "lettre", "reqwest", "ureq"];

/// The places that may, each with its reason.
const EXCEPTIONS: [(&str, &str, &str); 10] = [
    ("crates/ipfs-embedded/src/network/listen.rs", "UdpSocket", "it shows whether an address can be listened on"),
    (
        "crates/ipfs-embedded/src/routing/delegated.rs",
        "client::legacy",
        "it names the error of the client of web/mod.rs",
    ),
    ("crates/ipfs-embedded/src/transport/mod.rs", "tcp::tokio::Transport", "it is what the gate stands in front of"),
    ("crates/ipfs-embedded/src/transport/mod.rs", "dns::tokio::Transport", "what it resolves goes through the gate"),
    ("crates/ipfs-embedded/src/transport/mod.rs", "quic::tokio::Transport", "it is what the gate stands in front of"),
    ("crates/ipfs-embedded/src/transport/mod.rs", "websocket::", "it dials by TCP behind the gate"),
    ("crates/ipfs-embedded/src/web/connect.rs", "TcpStream::connect", "the gate has admitted the address right before"),
    ("crates/ipfs-embedded/src/web/connect.rs", "lookup_host", "what it resolves goes through the gate"),
    ("crates/ipfs-embedded/src/web/mod.rs", "client::legacy", "it connects by web/connect.rs"),
    ("crates/storage-diesel/src/postgres/open.rs", "config.connect(", "the database is named by the operator"),
];

/// The package of [`CLIENTS`] that a crate may use.
const CLIENT_EXCEPTIONS: [(&str, &str, &str); 1] =
    [("pinrail-ipfs-embedded", "hyper-rustls", "TLS over the connections of web/connect.rs")];

/// Every place that opens a connection past the gate, and every exception that is no longer needed.
pub fn bypasses(root: &Path, graph: &Graph) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in sources::rust_files(root)? {
        let name = file.strip_prefix(root)?.to_string_lossy().into_owned();
        if is_product(&name) {
            let text = fs::read_to_string(&file)?;
            found.extend(openers(&text).map(|opener| (name.clone(), opener)));
        }
    }
    let mut breaches = judge(&found);
    for (name, member) in graph.members.iter().filter(|(name, _)| is_product_crate(name)) {
        let is_excepted =
            |client: &str| CLIENT_EXCEPTIONS.iter().any(|(at, with, _)| (*at, *with) == (name.as_str(), client));
        let clients = CLIENTS.iter().filter(|client| member.normal.contains(**client) && !is_excepted(client));
        breaches.extend(clients.map(|client| format!("{name} uses {client}, which connects past the gate")));
    }
    Ok(breaches)
}

fn judge(found: &[(String, &str)]) -> Vec<String> {
    let is_excepted = |file: &str, opener: &str| EXCEPTIONS.iter().any(|(at, with, _)| (*at, *with) == (file, opener));
    let bypasses = found.iter().filter(|(file, opener)| !is_excepted(file, opener));
    let bypasses = bypasses.map(|(file, opener)| {
        format!("{file} uses {opener}: outbound connections go through crates/ipfs-embedded/src/gate.rs")
    });
    let is_gone = |file: &str, opener: &str| !found.iter().any(|(at, with)| (at.as_str(), *with) == (file, opener));
    let gone = EXCEPTIONS.iter().filter(|(file, opener, _)| is_gone(file, opener));
    bypasses
        .chain(gone.map(|(file, opener, _)| format!("{file} does not use {opener} and needs no exception")))
        .collect()
}

/// What a file uses outside its tests.
fn openers(text: &str) -> impl Iterator<Item = &'static str> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).collect::<Vec<_>>();
    OPENERS.into_iter().filter(move |opener| lines.iter().any(|line| line.contains(opener)))
}

fn is_product(file: &str) -> bool {
    let mut parts = file.split('/');
    let (folder, name, inner) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
    let is_test = file.ends_with("/tests.rs") || file.ends_with("_tests.rs");
    folder.is_some_and(|folder| PRODUCT.contains(&folder))
        && inner == Some("src")
        && !FOR_TESTS.contains(&name)
        && !is_test
}

fn is_product_crate(name: &str) -> bool {
    let short = name.strip_prefix("pinrail-");
    short.is_some_and(|short| !FOR_TESTS.contains(&short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_past_the_gate_is_found() {
        let text = "use tokio::net::TcpStream;\n// TcpSocket\nlet stream = TcpStream::connect(address).await?;\n";
        assert_eq!(openers(text).collect::<Vec<_>>(), ["TcpStream::connect"]);
        assert_eq!(openers("#[cfg(test)]\nmod tests {\nTcpStream::connect(address)").count(), 0);
        let kept = EXCEPTIONS.map(|(file, opener, _)| (file.to_owned(), opener));
        assert_eq!(judge(&kept), [""; 0]);
        let with_one_more = [&kept[..], &[("bins/api/src/serve.rs".to_owned(), "TcpStream::connect")]].concat();
        let breaches = judge(&with_one_more);
        assert!(breaches.len() == 1 && breaches[0].starts_with("bins/api/src/serve.rs uses TcpStream::connect"));
        assert!(judge(&kept[1..])[0].ends_with("needs no exception"));
    }

    #[test]
    fn tests_and_tools_may_connect() {
        assert!(is_product("crates/http/src/serve.rs") && is_product("bins/worker/src/run/step.rs"));
        for file in ["crates/http/tests/suite/wire.rs", "xtask/src/up/mod.rs", "crates/testbed/src/lib.rs"] {
            assert!(!is_product(file), "{file}");
        }
        assert!(is_product_crate("pinrail-http") && !is_product_crate("xtask"));
    }
}

//! Which packages stay in one crate, and which stay out altogether.

use super::graph::Graph;

/// Each package with the one crate that may name it, so that it can be replaced there.
/// A package whose name begins with one of these counts as that one.
const CONFINED: &[(&str, &str)] = &[
    ("biscuit-auth", "pinrail-domain"),
    ("deadpool", "pinrail-storage-diesel"),
    ("diesel", "pinrail-storage-diesel"),
    ("libipld", "pinrail-ipfs"),
    ("libp2p", "pinrail-ipfs-embedded"),
    ("libsqlite3-sys", "pinrail-storage-diesel"),
    ("tokio-postgres", "pinrail-storage-diesel"),
];

/// What waits for the outside world; the two crates that only decide are built from none of it.
const RUNTIMES: &[&str] = &["async-io", "async-std", "hyper", "mio", "smol", "socket2", "tokio"];
const DECIDING: &[&str] = &["pinrail-spec", "pinrail-domain"];

/// Bindings to libraries that a machine would have to have: libpq and OpenSSL.
const SYSTEM_LIBRARIES: &[&str] = &["native-tls", "openssl", "openssl-sys", "pq-sys"];

/// Every crate that names a package which belongs to another one.
pub fn strays(graph: &Graph) -> Vec<String> {
    let mut strays = Vec::new();
    for (name, member) in &graph.members {
        for package in member.normal.union(&member.other) {
            for (prefix, home) in CONFINED {
                if package.starts_with(prefix) && name != home {
                    strays.push(format!("{name} uses {package}, which belongs in {home}"));
                }
            }
        }
    }
    strays
}

/// Every runtime that the deciding crates pull in, directly or not.
pub fn runtimes(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for name in DECIDING {
        let Some(member) = graph.members.get(*name) else {
            found.push(format!("{name} is not in the workspace"));
            continue;
        };
        for runtime in RUNTIMES.iter().filter(|runtime| member.closure.contains(**runtime)) {
            found.push(format!("{name} is built from {runtime}"));
        }
    }
    found
}

/// Every binding to a library of the system in the whole graph.
pub fn system_libraries(graph: &Graph) -> Vec<String> {
    SYSTEM_LIBRARIES
        .iter()
        .filter(|library| graph.packages.contains(**library))
        .map(|library| format!("{library} is in the graph"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::graph::Member;

    fn member(names: &[&str]) -> Member {
        let set: std::collections::BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Member { normal: set.clone(), closure: set, ..Member::default() }
    }

    #[test]
    fn a_package_out_of_its_crate_is_found() {
        let mut graph = Graph::default();
        graph.members.insert("pinrail-http".to_owned(), member(&["diesel-async"]));
        graph.members.insert("pinrail-domain".to_owned(), member(&["biscuit-auth"]));
        assert_eq!(strays(&graph), ["pinrail-http uses diesel-async, which belongs in pinrail-storage-diesel"]);
    }

    #[test]
    fn a_runtime_under_domain_is_found() {
        let mut graph = Graph::default();
        graph.members.insert("pinrail-spec".to_owned(), member(&["serde"]));
        graph.members.insert("pinrail-domain".to_owned(), member(&["mio"]));
        assert_eq!(runtimes(&graph), ["pinrail-domain is built from mio"]);
    }

    #[test]
    fn a_binding_to_libpq_is_found() {
        let mut graph = Graph::default();
        graph.packages.insert("pq-sys".to_owned());
        assert_eq!(system_libraries(&graph), ["pq-sys is in the graph"]);
    }
}

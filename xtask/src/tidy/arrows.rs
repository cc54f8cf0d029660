//! Which crate may depend on which: the arrows of docs/architecture.md.

use std::collections::BTreeSet;

use super::graph::Graph;

/// Each crate with all that it may be built from.
///
/// xtask and the testbed depend on no product crate, or `cargo xtask up` would compile a network stack before its first
/// word; the tests of tests/ start what is built.
const ARROWS: &[(&str, &[&str])] = &[
    ("pinrail-spec", &[]),
    ("pinrail-domain", &["spec"]),
    ("pinrail-storage", &["domain", "spec"]),
    ("pinrail-storage-diesel", &["storage", "domain", "spec"]),
    ("pinrail-storage-conformance", &["storage", "domain", "spec"]),
    ("pinrail-ipfs", &["domain", "spec"]),
    ("pinrail-block-store", &["domain", "spec"]),
    ("pinrail-unixfs", &["block-store", "ipfs", "spec"]),
    ("pinrail-ipfs-embedded", &["block-store", "unixfs", "ipfs", "domain", "spec"]),
    ("pinrail-ipfs-conformance", &["ipfs", "domain", "spec"]),
    ("pinrail-http", &["storage", "domain", "spec"]),
    ("pinrail-api", &["http", "storage", "storage-diesel", "domain", "spec"]),
    (
        "pinrail-worker",
        &["storage", "storage-diesel", "block-store", "unixfs", "ipfs", "ipfs-embedded", "domain", "spec"],
    ),
    ("pinrail-testbed", &[]),
    ("pinrail-chaos", &["testbed"]),
    ("pinrail-e2e", &["chaos", "testbed"]),
    ("xtask", &["testbed"]),
];

/// What tests may use beyond the arrows: the suites that adapters pass, the adapters, and what tests run.
const FOR_TESTS: &[&str] = &["storage-conformance", "storage-diesel", "testbed", "ipfs-conformance", "ipfs-embedded"];

/// What both binaries may be built from: decisions, the types they speak of, and the storage that
/// each plugs in. Anything else would be an application crate in disguise.
const SHARED: &[&str] = &["domain", "spec", "storage", "storage-diesel"];

/// Every dependency that goes against the arrows.
pub fn breaches(graph: &Graph) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, member) in &graph.members {
        let Some((_, arrows)) = ARROWS.iter().find(|(from, _)| from == name) else {
            breaches.push(format!("{name} has no row in the table of arrows"));
            continue;
        };
        let tests: Vec<&str> = [*arrows, FOR_TESTS].concat();
        for target in forbidden(graph, &member.normal, arrows) {
            breaches.push(format!("{name} may not depend on {target}"));
        }
        for target in forbidden(graph, &member.other, &tests) {
            breaches.push(format!("the tests of {name} may not depend on {target}"));
        }
    }
    breaches
}

/// Every crate of ours that both binaries are built from and that is no shared ground.
pub fn shared_by_binaries(graph: &Graph) -> Vec<String> {
    let [Some(api), Some(worker)] = ["pinrail-api", "pinrail-worker"].map(|name| graph.members.get(name)) else {
        return vec!["pinrail-api and pinrail-worker are not both in the workspace".to_owned()];
    };
    let both: BTreeSet<String> = api.closure.intersection(&worker.closure).cloned().collect();
    forbidden(graph, &both, SHARED).map(|name| format!("both binaries are built from {name}")).collect()
}

/// The crates of ours among `names` that `allowed` does not list.
fn forbidden<'a>(
    graph: &'a Graph,
    names: &'a BTreeSet<String>,
    allowed: &'a [&str],
) -> impl Iterator<Item = &'a String> {
    names
        .iter()
        .filter(|name| graph.members.contains_key(*name))
        .filter(|name| !allowed.contains(&name.trim_start_matches("pinrail-")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::graph::Member;

    fn graph(rows: &[(&str, &[&str], &[&str])]) -> Graph {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let member = |normal, other| Member { normal: set(normal), other: set(other), closure: set(normal) };
        Graph {
            members: rows.iter().map(|(name, normal, other)| ((*name).to_owned(), member(normal, other))).collect(),
            packages: BTreeSet::new(),
        }
    }

    #[test]
    fn an_arrow_the_wrong_way_is_found() {
        let graph =
            graph(&[("pinrail-spec", &["pinrail-domain", "serde"], &[]), ("pinrail-domain", &["pinrail-spec"], &[])]);
        assert_eq!(breaches(&graph), ["pinrail-spec may not depend on pinrail-domain"]);
    }

    #[test]
    fn tests_may_use_suites_and_adapters_alone() {
        let graph = graph(&[
            ("pinrail-api", &[], &["pinrail-worker", "pinrail-storage-conformance"]),
            ("pinrail-worker", &[], &[]),
            ("pinrail-storage-conformance", &[], &[]),
        ]);
        assert_eq!(breaches(&graph), ["the tests of pinrail-api may not depend on pinrail-worker"]);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        let graph = graph(&[("pinrail-util", &[], &[])]);
        assert_eq!(breaches(&graph), ["pinrail-util has no row in the table of arrows"]);
    }

    #[test]
    fn an_application_crate_under_both_binaries_is_found() {
        let both: &[&str] = &["pinrail-ipfs", "pinrail-domain", "serde"];
        let graph = graph(&[
            ("pinrail-api", both, &[]),
            ("pinrail-worker", both, &[]),
            ("pinrail-ipfs", &[], &[]),
            ("pinrail-domain", &[], &[]),
        ]);
        assert_eq!(shared_by_binaries(&graph), ["both binaries are built from pinrail-ipfs"]);
    }
}

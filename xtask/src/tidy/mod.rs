//! `cargo xtask tidy`: what the compiler cannot hold about the shape of the workspace.

mod arrows;
mod confinement;
mod graph;
mod outbound;
mod security;
mod sources;

use anyhow::{Result, bail};
use pinrail_testbed::environment::{Environment, root};

use graph::Graph;

/// A rule's name, and every place that breaks it.
pub struct Finding {
    pub rule: &'static str,
    pub breaches: Vec<String>,
}

/// Hold the tree against every rule.
pub fn inspect(environment: &Environment) -> Result<Vec<Finding>> {
    let graph = Graph::read(environment)?;
    let finding = |rule, breaches| Finding { rule, breaches };
    Ok(vec![
        finding("arrows between the crates", arrows::breaches(&graph)),
        finding("what the binaries share", arrows::shared_by_binaries(&graph)),
        finding("packages kept in one crate", confinement::strays(&graph)),
        finding("no runtime under spec and domain", confinement::runtimes(&graph)),
        finding("no library of the system", confinement::system_libraries(&graph)),
        finding("no connection past the gate", outbound::bypasses(root(), &graph)?),
        finding("a sentence opens every file", sources::unopened(root())?),
        finding("the architecture names every crate", sources::unnamed(root(), &graph)?),
        finding("every defence has its test", security::unshown(root())?),
    ])
}

/// Print the findings; an error if there is any.
pub fn run(environment: &Environment) -> Result<()> {
    let mut count = 0;
    for Finding { rule, breaches } in inspect(environment)? {
        let mark = if breaches.is_empty() { "ok" } else { "BROKEN" };
        println!("{rule:<36} {mark}");
        for breach in &breaches {
            println!("  {breach}");
        }
        count += breaches.len();
    }
    if count > 0 {
        bail!("the tree breaks its rules in {count} places");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_keeps_its_rules() {
        let findings = inspect(&Environment::read()).unwrap();
        let breaches: Vec<String> = findings.into_iter().flat_map(|finding| finding.breaches).collect();
        assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    }
}

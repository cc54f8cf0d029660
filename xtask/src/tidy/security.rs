//! The tests that docs/security.md names: each of them exists, and every attack of tests/e2e is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::sources::rust_files;

/// Where each attack is a test in a file that has its name.
const ATTACKS: &str = "tests/e2e/tests/abuse";

/// Every name that stands for no test, and every attack that is not named.
pub fn unshown(root: &Path) -> Result<Vec<String>> {
    let path = root.join("docs/security.md");
    let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let (mut functions, mut attacks) = (BTreeSet::new(), BTreeSet::new());
    for file in rust_files(root)? {
        let source = fs::read_to_string(&file)?;
        functions.extend(functions_of(&source));
        if file.starts_with(root.join(ATTACKS)) && is_attack(&source) {
            attacks.extend(file.file_stem().map(|name| name.to_string_lossy().replace('_', "-")));
        }
    }
    Ok(differences(&text, &functions, &attacks.iter().map(String::as_str).collect()))
}

/// Whether a file has a test of its own, beside those of its helpers in a module of tests.
fn is_attack(source: &str) -> bool {
    source.lines().any(|line| line == "#[test]")
}

fn functions_of(source: &str) -> Vec<String> {
    let name = |line: &str| Some(line.split_once("fn ")?.1.split(['(', '<']).next()?.to_owned());
    source.lines().filter_map(name).collect()
}

fn differences(text: &str, functions: &BTreeSet<String>, attacks: &BTreeSet<&str>) -> Vec<String> {
    let (tests, named) = shown(text);
    let missing = tests.iter().filter(|test| !functions.contains(**test));
    let unknown = named.iter().filter(|name| !attacks.contains(**name));
    let unnamed = attacks.iter().filter(|name| !named.contains(**name));
    missing
        .map(|test| format!("docs/security.md names the test {test}, which does not exist"))
        .chain(unknown.map(|name| format!("docs/security.md names the attack {name}, which does not exist")))
        .chain(unnamed.map(|name| format!("docs/security.md does not name the attack {name}")))
        .collect()
}

/// The tests and the attacks in the last column of the tables: names as code, and in italics.
fn shown(text: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut tests, mut attacks) = (BTreeSet::new(), BTreeSet::new());
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        for name in last.split(',').map(str::trim) {
            tests.extend(name.strip_prefix('`').and_then(|name| name.strip_suffix('`')));
            attacks.extend(name.strip_prefix('*').and_then(|name| name.strip_suffix('*')));
        }
    }
    (tests, attacks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_gone_and_an_attack_that_is_not_named_are_found() {
        let text = "| attack | shown by |\n|---|---|\n| a flood | *flood*, `it_is_bounded`, `it_is_gone` |\n";
        let functions = functions_of("    async fn it_is_bounded() {\n").into_iter().collect();
        assert!(is_attack("#[test]\nfn a_flood() {}\n") && !is_attack("mod tests {\n    #[test]\n"));
        assert_eq!(
            differences(text, &functions, &BTreeSet::from(["flood", "drought"])),
            [
                "docs/security.md names the test it_is_gone, which does not exist",
                "docs/security.md does not name the attack drought",
            ]
        );
    }
}

//! What a reader finds: a sentence at the head of every file, every crate in the architecture.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::graph::Graph;

/// Where the sources are.
const FOLDERS: &[&str] = &["bins", "crates", "tests", "xtask"];

/// Every Rust file whose first line is no `//!` sentence.
pub fn unopened(root: &Path) -> Result<Vec<String>> {
    let mut unopened = Vec::new();
    for file in rust_files(root)? {
        let text = fs::read_to_string(&file)?;
        let opening = text.lines().next().and_then(|line| line.strip_prefix("//! "));
        if opening.is_none_or(|sentence| sentence.trim().is_empty()) {
            let shown = file.strip_prefix(root).unwrap_or(&file).display();
            unopened.push(format!("{shown} does not open with `//! ` and what it is for"));
        }
    }
    Ok(unopened)
}

/// Every Rust file, in order.
pub fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.file_type()?.is_dir() {
            if !hidden && entry.file_name() != "target" && entry.file_name() != "node_modules" {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Every crate that docs/architecture.md does not speak of.
pub fn unnamed(root: &Path, graph: &Graph) -> Result<Vec<String>> {
    let path = root.join("docs/architecture.md");
    if !path.is_file() {
        return Ok(vec!["docs/architecture.md is missing".to_owned()]);
    }
    let text = fs::read_to_string(path)?;
    Ok(unnamed_in(&text, graph.members.keys().map(String::as_str)))
}

/// A crate is named by its package or by its folder, as code: `pinrail-http`, `crates/http`.
fn unnamed_in<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || "-_/".contains(c)))
        .map(|word| word.trim_matches('/'))
        .collect();
    names
        .filter(|name| {
            let short = name.trim_start_matches("pinrail-");
            let folders = ["crates", "bins", "tests"].map(|folder| format!("{folder}/{short}"));
            !words.iter().any(|word| word == name || folders.iter().any(|folder| folder == word))
        })
        .map(|name| format!("docs/architecture.md does not name {name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_its_sentence_is_found() {
        let root = tempfile::tempdir().unwrap();
        for folder in FOLDERS {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("bins/good.rs"), "//! Says what it is for.\n").unwrap();
        fs::write(root.path().join("bins/bad.rs"), "fn main() {}\n").unwrap();
        fs::write(root.path().join("xtask/empty.rs"), "//! \n").unwrap();
        let unopened = unopened(root.path()).unwrap();
        assert_eq!(unopened.len(), 2, "{unopened:?}");
        assert!(unopened[0].starts_with("bins/bad.rs") && unopened[1].starts_with("xtask/empty.rs"));
    }

    #[test]
    fn a_crate_is_named_whole() {
        let text = "The tree: `crates/http`, `pinrail-ipfs-embedded`, bins/api.";
        let names = ["pinrail-http", "pinrail-api", "pinrail-ipfs"];
        assert_eq!(unnamed_in(text, names.into_iter()), ["docs/architecture.md does not name pinrail-ipfs"]);
    }
}

//! What a client is told of a failed pin: every reason that the code gives is explained in docs/api.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::sources;

/// What stands before a reason where one is given.
const OPENINGS: [&str; 2] = ["reason: \"", "unpinnable(\""];
/// What an import is refused with, which is no pin.
const NOT_OF_PINS: [&str; 1] = ["BAD_CAR"];

/// Every reason for a failed pin that docs/api.md does not explain.
pub fn unexplained(root: &Path) -> Result<Vec<String>> {
    let mut given = BTreeSet::new();
    for file in sources::rust_files(root)? {
        let in_tests = file.strip_prefix(root)?.iter().any(|part| part == "tests" || part == "xtask");
        if !in_tests {
            given.extend(reasons(&fs::read_to_string(&file)?));
        }
    }
    let document = fs::read_to_string(root.join("docs/api.md")).context("docs/api.md cannot be read")?;
    Ok(unexplained_in(&document, &given))
}

fn unexplained_in(document: &str, given: &BTreeSet<String>) -> Vec<String> {
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
    given
        .iter()
        .filter(|reason| !rows.iter().any(|row| row.starts_with(&format!("| `{reason}` |"))))
        .map(|reason| format!("docs/api.md does not explain the failure_reason {reason}"))
        .collect()
}

fn reasons(source: &str) -> BTreeSet<String> {
    let given = OPENINGS.iter().flat_map(|opening| source.split(opening).skip(1));
    let texts = given.filter_map(|rest| rest.split_once('"').map(|(text, _)| text));
    texts.filter(|text| is_code(text) && !NOT_OF_PINS.contains(text)).map(str::to_owned).collect()
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_without_a_row_is_found() {
        let source = r#"Failure { reason: "STALLED", details } unpinnable("TOO_LARGE"), reason: "a sentence""#;
        let given = reasons(source);
        assert_eq!(given.iter().collect::<Vec<_>>(), ["STALLED", "TOO_LARGE"]);
        let document = "STALLED\n| `TOO_LARGE` | over the limit | pin its parts |\n| `STALLED_LONG` |\n";
        assert_eq!(unexplained_in(document, &given), ["docs/api.md does not explain the failure_reason STALLED"]);
    }
}

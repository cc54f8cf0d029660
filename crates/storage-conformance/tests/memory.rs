//! The in-memory reference passes every check.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use pinrail_spec::Timestamp;
use pinrail_storage_conformance::{Fixture, MemoryStorage, TestClock};

async fn memory() -> Fixture {
    let clock = Arc::new(TestClock::at(Timestamp::from_millis(1_767_225_600_000)));
    Fixture::new(Arc::new(MemoryStorage::with_clock(&clock))).on_clock(clock)
}

pinrail_storage_conformance::check_storage!(crate::memory);

/// The public functions of the modules of checks. Each of them is one.
fn written() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/checks");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut checks = BTreeSet::new();
    for file in files.filter(|file| file.is_file()) {
        let module = file.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let function = line.strip_prefix("pub async fn ").or_else(|| line.strip_prefix("pub fn "));
            checks.extend(function.map(|rest| format!("{module}::{}", rest.split(['(', '<']).next().unwrap())));
        }
    }
    checks
}

#[test]
fn every_check_is_listed() {
    let output = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let tests = String::from_utf8(output.stdout).unwrap();
    let in_modules = tests.lines().filter_map(|line| line.strip_suffix(": test")).filter(|test| test.contains("::"));
    assert_eq!(in_modules.map(str::to_owned).collect::<BTreeSet<_>>(), written());
}

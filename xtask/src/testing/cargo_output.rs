//! What `cargo test` printed, as counts and names.

use super::part::Tally;

/// Count every test of a run. A run that ended badly without a failed test is one failure itself:
/// it did not compile, or a test binary crashed.
pub fn tally(output: &str, succeeded: bool) -> Tally {
    // A test that finds that it cannot run here says so itself, and libtest calls it passed.
    let skipped = output.lines().filter_map(|line| line.strip_prefix("skipped: ")?.split_once(": "));
    let skipped = skipped.map(|(name, reason)| (name.to_owned(), reason.to_owned())).collect();
    let mut tally = Tally { skipped, ..Tally::default() };
    for line in output.lines() {
        let Some(result) = line.trim().strip_prefix("test ") else {
            continue;
        };
        if let Some(name) = result.strip_suffix(" ... ok") {
            tally.passed += usize::from(!tally.skipped.iter().any(|(skipped, _)| skipped == name));
        } else if let Some(name) = result.strip_suffix(" ... FAILED") {
            tally.failed.push((name.to_owned(), panic_of(output, name)));
        } else if let Some((name, why)) = result.split_once(" ... ignored") {
            let reason = why.trim_start_matches(", ");
            let reason = if reason.is_empty() { "no reason given" } else { reason };
            tally.skipped.push((name.to_owned(), reason.to_owned()));
        }
    }
    if !succeeded && tally.failed.is_empty() {
        let end = pinrail_testbed::command::last_lines(output, 80);
        tally.failed.push(("it ran to its end".to_owned(), end));
    }
    tally
}

/// What a failed test printed.
fn panic_of(output: &str, name: &str) -> String {
    let heading = format!("---- {name} stdout ----");
    output
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with("---- ") && *line != "failures:")
        .take(60)
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running unittests src/lib.rs
running 4 tests
test cid::parses ... ok
test cid::echoes - should panic ... ok
test store::full_disk ... ignored, needs a small tmpfs
test limits::holds ... FAILED

failures:

---- limits::holds stdout ----

thread panicked at crates/domain/src/limits.rs:9:5:
left: 1

failures:
    limits::holds

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out
";

    #[test]
    fn every_test_is_counted_under_its_name() {
        let tally = tally(OUTPUT, false);
        assert_eq!(tally.passed, 2);
        assert_eq!(tally.failed.len(), 1);
        let (name, text) = &tally.failed[0];
        assert_eq!(name, "limits::holds");
        assert!(text.starts_with("thread panicked") && text.ends_with("left: 1"), "{text}");
        let skipped = ("store::full_disk".to_owned(), "needs a small tmpfs".to_owned());
        assert_eq!(tally.skipped, [skipped]);
    }

    #[test]
    fn a_test_that_says_that_it_was_skipped_has_not_passed() {
        let tally = tally("\nskipped: together::disk: it takes root\ntest together::disk ... ok\n", true);
        assert_eq!((tally.passed, tally.failed.len()), (0, 0));
        assert_eq!(tally.skipped, [("together::disk".to_owned(), "it takes root".to_owned())]);
    }

    #[test]
    fn a_run_that_does_not_compile_is_a_failure() {
        let tally = tally("error[E0308]: mismatched types\n", false);
        assert_eq!(tally.failed.len(), 1);
        assert!(tally.failed[0].1.contains("E0308"));
        assert_eq!(super::tally("", true).failed.len(), 0);
    }
}

//! `provide` and `fetch`, and what every command says of itself.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use crate::program::{Running, command, fails, prints, terminate, write_file};

const PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

#[test]
fn every_command_teaches_by_an_example() {
    let folder = tempfile::tempdir().expect("a folder");
    for word in ["serve", "provide", "fetch", "check", "completions"] {
        let help = prints(folder.path(), &[word, "--help"]);
        assert!(help.contains("Example") && help.contains(&format!("pinrail-worker {word} ")), "{help}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(prints(folder.path(), &["completions", shell]).contains("provide"), "{shell}");
    }
}

#[test]
fn a_file_and_a_folder_are_provided_and_fetched() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write_file(folder.path().join("file"), 3_000_000, 1);
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("deep")).expect("a folder of ours");
    write_file(tree.join("one"), 10, 2);
    write_file(tree.join("deep/two"), 2_000_000, 3);
    for (path, out) in [(&file, "file.out"), (&tree, "tree.out")] {
        let (mut provider, cid, addresses) = Running::provide(folder.path(), path);
        let out = folder.path().join(out);
        let target = out.to_str().expect("UTF-8");
        let told = prints(folder.path(), &["fetch", &cid, "--from", &addresses[0], "--output", target]);
        assert!(told.contains(&format!("fetched {cid}: ")), "{told}");
        assert!(provider.terminate().success());
    }
    let same = |a: &str, b: &str| {
        let read = |name: &str| fs::read(folder.path().join(name)).expect("it was written");
        assert!(read(a) == read(b), "{a} and {b} differ");
    };
    let gone = format!("/ip4/127.0.0.1/tcp/1/p2p/{PEER}");
    let out = folder.path().join("file.out");
    let target = out.to_str().expect("UTF-8");
    fs::write(&out, "dear").expect("a folder of ours");
    let refused = fails(folder.path(), &["fetch", "bafkqabtimvwgy3zb", "--from", &gone, "--output", target]);
    assert!(refused.contains("file.out is there already, wanted another --output, or --force"), "{refused}");
    assert_eq!(fs::read(&out).expect("it is there"), b"dear");
    prints(folder.path(), &["fetch", "bafkqabtimvwgy3zb", "--from", &gone, "--output", target, "--force"]);
    assert_eq!(fs::read(&out).expect("it is there"), b"hello!");
    fs::copy(&file, &out).expect("a folder of ours");
    same("file", "file.out");
    same("tree/one", "tree.out/one");
    same("tree/deep/two", "tree.out/deep/two");
}

/// The names of what is in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder of ours");
    entries.map(|entry| entry.expect("it is read").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_command_that_is_told_to_stop_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder of ours");
    let file = write_file(folder.path().join("file"), 3_000_000, 5);
    let (mut provider, cid, _) = Running::provide(&data, &file);
    assert!(names(&data).iter().all(|name| name.starts_with("pinrail-provide-")), "{:?}", names(&data));
    assert_eq!(names(&data).len(), 1);
    assert!(provider.terminate().success());
    assert_eq!(names(&data), [""; 0]);

    // Somebody who never says a word: it is dialled once the folder is there.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("/ip4/127.0.0.1/tcp/{}/p2p/{PEER}", silent.local_addr().expect("it is bound").port());
    let mut fetch = command(&data, &["fetch", &cid, "--from", &address]);
    let mut fetch = fetch.stderr(Stdio::piped()).spawn().expect("it starts");
    let _dialled = silent.accept().expect("it dials");
    assert!(names(&data).iter().all(|name| name.starts_with("pinrail-fetch-")), "{:?}", names(&data));
    assert_eq!(names(&data).len(), 1);
    assert_eq!(terminate(&mut fetch).code(), Some(1));
    assert_eq!(names(&data), [""; 0]);
    let said = std::io::read_to_string(fetch.stderr.take().expect("a pipe")).expect("text");
    assert_eq!(said, format!("error: told to stop before all of {cid} was here\n"));
}

#[test]
fn errors_are_one_line_that_says_what_would_be_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    fs::write(data.join("plain"), "a file").expect("a folder of ours");
    let nobody = format!("/ip4/127.0.0.1/tcp/1/p2p/{PEER}");
    let below = data.join("plain").join("data");
    let cases: [(&[&str], &str); 7] = [
        (&["fetch", "nonsense"], "nonsense: not a CID, wanted one"),
        (&["fetch", "bafkqaaa", "--output", "/nowhere/x", "--from", &nobody], "/nowhere/x cannot be read or written: "),
        (&["fetch", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"], "no worker ever ran on "),
        (&["provide", "/nowhere"], "/nowhere cannot be read or written: "),
        (&["check"], "no worker ever ran on "),
        (&["serve", "--log", "[=info"], "the log filter \"[=info\" cannot be read"),
        (&["serve", "--data-dir", below.to_str().expect("UTF-8")], "plain/data/pinrail.toml cannot be read: "),
    ];
    for (arguments, wanted) in cases {
        let error = fails(data, arguments);
        assert!(error.contains(wanted), "{arguments:?}: {error}");
    }
}

#[test]
fn what_nobody_has_is_not_fetched() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_provider, _, addresses) = Running::provide(folder.path(), &write_file(folder.path().join("file"), 10, 4));
    let other = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    let error = fails(folder.path(), &["fetch", other, "--from", &addresses[0], "--timeout", "2s"]);
    assert!(error.contains("no peer that has it was found") || error.contains("not here within 2s"), "{error}");
}

#[test]
fn a_wrong_argument_is_explained_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(&[&str], &str); 4] = [
        (
            &["serve", "--slots", "0"],
            "error: invalid value '0' for '--slots <N>': 0 is not in 1..=4096; --help tells more\n",
        ),
        (&["nope"], "error: unrecognized subcommand 'nope'; --help tells more\n"),
        (&["fetch"], "error: the following required arguments were not provided: <CID>; --help tells more\n"),
        (&["fetch", "bafkqaaa", "--force"], "were not provided: --output <PATH>; --help tells more\n"),
    ];
    for (arguments, wanted) in cases {
        let output = command(folder.path(), arguments).output().expect("it starts");
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(wanted) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn what_a_command_takes_stands_before_what_all_of_them_take() {
    let folder = tempfile::tempdir().expect("a folder");
    for word in ["serve", "provide", "fetch", "completions"] {
        let help = prints(folder.path(), &[word, "--help"]);
        let (own, common) = help.split_once("Options of every command:").expect("a heading of its own");
        assert!(!own.contains("  --data-dir") && common.contains("  --data-dir"), "{help}");
        assert!(own.contains("--help"), "{help}");
    }
}

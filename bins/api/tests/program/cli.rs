//! The operator's commands, as they are typed.

use std::os::unix::fs::PermissionsExt;

use pinrail_spec::Timestamp;
use serde_json::Value;

use crate::api::Api;

/// Every command, as the words that lead to it.
const COMMANDS: [&[&str]; 26] = [
    &["serve"],
    &["migrate"],
    &["check"],
    &["database", "copy"],
    &["database", "repair-clock"],
    &["backup"],
    &["restore"],
    &["openapi"],
    &["completions"],
    &["account", "add"],
    &["account", "list"],
    &["account", "show"],
    &["account", "block"],
    &["account", "unblock"],
    &["access", "grant"],
    &["access", "withdraw"],
    &["audit", "list"],
    &["token", "mint"],
    &["token", "list"],
    &["token", "attenuate"],
    &["token", "inspect"],
    &["token", "revoke"],
    &["key", "rotate"],
    &["key", "list"],
    &["key", "revoke"],
    &["node", "list"],
];

#[test]
fn every_command_teaches_by_an_example() {
    let api = Api::new();
    for words in COMMANDS {
        let help = api.prints(&[words, &["--help"]].concat());
        assert!(help.contains("Example"), "{words:?}: {help}");
        assert!(help.contains(&format!("pinrail-api {}", words.join(" "))), "{words:?}: {help}");
    }
}

#[test]
fn an_account_is_added_shown_granted_access_and_blocked() {
    let api = Api::migrated();
    let added = api.json(&["account", "add", "ada", "--email", "ada@example.net", "--json"]);
    assert_eq!(added["name"], "ada");
    let show = || api.json(&["account", "show", "ada", "--json"]);
    assert_eq!(show(), added);
    assert_eq!(added["access"], Value::Null);
    api.prints(&["access", "grant", "ada", "--requests", "7", "--bytes", "2MiB", "--until", "90d"]);
    let granted = show();
    assert_eq!(granted["limits"], serde_json::json!({"requests": 7, "queued_roots": 10_000, "bytes": 2 << 20}));
    assert_eq!(granted["access"]["by"], "operator");
    assert!(granted["access"]["until"].is_string());
    api.prints(&["access", "grant", "ada", "--bytes", "3MiB"]);
    let limits = serde_json::json!({"requests": 7, "queued_roots": 10_000, "bytes": 3 << 20});
    assert_eq!((&show()["limits"], &show()["access"]["until"]), (&limits, &granted["access"]["until"]));
    api.prints(&["access", "grant", "ada", "--unlimited"]);
    assert_eq!(show()["access"]["until"], granted["access"]["until"]);
    let unlimited = serde_json::json!({"requests": null, "queued_roots": null, "bytes": null});
    assert_eq!(show()["limits"], unlimited);
    api.prints(&["access", "grant", "ada", "--until", "never"]);
    assert_eq!((&show()["access"]["until"], &show()["limits"]), (&Value::Null, &unlimited));
    api.prints(&["account", "block", "ada", "--reason", "unpaid"]);
    assert_eq!(show()["blocked"], "unpaid");
    assert!(api.prints(&["account", "list"]).contains("blocked: unpaid"));
    api.prints(&["account", "unblock", "ada"]);
    api.prints(&["access", "withdraw", "ada"]);
    assert_eq!((&show()["blocked"], &show()["access"]), (&Value::Null, &Value::Null));
    assert!(api.prints(&["account", "list"]).contains("withdrawn 20"));
    assert_eq!(api.json(&["account", "list", "--json"])[0]["name"], "ada");
}

#[test]
fn a_token_is_minted_once_listed_without_its_text_and_revoked() {
    let api = Api::migrated();
    api.prints(&["account", "add", "ada"]);
    let minted = api.json(&["token", "mint", "ada", "--name", "laptop", "--expires", "90d", "--json"]);
    let token = minted["token"].as_str().expect("a token");
    assert_eq!(minted["account"], "ada");
    assert_eq!(minted["scopes"], serde_json::json!(["pins:read", "pins:write", "pins:delete"]));
    assert!(minted["expires"].is_string());
    let list = api.json(&["token", "list", "ada", "--json"]);
    assert_eq!((&list[0]["id"], &list[0]["name"]), (&minted["id"], &Value::from("laptop")));
    assert!(!list.to_string().contains(token));
    let id = minted["id"].as_str().expect("an id");
    assert!(api.prints(&["token", "revoke", id]).contains("is revoked"));
    assert!(api.prints(&["token", "revoke", id]).contains("was revoked before"));
    assert!(api.prints(&["token", "list", "ada"]).contains("revoked 20"));
    let expires = |arguments: &[&str]| {
        let minted = api.json(&[&["token", "mint", "ada", "--name", "x", "--json"], arguments].concat());
        minted["expires"].as_str().map(|at| Timestamp::parse_floor(at).expect("a time"))
    };
    assert_eq!(expires(&["--expires", "never"]), None);
    let quarter = expires(&[]).expect("it ends unless said otherwise").since(Timestamp::from_millis(0));
    let named = minted["expires"].as_str().and_then(Timestamp::parse_floor).expect("a time");
    let apart = quarter.abs_diff(named.since(Timestamp::from_millis(0)));
    assert!(apart < std::time::Duration::from_hours(1), "as long as the one of 90 days: {apart:?}");
    let scoped = ["token", "mint", "ada", "--name", "ro", "--scope", "pins:read", "--json"];
    assert_eq!(api.json(&scoped)["scopes"], serde_json::json!(["pins:read"]));
    assert_eq!(api.prints(&["token", "mint", "ada", "--name", "bare"]).lines().count(), 1, "for $(…) the token alone");
}

#[test]
fn a_token_is_narrowed_and_inspected_also_from_the_standard_input() {
    let api = Api::migrated();
    api.prints(&["account", "add", "ada"]);
    let minted = api.prints(&["token", "mint", "ada", "--name", "laptop"]);
    let narrow = ["token", "attenuate", "-", "--read-only", "--name-prefix", "backup/", "--expires", "1h"];
    let narrowed = api.prints_given(&narrow, &minted);
    assert!(narrowed.trim().len() > minted.trim().len());
    let seen = api.prints_given(&["token", "inspect", "-", "--json"], &narrowed);
    let seen: Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(seen["blocks"].as_array().map(Vec::len), Some(2));
    assert!(seen["blocks"][1].to_string().contains("backup/"));
    let told = api.prints(&["token", "inspect", narrowed.trim()]);
    assert!(told.contains("nothing of this is verified") && told.contains("backup/"), "{told}");
    let one_name = api.prints_given(&["token", "attenuate", "-", "--name", "backup/monday"], &minted);
    let told = api.prints(&["token", "inspect", one_name.trim()]);
    assert!(told.contains(r#"check if pin_name("backup/monday")"#), "{told}");
    let both = api.refuses(&["token", "attenuate", minted.trim(), "--name", "a", "--name-prefix", "b"]);
    assert!(both.contains("cannot be used with"), "{both}");
    assert!(api.fails(&["token", "attenuate", minted.trim()]).contains("no restriction given"));
    assert!(api.fails(&["token", "inspect", "x"]).contains("not a token of Pinrail"));
    assert!(api.fails_given(&["token", "inspect", "-"], "\n").contains("the standard input is empty"));
}

/// Whatever the shell that starts it says of new files.
#[test]
fn what_it_creates_is_for_its_owner_alone() {
    let api = Api::new();
    let migrate = api.command(&["migrate"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(migrate.get_program()).args(migrate.get_args());
    assert!(shell.status().expect("a shell").success());
    api.prints(&["account", "add", "ada"]);
    let files = std::fs::read_dir(api.path("")).expect("it is ours").map(|entry| entry.expect("it is ours").path());
    let open = |path: &std::path::PathBuf| path.metadata().expect("it is there").permissions().mode() & 0o077 != 0;
    let (open, closed): (Vec<_>, Vec<_>) = files.partition(open);
    assert!(open.is_empty() && closed.iter().any(|path| path.ends_with("pinrail.db.lock")), "{open:?} {closed:?}");
}

/// Who copies the file then has all of it.
#[test]
fn a_command_leaves_everything_in_the_file_of_the_database() {
    let api = Api::migrated();
    for number in 0..10 {
        api.prints(&["account", "add", &format!("user-{number}")]);
        assert!(!api.path("pinrail.db-wal").exists(), "after {} accounts", number + 1);
    }
    api.check();
    assert!(!api.path("pinrail.db-wal").exists());
}

#[test]
fn files_that_others_can_read_are_named_with_what_closes_them() {
    let api = Api::migrated();
    let (folder, database) = (api.path(""), api.path("pinrail.db"));
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    set(&database, 0o644);
    let named = |path: &std::path::Path| {
        format!("problem: {0} is open to other users of this machine: chmod go= {0}", path.display())
    };
    assert!(!api.check().contains("is open to other users"), "nobody else reaches it");
    set(&folder, 0o755);
    let told = api.check();
    assert!(told.contains(&named(&database)) && told.contains("chmod go="), "{told}");
    assert_eq!(told.matches("is open to other users").count(), 2, "{told}");
}

#[test]
fn root_is_told_as_whom_to_work_in_the_folder_of_another_user() {
    let api = Api::migrated();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(api.path(""), Some(998), None).expect("root may");
    let folder = api.path("").display().to_string();
    let folder = folder.trim_end_matches('/');
    let told = format!(
        "error: {folder} belongs to user id 998, and this runs as root: use `sudo -u '#998' pinrail-api ...`\n"
    );
    for arguments in [&["key", "rotate"][..], &["serve"], &["account", "list"], &["check"]] {
        assert_eq!(api.fails(arguments), told);
    }
    assert!(!api.path("keys").exists());
    api.prints(&["completions", "bash"]);
}

#[test]
fn a_narrowed_token_is_revoked_alone_by_its_text_or_its_block() {
    let api = Api::migrated();
    api.prints(&["account", "add", "ada"]);
    let minted = api.json(&["token", "mint", "ada", "--name", "laptop", "--json"]);
    let (id, token) = (minted["id"].as_str().expect("an id"), minted["token"].as_str().expect("a token"));
    let narrow = |name| api.prints(&["token", "attenuate", token, "--name", name]);
    let block = |text: &str| {
        let seen = api.json(&["token", "inspect", text.trim(), "--json"]);
        seen["blocks"][1]["revocation_id"].as_str().expect("an id").to_owned()
    };
    let (leaked, other) = (narrow("a"), narrow("b"));
    assert!(api.prints(&["token", "inspect", leaked.trim()]).contains(&block(&leaked)));
    assert!(api.prints_given(&["token", "revoke", "-"], &leaked).contains("the token itself stays as it is"));
    assert!(api.prints(&["token", "revoke", leaked.trim()]).contains("was revoked before"));
    assert!(api.prints(&["token", "revoke", id, "--block", &block(&other)]).contains("is revoked"));
    let listed = || api.json(&["token", "list", "ada", "--json"])[0].clone();
    assert_eq!(listed()["revoked_blocks"], serde_json::json!([block(&leaked), block(&other)]));
    assert_eq!((&listed()["state"], &listed()["revoked"]), (&Value::from("valid"), &Value::Null));
    assert!(api.prints(&["token", "list", "ada"]).contains("2 narrowed from it revoked"));
    assert!(api.fails(&["token", "revoke", id, "--block", "00"]).contains("wanted 128 hexadecimal digits"));
    assert!(api.prints(&["token", "revoke", token]).contains(&format!("token {id} is revoked")));
    assert_eq!(listed()["state"], "revoked");
}

#[test]
fn keys_are_files_for_their_owner_alone_and_rotate() {
    let api = Api::migrated();
    let first = api.json(&["key", "rotate", "--json"]);
    assert_eq!(first["id"], 1);
    let path = first["path"].as_str().expect("a path");
    let mode = std::fs::metadata(path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(api.json(&["key", "rotate", "--json"])["id"], 2);
    let keys = api.json(&["key", "list", "--json"]);
    let states = keys.as_array().expect("a list").iter().map(|key| (key["id"].as_u64(), key["state"].as_str()));
    assert_eq!(states.collect::<Vec<_>>(), [(Some(2), Some("active")), (Some(1), Some("retired"))]);
    api.prints(&["key", "revoke", "1"]);
    assert!(api.prints(&["key", "list"]).contains("revoked"));
    api.prints(&["account", "add", "ada"]);
    std::fs::set_permissions(api.path("keys/2.key"), PermissionsExt::from_mode(0o640)).expect("it is ours");
    assert!(api.fails(&["token", "mint", "ada", "--name", "x"]).contains("can be read by others, wanted mode 0600"));
    std::fs::remove_file(api.path("keys/2.key")).expect("it is ours");
    assert!(api.fails(&["token", "mint", "ada", "--name", "x"]).contains("copy 2.key from the machine that made it"));
}

#[test]
fn the_audit_log_tells_who_did_what_and_no_secret() {
    let api = Api::migrated();
    api.prints(&["account", "add", "ada"]);
    api.prints(&["account", "add", "bob"]);
    api.prints(&["access", "grant", "ada", "--bytes", "2MiB"]);
    let token = api.prints(&["token", "mint", "ada", "--name", "laptop"]);
    let backup = api.path("backup.tar");
    api.prints(&["backup", "--to", &backup.display().to_string()]);
    let list = api.json(&["audit", "list", "--json"]);
    let words = |list: &Value| {
        let entries = list.as_array().expect("a list").iter();
        entries.map(|entry| entry["action"].as_str().expect("a word").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(words(&list), ["backup", "token mint", "key add", "access grant", "account add", "account add"]);
    assert_eq!(list[0]["subject"], backup.display().to_string());
    assert_eq!(list[3]["details"]["limits"]["bytes"], 2 << 20);
    let uid = format!("uid {}", rustix::process::getuid().as_raw());
    assert!(list[0]["actor"].as_str().is_some_and(|actor| actor.contains(&uid)), "{list}");
    assert!(!list.to_string().contains(token.trim()) && !list.to_string().contains("ed25519"), "{list}");
    assert_eq!(words(&api.json(&["audit", "list", "--account", "bob", "--json"])), ["account add"]);
    assert_eq!(words(&api.json(&["audit", "list", "--since", "2999-01-01", "--json"])), [""; 0]);
    assert_eq!(
        words(&api.json(&["audit", "list", "--since", "1h", "--limit", "2", "--json"])),
        ["backup", "token mint"]
    );
    assert!(api.prints(&["audit", "list"]).contains("access grant"));
    let restored = Api::new();
    restored.prints(&["restore", "--from", &backup.display().to_string()]);
    let list = restored.json(&["audit", "list", "--limit", "2", "--json"]);
    assert_eq!(words(&list), ["restore", "token mint"], "the log came along, the restore is in it");
}

#[test]
fn keys_that_two_machines_make_at_once_are_two() {
    let machines = [Api::migrated(), Api::new()];
    let database = format!("sqlite:{}", machines[0].path("pinrail.db").display());
    for round in 1..=5 {
        let mut ids = std::thread::scope(|scope| {
            let rotate = ["key", "rotate", "--json", "--database", &database];
            machines
                .each_ref()
                .map(|api| scope.spawn(move || api.json(&rotate)))
                .map(|thread| thread.join().expect("it is made")["id"].as_u64())
        });
        ids.sort_unstable();
        assert_eq!(ids, [Some(2 * round - 1), Some(2 * round)]);
    }
    let files = |api: &Api| std::fs::read_dir(api.path("keys")).expect("they are there").count();
    assert_eq!(machines.each_ref().map(files), [5, 5], "each has what it made and nothing else");
}

#[test]
fn check_says_all_that_is_wrong_at_once() {
    let api = Api::new();
    assert!(api.check().contains("migrat"), "{}", api.check());
    let api = Api::migrated();
    let found = api.check();
    assert!(found.contains("no signing key is active") && found.contains("no IPFS node is registered"), "{found}");
    assert!(found.contains("error: there are 2 problems"), "{found}");
    api.prints(&["key", "rotate"]);
    assert!(!api.check().contains("no signing key"));
    let file = "colour = 'red'\n[api]\nlisten = 'here'\nin-flight = 0\n[worker]\ncolour = 1\n";
    std::fs::write(api.path("pinrail.toml"), file).expect("it is ours");
    let found = api.check();
    assert!(found.contains("colour is no setting"), "{found}");
    assert!(found.contains("[api] listen is \"here\": ") && found.contains("[api] in-flight is \"0\": "), "{found}");
    assert!(found.contains("[worker] colour is no setting"), "{found}");
    assert!(found.contains("no IPFS node is registered"), "{found}");
    std::fs::write(api.path("pinrail.db"), "not a database, but long enough to be looked at").expect("it is ours");
    assert!(api.check().contains("is not a SQLite database"), "{}", api.check());
}

#[test]
fn check_notes_programs_that_allow_private_addresses() {
    let api = Api::migrated();
    assert!(!api.check().contains("allow-private"), "{}", api.check());
    for (file, noted) in [
        ("[api]\nallow-private = true\n", &["pinrail-api"][..]),
        ("[worker]\nallow-private = true\n", &["pinrail-worker"]),
        ("[api]\nallow-private = true\n[worker]\nallow-private = 'true'\n", &["pinrail-api", "pinrail-worker"]),
        ("[api]\nallow-private = false\n[worker]\nallow-private = false\n", &[]),
    ] {
        std::fs::write(api.path("pinrail.toml"), file).expect("it is ours");
        let found = api.check();
        for program in ["pinrail-api", "pinrail-worker"] {
            let note = format!("note: allow-private is on for {program}: ");
            assert_eq!(found.contains(&note), noted.contains(&program), "{file}: {found}");
        }
    }
}

#[test]
fn errors_are_one_line_that_says_what_would_be_right() {
    let api = Api::migrated();
    api.prints(&["account", "add", "ada"]);
    let long = "x".repeat(65);
    let cases: [(&[&str], &str); 16] = [
        (&["account", "show", "bob"], "there is no account \"bob\", `pinrail-api account list` shows those there are"),
        (&["account", "add", "ada"], "is already there"),
        (&["account", "add", &long], "the name has 65 characters, wanted 1 to 64"),
        (&["account", "add", "eve", "--email", "eve"], "the e-mail address has no @"),
        (&["access", "grant", "ada", "--until", "2001-01-01T00:00:00Z"], "which is past: it is 20"),
        (&["access", "grant", "ada", "--until", "2020-01-01"], "would end at 2020-01-01T00:00:00.000Z, which is past"),
        (
            &["token", "attenuate", "x", "--expires", "2020-01-01"],
            "would end at 2020-01-01T00:00:00.000Z, which is past",
        ),
        (&["token", "mint", "ada", "--name", "x", "--expires", "2001-01-01T00:00:00Z"], "which is past"),
        (&["token", "mint", "ada", "--name", "x", "--scope", "admin"], "needs an account with the role administrator"),
        (&["token", "revoke", "x"], "\"x\" is no token id, `token list` shows them\n"),
        (&["node", "retire", "x"], "\"x\" is no node id, `node list` shows them\n"),
        (&["token", "revoke", "0193a5c1-7f3e-7c1a-9d5b-1f2e3d4c5b6a"], "there is no token 0193a5c1"),
        (&["key", "revoke", "9"], "is not there"),
        (&["node", "retire", "0193a5c1-7f3e-7c1a-9d5b-1f2e3d4c5b6a"], "is not there"),
        (&["account", "list", "--database", "mysql://x"], "wanted sqlite:<path> or postgres://"),
        (
            &["token", "attenuate", "x", "--cid", "y"],
            "error: --cid y: not a CID, wanted one of version 0 or 1 such as ",
        ),
    ];
    for (arguments, wanted) in cases {
        let error = api.fails(arguments);
        assert!(error.starts_with("error: ") && error.contains(wanted), "{arguments:?}: {error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    }
}

#[test]
fn arguments_that_cannot_be_read_are_told_in_one_line() {
    let api = Api::new();
    let cases: [(&[&str], &str); 8] = [
        (&["nope"], "error: unrecognized subcommand 'nope'"),
        (&["acount", "add"], "some similar subcommands exist: 'audit', 'account'"),
        (&["serve", "--colour"], "error: unexpected argument '--colour' found"),
        (&["token", "mint"], "required arguments were not provided: --name <NAME>, <ACCOUNT>"),
        (&["migrate", "x"], "error: invalid value 'x' for '[STEP]' [possible values: run, status, revert]"),
        (&["key", "revoke", "x"], "not the id of a key, wanted a number as `key list` shows it"),
        (
            &["access", "grant", "ada", "--until", "soon"],
            "neither a time nor a date, wanted one such as 90d, 2031-01-31",
        ),
        (&["access", "grant", "ada", "--bytes", "much"], "not a size, wanted one such as 500MiB or 32GiB"),
    ];
    for (arguments, wanted) in cases {
        let error = api.refuses(arguments);
        assert!(error.starts_with("error: ") && error.contains(wanted), "{arguments:?}: {error}");
        assert!(error.ends_with("; --help tells more\n") && error.trim_end().lines().count() == 1, "{error}");
        assert!(!error.contains("openapi"), "what is hidden is not suggested: {error}");
    }
}

#[test]
fn what_a_command_takes_stands_before_what_all_of_them_take() {
    let api = Api::new();
    for words in COMMANDS {
        let help = api.prints(&[words, &["--help"]].concat());
        let (own, common) = help.split_once("Options of every command:").expect("a heading of its own");
        for flag in ["--data-dir", "--config", "--database", "--log ", "--log-format"] {
            assert!(!own.contains(&format!("  {flag}")) && common.contains(flag), "{words:?}: {flag} in {help}");
        }
        assert!(own.contains("--help"), "{words:?}: {help}");
    }
}

#[test]
fn a_list_of_tokens_tells_which_ended_with_their_key() {
    let api = Api::migrated();
    api.prints(&["account", "add", "ada"]);
    api.prints(&["token", "mint", "ada", "--name", "old"]);
    api.prints(&["key", "rotate"]);
    api.prints(&["token", "mint", "ada", "--name", "new", "--expires", "2999-01-31"]);
    api.prints(&["key", "revoke", "1"]);
    let told = api.prints(&["token", "list", "ada"]);
    let line = |name: &str| told.lines().find(|line| line.contains(name)).expect("it is listed");
    assert!(line("old").contains("ended: its key 1 was revoked"), "{told}");
    assert!(line("new").contains("expires 2999-01-31T00:00:00.000Z"), "{told}");
    let list = api.json(&["token", "list", "ada", "--json"]);
    let states = list.as_array().expect("a list").iter().map(|token| (token["name"].as_str(), token["state"].as_str()));
    let mut states = states.collect::<Vec<_>>();
    states.sort_unstable();
    assert_eq!(states, [(Some("new"), Some("valid")), (Some("old"), Some("key-revoked"))]);
}

#[test]
fn the_environment_wins_over_the_file_and_a_flag_over_both() {
    let api = Api::new();
    std::fs::write(api.path("pinrail.toml"), "database = 'sqlite:/nowhere/file.db'\n").expect("it is ours");
    let status = ["migrate", "status"];
    assert!(api.fails(&status).contains("/nowhere/file.db"));
    let environment = [("PINRAIL_DATABASE", "sqlite:/nowhere/environment.db")];
    assert!(api.fails_in(&environment, &status).contains("/nowhere/environment.db"));
    let flag = [&status[..], &["--database", "sqlite:/nowhere/flag.db"]].concat();
    assert!(api.fails_in(&environment, &flag).contains("/nowhere/flag.db"));
}

#[test]
fn migrations_and_completions_and_the_openapi_document_are_printed() {
    let api = Api::new();
    assert!(api.prints(&["migrate", "status"]).contains("lacks "));
    assert!(api.prints(&["migrate"]).contains("ran "));
    assert!(!api.prints(&["migrate"]).contains("ran "), "a second run has nothing to do");
    assert!(!api.prints(&["migrate", "status"]).contains("lacks "));
    let lacking = |api: &Api| api.prints(&["migrate", "status"]).matches("lacks ").count();
    while api.prints(&["migrate", "status"]).contains("has ") {
        let before = lacking(&api);
        assert!(api.prints(&["migrate", "revert"]).contains("reverted "));
        assert_eq!(lacking(&api), before + 1);
    }
    assert!(api.prints(&["migrate", "revert"]).contains("nothing is left to revert"));
    api.prints(&["migrate"]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(api.prints(&["completions", shell]).contains("attenuate"), "{shell}");
    }
    assert_eq!(api.json(&["openapi"])["openapi"], "3.1.0");
    assert!(api.json(&["node", "list", "--json"]).as_array().is_some_and(Vec::is_empty));
}

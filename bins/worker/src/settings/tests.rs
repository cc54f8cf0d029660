//! The settings against their document, and the layers against each other.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use clap::{Arg, Command, CommandFactory};
use pinrail_domain::settings::{Program, Setting};

use super::{Cli, Command as Asked, ServeArgs, read};

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md"));

/// Flag, variable, key in the file and default of each setting.
type Rows = BTreeMap<String, [String; 3]>;

/// The rows of the table under a heading of the document.
fn documented(heading: &str) -> Rows {
    let (_, section) = DOCUMENT.split_once(&format!("\n### {heading}\n")).expect("the heading is there");
    let table = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
        let [flag, variable, key, default, meaning] = cells.try_into().expect("five columns");
        assert!(meaning.len() > 10, "{flag} is not explained");
        (flag, [variable, key, default])
    };
    table.skip(2).map(row).collect()
}

/// The same as the program has it.
fn defined(command: &Command, prefix: &str) -> Rows {
    let settings = command.get_arguments().filter(|argument| argument.get_env().is_some());
    settings.map(|argument| (format!("--{}", long(argument)), row(argument, prefix))).collect()
}

fn long(argument: &Arg) -> &str {
    argument.get_long().expect("a setting has a flag")
}

fn row(argument: &Arg, prefix: &str) -> [String; 3] {
    let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let key = if long(argument) == "config" { "-".to_owned() } else { format!("{prefix}{}", long(argument)) };
    let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>();
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    // A default that is worked out is in the words of the help.
    let told =
        help.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']')).map(|(told, _)| told.to_owned());
    let default = match (defaults.join(","), told) {
        (empty, None) if empty.is_empty() => "none".to_owned(),
        (fixed, None) => fixed,
        (_, Some(told)) => told,
    };
    [variable, key, default]
}

#[test]
fn the_document_names_every_setting_with_its_default() {
    let command = Cli::command();
    assert_eq!(documented("Of both programs"), defined(&command, ""));
    let serve = command.find_subcommand("serve").expect("it can serve");
    assert_eq!(documented("Of pinrail-worker serve"), defined(serve, "worker."));
}

#[test]
fn the_file_knows_every_setting_and_accepts_its_default() {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").expect("it can serve");
    for (section, command) in [(None, &command), (Some(Program::Worker), serve)] {
        let arguments = command.get_arguments().filter(|argument| argument.get_env().is_some());
        let arguments = arguments.filter(|argument| argument.get_id() != "config").collect::<Vec<_>>();
        let known = Setting::of(section).iter().map(|setting| setting.name).collect::<Vec<_>>();
        assert_eq!(arguments.iter().map(|argument| long(argument)).collect::<Vec<_>>(), known);
        for (setting, argument) in Setting::of(section).iter().zip(arguments) {
            for default in argument.get_default_values() {
                assert_eq!(setting.check(default.to_str().expect("UTF-8")), Ok(()), "{}", setting.name);
            }
        }
    }
}

/// The settings of `serve`, with this text in the file.
fn serve(file: &str, arguments: &[&str]) -> anyhow::Result<ServeArgs> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("pinrail.toml"), file)?;
    let fixed = ["pinrail-worker", "--data-dir"].map(OsString::from);
    let given = arguments.iter().map(OsString::from);
    let cli = read(fixed.into_iter().chain([folder.path().into(), "serve".into()]).chain(given))?;
    match cli.command {
        Asked::Serve(settings) => Ok(*settings),
        other => panic!("read as {other:?}"),
    }
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = "[worker]\nslots = 3\nlease = '90s'\nmax-root-size = '5MiB'\nmax-root-blocks = 700\nlisten = ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/2']\n[api]\nlisten = '127.0.0.1:1'\n";
    let settings = serve(file, &["--slots", "9"]).expect("it can be read");
    let policy = settings.policy();
    assert_eq!((policy.slots, policy.lease.as_secs(), policy.max_root_bytes), (9, 90, 5 << 20));
    assert_eq!(policy.max_root_blocks, 700);
    assert_eq!(settings.listen.len(), 2);
    assert_eq!(settings.drain.as_secs(), 5);
}

#[test]
fn the_defaults_are_the_ones_of_the_policy() {
    assert_eq!(serve("", &[]).expect("it can be read").policy(), pinrail_domain::Policy::default());
}

#[test]
fn what_is_wrong_in_the_file_is_said_with_its_name_in_one_line() {
    let cases = [
        ("[worker]\nslot = 3\n", "[worker] slot is no setting, wanted one of health, metrics, routing, listen, "),
        ("slots = 3\n", "slots stands above all sections, wanted it under [worker]"),
        ("[ap]\nlisten = 1\n", "line 1: [ap] is no section, wanted [api] or [worker]"),
        ("[worker]\nslots = 0\n", "[worker] slots is \"0\": 0 is not in 1..=4096"),
        ("log = 'verbose'\n", "log is \"verbose\": not a log level, wanted error, warn, info, debug, trace or off"),
        (
            "[worker]\nhealth = 'here'\n",
            "[worker] health is \"here\": not an address to listen on, wanted an IP address and a port",
        ),
        (
            "[worker]\nlisten = '/ip4/0.0.0.0'\n",
            "[worker] listen is \"/ip4/0.0.0.0\": not an address to listen on, wanted one such as",
        ),
        (
            "[worker]\nannounce = ['/ip4/0.0.0.0/tcp/4401']\n",
            "[worker] announce is \"/ip4/0.0.0.0/tcp/4401\": the address of every interface, which nobody can dial",
        ),
        (
            "[worker]\nannounce = '/dns4/pins.example.net'\n",
            "[worker] announce is \"/dns4/pins.example.net\": not an address that clients can dial, wanted one",
        ),
        ("[worker]\nlease = 60\n", "[worker] lease is \"60\": not a time, wanted one such as 90s, 5m or 24h"),
        (
            "[worker]\nnever-dial = ['198.41.0.0/33']\n",
            "[worker] never-dial is \"198.41.0.0/33\": not a network, wanted one such as 10.0.0.0/8, fd00::/8 or 192.0.2.7",
        ),
        (
            "[worker]\nreserve = 'much'\n",
            "[worker] reserve is \"much\": not a size, wanted one such as 500MiB or 32GiB",
        ),
    ];
    for (file, wanted) in cases {
        let error = format!("{:#}", serve(file, &[]).expect_err(file));
        assert!(error.contains("pinrail.toml") && error.contains(wanted), "{file:?} gives {error:?}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn private_addresses_are_dialled_only_if_it_is_said() {
    for unsaid in [&[][..], &["--listen", "/ip4/127.0.0.1/tcp/1"], &["--allow-private=false"]] {
        assert!(!serve("", unsaid).expect("it can be read").dial().allow_private, "{unsaid:?}");
    }
    assert!(serve("", &["--allow-private"]).expect("it can be read").dial().allow_private);
    assert!(serve("[worker]\nallow-private = true\n", &[]).expect("it can be read").dial().allow_private);
}

#[test]
fn a_boolean_is_read_with_and_without_an_equals_sign() {
    for (arguments, wanted) in [
        (&["--allow-private", "false"][..], false),
        (&["--allow-private=false"], false),
        (&["--allow-private", "true"], true),
        (&["--allow-private", "--slots", "3"], true),
    ] {
        for file in ["", "[worker]\nallow-private = false\n", "[worker]\nallow-private = 'true'\n"] {
            assert_eq!(serve(file, arguments).expect("it can be read").allow_private, wanted, "{arguments:?}, {file}");
        }
    }
}

#[test]
fn networks_that_are_never_dialled_are_read_from_the_file_and_the_flags() {
    let never = |file: &str, arguments: &[&str]| {
        let settings = serve(file, arguments).expect("it can be read");
        settings.dial().never.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(never("", &[]).is_empty());
    let file = "[worker]\nnever-dial = ['198.41.0.0/16', '2a01:4f8::/32']\n";
    assert_eq!(never(file, &[]), ["198.41.0.0/16", "2a01:4f8::/32"]);
    assert_eq!(never(file, &["--never-dial", "198.41.0.4,192.0.2.0/24"]), ["198.41.0.4/32", "192.0.2.0/24"]);
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

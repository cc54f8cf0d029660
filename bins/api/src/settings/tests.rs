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
    assert_eq!(documented("Of pinrail-api serve"), defined(serve, "api."));
}

#[test]
fn the_file_knows_every_setting_and_accepts_its_default() {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").expect("it can serve");
    for (section, command) in [(None, &command), (Some(Program::Api), serve)] {
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

#[test]
fn the_documents_commands_can_be_typed() {
    let lines = DOCUMENT.lines().filter(|line| line.starts_with("pinrail-api "));
    let mut typed = std::collections::BTreeSet::new();
    for line in lines {
        let words = line.trim_end_matches('&').split_whitespace();
        let read = Cli::command().try_get_matches_from(words);
        let read = read.unwrap_or_else(|problem| panic!("{line}: {problem}"));
        typed.extend(read.subcommand_name().map(str::to_owned));
    }
    for command in ["migrate", "check", "database", "backup", "restore"] {
        assert!(typed.contains(command), "{command} is not shown: {typed:?}");
    }
}

#[test]
fn check_knows_every_setting_of_the_worker() {
    let known = Setting::of(Some(Program::Worker)).iter().map(|setting| format!("--{}", setting.name));
    let known = known.collect::<std::collections::BTreeSet<_>>();
    assert_eq!(documented("Of pinrail-worker serve").into_keys().collect::<std::collections::BTreeSet<_>>(), known);
}

/// The settings of `serve`, with this text in the file.
fn serve(file: &str, arguments: &[&str]) -> anyhow::Result<ServeArgs> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("pinrail.toml"), file)?;
    let fixed = ["pinrail-api", "--data-dir"].map(OsString::from);
    let given = arguments.iter().map(OsString::from);
    let cli = read(fixed.into_iter().chain([folder.path().into(), "serve".into()]).chain(given))?;
    match cli.command {
        Asked::Serve(settings) => Ok(*settings),
        other => panic!("read as {other:?}"),
    }
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = "[api]\nlisten = '127.0.0.1:1'\nin-flight = 7\ncors = ['https://a.example', 'https://b.example']\nrate-limits = false\n[worker]\nslots = 3\n";
    let settings = serve(file, &["--listen", "127.0.0.1:2"]).expect("it can be read");
    assert_eq!(settings.listen, "127.0.0.1:2".parse().expect("an address"));
    assert_eq!(settings.in_flight, 7);
    assert_eq!(settings.cors, ["https://a.example", "https://b.example"]);
    assert!(!settings.rate_limits && settings.http().rate_limits.is_none());
    assert_eq!(settings.connections, 4096);
    assert!(settings.server().trusted_proxies.is_empty());
    let settings = serve("[api]\ntrusted-proxies = ['10.0.0.0/8', '::1']\n", &[]).expect("it can be read");
    assert_eq!(settings.server().trusted_proxies, ["10.0.0.0/8", "::1/128"].map(|text| text.parse().expect(text)));
}

#[test]
fn the_defaults_are_the_ones_of_the_http_service() {
    let settings = serve("", &[]).expect("it can be read");
    assert_eq!((settings.http(), settings.server()), Default::default());
}

#[test]
fn what_is_wrong_in_the_file_is_said_with_its_name_in_one_line() {
    let cases = [
        ("[api]\nlistn = 'x'\n", "line 2: [api] listn is no setting, wanted one of listen, "),
        (
            "colour = 'red'\n",
            "colour is no setting, wanted one of data-dir, database, database-connections, log, log-format",
        ),
        ("cors = '*'\n", "cors stands above all sections, wanted it under [api]"),
        ("[wroker]\nslots = 1\n", "[wroker] is no section, wanted [api] or [worker]"),
        ("log-format = 'xml'\n", "log-format is \"xml\", wanted one of text, json"),
        ("[api]\nin-flight = 0\n", "[api] in-flight is \"0\": 0 is not in 1.."),
        (
            "[api]\nlisten = { port = 1 }\n",
            "line 2: [api] listen is a list, a table or a date, wanted an address such as 127.0.0.1:7401",
        ),
        ("api = 3\n", "api is a value, wanted a section [api]"),
        ("[api\n", "line 1: "),
        (
            "[api]\ntrusted-proxies = ['10.0.0.0/8', 'proxy']\n",
            "[api] trusted-proxies is \"proxy\": not a network, wanted one such as 10.0.0.0/8",
        ),
        ("log = 'verbose'\n", "log is \"verbose\": not a log level, wanted error, warn, info, debug, trace or off"),
        (
            "[api]\nlisten = 'here'\n",
            "[api] listen is \"here\": not an address to listen on, wanted an IP address and a",
        ),
        ("[api]\nbase-path = '/pins'\n", "[api] base-path is \"/pins\": hides a path of the API itself"),
        ("[api]\nwrite-rate = 'fast'\n", "[api] write-rate is \"fast\": not a rate, wanted one such as 200/1000"),
    ];
    for (file, wanted) in cases {
        let error = format!("{:#}", serve(file, &[]).expect_err(file));
        assert!(error.contains("pinrail.toml") && error.contains(wanted), "{file:?} gives {error:?}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_boolean_is_read_with_and_without_an_equals_sign() {
    for (arguments, wanted) in [
        (&["--rate-limits", "false"][..], false),
        (&["--rate-limits=false"], false),
        (&["--rate-limits", "true"], true),
        (&["--rate-limits=true"], true),
        (&["--rate-limits", "--literal-status"], true),
        (&["--rate-limits"], true),
    ] {
        for file in ["", "[api]\nrate-limits = false\n", "[api]\nrate-limits = 'true'\n"] {
            assert_eq!(serve(file, arguments).expect("it can be read").rate_limits, wanted, "{arguments:?}, {file}");
        }
    }
    let settings = serve("", &["--allow-private", "true", "--literal-status", "true"]).expect("it can be read");
    assert!(settings.allow_private && settings.literal_status && settings.rate_limits);
    let settings = serve("[api]\nrate-limits = 'false'\nliteral-status = true\n", &[]).expect("it can be read");
    assert!(!settings.rate_limits && settings.literal_status);
}

#[test]
fn private_origins_are_kept_only_if_it_is_said() {
    for unsaid in [&[][..], &["--listen", "127.0.0.1:1"], &["--allow-private=false"]] {
        assert!(!serve("", unsaid).expect("it can be read").http().allow_private_origins, "{unsaid:?}");
    }
    assert!(serve("", &["--allow-private"]).expect("it can be read").http().allow_private_origins);
    assert!(serve("[api]\nallow-private = true\n", &[]).expect("it can be read").http().allow_private_origins);
}

#[test]
fn all_that_is_wrong_in_the_file_is_said_at_once() {
    let file = "log = 'verbose'\n[api]\nlisten = 'here'\nlistn = 'x'\nbase-path = '/pins'\n";
    let error = format!("{:#}", serve(file, &[]).expect_err("nothing of it is right"));
    let lines = error.lines().collect::<Vec<_>>();
    assert_eq!(lines.len(), 4, "{error}");
    for name in ["log is ", "[api] listen is ", "[api] listn is ", "[api] base-path is "] {
        assert!(lines.iter().any(|line| line.contains(name)), "{name}: {error}");
    }
    assert!(lines[1..].iter().all(|line| line.starts_with("error: ")), "{error}");
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

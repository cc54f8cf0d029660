//! What is said of arguments that cannot be read: one line, where clap says several.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// Print the help or the version that was asked for, or say in one line what is wrong, and end the process.
pub fn tell(mut problem: Error, command: &Command) -> ! {
    match problem.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            problem.exit()
        }
        _ => {
            forget_hidden(&mut problem, command);
            eprintln!("error: {}; --help tells more", in_one_line(&problem));
            std::process::exit(problem.exit_code())
        }
    }
}

/// A command that the help does not show is not suggested either.
fn forget_hidden(problem: &mut Error, command: &Command) {
    let Some(ContextValue::Strings(similar)) = problem.remove(ContextKind::SuggestedSubcommand) else { return };
    let is_shown = |name: &String| command.find_subcommand(name).is_none_or(|found| !found.is_hide_set());
    let shown = similar.into_iter().filter(is_shown).collect::<Vec<_>>();
    if !shown.is_empty() {
        problem.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(shown));
    }
}

/// What is wrong, without the usage that clap shows below it.
pub fn in_one_line(problem: &Error) -> String {
    let text = problem.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let mut whole = String::new();
    for line in told {
        let line = line.trim_start_matches("error: ");
        let between = match (whole.as_str(), line) {
            ("", _) => "",
            (_, tip) if tip.starts_with("tip: ") => "; ",
            (before, line) if before.ends_with(':') || line.starts_with('[') => " ",
            _ => ", ",
        };
        whole.push_str(between);
        whole.push_str(line.trim_start_matches("tip: "));
    }
    whole
}

/// What is wrong with the value of a setting, to be read behind the setting's name.
pub fn of_value(problem: &Error) -> String {
    match (problem.get(ContextKind::InvalidValue), problem.source(), problem.get(ContextKind::ValidValue)) {
        (Some(ContextValue::String(value)), Some(why), _) => format!("is {value:?}: {why}"),
        (Some(ContextValue::String(value)), None, Some(ContextValue::Strings(known))) => {
            format!("is {value:?}, wanted one of {}", known.join(", "))
        }
        _ => format!("cannot be read: {}", in_one_line(problem)),
    }
}

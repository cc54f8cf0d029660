//! The settings file, whose values are the defaults of the command line.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Command, CommandFactory};
use pinrail_domain::settings::{File, Problem, Program};

use super::{Cli, Common};

/// The path and content of the file that was asked for, or of the one in the data folder if it exists.
pub fn find(common: &Common) -> Result<Option<(PathBuf, File)>> {
    let path = common.config.clone().unwrap_or_else(|| common.data_dir.join("pinrail.toml"));
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, File::parse(&text)))),
        Err(error) if error.kind() == ErrorKind::NotFound && common.config.is_none() => Ok(None),
        Err(error) => Err(error).with_context(|| format!("the settings {} cannot be read", path.display())),
    }
}

/// The command line with the values of the file as defaults. An error holds all that is wrong with them, a line each.
pub fn command(common: &Common) -> Result<Command> {
    let Some((path, file)) = find(common)? else { return Ok(Cli::command()) };
    let is_read = |problem: &&Problem| problem.section.is_none_or(|section| section == Program::Api);
    let problems = file.problems().iter().filter(is_read);
    let problems = problems.map(|problem| format!("{}, {problem}", path.display())).collect::<Vec<_>>();
    ensure!(problems.is_empty(), problems.join("\nerror: "));
    let serve = |serve| with_defaults(serve, &file, Some(Program::Api));
    Ok(with_defaults(Cli::command(), &file, None).mut_subcommand("serve", serve))
}

fn with_defaults(command: Command, file: &File, section: Option<Program>) -> Command {
    command.mut_args(|argument| match argument.get_long().map(|name| file.values(section, name)) {
        Some(values @ [_, ..]) => argument.default_values(values.to_vec()),
        _ => argument,
    })
}

//! The settings file. Its values become arguments, where neither a flag nor the environment says otherwise, so that
//! they are read and judged in one place.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Error, Result, anyhow, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory};
use toml::{Table, Value};

use super::{Cli, Common, FOREIGN, SECTION};

/// A settings file that was read.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    table: Table,
}

/// The file that was asked for, or the one in the data folder if it is there.
pub fn find(common: &Common) -> Result<Option<File>> {
    let path = common.config.clone().unwrap_or_else(|| common.data_dir.join("pinrail.toml"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && common.config.is_none() => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("the settings {} cannot be read", path.display())),
    };
    File::parse(path, &text).map(Some)
}

impl File {
    /// Read the text of a settings file.
    pub fn parse(path: PathBuf, text: &str) -> Result<Self> {
        let table = text.parse::<Table>().map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            anyhow!("{}, line {line}: {}", path.display(), error.message())
        })?;
        Ok(Self { path, table })
    }

    /// Add what the file says to `arguments`, unless a flag or the environment said it in `matches`.
    pub fn add_to(&self, arguments: &mut Vec<OsString>, matches: &ArgMatches) -> Result<()> {
        let (section, subcommand) = SECTION;
        let mut general = Vec::new();
        for (key, value) in self.table.iter().filter(|(key, _)| *key != FOREIGN && *key != section) {
            general.extend(self.flags(&Cli::command(), key, key, value, matches)?);
        }
        let command = Cli::command().find_subcommand(subcommand).cloned().unwrap_or_default();
        for (key, value) in self.section(section)? {
            let name = format!("{section}.{key}");
            let called = matches.subcommand_matches(subcommand);
            let flags = self.flags(&command, key, &name, value, called.unwrap_or(matches))?;
            if called.is_some() {
                arguments.extend(flags);
            }
        }
        // Right behind the program's name, where no `--` stands before them.
        arguments.splice(1..1, general);
        Ok(())
    }

    fn section(&self, name: &str) -> Result<impl Iterator<Item = (&String, &Value)>> {
        let table = match self.table.get(name) {
            None => None,
            Some(Value::Table(table)) => Some(table),
            Some(_) => bail!("{}: {name} is a value, wanted a section [{name}]", self.path.display()),
        };
        Ok(table.into_iter().flatten())
    }

    /// The flags for one key, none when a flag or the environment has set it.
    fn flags(
        &self,
        command: &Command,
        key: &str,
        name: &str,
        value: &Value,
        matches: &ArgMatches,
    ) -> Result<Vec<OsString>> {
        let is_setting = |argument: &&Arg| argument.get_env().is_some() && argument.get_id() != "config";
        let settings = command.get_arguments().filter(is_setting);
        let names = settings.filter_map(Arg::get_long).collect::<Vec<_>>();
        if !names.contains(&key) {
            bail!("{}: {name} is no setting, wanted one of {}", self.path.display(), names.join(", "));
        }
        let id = key.replace('-', "_");
        let is_said = matches!(matches.try_contains_id(&id), Ok(true))
            && matches!(matches.value_source(&id), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
        let values = match value {
            Value::Array(values) => values.iter().map(text).collect::<Option<Vec<_>>>(),
            value => text(value).map(|text| vec![text]),
        };
        let values = values.ok_or_else(|| {
            anyhow!("{}: {name} is a table or a date, wanted text, a number or a list of them", self.path.display())
        })?;
        let flags = values.into_iter().map(|value| OsString::from(format!("--{key}={value}")));
        Ok(if is_said { Vec::new() } else { flags.collect() })
    }

    /// What was wrong: the arguments alone were right, so it is the file.
    pub fn blame(&self, problem: &clap::Error) -> Error {
        let text = problem.to_string();
        let line = text.lines().next().unwrap_or_default();
        anyhow!("{}: {}", self.path.display(), line.trim_start_matches("error: "))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

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

/// One setting of the file.
struct Entry {
    /// Whether every command reads it; otherwise it is for the command of the section.
    is_common: bool,
    /// What the program calls it.
    id: String,
    /// The flags that say the same.
    flags: Vec<OsString>,
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
    fn parse(path: PathBuf, text: &str) -> Result<Self> {
        let table = text.parse::<Table>().map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            anyhow!("{}, line {line}: {}", path.display(), error.message())
        })?;
        Ok(Self { path, table })
    }

    /// Add what the file says to `arguments`, unless a flag or the environment said it in `matches`.
    pub fn add_to(&self, arguments: &mut Vec<OsString>, matches: &ArgMatches) -> Result<()> {
        let called = matches.subcommand_matches(SECTION.1);
        let mut common = Vec::new();
        for entry in self.entries() {
            let entry = entry?;
            match (entry.is_common, called) {
                (true, _) if !is_said(matches, &entry.id) => common.extend(entry.flags),
                (false, Some(called)) if !is_said(called, &entry.id) => arguments.extend(entry.flags),
                _ => {}
            }
        }
        // Right behind the program's name, where no `--` stands before them.
        arguments.splice(1..1, common);
        Ok(())
    }

    /// What was wrong: the arguments alone were right, so it is the file.
    pub fn blame(&self, problem: &clap::Error) -> Error {
        let text = problem.to_string();
        let line = text.lines().next().unwrap_or_default();
        anyhow!("{}: {}", self.path.display(), line.trim_start_matches("error: "))
    }

    /// The settings in the file, those that are none as errors.
    fn entries(&self) -> Vec<Result<Entry>> {
        let (section, subcommand) = SECTION;
        let command = Cli::command();
        let serve = command.find_subcommand(subcommand).cloned().unwrap_or_default();
        let mut entries = Vec::new();
        for (key, value) in self.table.iter().filter(|(key, _)| *key != FOREIGN) {
            match value {
                Value::Table(table) if key == section => {
                    let named = |key: &String| format!("{section}.{key}");
                    entries.extend(table.iter().map(|(key, value)| self.entry(&serve, key, &named(key), value)));
                }
                _ if key == section => entries
                    .push(Err(anyhow!("{}: {section} is a value, wanted a section [{section}]", self.path.display()))),
                value => entries.push(self.entry(&command, key, key, value)),
            }
        }
        entries
    }

    fn entry(&self, command: &Command, key: &str, name: &str, value: &Value) -> Result<Entry> {
        let is_setting = |argument: &&Arg| argument.get_env().is_some() && argument.get_id() != "config";
        let settings = command.get_arguments().filter(is_setting);
        let names = settings.filter_map(Arg::get_long).collect::<Vec<_>>();
        if !names.contains(&key) {
            bail!("{}: {name} is no setting, wanted one of {}", self.path.display(), names.join(", "));
        }
        let values = match value {
            Value::Array(values) => values.iter().map(text).collect::<Option<Vec<_>>>(),
            value => text(value).map(|text| vec![text]),
        };
        let values = values.ok_or_else(|| {
            anyhow!("{}: {name} is a table or a date, wanted text, a number or a list of them", self.path.display())
        })?;
        let flags = values.into_iter().map(|value| OsString::from(format!("--{key}={value}"))).collect();
        Ok(Entry { is_common: key == name, id: key.replace('-', "_"), flags })
    }
}

/// Whether a flag or the environment has said it.
fn is_said(matches: &ArgMatches, id: &str) -> bool {
    matches!(matches.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
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

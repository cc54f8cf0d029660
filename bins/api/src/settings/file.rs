//! The settings file. Its values become arguments, where neither a flag nor the environment says otherwise, so that
//! they are read and judged in one place.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Error, Result, anyhow, ensure};
use clap::error::ContextKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory};
use toml::{Table, Value};

use super::{Cli, Common, FOREIGN, SECTION, refusal, worker};

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
    /// Where it stands: `log`, or `[api] listen`.
    name: String,
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

    /// Add what the file says to `arguments`, unless a flag or the environment said it in `matches`. An error holds all
    /// that is wrong, a line each.
    pub fn add_to(&self, arguments: &mut Vec<OsString>, matches: &ArgMatches) -> Result<()> {
        let called = matches.subcommand_matches(SECTION.1);
        let (mut common, mut problems) = (Vec::new(), Vec::new());
        for entry in self.entries() {
            let counts = |entry: &Entry| match (entry.is_common, called) {
                (true, _) => !is_said(matches, &entry.id),
                (false, Some(called)) => !is_said(called, &entry.id),
                (false, None) => false,
            };
            match entry
                .and_then(|entry| if counts(&entry) { self.judge(&entry).map(|()| Some(entry)) } else { Ok(None) })
            {
                Ok(Some(entry)) if entry.is_common => common.extend(entry.flags),
                Ok(Some(entry)) => arguments.extend(entry.flags),
                Ok(None) => {}
                Err(problem) => problems.push(format!("{problem:#}")),
            }
        }
        ensure!(problems.is_empty(), problems.join("\nerror: "));
        // Right behind the program's name, where no `--` stands before them.
        arguments.splice(1..1, common);
        Ok(())
    }

    /// Everything that is wrong with the file, each in one line.
    pub fn problems(&self) -> Vec<String> {
        let own = self.entries().into_iter().filter_map(|entry| entry.and_then(|entry| self.judge(&entry)).err());
        let foreign = self.table.get(FOREIGN).map(worker::problems).unwrap_or_default();
        let foreign = foreign.into_iter().map(|problem| self.wrong(&problem));
        own.chain(foreign).map(|problem| format!("{problem:#}")).collect()
    }

    /// Whether the worker's section has `allow-private` on.
    pub fn lets_worker_dial_private(&self) -> bool {
        let setting = self.table.get(FOREIGN).and_then(|section| section.get("allow-private"));
        setting.and_then(text).as_deref() == Some("true")
    }

    /// Read one setting by itself, so that what is wrong with it can be told with its place.
    fn judge(&self, entry: &Entry) -> Result<()> {
        let arguments = ["pinrail-api", SECTION.1].iter().map(OsString::from).chain(entry.flags.iter().cloned());
        let Err(problem) = Cli::command().try_get_matches_from(arguments) else { return Ok(()) };
        // A variable of the environment may be wrong too, which is another matter.
        let flag = format!("--{}", entry.id.replace('_', "-"));
        let blamed = problem.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
        if blamed.split([' ', '=']).next() == Some(&flag) {
            return Err(self.wrong(&format!("{} {}", entry.name, refusal::of_value(&problem))));
        }
        Ok(())
    }

    /// Something that is wrong with the file.
    pub fn wrong(&self, what: &str) -> Error {
        anyhow!("{}: {what}", self.path.display())
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
                    for (key, value) in table {
                        entries.push(self.entry(&serve, Some(section), key, value));
                    }
                }
                _ if key == section => {
                    entries.push(Err(self.wrong(&format!("{section} is a value, wanted a section [{section}]"))));
                }
                Value::Table(_) => {
                    let wanted = format!("[{key}] is no section, wanted [{section}] or [{FOREIGN}]");
                    entries.push(Err(self.wrong(&wanted)));
                }
                _ if settings(&serve).contains(&key.as_str()) => {
                    let wanted = format!("{key} stands above all sections, wanted it under [{section}]");
                    entries.push(Err(self.wrong(&wanted)));
                }
                value => entries.push(self.entry(&command, None, key, value)),
            }
        }
        entries
    }

    fn entry(&self, command: &Command, section: Option<&str>, key: &str, value: &Value) -> Result<Entry> {
        let name = section.map_or_else(|| key.to_owned(), |section| format!("[{section}] {key}"));
        let names = settings(command);
        if !names.contains(&key) {
            return Err(self.wrong(&format!("{name} is no setting, wanted one of {}", names.join(", "))));
        }
        let values = match value {
            Value::Array(values) => values.iter().map(text).collect::<Option<Vec<_>>>(),
            value => text(value).map(|text| vec![text]),
        };
        let wanted = || self.wrong(&format!("{name} is a table or a date, wanted text, a number or a list of them"));
        let flags = values.ok_or_else(wanted)?.into_iter().map(|value| OsString::from(format!("--{key}={value}")));
        Ok(Entry { is_common: section.is_none(), id: key.replace('-', "_"), flags: flags.collect(), name })
    }
}

/// What a command reads from the file.
fn settings(command: &Command) -> Vec<&str> {
    let is_setting = |argument: &&Arg| argument.get_env().is_some() && argument.get_id() != "config";
    command.get_arguments().filter(is_setting).filter_map(Arg::get_long).collect()
}

/// Whether a flag or the environment has said it.
fn is_said(matches: &ArgMatches, id: &str) -> bool {
    matches!(matches.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// A value as a flag would give it.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

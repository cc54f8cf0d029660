//! The settings file: the values in it, and everything that is wrong with it.

use std::fmt;

use toml::de::{DeTable, DeValue};

use super::schema::{Program, Setting};

/// A settings file that was read.
#[derive(Debug, Default)]
pub struct File {
    entries: Vec<Entry>,
    problems: Vec<Problem>,
}

/// A setting that the file names, with values that can be meant.
#[derive(Debug)]
struct Entry {
    section: Option<Program>,
    name: &'static str,
    values: Vec<String>,
}

/// Something that is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The program in whose section it stands; `None` above all sections.
    pub section: Option<Program>,
    line: usize,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "line {}: {}", self.line, self.what)
    }
}

impl File {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Self {
        let mut file = Self::default();
        let line_of = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(span.start));
                file.problems.push(Problem { section: None, line, what: error.message().to_owned() });
                return file;
            }
        };
        for (key, value) in &table {
            let (line, key, value) = (line_of(key.span().start), key.get_ref().as_ref(), value.get_ref());
            match (Program::ALL.into_iter().find(|program| program.section() == key), value) {
                (Some(program), DeValue::Table(section)) => {
                    for (key, value) in section {
                        let line = line_of(key.span().start);
                        file.add(Some(program), line, read(Some(program), key.get_ref(), value.get_ref()));
                    }
                }
                (Some(program), _) => {
                    file.add(Some(program), line, Err(format!("{key} is a value, wanted a section [{key}]")));
                }
                (None, value) => file.add(None, line, read(None, key, value)),
            }
        }
        file.problems.sort_by_key(|problem| problem.line);
        file
    }

    fn add(&mut self, section: Option<Program>, line: usize, read: Result<Entry, String>) {
        match read {
            Ok(entry) => self.entries.push(entry),
            Err(what) => self.problems.push(Problem { section, line, what }),
        }
    }

    /// Everything that is wrong with it, in the order of its lines.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The values of a setting; none where the file does not name it.
    pub fn values(&self, section: Option<Program>, name: &str) -> &[String] {
        let found = self.entries.iter().find(|entry| entry.section == section && entry.name == name);
        found.map_or(&[], |entry| &entry.values)
    }
}

fn read(section: Option<Program>, key: &str, value: &DeValue<'_>) -> Result<Entry, String> {
    let place = section.map_or_else(|| key.to_owned(), |program| format!("[{}] {key}", program.section()));
    let Some(setting) = find(section, key) else { return Err(unknown(section, key, &place, value)) };
    let values = match value {
        DeValue::Array(values) if setting.is_list() => values.iter().map(|value| text(value.get_ref())).collect(),
        value => text(value).map(|text| vec![text]),
    };
    let values: Vec<String> = values.ok_or_else(|| {
        let found = if setting.is_list() { "a table or a date" } else { "a list, a table or a date" };
        format!("{place} is {found}, wanted {}", setting.wanted())
    })?;
    let wrong = values.iter().find_map(|value| setting.check(value).err());
    wrong.map_or(Ok(Entry { section, name: setting.name, values }), |what| Err(format!("{place} {what}")))
}

fn find(section: Option<Program>, key: &str) -> Option<&'static Setting> {
    Setting::of(section).iter().find(|setting| setting.name == key)
}

/// Describes a key that is no setting where it stands.
fn unknown(section: Option<Program>, key: &str, place: &str, value: &DeValue<'_>) -> String {
    let sections = |knows: &dyn Fn(Program) -> bool| {
        let sections = Program::ALL.into_iter().filter(|program| knows(*program));
        sections.map(|program| format!("[{}]", program.section())).collect::<Vec<_>>().join(" or ")
    };
    let right = sections(&|program| find(Some(program), key).is_some());
    match section {
        None if matches!(value, DeValue::Table(_)) => {
            format!("[{key}] is no section, wanted {}", sections(&|_| true))
        }
        None if !right.is_empty() => format!("{key} stands above all sections, wanted it under {right}"),
        _ => {
            let names = Setting::of(section).iter().map(|setting| setting.name).collect::<Vec<_>>();
            format!("{place} is no setting, wanted one of {}", names.join(", "))
        }
    }
}

/// A single value as a flag would give it.
fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            let decimal = i64::from_str_radix(number.as_str(), number.radix());
            Some(decimal.map_or_else(|_| number.to_string(), |number| number.to_string()))
        }
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(is_on) => Some(is_on.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        File::parse(text).problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_wrong_in_the_workers_section_is_said_with_its_name() {
        let right =
            "listen = ['/ip4/127.0.0.1/tcp/1']\nslots = 3\nallow-private = true\nlease = '60s'\nreserve = '1GiB'";
        for (section, wanted) in [
            (right, None),
            ("slot = 3", Some("[worker] slot is no setting, wanted one of health, metrics, routing, listen, ")),
            ("slots = 'many'", Some("[worker] slots is \"many\": not a number")),
            ("slots = [1]", Some("[worker] slots is a list, a table or a date, wanted a number")),
            ("lease = 60", Some("[worker] lease is \"60\": not a time, wanted one such as 90s, 5m or 24h")),
            ("reserve = 'much'", Some("[worker] reserve is \"much\": not a size, wanted one such as 500MiB or 32GiB")),
            ("allow-private = 'perhaps'", Some("[worker] allow-private is \"perhaps\": neither true nor false")),
            ("slots = 0", Some("[worker] slots is \"0\": 0 is not in 1..=4096")),
            ("listen = [1]", Some("[worker] listen is \"1\": not an address to listen on, wanted one such as")),
            (
                "health = 'here'",
                Some("[worker] health is \"here\": not an address to listen on, wanted an IP address and a"),
            ),
            (
                "announce = ['/ip4/0.0.0.0/tcp/4401']",
                Some(
                    "[worker] announce is \"/ip4/0.0.0.0/tcp/4401\": the address of every interface, which nobody can dial",
                ),
            ),
            (
                "announce = '/dns4/pins.example.net'",
                Some(
                    "[worker] announce is \"/dns4/pins.example.net\": not an address that clients can dial, wanted one",
                ),
            ),
            ("never-dial = ['198.41.0.0/16', '2a01:4f8::/32']", None),
            (
                "never-dial = '198.41.0.0/33'",
                Some("[worker] never-dial is \"198.41.0.0/33\": not a network, wanted one"),
            ),
        ] {
            let found = problems(&format!("[worker]\n{section}\n"));
            match wanted {
                None => assert_eq!(found, [""; 0]),
                Some(wanted) => {
                    let wanted = format!("line 2: {wanted}");
                    assert!(found.len() == 1 && found[0].starts_with(&wanted), "{section}: {found:?}");
                }
            }
        }
        assert_eq!(problems("worker = 3"), ["line 1: worker is a value, wanted a section [worker]"]);
    }

    #[test]
    fn problems_come_in_the_order_of_their_lines() {
        let found = problems("log = 'x'\nslots = 1\nlisten = 1\n[wroker]\n[api]\nlistn = 1\n");
        let wanted = [
            "line 1: log is \"x\": not a log level",
            "line 2: slots stands above all sections, wanted it under [worker]",
            "line 3: listen stands above all sections, wanted it under [api] or [worker]",
            "line 4: [wroker] is no section, wanted [api] or [worker]",
            "line 6: [api] listn is no setting, wanted one of listen, ",
        ];
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.starts_with(wanted), "{found}");
        }
        let found = problems("log = 'info'\n\nlog = 'warn'\n");
        assert!(found.len() == 1 && found[0].starts_with("line 3: "), "{found:?}");
    }

    #[test]
    fn values_are_read_as_a_flag_would_give_them() {
        let file = File::parse("database-connections = 0x10\n[api]\nallow-private = true\ncors = ['a', 'b']\n");
        assert_eq!(file.problems(), []);
        assert_eq!(file.values(None, "database-connections"), ["16"]);
        assert_eq!(file.values(Some(Program::Api), "allow-private"), ["true"]);
        assert_eq!(file.values(Some(Program::Api), "cors"), ["a", "b"]);
        assert_eq!(file.values(Some(Program::Worker), "allow-private"), [""; 0]);
    }
}

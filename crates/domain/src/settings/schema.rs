//! The schema of the settings file: every setting by its section, and the kind of its value.

use std::ops::RangeInclusive;

use super::address::{check_announce, check_bootstrap, check_listen, check_router, parse_base_path, parse_socket};
use super::value::{parse_log, parse_network, parse_number, parse_rate, parse_size, parse_time};

/// The connections to PostgreSQL that a process may have.
pub const CONNECTIONS: RangeInclusive<u32> = 2..=1_000;

/// The range of a number that has no limit of its own.
pub const COUNT: RangeInclusive<u32> = 1..=u32::MAX;

/// The roots that a worker may work on at once.
pub const SLOTS: RangeInclusive<u32> = 1..=4_096;

/// The blocks that the DAG of one root may have at most.
pub const ROOT_BLOCKS: RangeInclusive<u32> = COUNT;

/// The parts that a node may take in the DHT.
pub const DHT: [&str; 3] = ["off", "client", "server"];

/// A program with a section of its own in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `pinrail-api`, which reads `[api]`.
    Api,
    /// `pinrail-worker`, which reads `[worker]`.
    Worker,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Api, Self::Worker];

    /// The name of its section.
    pub const fn section(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// A setting of the file.
#[derive(Debug)]
pub struct Setting {
    /// Its key, which is also the name of its flag.
    pub name: &'static str,
    kind: Kind,
}

/// The kind of a setting's value.
#[derive(Debug)]
enum Kind {
    Text,
    Texts,
    Log,
    OneOf(&'static [&'static str]),
    Bool,
    Number(RangeInclusive<u32>),
    Time,
    Size,
    Rate,
    Socket,
    BasePath,
    Networks,
    Listen,
    Announce,
    Bootstrap,
    Routers,
}

const COMMON: &[Setting] = &[
    Setting { name: "data-dir", kind: Kind::Text },
    Setting { name: "database", kind: Kind::Text },
    Setting { name: "database-connections", kind: Kind::Number(CONNECTIONS) },
    Setting { name: "log", kind: Kind::Log },
    Setting { name: "log-format", kind: Kind::OneOf(&["text", "json"]) },
];

const API: &[Setting] = &[
    Setting { name: "listen", kind: Kind::Socket },
    Setting { name: "metrics", kind: Kind::Socket },
    Setting { name: "base-path", kind: Kind::BasePath },
    Setting { name: "allow-private", kind: Kind::Bool },
    Setting { name: "literal-status", kind: Kind::Bool },
    Setting { name: "access-url", kind: Kind::Text },
    Setting { name: "cors", kind: Kind::Texts },
    Setting { name: "rate-limits", kind: Kind::Bool },
    Setting { name: "read-rate", kind: Kind::Rate },
    Setting { name: "write-rate", kind: Kind::Rate },
    Setting { name: "poll-rate", kind: Kind::Rate },
    Setting { name: "in-flight", kind: Kind::Number(COUNT) },
    Setting { name: "connections", kind: Kind::Number(COUNT) },
    Setting { name: "connections-per-address", kind: Kind::Number(COUNT) },
    Setting { name: "trusted-proxies", kind: Kind::Networks },
    Setting { name: "body-timeout", kind: Kind::Time },
    Setting { name: "answer-timeout", kind: Kind::Time },
    Setting { name: "reserve", kind: Kind::Size },
    Setting { name: "drain", kind: Kind::Time },
];

const WORKER: &[Setting] = &[
    Setting { name: "health", kind: Kind::Socket },
    Setting { name: "metrics", kind: Kind::Socket },
    Setting { name: "routing", kind: Kind::Socket },
    Setting { name: "listen", kind: Kind::Listen },
    Setting { name: "announce", kind: Kind::Announce },
    Setting { name: "allow-private", kind: Kind::Bool },
    Setting { name: "never-dial", kind: Kind::Networks },
    Setting { name: "dht", kind: Kind::OneOf(&DHT) },
    Setting { name: "bootstrap", kind: Kind::Bootstrap },
    Setting { name: "routers", kind: Kind::Routers },
    Setting { name: "slots", kind: Kind::Number(SLOTS) },
    Setting { name: "lease", kind: Kind::Time },
    Setting { name: "first-retry", kind: Kind::Time },
    Setting { name: "max-retry", kind: Kind::Time },
    Setting { name: "time-limit", kind: Kind::Time },
    Setting { name: "rotation", kind: Kind::Time },
    Setting { name: "stall", kind: Kind::Time },
    Setting { name: "pause", kind: Kind::Time },
    Setting { name: "max-root-size", kind: Kind::Size },
    Setting { name: "max-root-blocks", kind: Kind::Number(ROOT_BLOCKS) },
    Setting { name: "reserve", kind: Kind::Size },
    Setting { name: "ballast", kind: Kind::Size },
    Setting { name: "drain", kind: Kind::Time },
];

impl Setting {
    /// The settings of a section; those of both programs stand above all sections.
    pub const fn of(section: Option<Program>) -> &'static [Self] {
        match section {
            None => COMMON,
            Some(Program::Api) => API,
            Some(Program::Worker) => WORKER,
        }
    }

    /// Checks one value; the error is read behind the setting's name.
    pub fn check(&self, value: &str) -> Result<(), String> {
        let judged = match &self.kind {
            Kind::Text | Kind::Texts => Ok(()),
            Kind::Log => parse_log(value).map(drop),
            Kind::OneOf(words) if words.contains(&value) => Ok(()),
            Kind::OneOf(words) => return Err(format!("is {value:?}, wanted one of {}", words.join(", "))),
            Kind::Bool => value.parse::<bool>().map(drop).map_err(|_| "neither true nor false".to_owned()),
            Kind::Number(range) => parse_number::<u32>(range.clone())(value).map(drop),
            Kind::Time => parse_time(value).map(drop),
            Kind::Size => parse_size(value).map(drop),
            Kind::Rate => parse_rate(value).map(drop),
            Kind::Socket => parse_socket(value).map(drop),
            Kind::BasePath => parse_base_path(value).map(drop),
            Kind::Networks => parse_network(value).map(drop),
            Kind::Listen => check_listen(value),
            Kind::Announce => check_announce(value),
            Kind::Bootstrap => check_bootstrap(value),
            Kind::Routers => check_router(value),
        };
        judged.map_err(|why| format!("is {value:?}: {why}"))
    }

    /// Returns true where several values may be given.
    pub(super) const fn is_list(&self) -> bool {
        matches!(
            self.kind,
            Kind::Texts | Kind::Networks | Kind::Listen | Kind::Announce | Kind::Bootstrap | Kind::Routers
        )
    }

    /// The form of a value in the file, for an error.
    pub(super) const fn wanted(&self) -> &'static str {
        match self.kind {
            _ if self.is_list() => "text or a list of texts",
            Kind::Bool => "true or false",
            Kind::Number(_) => "a number",
            Kind::Time => "a time such as 90s",
            Kind::Size => "a size such as 32GiB",
            Kind::Rate => "a rate such as 200/1000",
            Kind::Socket => "an address such as 127.0.0.1:7401",
            _ => "text",
        }
    }
}

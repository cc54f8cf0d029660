//! Where a PostgreSQL database is, as its URL says it: `postgres://user:password@host:port/database?sslmode=…`.
//!
//! Beside what the driver knows, `sslmode` and `sslrootcert` are read here. Off this machine a connection is always
//! over TLS and the server's certificate is always verified: there is no mode that takes any certificate.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use form_urlencoded::Serializer;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection may be silent before the system asks whether the other end is there.
const SILENT: Duration = Duration::from_secs(15);
/// How long sent data may go unconfirmed before the connection is given up.
const UNCONFIRMED: Duration = Duration::from_secs(20);

/// What the server is held to for every connection, in its own words: no statement, no wait for a lock and no
/// forgotten transaction lasts for ever.
const LIMITS: &str = "-c statement_timeout=60s -c lock_timeout=20s -c idle_in_transaction_session_timeout=60s";

/// Where a database is.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    /// With `sslrootcert`, the file whose certificates alone are trusted.
    pub(super) roots: Option<PathBuf>,
    /// Whether connections are over TLS.
    pub(super) is_tls: bool,
    /// The URL without its password, for people.
    pub(super) shown: String,
}

impl Address {
    /// Read a URL; what is wrong with it, if anything is.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (place, parameters) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut roots, mut further) = (None, None, Serializer::new(String::new()));
        for (key, value) in form_urlencoded::parse(parameters.as_bytes()) {
            match &*key {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => roots = Some(PathBuf::from(value.into_owned())),
                _ => drop(further.append_pair(&key, &value)),
            }
        }
        let url = format!("{place}?{}", further.finish());
        let mut config = Config::from_str(url.trim_end_matches('?')).map_err(|error| super::errors::chain(&error))?;
        if config.get_dbname().is_none() {
            return Err("it names no database, wanted postgres://<user>@<host>/<database>".to_owned());
        }
        let is_tls = wants_tls(mode.as_deref(), is_near(&config))?;
        config.ssl_mode(if is_tls { SslMode::Require } else { SslMode::Disable });
        let options = config.get_options().map_or_else(|| LIMITS.to_owned(), |own| format!("{LIMITS} {own}"));
        config.options(options).keepalives_idle(SILENT).tcp_user_timeout(UNCONFIRMED);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_application_name().is_none() {
            config.application_name("pinrail");
        }
        Ok(Self { config, roots, is_tls, shown: without_password(place) })
    }
}

/// The URL as it may be shown: without its password, and without its parameters, which may hold one too.
pub(crate) fn without_password(url: &str) -> String {
    let place = url.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = place.split_once("://") else { return place.to_owned() };
    match rest.rsplit_once('@') {
        Some((user, host)) => format!("{scheme}://{}@{host}", user.split(':').next().unwrap_or_default()),
        None => place.to_owned(),
    }
}

/// Whether two URLs name one database of one server, whoever the user is.
pub(crate) fn is_same_place(one: &str, other: &str) -> bool {
    let place = |url: &str| {
        let config = Address::parse(url).ok()?.config;
        let ports = config.get_ports().iter().map(|port| Some(*port)).collect::<Vec<_>>();
        let ports = if ports.is_empty() { vec![Some(5432)] } else { ports };
        Some((config.get_hosts().to_vec(), ports, config.get_dbname()?.to_owned()))
    };
    place(one).is_some_and(|one| Some(one) == place(other))
}

fn wants_tls(mode: Option<&str>, is_near: bool) -> Result<bool, String> {
    match mode {
        None => Ok(!is_near),
        Some("disable") => Ok(false),
        Some("require" | "verify-ca" | "verify-full") => Ok(true),
        Some(other) => Err(format!("sslmode is {other}, wanted disable, require or verify-full")),
    }
}

/// Whether every host is this machine: a socket in the file system, or a loopback address.
fn is_near(config: &Config) -> bool {
    let near = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    };
    config.get_hosts().iter().all(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_this_machine_it_is_over_tls() {
        for (url, is_tls) in [
            ("postgres://ada@127.0.0.1/pinrail", false),
            ("postgres://ada@localhost:5433/pinrail", false),
            ("postgres://ada@[::1]/pinrail", false),
            ("postgres://ada@%2Fvar%2Frun%2Fpostgresql/pinrail", false),
            ("postgres://ada@127.0.0.1/pinrail?sslmode=require", true),
            ("postgres://ada@db.example/pinrail", true),
            ("postgres://ada@127.0.0.1,db.example/pinrail", true),
            ("postgres://ada@db.example/pinrail?sslmode=disable", false),
        ] {
            let address = Address::parse(url).unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!(address.is_tls, is_tls, "{url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let address = Address::parse("postgres://ada:s3cret@db.example:5433/pinrail?password=s3cret").expect("a URL");
        assert_eq!(address.shown, "postgres://ada@db.example:5433/pinrail");
        assert_eq!(address.config.get_password(), Some("s3cret".as_bytes()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, words) in [
            ("postgres://ada@db.example", "names no database"),
            ("postgres://ada@db.example/pinrail?sslmode=prefer", "wanted disable, require or verify-full"),
            ("postgres://ada@db.example/pinrail?colour=red", "colour"),
            ("postgres://ada@db.example:port/pinrail", "port"),
        ] {
            let why = Address::parse(url).expect_err(url);
            assert!(why.contains(words), "{url}: {why}");
        }
    }
}

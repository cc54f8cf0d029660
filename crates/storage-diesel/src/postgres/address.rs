//! Where a PostgreSQL database is, as its URL says it: `postgres://user:password@host:port/database?sslmode=…`.
//!
//! Beside what the driver knows, `sslmode` and `sslrootcert` are read here. Off this machine a connection is always
//! over TLS and the server's certificate is always verified: there is no mode that takes any certificate.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::errors::chain;
use super::redact::without_password;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection may be silent before the system asks whether the other end is there.
const SILENT: Duration = Duration::from_secs(15);
/// How long sent data may go unconfirmed before the connection is given up.
const UNCONFIRMED: Duration = Duration::from_secs(20);

/// What the server is held to for every connection, in its own words: no statement, no wait for a lock and no
/// forgotten transaction lasts for ever. The last is ended well before those who wait for its locks give up: a process
/// that is stopped in the middle of one does not make others fail.
const LIMITS: &str = "-c statement_timeout=60s -c lock_timeout=20s -c idle_in_transaction_session_timeout=10s";

/// A statement is planned each time for what it is asked, so that no plan outlives the tables that it was made for. What
/// has no index is read whole, and must not be compiled first because that looks dear.
const PLANS: &str = "-c plan_cache_mode=force_custom_plan -c jit=off";

/// What connections are called, so that one program sees another's; what the URL calls them follows after a space.
const NAME: &str = "pinrail";

/// What is said when a password goes on where it should have ended.
const UNESCAPED: &str = "the password is not told from what follows it, write its special characters as %40 for @, \
    %3F for ?, %2F for /, %23 for #, %25 for %";
/// What is said of a parameter that may be a part of a password.
const UNKNOWN: &str = "one of its parameters is not known";

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
        if parameters.contains('@') && !place.contains('@') && rest(place).contains(':') {
            return Err(UNESCAPED.to_owned());
        }
        let (mut mode, mut roots, mut further) = (None, None, Vec::new());
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            // Here a plus is a plus, as it is for the driver.
            match form_urlencoded::parse(parameter.replace('+', "%2B").as_bytes()).next() {
                Some((key, value)) if key == "sslmode" => mode = Some(value.into_owned()),
                Some((key, value)) if key == "sslrootcert" => roots = Some(PathBuf::from(value.into_owned())),
                // The driver takes everything before the first `@`, wherever that is, for the user.
                _ => further.push(parameter.replace('@', "%40")),
            }
        }
        let url = if further.is_empty() { place.to_owned() } else { format!("{place}?{}", further.join("&")) };
        let mut config = Config::from_str(&url).map_err(|error| misread(&error, text))?;
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
            return Err(UNESCAPED.to_owned());
        }
        if config.get_dbname().is_none() {
            return Err("it names no database, wanted postgres://<user>@<host>/<database>".to_owned());
        }
        let is_tls = wants_tls(mode.as_deref(), is_near(&config))?;
        config.ssl_mode(if is_tls { SslMode::Require } else { SslMode::Disable });
        let options = format!("{LIMITS} {PLANS} {}", config.get_options().unwrap_or_default());
        config.options(options).keepalives_idle(SILENT).tcp_user_timeout(UNCONFIRMED);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        let name = config.get_application_name().map_or_else(|| NAME.to_owned(), |further| format!("{NAME} {further}"));
        config.application_name(name);
        Ok(Self { config, roots, is_tls, shown: without_password(text) })
    }
}

/// What follows the scheme.
fn rest(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// What the driver says of a URL that it cannot read, without the names of parameters where they may be parts of a
/// password.
fn misread(error: &tokio_postgres::Error, url: &str) -> String {
    let why = chain(error);
    let may_hold_password = rest(url).contains(':') || url.contains("password");
    if may_hold_password && why.contains("unknown option") { UNKNOWN.to_owned() } else { why }
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
        // It may be a part of a password, so it is not repeated.
        Some(_) => Err("sslmode is another, wanted disable, require or verify-full".to_owned()),
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
    fn who_stops_in_a_transaction_does_not_make_others_fail() {
        let address = Address::parse("postgres://ada@127.0.0.1/pinrail").expect("it is a URL");
        let options = address.config.get_options().expect("there are some").to_owned();
        let seconds = |setting: &str| {
            let value = options.split_once(&format!("-c {setting}=")).map(|(_, rest)| rest.split('s').next());
            value
                .flatten()
                .and_then(|value| value.parse::<u32>().ok())
                .unwrap_or_else(|| panic!("{setting}: {options}"))
        };
        assert!(2 * seconds("idle_in_transaction_session_timeout") <= seconds("lock_timeout"), "{options}");
        assert!(seconds("lock_timeout") < seconds("statement_timeout"), "{options}");
    }

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
    fn a_password_is_read_as_it_is_meant() {
        for (url, password) in [
            ("postgres://ada:s3%3Fc%40ret%20x@db.example/pinrail", "s3?c@ret x"),
            ("postgres://ada:s3c/ret#1@db.example/pinrail", "s3c/ret#1"),
            ("postgres://ada:50%off@db.example/pinrail", "50%off"),
            ("postgres://ada@db.example/pinrail?password=s3%20c%26ret%25+", "s3 c&ret%+"),
            ("postgres://ada@db.example/pinrail?password=s3@c&sslmode=require", "s3@c"),
        ] {
            let address = Address::parse(url).unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!(address.config.get_password(), Some(password.as_bytes()), "{url}");
        }
        for url in ["postgres://ada:s3c?ret@db.example/pinrail", "postgres://ada:s3c@ret@db.example/pinrail"] {
            let why = Address::parse(url).expect_err(url);
            assert!(why.contains("%3F") && why.contains("%40"), "{why}");
        }
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

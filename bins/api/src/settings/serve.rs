//! The settings of `serve`.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use clap::Args;
use pinrail_domain::settings::{Wrong, check_base_path, check_socket};
use pinrail_http::{CorsOrigins, Network, Rate, RateLimits, ServerLimits, Settings};

const EXAMPLES: &str = "\
Examples:
  pinrail-api serve
  pinrail-api serve --listen 0.0.0.0:7400 --access-url https://pins.example.net/access
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:7400/pins";

/// Settings of `serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Where the HTTP service listens
    #[arg(long, env = "PINRAIL_API_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:7400",
        value_parser = check_socket)]
    pub listen: SocketAddr,
    /// Where /metrics answers, for Prometheus
    #[arg(long, env = "PINRAIL_API_METRICS", value_name = "ADDRESS", value_parser = check_socket)]
    pub metrics: Option<SocketAddr>,
    /// A path such as /psa under which everything is found as well
    #[arg(long, env = "PINRAIL_API_BASE_PATH", value_name = "PATH", default_value = "",
        value_parser = base_path)]
    pub base_path: String,
    /// Whether origins that are not publicly routable are kept
    #[arg(long, env = "PINRAIL_API_ALLOW_PRIVATE", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub allow_private: bool,
    /// Whether a list with a name and no status shows only pinned ones, as the specification's text says
    #[arg(long, env = "PINRAIL_API_LITERAL_STATUS", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub literal_status: bool,
    /// Where people ask for pinning access, an address or a sentence
    #[arg(long, env = "PINRAIL_API_ACCESS_URL", value_name = "TEXT", default_value = "the operator of this service")]
    pub access_url: String,
    /// Which web pages may call the API: * or their origins
    #[arg(long, env = "PINRAIL_API_CORS", value_name = "ORIGIN", value_delimiter = ',', default_value = "*")]
    pub cors: Vec<String>,
    /// Whether tokens are limited in how much they may ask for at once
    #[arg(long, env = "PINRAIL_API_RATE_LIMITS", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub rate_limits: bool,
    /// Lists for each token: a second, and at once after a rest
    #[arg(long, env = "PINRAIL_API_READ_RATE", value_name = "RATE/BURST", default_value = "1000/2000")]
    pub read_rate: RateArg,
    /// Pins added, replaced and deleted with each token: a second, and at once after a rest
    #[arg(long, env = "PINRAIL_API_WRITE_RATE", value_name = "RATE/BURST", default_value = "200/1000")]
    pub write_rate: RateArg,
    /// Look-ups of single pins with each token: a second, and at once after a rest
    #[arg(long, env = "PINRAIL_API_POLL_RATE", value_name = "RATE/BURST", default_value = "2000/4000")]
    pub poll_rate: RateArg,
    /// Requests of one token that are answered at the same time; further ones wait for a second
    #[arg(long, env = "PINRAIL_API_IN_FLIGHT", value_name = "N", default_value = "64",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub in_flight: u32,
    /// Connections at the same time; the longest idle one makes room for a further one
    #[arg(long, env = "PINRAIL_API_CONNECTIONS", value_name = "N", default_value = "4096",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// The same for one client address, an IPv6 address with its /48
    #[arg(long, env = "PINRAIL_API_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value = "512",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_per_address: u32,
    /// Networks of proxies that are believed when they say who their client is
    #[arg(long, env = "PINRAIL_API_TRUSTED_PROXIES", value_name = "NETWORK", value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,
    /// How long the body of a request may take to arrive
    #[arg(long, env = "PINRAIL_API_BODY_TIMEOUT", value_name = "TIME", default_value = "10s",
        value_parser = super::commands::duration)]
    pub body_timeout: Duration,
    /// How long an answer may take to be made
    #[arg(long, env = "PINRAIL_API_ANSWER_TIMEOUT", value_name = "TIME", default_value = "30s",
        value_parser = super::commands::duration)]
    pub answer_timeout: Duration,
    /// Free space on the disk of a SQLite database below which pins are neither added nor replaced
    #[arg(long, env = "PINRAIL_API_RESERVE", value_name = "SIZE", default_value = "256MiB",
        value_parser = super::commands::size)]
    pub reserve: u64,
    /// How long answers that are being made may take once the service is told to stop
    #[arg(long, env = "PINRAIL_API_DRAIN", value_name = "TIME", default_value = "10s",
        value_parser = super::commands::duration)]
    pub drain: Duration,
}

impl ServeArgs {
    /// How requests are answered.
    pub fn http(&self) -> Settings {
        let limits = RateLimits {
            reads: self.read_rate.0,
            writes: self.write_rate.0,
            polls: self.poll_rate.0,
            in_flight: usize::try_from(self.in_flight).unwrap_or(usize::MAX),
            ..RateLimits::default()
        };
        let any = self.cors.iter().any(|origin| origin == "*");
        Settings {
            base_path: self.base_path.clone(),
            allow_private_origins: self.allow_private,
            literal_status_filter: self.literal_status,
            access_url: self.access_url.clone(),
            rate_limits: self.rate_limits.then_some(limits),
            cors: if any { CorsOrigins::Any } else { CorsOrigins::These(self.cors.clone()) },
            body_timeout: self.body_timeout,
            answer_timeout: self.answer_timeout,
            ..Settings::default()
        }
    }

    /// What connections may take.
    pub fn server(&self) -> ServerLimits {
        ServerLimits {
            connections: usize::try_from(self.connections).unwrap_or(usize::MAX),
            connections_per_address: usize::try_from(self.connections_per_address).unwrap_or(usize::MAX),
            trusted_proxies: self.trusted_proxies.clone(),
            drain: self.drain,
            ..ServerLimits::default()
        }
    }
}

fn base_path(text: &str) -> Result<String, Wrong> {
    check_base_path(text).map(|()| text.to_owned())
}

/// A rate as it is written in settings: `200/1000`, 200 a second and 1,000 at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateArg(pub Rate);

impl FromStr for RateArg {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wanted = || anyhow!("not a rate, wanted one such as 200/1000: 200 a second, 1000 at once");
        let (per_second, burst) = text.split_once('/').with_context(wanted)?;
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0).with_context(wanted);
        Ok(Self(Rate { per_second: number(per_second)?, burst: number(burst)? }))
    }
}

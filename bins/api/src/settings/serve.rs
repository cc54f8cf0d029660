//! The settings of `serve`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use pinrail_domain::settings::{
    COUNT, parse_base_path, parse_network, parse_number, parse_rate, parse_size, parse_socket, parse_time,
};
use pinrail_http::{CorsOrigins, Rate, RateLimits, ServerLimits, Settings};

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
        value_parser = parse_socket)]
    pub listen: SocketAddr,
    /// Where /metrics answers, for Prometheus
    #[arg(long, env = "PINRAIL_API_METRICS", value_name = "ADDRESS", value_parser = parse_socket)]
    pub metrics: Option<SocketAddr>,
    /// A path such as /psa under which everything is found as well
    #[arg(long, env = "PINRAIL_API_BASE_PATH", value_name = "PATH", default_value = "",
        value_parser = parse_base_path)]
    pub base_path: String,
    /// Whether origins that are not publicly routable are kept
    #[arg(long, env = "PINRAIL_API_ALLOW_PRIVATE", value_name = "BOOL", num_args = 0..=1,
        default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub allow_private: bool,
    /// Whether a list with a name and no status shows only pinned ones, as the specification's text says
    #[arg(long, env = "PINRAIL_API_LITERAL_STATUS", value_name = "BOOL", num_args = 0..=1,
        default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub literal_status: bool,
    /// Where people ask for pinning access, an address or a sentence
    #[arg(long, env = "PINRAIL_API_ACCESS_URL", value_name = "TEXT", default_value = "the operator of this service")]
    pub access_url: String,
    /// Which web pages may call the API: * or their origins
    #[arg(long, env = "PINRAIL_API_CORS", value_name = "ORIGIN", value_delimiter = ',', default_value = "*")]
    pub cors: Vec<String>,
    /// Whether tokens are limited in how much they may ask for at once
    #[arg(long, env = "PINRAIL_API_RATE_LIMITS", value_name = "BOOL", num_args = 0..=1,
        default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub rate_limits: bool,
    /// Lists for each token: a second, and at once after a rest
    #[arg(long, env = "PINRAIL_API_READ_RATE", value_name = "RATE/BURST", default_value = "1000/2000",
        value_parser = rate)]
    pub read_rate: Rate,
    /// Pins added, replaced and deleted with each token: a second, and at once after a rest
    #[arg(long, env = "PINRAIL_API_WRITE_RATE", value_name = "RATE/BURST", default_value = "200/1000",
        value_parser = rate)]
    pub write_rate: Rate,
    /// Look-ups of single pins with each token: a second, and at once after a rest
    #[arg(long, env = "PINRAIL_API_POLL_RATE", value_name = "RATE/BURST", default_value = "2000/4000",
        value_parser = rate)]
    pub poll_rate: Rate,
    /// Requests of one token that are answered at the same time; further ones wait for a second
    #[arg(long, env = "PINRAIL_API_IN_FLIGHT", value_name = "N", default_value = "64",
        value_parser = parse_number::<u32>(COUNT))]
    pub in_flight: u32,
    /// Connections at the same time; the longest idle one makes room for a further one
    #[arg(long, env = "PINRAIL_API_CONNECTIONS", value_name = "N", default_value = "4096",
        value_parser = parse_number::<u32>(COUNT))]
    pub connections: u32,
    /// The same for one client address, an IPv6 address with its /48
    #[arg(long, env = "PINRAIL_API_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value = "512",
        value_parser = parse_number::<u32>(COUNT))]
    pub connections_per_address: u32,
    /// Networks of proxies that are believed when they say who their client is
    #[arg(long, env = "PINRAIL_API_TRUSTED_PROXIES", value_name = "NETWORK", value_delimiter = ',',
        value_parser = parse_network)]
    pub trusted_proxies: Vec<IpNet>,
    /// How long the body of a request may take to arrive
    #[arg(long, env = "PINRAIL_API_BODY_TIMEOUT", value_name = "TIME", default_value = "10s",
        value_parser = parse_time)]
    pub body_timeout: Duration,
    /// How long an answer may take to be made
    #[arg(long, env = "PINRAIL_API_ANSWER_TIMEOUT", value_name = "TIME", default_value = "30s",
        value_parser = parse_time)]
    pub answer_timeout: Duration,
    /// Free space on the disk of a SQLite database below which pins are neither added nor replaced
    #[arg(long, env = "PINRAIL_API_RESERVE", value_name = "SIZE", default_value = "256MiB",
        value_parser = parse_size)]
    pub reserve: u64,
    /// How long answers that are being made may take once the service is told to stop
    #[arg(long, env = "PINRAIL_API_DRAIN", value_name = "TIME", default_value = "10s",
        value_parser = parse_time)]
    pub drain: Duration,
}

impl ServeArgs {
    /// How requests are answered.
    pub fn http(&self) -> Settings {
        let limits = RateLimits {
            reads: self.read_rate,
            writes: self.write_rate,
            polls: self.poll_rate,
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

fn rate(text: &str) -> Result<Rate, String> {
    parse_rate(text).map(|(per_second, burst)| Rate { per_second, burst })
}

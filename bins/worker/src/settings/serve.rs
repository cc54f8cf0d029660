//! The settings of `serve`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Error, Result};
use clap::Args;
use ipnet::IpNet;
use pinrail_block_store::StoreOptions;
use pinrail_domain::Policy;
use pinrail_domain::settings::{
    DHT, NONE, ROOT_BLOCKS, SLOTS, check_announce, check_bootstrap, check_listen, check_router, parse_network,
    parse_number, parse_size, parse_socket, parse_time,
};
use pinrail_ipfs_embedded::{DhtMode, DialPolicy, Multiaddr, RouterUrl, RoutingOptions};

const EXAMPLES: &str = "\
Examples:
  pinrail-worker serve
  pinrail-worker serve --listen /ip4/0.0.0.0/tcp/4401 --announce /dns4/pins.example.net/tcp/4401
  curl http://127.0.0.1:7401/health/ready";

/// Settings of `serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Where /health/live and /health/ready answer
    #[arg(long, env = "PINRAIL_WORKER_HEALTH", value_name = "ADDRESS", default_value = "127.0.0.1:7401",
        value_parser = parse_socket)]
    pub health: SocketAddr,
    /// Where /metrics answers, for Prometheus
    #[arg(long, env = "PINRAIL_WORKER_METRICS", value_name = "ADDRESS", value_parser = parse_socket)]
    pub metrics: Option<SocketAddr>,
    /// Where /routing/v1 answers which blocks the node has, for the Kubos and routers that ask it
    #[arg(long, env = "PINRAIL_WORKER_ROUTING", value_name = "ADDRESS", value_parser = parse_socket)]
    pub routing: Option<SocketAddr>,
    /// Where the IPFS node listens, several times for several addresses
    #[arg(
        long,
        env = "PINRAIL_WORKER_LISTEN",
        value_name = "MULTIADDR",
        value_delimiter = ',',
        default_value = "/ip4/127.0.0.1/tcp/4401",
        value_parser = listen_address
    )]
    pub listen: Vec<Multiaddr>,
    /// Where clients can dial the node, if that is not where it listens
    #[arg(long, env = "PINRAIL_WORKER_ANNOUNCE", value_name = "MULTIADDR", value_delimiter = ',',
        value_parser = announced_address)]
    pub announce: Vec<Multiaddr>,
    /// Whether to dial addresses that are not publicly routable, such as 192.168.0.1
    #[arg(
        long,
        env = "PINRAIL_WORKER_ALLOW_PRIVATE",
        value_name = "BOOL",
        num_args = 0..=1,
        default_value = "false",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub allow_private: bool,
    /// Networks that are never dialled, such as public ones of the operator's own
    #[arg(
        long,
        env = "PINRAIL_WORKER_NEVER_DIAL",
        value_name = "NETWORK",
        value_delimiter = ',',
        value_parser = parse_network
    )]
    pub never_dial: Vec<IpNet>,
    /// The part that the node takes in the DHT: off, client, or server for small private networks
    /// [default: client, but off with allow-private and no bootstrap]
    #[arg(long, env = "PINRAIL_WORKER_DHT", value_name = "MODE", value_parser = DHT)]
    pub dht: Option<String>,
    /// Servers through which the node enters the DHT, or none
    /// [default: those of the public network, but none with allow-private]
    #[arg(long, env = "PINRAIL_WORKER_BOOTSTRAP", value_name = "MULTIADDR", value_delimiter = ',',
        value_parser = bootstrap_address)]
    pub bootstrap: Vec<Option<Multiaddr>>,
    /// Services that are asked over HTTP who has a CID, or none
    /// [default: two public ones, but none with allow-private]
    #[arg(long, env = "PINRAIL_WORKER_ROUTERS", value_name = "URL", value_delimiter = ',', value_parser = router_url)]
    pub routers: Vec<Option<RouterUrl>>,
    /// How many roots to work on at once
    #[arg(
        long,
        env = "PINRAIL_WORKER_SLOTS",
        value_name = "N",
        default_value = "64",
        value_parser = parse_number::<u32>(SLOTS)
    )]
    pub slots: u32,
    /// How long a lease lasts; it is renewed at half time
    #[arg(long, env = "PINRAIL_WORKER_LEASE", value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    pub lease: Duration,
    /// How long to wait after the first attempt that failed; doubled with each further one
    #[arg(long, env = "PINRAIL_WORKER_FIRST_RETRY", value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    pub first_retry: Duration,
    /// The longest wait between two attempts
    #[arg(long, env = "PINRAIL_WORKER_MAX_RETRY", value_name = "TIME", default_value = "1h", value_parser = parse_time)]
    pub max_retry: Duration,
    /// How long a root is tried before it fails
    #[arg(long, env = "PINRAIL_WORKER_TIME_LIMIT", value_name = "TIME", default_value = "24h", value_parser = parse_time)]
    pub time_limit: Duration,
    /// The shortest wait between two searches for a root that no peer had; ten times as long for one without origins
    #[arg(long, env = "PINRAIL_WORKER_ROTATION", value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub rotation: Duration,
    /// How long a fetch may go without a block before the attempt ends
    #[arg(long, env = "PINRAIL_WORKER_STALL", value_name = "TIME", default_value = "2m", value_parser = parse_time)]
    pub stall: Duration,
    /// How long fetches pause when the disk is full
    #[arg(long, env = "PINRAIL_WORKER_PAUSE", value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    pub pause: Duration,
    /// The largest DAG of one root
    #[arg(long, env = "PINRAIL_WORKER_MAX_ROOT_SIZE", value_name = "SIZE", default_value = "32GiB", value_parser = parse_size)]
    pub max_root_size: u64,
    /// The most blocks of one root
    #[arg(
        long,
        env = "PINRAIL_WORKER_MAX_ROOT_BLOCKS",
        value_name = "N",
        default_value = "4194304",
        value_parser = parse_number::<u32>(ROOT_BLOCKS)
    )]
    pub max_root_blocks: u32,
    /// Free disk space that fetches never use up
    #[arg(long, env = "PINRAIL_WORKER_RESERVE", value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub reserve: u64,
    /// The disk space that is held ready for deletes to go on when the reserve is reached
    #[arg(long, env = "PINRAIL_WORKER_BALLAST", value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub ballast: u64,
    /// How long unfinished work may go on once the worker is told to stop
    #[arg(long, env = "PINRAIL_WORKER_DRAIN", value_name = "TIME", default_value = "5s", value_parser = parse_time)]
    pub drain: Duration,
}

impl ServeArgs {
    /// Which addresses the node may dial.
    pub fn dial(&self) -> DialPolicy {
        DialPolicy { allow_private: self.allow_private, never: self.never_dial.clone() }
    }

    /// How the node finds who has a CID.
    pub fn finding(&self) -> RoutingOptions {
        let dht = self.dht.as_deref().map(|mode| match mode {
            "off" => DhtMode::Off,
            "server" => DhtMode::Server,
            _ => DhtMode::Client,
        });
        RoutingOptions::new(self.allow_private, dht, named(&self.bootstrap), named(&self.routers))
    }

    /// How the block store keeps blocks.
    pub fn store(&self) -> StoreOptions {
        StoreOptions { reserve: self.reserve, ballast: self.ballast, ..StoreOptions::default() }
    }

    /// How patient the worker is.
    pub fn policy(&self) -> Policy {
        Policy {
            lease: self.lease,
            first_retry: self.first_retry,
            max_retry: self.max_retry,
            total: self.time_limit,
            rotation: self.rotation,
            stall: self.stall,
            pause: self.pause,
            max_root_bytes: self.max_root_size,
            max_root_blocks: self.max_root_blocks.into(),
            slots: self.slots,
        }
    }
}

/// The entries of a list; `None` where the operator gave no list.
fn named<T: Clone>(list: &[Option<T>]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.iter().flatten().cloned().collect())
}

fn bootstrap_address(text: &str) -> Result<Option<Multiaddr>> {
    check_bootstrap(text).map_err(Error::msg)?;
    Ok(if text == NONE { None } else { Some(text.parse()?) })
}

fn router_url(text: &str) -> Result<Option<RouterUrl>> {
    check_router(text).map_err(Error::msg)?;
    Ok(if text == NONE { None } else { Some(text.parse()?) })
}

fn listen_address(text: &str) -> Result<Multiaddr> {
    check_listen(text).map_err(Error::msg)?;
    Ok(text.parse()?)
}

fn announced_address(text: &str) -> Result<Multiaddr> {
    check_announce(text).map_err(Error::msg)?;
    Ok(text.parse()?)
}

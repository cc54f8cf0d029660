//! What `provide`, `fetch` and `check` are told.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pinrail_domain::settings::parse_time;
use pinrail_ipfs_embedded::Multiaddr;

const PROVIDE_EXAMPLES: &str = "\
Example:
  pinrail-worker provide ./photos
  ipfs swarm connect <one of the addresses it prints> && ipfs pin add <the CID>";

/// What `provide` is told.
#[derive(Debug, Args)]
#[command(after_help = PROVIDE_EXAMPLES)]
pub struct ProvideArgs {
    /// A file, a folder, or a CAR (a file whose name ends in .car)
    pub path: PathBuf,
    /// Where to listen, several times for several addresses
    #[arg(long, value_name = "MULTIADDR", default_value = "/ip4/127.0.0.1/tcp/0")]
    pub listen: Vec<Multiaddr>,
    /// Print one line of JSON, {"cid", "addresses"}, when it is ready
    #[arg(long)]
    pub json: bool,
}

const FETCH_EXAMPLES: &str = "\
Examples:
  pinrail-worker fetch bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi --output photos
  pinrail-worker fetch bafkqaaa --from /ip4/203.0.113.7/tcp/4001/p2p/12D3KooW…";

/// What `fetch` is told.
#[derive(Debug, Args)]
#[command(after_help = FETCH_EXAMPLES)]
pub struct FetchArgs {
    /// The CID to fetch, with everything under it
    pub cid: String,
    /// Who has it, several times for several peers [default: the worker of this data folder]
    #[arg(long, value_name = "MULTIADDR", value_parser = peer_address)]
    pub from: Vec<Multiaddr>,
    /// Where to write the file or folder; nothing may be there yet
    #[arg(long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Write over what is at --output; of a folder the files of the same names
    #[arg(long, requires = "output")]
    pub force: bool,
    /// How long it may take
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub timeout: Duration,
}

/// What `check` is told.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pinrail-worker check && systemctl start pinrail-worker")]
pub struct CheckArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// An address that names its peer: without that, nobody could tell whether the right one answers.
fn peer_address(text: &str) -> Result<Multiaddr, String> {
    pinrail_spec::Multiaddr::parse(text).map_err(|problem| problem.to_string())?;
    text.parse().map_err(|problem| format!("{problem}"))
}

//! Loads a running Pinning Service API and prints what it measured as one line of JSON; `cargo xtask bench` calls it.

mod bare;
mod client;
mod measure;
mod paths;
mod walk;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Load a running Pinning Service API, a bounded number of requests over a bounded number of connections.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Add pins of distinct CIDs, each connection in the account of one of the tokens.
    Post {
        #[command(flatten)]
        target: Target,
    },
    /// Send GETs.
    Get {
        #[command(flatten)]
        target: Target,
        /// What to get, such as `/pins?limit=10`. `{queued}` and `{pinned}` stand for ids of pins with that status,
        /// `{created}` for times at which pins were created, all over the account and another one each time, `{turn}`
        /// for a number that no other request has.
        #[arg(long)]
        path: String,
        /// Send the same one again and again.
        #[arg(long)]
        repeat: bool,
    },
    /// Walk through the account as Kubo's `ls` does: ten a page, `before` the last, an exact count each time.
    Walk {
        #[command(flatten)]
        target: Target,
    },
    /// Serve a fixed JSON document from an axum handler with no database, the yardstick for reads.
    Bare {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
        /// The document.
        #[arg(long)]
        body: PathBuf,
    },
}

#[derive(clap::Args)]
struct Target {
    /// The server, such as `127.0.0.1:7400`.
    #[arg(long)]
    server: SocketAddr,
    /// A file with one access token a line.
    #[arg(long)]
    tokens: PathBuf,
    /// How many requests in all.
    #[arg(long, default_value_t = 1)]
    requests: usize,
    /// How many connections, one request at a time on each.
    #[arg(long, default_value_t = 16)]
    connections: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let result = match Options::parse().load {
        Load::Post { target } => measure::post(&target).await?,
        Load::Get { target, path, repeat } => measure::get(&target, &path, repeat).await?,
        Load::Walk { target } => walk::walk(&target).await?,
        Load::Bare { listen, body } => return bare::serve(listen, std::fs::read(body)?).await,
    };
    println!("{result}");
    Ok(())
}

//! Peers that harm a node, for the attacks of tests/e2e: each mode is one attack, and its output says what happened.
//!
//! The peers of one run come from one address, or each from a network of its own. One that is closed comes back under
//! another identity.

mod answer;
mod ask_without_end;
mod dag;
#[path = "../../tests/node/dials_from.rs"]
mod dials_from;
mod drip;
mod empty_blocks;
mod hold;
mod read_slowly;
#[path = "../../tests/node/script.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod script;
mod silent;
#[path = "../../tests/node/support.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support;
mod yamux;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use libp2p::Multiaddr;

use dag::Dag;
use script::Script;

/// The line of a peer that is connected and attacks.
const ATTACKING: &str = "attacking";
/// The line of a peer that was closed or refused.
const CLOSED: &str = "closed";
/// The pause before it comes back.
const BACK_AFTER: Duration = Duration::from_millis(200);

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,

    /// The run ends by itself after so long.
    #[arg(long, global = true, default_value_t = 300)]
    seconds: u64,
}

#[derive(Subcommand)]
enum Mode {
    /// Provide a DAG honestly.
    Provide(Dag),
    /// Accept connections and say nothing, at as many addresses and under as many identities.
    Silent(silent::Options),
    /// Claim to have what is asked for, or not to have it, and send nothing.
    Answer(answer::Options),
    /// Want thousands of blocks that nobody has, message after message.
    AskWithoutEnd(Crowd),
    /// Connect, and do nothing more.
    Hold(Crowd),
    /// Open many streams and let a large message drip on each.
    Drip(drip::Options),
    /// Send messages of two million empty blocks.
    EmptyBlocks(Crowd),
    /// Want every block of a DAG, and let a byte of it pass in seven seconds.
    ReadSlowly(read_slowly::Options),
}

/// Peers that attack one node.
#[derive(Args, Clone)]
struct Crowd {
    /// The node that is attacked.
    #[arg(long)]
    to: Multiaddr,

    /// The address that the peers come from.
    #[arg(long, default_value = "127.66.0.1")]
    from: Ipv4Addr,

    /// The number of peers.
    #[arg(long, default_value_t = 1)]
    peers: u32,

    /// Each peer comes from a network of 256 addresses of its own, beginning with that of `from`.
    #[arg(long)]
    spread: bool,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let attack = async {
        match arguments.mode {
            Mode::Provide(dag) => dag.provide().await,
            Mode::Silent(options) => options.run().await,
            Mode::Answer(options) => options.run().await,
            Mode::AskWithoutEnd(crowd) => ask_without_end::run(crowd).await,
            Mode::Hold(crowd) => hold::run(crowd).await,
            Mode::Drip(options) => options.run().await,
            Mode::EmptyBlocks(crowd) => empty_blocks::run(crowd).await,
            Mode::ReadSlowly(options) => options.run().await,
        }
    };
    let _over = tokio::time::timeout(Duration::from_secs(arguments.seconds), attack).await;
}

impl Crowd {
    /// Have every peer attack until its connection ends, again and again.
    async fn attack<F: Future<Output = ()> + Send>(self, attack: impl Fn(Arc<Script>) -> F + Copy + Send + 'static) {
        for from in self.addresses() {
            let to = self.to.clone();
            tokio::spawn(async move {
                loop {
                    let peer = Arc::new(Script::start_at(from).await);
                    peer.dial(to.clone());
                    tokio::select! {
                        () = attack(peer.clone()) => {}
                        () = peer.wait_closed() => {}
                    }
                    println!("{CLOSED}");
                    tokio::time::sleep(BACK_AFTER).await;
                }
            });
        }
        std::future::pending::<()>().await;
    }

    /// The address that each peer comes from.
    fn addresses(&self) -> Vec<Ipv4Addr> {
        let step = if self.spread { 256 } else { 0 };
        (0..self.peers).map(|number| Ipv4Addr::from(u32::from(self.from) + number * step)).collect()
    }
}

//! Addresses that accept every connection and say nothing, so that whoever dials one waits.

use std::net::Ipv4Addr;

use clap::Args;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use serde_json::json;
use tokio::net::TcpListener;

use crate::ATTACKING;

#[derive(Args)]
pub struct Options {
    /// The first address.
    #[arg(long, default_value = "127.66.0.1")]
    from: Ipv4Addr,

    /// The number of addresses, one after the other.
    #[arg(long, default_value_t = 1)]
    hosts: u32,

    /// The ports of each.
    #[arg(long, default_value_t = 1)]
    ports: u32,

    /// All of them are said to be this peer's; without it each has a peer of its own.
    #[arg(long)]
    peer: Option<PeerId>,
}

impl Options {
    /// Listen, and print all addresses.
    pub async fn run(self) {
        let mut addresses = Vec::new();
        for number in 0..self.hosts * self.ports {
            let host = Ipv4Addr::from(u32::from(self.from) + number / self.ports);
            let listener = TcpListener::bind((host, 0)).await.expect("a port of loopback");
            let port = listener.local_addr().expect("it listens").port();
            let peer = self.peer.unwrap_or_else(PeerId::random);
            addresses.push(Multiaddr::from(host).with(Protocol::Tcp(port)).with(Protocol::P2p(peer)));
            tokio::spawn(say_nothing(listener));
        }
        println!("{}", json!({ "addresses": addresses }));
        std::future::pending::<()>().await;
    }
}

async fn say_nothing(listener: TcpListener) {
    let mut held = Vec::new();
    while let Ok((socket, _)) = listener.accept().await {
        println!("{ATTACKING}");
        held.push(socket);
    }
}

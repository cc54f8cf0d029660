//! The three ports of a Pinrail, and whether they are free.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use anyhow::{Context, Result, bail};
use rand::Rng;

/// Ports that no system gives to a connection or a listener that asks for any: Linux begins at 32,768, others later. A
/// program that is stopped for a while finds its own still free.
const NEVER_GIVEN: Range<u16> = 10_000..32_000;
/// How many of them are looked at.
const TRIES: usize = 1_000;

/// All of them on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// HTTP.
    pub api: u16,
    /// The worker's health.
    pub health: u16,
    /// libp2p.
    pub p2p: u16,
}

impl Ports {
    /// The ports that the documents speak of.
    pub const USUAL: Self = Self { api: 7400, health: 7401, p2p: 4401 };

    /// Returns the given port and the two after it.
    pub fn from(first: u16) -> Result<Self> {
        match (first.checked_add(1), first.checked_add(2)) {
            (Some(health), Some(p2p)) if first > 0 => Ok(Self { api: first, health, p2p }),
            _ => bail!("port is {first}, wanted 1 to 65533: the two after it are used too"),
        }
    }

    /// Returns three ports that nobody uses now, and that the system gives to nobody who asks for any.
    #[expect(clippy::disallowed_methods, reason = "two runs at once are not to draw the same ports")]
    pub fn free() -> Result<Self> {
        let mut held: Vec<TcpListener> = Vec::new();
        for _ in 0..TRIES {
            // Held together, or the same one might be drawn again.
            held.extend(listen(rand::rng().random_range(NEVER_GIVEN)));
            if let [api, health, p2p] = held.as_slice() {
                let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
                return Ok(Self { api: port(api)?, health: port(health)?, p2p: port(p2p)? });
            }
        }
        bail!("there are hardly any free ports from {} to {}", NEVER_GIVEN.start, NEVER_GIVEN.end)
    }

    /// Returns an error that names the first port that somebody uses.
    pub fn check(self) -> Result<()> {
        for (port, what) in
            [(self.api, "the HTTP service"), (self.health, "the worker's health"), (self.p2p, "the IPFS node")]
        {
            listen(port).with_context(|| {
                format!("port {port}, wanted for {what}, is in use; --port N takes N and the two after it")
            })?;
        }
        Ok(())
    }

    /// Returns the address on which the worker's node listens.
    pub fn multiaddr(self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.p2p)
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ports_follow_one_another() {
        let ports = Ports::from(8000).unwrap();
        assert_eq!((ports.api, ports.health, ports.p2p), (8000, 8001, 8002));
        assert!(Ports::from(65534).is_err());
        assert!(Ports::from(0).is_err());
    }

    #[test]
    fn a_port_in_use_is_named() {
        let ports = Ports::free().unwrap();
        ports.check().unwrap();
        let _held = listen(ports.health).unwrap();
        let error = format!("{:#}", ports.check().unwrap_err());
        assert!(error.starts_with(&format!("port {}, wanted for the worker's health, is in use", ports.health)));
    }
}

//! 300 sockets of one address that begin no handshake, and one of each of 300 networks: a peer that nobody knows yet
//! connects and is served.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

use crate::abuse::sockets::{ATTACKER, Held, connect_from};
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

const SOCKETS: usize = 300;
/// Of the second half, each with the same share as any other.
const NETWORKS: u32 = 300;
const FIRST_NETWORK: Ipv4Addr = Ipv4Addr::new(127, 67, 0, 1);

#[test]
fn a_new_peer_is_served_beside_600_half_open_sockets() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        let pinned = victim::ensure_pinned(&target, "good")?;
        let port = target.instance.ports.p2p;
        let held = Held::start(SOCKETS, move || connect_from(ATTACKER, port), |_, _| Ok(()));
        let next = AtomicU32::new(0);
        let networks = move || {
            let number = next.fetch_add(1, Ordering::Relaxed) % NETWORKS;
            connect_from(Ipv4Addr::from(u32::from(FIRST_NETWORK) + 256 * number), port)
        };
        let spread = Held::start(SOCKETS, networks, |_, _| Ok(()));
        held.wait_opened(SOCKETS);
        spread.wait_opened(SOCKETS);
        for _ in 0..3 {
            victim::ensure_served(&target, &pinned)?;
        }
        let opened = held.opened() + spread.opened();
        drop((held, spread));
        target.stop()?;
        Ok(format!("served three times, {opened} sockets opened"))
    })
}

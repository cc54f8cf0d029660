//! 300 sockets of one address that begin no handshake: a peer that nobody knows yet connects and is served.

use anyhow::Result;

use crate::abuse::sockets::{ATTACKER, Held, connect_from};
use crate::abuse::target::Target;
use crate::abuse::{Attack, Setup, victim};
use crate::progress::Step;

pub const ATTACK: Attack = Attack {
    name: "half-open",
    about: "300 half-open sockets of one address: a new good peer connects from another one and is served",
    body: attack,
};

const SOCKETS: usize = 300;

fn attack(setup: &Setup, step: &Step) -> Result<String> {
    let target = Target::start(setup)?;
    let pinned = victim::ensure_pinned(&target, "good")?;
    let port = target.instance.ports.p2p;
    let held = Held::start(SOCKETS, move || connect_from(ATTACKER, port), |_, _| Ok(()));
    held.wait_opened(SOCKETS);
    step.detail("all of them are open");
    for _ in 0..3 {
        victim::ensure_served(&target, &pinned)?;
    }
    let opened = held.opened();
    drop(held);
    target.stop()?;
    Ok(format!("served three times, {opened} sockets opened"))
}

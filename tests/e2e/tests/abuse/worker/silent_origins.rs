//! Sixty pins whose origins accept and say nothing, half of them at the address of the victim's own: another account's
//! pin is fetched from its good origin meanwhile.

use anyhow::{Result, ensure};

use super::missing;
use crate::abuse::peers::{Announcement, Peers};
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

/// Pins with origins at addresses of their own, and as many at one address that others use too.
const EACH: usize = 30;
const FILES: u32 = 3;

#[test]
fn another_account_is_served_beside_60_pins_with_silent_origins() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        let hosts = ["silent", "--hosts", &EACH.to_string()];
        let ports = ["silent", "--from", "127.0.0.1", "--ports", &EACH.to_string()];
        let (mut apart, origins) = Peers::listen(&target, "silent-apart", &hosts)?;
        let (mut together, shared) = Peers::listen(&target, "silent-together", &ports)?;
        for (number, origin) in addresses(&origins, &shared).enumerate() {
            target.attacker.client.add_pin(&missing("silent", number), "silent", std::slice::from_ref(origin))?;
        }
        apart.wait_for(1)?;
        together.wait_for(1)?;
        let seen = victim::ensure_all_pinned(&target, "good", FILES)?;
        let dialled = apart.count("attacking") + together.count("attacking");
        apart.check()?;
        together.check()?;
        ensure!(dialled > 0, "no silent origin was dialled");
        target.stop()?;
        Ok(format!("{seen}, {dialled} silent dials"))
    })
}

fn addresses<'a>(one: &'a Announcement, other: &'a Announcement) -> impl Iterator<Item = &'a String> {
    one.addresses.iter().chain(&other.addresses)
}

//! Ten accounts with hundreds of roots each that nobody has: another account's small provided files are fetched, one
//! after the other.

use anyhow::Result;

use super::add_missing;
use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

const ACCOUNTS: usize = 10;
const ROOTS: usize = 150;
/// Peers that do not have what is asked for, as most are.
const PEERS: &str = "4";
const FILES: u32 = 20;

#[test]
fn small_files_are_pinned_beside_accounts_whose_roots_nobody_has() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        let mut peers = Peers::attack(&target, "honest", &["answer", "--claim", "dont-have", "--peers", PEERS])?;
        peers.wait_for(1)?;
        for account in 0..ACCOUNTS {
            let name = format!("dead-{account}");
            add_missing(&target.add_tenant(&name)?, &name, ROOTS)?;
        }
        let seen = victim::ensure_all_pinned(&target, "good", FILES)?;
        peers.check()?;
        let asked = peers.count("asked");
        drop(peers);
        target.stop()?;
        Ok(format!("{seen}, {asked} asked"))
    })
}

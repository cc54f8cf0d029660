//! A stranger that connects and writes down what it is asked for: it does not learn every CID that is waiting.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::add_missing;
use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

const ROOTS: usize = 600;
/// It is asked for the newest ones once, since a client that cannot be dialled provides what it has just asked to be
/// pinned.
const MOST_ASKED: usize = 200;

#[test]
fn a_stranger_does_not_learn_every_pending_root() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        add_missing(&target.victim, "pending", ROOTS)?;
        // Each has been tried and waits for its next turn.
        for number in 0..3 {
            victim::ensure_pinned(&target, &format!("before-{number}"))?;
        }
        let mut stranger = Peers::attack(&target, "stranger", &["answer"])?;
        stranger.wait_for(1)?;
        for number in 0..3 {
            victim::ensure_pinned(&target, &format!("beside-{number}"))?;
        }
        stranger.check()?;
        let asked: BTreeSet<String> = stranger.lines("asked").into_iter().collect();
        let pending = (0..ROOTS).filter(|number| asked.contains(&super::missing("pending", *number))).count();
        drop(stranger);
        target.stop()?;
        ensure!(pending <= MOST_ASKED, "a stranger was asked for {pending} of {ROOTS} pending roots");
        Ok(format!("asked for {pending} of {ROOTS} pending roots, {} in all", asked.len()))
    })
}

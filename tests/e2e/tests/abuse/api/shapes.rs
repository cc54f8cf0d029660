//! A thousand lists of which no two have the same filters: the memory of the API stays.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, ensure};
use pinrail_chaos::Block;
use pinrail_testbed::resident::Baseline;
use sha2::{Digest, Sha256};

use super::{escape, meta};
use crate::abuse::sockets::ATTACKER;
use crate::abuse::target::Target;
use crate::abuse::{attack, http, victim};

const SHAPES: usize = 1_000;
const MATCHES: &[&str] = &["", "&name=x", "&name=x&match=iexact", "&name=x&match=partial", "&name=x&match=ipartial"];
const STATUSES: &[&str] = &["pinned", "queued,pinned", "queued,pinning,pinned", "queued,pinning,pinned,failed"];
const MOST_MEBIBYTES: u32 = 60;
/// At least so many have to be answered, or nothing was tried.
const ANSWERED: usize = SHAPES / 2;

#[test]
fn memory_stays_under_a_thousand_shapes_of_lists() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        let token = target.instance.mint_scoped("attacker", "reader", &["pins:read"])?;
        let (port, most) = (target.instance.ports.api, most_pairs(target.instance.ports.api, &token)?);
        victim::ensure_answered(&target)?;
        let before = Baseline::take(&target.api)?;
        let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
        for number in 0..SHAPES {
            pinrail_testbed::signals::check()?;
            *statuses.entry(http::get(ATTACKER, port, &shape(number, most), &token)?).or_default() += 1;
        }
        let answered = statuses.get(&200).copied().unwrap_or_default();
        ensure!(answered >= ANSWERED, "of {SHAPES} shapes {answered} were answered: {statuses:?}");
        let grown = before.ensure_grown_at_most(&target.api, MOST_MEBIBYTES)?;
        let seen = victim::ensure_answered(&target)?;
        target.stop()?;
        Ok(format!("{grown}; {seen}; up to {most} pairs; {statuses:?}"))
    })
}

/// As many pairs of meta as one list may have.
fn most_pairs(port: u16, token: &str) -> Result<usize> {
    for most in [100, 50, 20, 10, 5, 3, 2, 1] {
        if http::get(ATTACKER, port, &shape(most, most), token)? == 200 {
            return Ok(most);
        }
    }
    Ok(0)
}

/// The list with this number: pairs of meta up to `most`, CIDs, and filters that are there or not.
fn shape(number: usize, most: usize) -> String {
    let (pairs, rest) = (number % (most + 1), number / (most + 1));
    let (matching, rest) = (rest % MATCHES.len(), rest / MATCHES.len());
    let (statuses, rest) = (rest % STATUSES.len(), rest / STATUSES.len());
    let mut path = format!("/pins?limit=10{}&status={}", MATCHES[matching], STATUSES[statuses]);
    if pairs > 0 {
        let _ = write!(path, "&meta={}", escape(&meta(pairs, 3).to_string()));
    }
    for (bit, filter) in ["&before=2040-01-01T00:00:00Z", "&after=2020-01-01T00:00:00Z"].into_iter().enumerate() {
        if rest & (1 << bit) != 0 {
            path.push_str(filter);
        }
    }
    let cids = rest / 4;
    if cids > 0 {
        let cid = |index: usize| Block::raw(Sha256::digest(index.to_le_bytes()).to_vec()).cid.base32();
        let _ = write!(path, "&cid={}", (0..cids).map(cid).collect::<Vec<_>>().join(","));
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_shapes_are_alike() {
        for most in [0, 5, 100] {
            assert_eq!((0..SHAPES).map(|number| shape(number, most)).collect::<BTreeSet<_>>().len(), SHAPES);
        }
    }
}

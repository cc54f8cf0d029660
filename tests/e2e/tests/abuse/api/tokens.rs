//! A flood of tokens that nobody signed, each another one: verifying them costs nobody else an answer.

use anyhow::{Result, ensure};
use pinrail_testbed::resident::Baseline;

use crate::abuse::background::Background;
use crate::abuse::sockets::ATTACKER;
use crate::abuse::target::Target;
use crate::abuse::{attack, http, victim};

const CONNECTIONS: usize = 32;
const FORGED: u64 = 500;
const MOST_MEBIBYTES: u32 = 60;

#[test]
fn others_are_answered_beside_a_flood_of_forged_tokens() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        victim::ensure_answered(&target)?;
        let before = Baseline::take(&target.api)?;
        let (port, genuine) = (target.instance.ports.api, target.victim.token.clone());
        let flood =
            Background::start(CONNECTIONS, move |lap| http::get(ATTACKER, port, "/pins", &forge(&genuine, lap)));
        let mut seen = victim::ensure_answered(&target)?;
        while flood.laps() < FORGED {
            seen = victim::ensure_answered(&target)?;
        }
        flood.tell_to_stop();
        let counts = flood.counts();
        ensure!(!counts.contains_key("200"), "a forged token was accepted: {counts:?}");
        drop(flood);
        let grown = before.ensure_grown_at_most(&target.api, MOST_MEBIBYTES)?;
        target.stop()?;
        Ok(format!("{grown}; {seen}; the tokens: {counts:?}"))
    })
}

/// A genuine token with some characters of its signature changed.
fn forge(genuine: &str, number: usize) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut forged = genuine.as_bytes().to_vec();
    let (mut place, mut rest) = (forged.len() * 3 / 4, number + 1);
    while rest > 0 {
        let digit = DIGITS[rest % DIGITS.len()];
        forged[place] = if forged[place] == digit { b'_' } else { digit };
        (place, rest) = (place + 1, rest / DIGITS.len());
    }
    String::from_utf8_lossy(&forged).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_token_is_another_one() {
        let genuine = "A".repeat(100);
        assert!((0..200).all(|number| forge(&genuine, number) != genuine));
        assert_ne!(forge(&genuine, 1), forge(&genuine, 2));
    }
}

//! Pages of a thousand fat pins, asked for over HTTP/2 on streams that take nothing: the memory of the API stays, and
//! another account is answered.

use std::io::Write;

use anyhow::Result;
use pinrail_testbed::resident::Baseline;

use super::start_filled;
use crate::abuse::sockets::{ATTACKER, Held};
use crate::abuse::{attack, http, victim};

const PINS: usize = 1_000;
/// Of one value of meta; with a hundred of them a body is close to its limit of 64 KiB.
const VALUE: usize = 600;
const CONNECTIONS: usize = 4;
const STREAMS: u32 = 40;
/// For the whole attack. One page may be in memory for each place of an account.
const MOST_MEBIBYTES: u32 = 150;

#[test]
fn memory_stays_while_closed_streams_ask_for_fat_pages() -> Result<()> {
    attack(|folder| {
        let (target, _) = start_filled(folder, PINS, VALUE)?;
        victim::ensure_answered(&target)?;
        let before = Baseline::take(&target.api)?;
        let (port, token) = (target.instance.ports.api, target.attacker.token.clone());
        let open = move || {
            let mut socket = http::open_closed_window(ATTACKER, port)?;
            for number in 0..STREAMS {
                socket.write_all(&http::request(2 * number + 1, "/pins?limit=1000", &token))?;
            }
            Ok(socket)
        };
        let held = Held::start(CONNECTIONS, open, |_, _| Ok(()));
        held.wait_opened(CONNECTIONS);
        let mut seen = String::new();
        for _ in 0..3 {
            seen = victim::ensure_answered(&target)?;
        }
        let grown = before.ensure_grown_at_most(&target.api, MOST_MEBIBYTES)?;
        let opened = held.opened();
        drop(held);
        target.stop()?;
        Ok(format!("{grown}; {seen}; {opened} connections"))
    })
}

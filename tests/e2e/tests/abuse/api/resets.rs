//! Lists that are asked for over HTTP/2 and reset at once, thousands on each connection: another account is answered.

use std::io::{self, Write};

use anyhow::Result;
use pinrail_testbed::resident::Baseline;

use super::start_filled;
use crate::abuse::background::Background;
use crate::abuse::sockets::ATTACKER;
use crate::abuse::{attack, http, victim};

const PINS: usize = 1_000;
const CONNECTIONS: usize = 16;
/// On one connection, unless it is closed before.
const STREAMS: u32 = 5_000;
const MOST_MEBIBYTES: u32 = 100;

#[test]
fn others_are_answered_beside_streams_that_are_reset_at_once() -> Result<()> {
    attack(|folder| {
        let (target, _) = start_filled(folder, PINS, 10)?;
        victim::ensure_answered(&target)?;
        let before = Baseline::take(&target.api)?;
        let (port, token) = (target.instance.ports.api, target.attacker.token.clone());
        let resets = Background::start(CONNECTIONS, move |_| ask_and_reset(port, &token));
        let mut seen = String::new();
        for _ in 0..3 {
            seen = victim::ensure_answered(&target)?;
        }
        resets.tell_to_stop();
        let grown = before.ensure_grown_at_most(&target.api, MOST_MEBIBYTES)?;
        let counts = resets.counts();
        drop(resets);
        target.stop()?;
        Ok(format!("{grown}; {seen}; {counts:?}"))
    })
}

/// One connection; what ended it.
fn ask_and_reset(port: u16, token: &str) -> io::Result<&'static str> {
    let mut socket = http::open_closed_window(ATTACKER, port)?;
    let path = "/pins?limit=1000&match=ipartial&name=A&status=queued,pinning,pinned,failed";
    for number in 0..STREAMS {
        let stream = 2 * number + 1;
        let both = [http::request(stream, path, token), http::reset(stream)].concat();
        if socket.write_all(&both).is_err() {
            return Ok("closed");
        }
    }
    Ok("to the end")
}

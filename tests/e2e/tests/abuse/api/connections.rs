//! One address that holds every connection: idle ones of HTTP/1.1 and HTTP/2, and prefaces that never end. Somebody at
//! another address is answered.

use std::io::Write;

use anyhow::Result;

use crate::abuse::http::{PREFACE, answer_pings, open_closed_window};
use crate::abuse::sockets::{ATTACKER, Held, connect_from};
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

/// The places of the API, and the connections of each kind that are tried.
const PLACES: &str = "512";
const EACH: usize = 400;

#[test]
fn another_address_is_answered_beside_one_that_takes_every_place() -> Result<()> {
    attack(|folder| {
        let target = Target::start_with(folder, &["--connections", PLACES])?;
        let port = target.instance.ports.api;
        let idle_http2 = Held::start(EACH, move || open_closed_window(ATTACKER, port), answer_pings);
        let idle_http1 = Held::start(EACH, move || connect_from(ATTACKER, port), |_, _| Ok(()));
        let begin = move || {
            let mut socket = connect_from(ATTACKER, port)?;
            socket.write_all(&PREFACE[..3])?;
            Ok(socket)
        };
        let prefaces = Held::start(EACH, begin, |_, _| Ok(()));
        for held in [&idle_http2, &idle_http1, &prefaces] {
            held.wait_opened(EACH);
        }
        let seen = victim::ensure_answered(&target)?;
        let opened = [&idle_http2, &idle_http1, &prefaces].map(Held::opened);
        drop((idle_http2, idle_http1, prefaces));
        target.stop()?;
        Ok(format!("{seen}; opened {opened:?}"))
    })
}

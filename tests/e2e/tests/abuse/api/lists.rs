//! 64 connections of one account that ask for lists with every filter that costs: another account's requests and
//! readiness are answered meanwhile.

use anyhow::{Result, ensure};
use pinrail_testbed::stopwatch::Stopwatch;
use serde_json::Value;

use super::{escape, meta, start_filled};
use crate::abuse::background::Background;
use crate::abuse::sockets::ATTACKER;
use crate::abuse::{attack, http, victim};

const PINS: usize = 4_000;
const CONNECTIONS: usize = 64;
/// The victim goes on until so many lists are through.
const ANSWERED: u64 = 100;

#[test]
fn another_account_is_answered_beside_64_heavy_lists() -> Result<()> {
    attack(|folder| {
        let (target, stored) = start_filled(folder, PINS, 10)?;
        let port = target.instance.ports.api;
        let path = heaviest(port, &target.attacker.token, &stored)?;
        let token = target.attacker.token.clone();
        let lists = Background::start(CONNECTIONS, move |_| http::get(ATTACKER, port, &path, &token));
        let watch = Stopwatch::start();
        let mut seen = victim::ensure_answered(&target)?;
        while lists.laps() < ANSWERED && !watch.passed(victim::STANDSTILL) {
            seen = victim::ensure_answered(&target)?;
        }
        lists.tell_to_stop();
        let counts = lists.counts();
        drop(lists);
        target.stop()?;
        Ok(format!("{seen}; the lists: {counts:?}"))
    })
}

/// The list with the most pairs of meta that is answered at all.
fn heaviest(port: u16, token: &str, stored: &Value) -> Result<String> {
    let most = stored.as_object().map_or(1, serde_json::Map::len);
    for pairs in [100, 60, 32, 16, 8, 4, 2, 1].into_iter().filter(|pairs| *pairs <= most) {
        let wanted = escape(&meta(pairs, 10).to_string());
        let statuses = "queued,pinning,pinned,failed";
        let path = format!("/pins?limit=1000&match=ipartial&name=A&status={statuses}&meta={wanted}");
        if http::get(ATTACKER, port, &path, token)? == 200 {
            return Ok(path);
        }
    }
    ensure!(false, "no list with a filter by meta is answered");
    Ok(String::new())
}

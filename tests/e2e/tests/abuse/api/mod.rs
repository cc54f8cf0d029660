//! Attacks on the API: by a tenant with a token, and by somebody without one.

mod connections;
mod lists;
mod pages;
mod resets;
mod shapes;
mod tokens;

use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use pinrail_chaos::Cid;
use serde_json::{Value, json};

use super::target::Target;

/// Pins are added over so many connections at once.
const FILLING: usize = 8;

/// Start a Pinrail in which the attacker has `count` pins with as many pairs of meta as are taken, each value of
/// `value` bytes. The rate limits hold from then on.
fn start_filled(folder: &Path, count: usize, value: usize) -> Result<(Target, Value)> {
    let target = Target::start_with(folder, &["--rate-limits=false"])?;
    let meta = most_meta(&target, value)?;
    let fill = |thread: usize| -> Result<()> {
        for number in (thread..count).step_by(FILLING) {
            // Content that nobody has to be asked for.
            let cid = Cid::inline(&number.to_le_bytes()).base32();
            let pin = json!({ "cid": cid, "name": "a".repeat(200), "meta": meta });
            target.attacker.client.post("/pins", &pin)?.expect(202)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let fill = &fill;
        let threads: Vec<_> = (0..FILLING).map(|thread| scope.spawn(move || fill(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().ok().context("a thread panicked")?)
    })?;
    Ok((target.restart_api(&[])?, meta))
}

/// Pairs whose values are as long as wanted, as many as one pin may have.
fn most_meta(target: &Target, value: usize) -> Result<Value> {
    for pairs in [100, 60, 32, 16, 8, 4, 2] {
        let meta = meta(pairs, value);
        let pin = json!({ "cid": "bafkqaaa", "meta": meta });
        if target.attacker.client.post("/pins", &pin)?.status == 202 {
            return Ok(meta);
        }
    }
    Ok(meta(1, value))
}

/// So many pairs.
fn meta(pairs: usize, value: usize) -> Value {
    (0..pairs)
        .map(|pair| (format!("k{pair}"), Value::from("v".repeat(value))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A text in a query.
fn escape(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

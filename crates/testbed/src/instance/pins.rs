//! Pin requests as a client makes and follows them.

use std::fmt::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::client::Client;
use crate::signals;
use crate::stopwatch::Stopwatch;

/// The name of the pin that `cargo xtask up` makes.
pub const SAMPLE_NAME: &str = "pinrail-sample";

/// How often a pin is asked for, as blocking clients do.
const POLL: Duration = Duration::from_millis(250);

/// A pin request that has come to its end.
#[derive(Debug)]
pub struct Pinned {
    /// Its CID, as it was asked for.
    pub cid: String,
    /// The multiaddrs where it can be fetched from.
    pub delegates: Vec<String>,
    /// Its blocks and bytes, for people.
    pub extent: String,
}

impl Client {
    /// Asks for a pin; returns the request's id.
    pub fn add_pin(&self, cid: &str, name: &str, origins: &[String]) -> Result<String> {
        let pin = json!({ "cid": cid, "name": name, "origins": origins });
        let status = self.post("/pins", &pin)?.expect(202)?;
        text(&status["requestid"])
    }

    /// Returns the pin of a request, if there is one and it is pinned.
    pub fn find_pinned(&self, request: &str) -> Result<Option<Pinned>> {
        if request.is_empty() {
            return Ok(None);
        }
        let answer = self.get(&format!("/pins/{request}"))?;
        if answer.status == 404 {
            return Ok(None);
        }
        let status = answer.expect(200)?;
        Ok(if status["status"] == "pinned" { Some(pinned(&status)?) } else { None })
    }

    /// Asks until the request is pinned; a failure, or none of both within `bound`, is an error.
    pub fn follow(&self, request: &str, bound: Duration, mut each: impl FnMut(&str)) -> Result<Pinned> {
        let watch = Stopwatch::start();
        loop {
            signals::check()?;
            let status = self.get(&format!("/pins/{request}"))?.expect(200)?;
            let word = status["status"].as_str().unwrap_or_default();
            match word {
                "pinned" => return pinned(&status),
                "failed" => bail!("the pin failed: {}", status["info"]),
                _ => each(&format!("{word} {}", extent(&status))),
            }
            if watch.passed(bound) {
                bail!("not pinned within {} s: {status}", bound.as_secs());
            }
            thread::sleep(POLL);
        }
    }
}

fn pinned(status: &Value) -> Result<Pinned> {
    let delegates = status["delegates"].as_array().context("the answer has no delegates")?;
    Ok(Pinned {
        cid: text(&status["pin"]["cid"])?,
        delegates: delegates.iter().map(text).collect::<Result<_>>()?,
        extent: extent(status),
    })
}

/// `info` has texts only, by the specification.
fn extent(status: &Value) -> String {
    let info = &status["info"];
    let mut extent = String::new();
    if let Some(blocks) = info["blocks"].as_str() {
        let _ = write!(extent, "{blocks} blocks");
    }
    if let Some(bytes) = info["dag_size"].as_str() {
        let _ = write!(extent, " of {bytes} bytes");
    }
    extent
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is no text"))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_pin_is_read() {
        let status = json!({
            "status": "pinned",
            "pin": { "cid": "bafkqaaa" },
            "delegates": ["/ip4/127.0.0.1/tcp/4401/p2p/x"],
            "info": { "blocks": "14", "dag_size": "3145728" },
        });
        let pinned = pinned(&status).unwrap();
        assert_eq!(pinned.cid, "bafkqaaa");
        assert_eq!(pinned.delegates.len(), 1);
        assert_eq!(pinned.extent, "14 blocks of 3145728 bytes");
        assert_eq!(extent(&json!({})), "");
    }
}

//! What is asked for: a path with places that are filled from what the account holds.

use anyhow::{Context as _, ensure};
use pinrail_spec::Timestamp;
use serde_json::Value;

use crate::client::Client;

/// Pages that are read for a place, all over the account.
const PAGES: i64 = 20;
/// Pins of a page.
const PAGE: usize = 1_000;
/// A prime: stepping by it goes through all values in an order that no index has.
const STEP: usize = 7_919;

/// A path and what is put into its places.
pub struct Paths {
    pattern: String,
    places: Vec<(&'static str, Vec<String>)>,
    repeat: bool,
}

impl Paths {
    /// Read what the account holds for the places that a pattern has.
    pub async fn find(client: &mut Client, pattern: &str, repeat: bool) -> anyhow::Result<Self> {
        let mut places = Vec::new();
        for (place, status, field) in [
            ("{queued}", "queued", "requestid"),
            ("{pinned}", "pinned", "requestid"),
            ("{created}", "queued,pinning,pinned,failed", "created"),
        ] {
            if pattern.contains(place) {
                places.push((place, sample(client, status, field).await?));
            }
        }
        Ok(Self { pattern: pattern.to_owned(), places, repeat })
    }

    /// The path of a request; they are all the same when they are to be repeated.
    pub fn path(&self, turn: usize) -> String {
        let turn = if self.repeat { 0 } else { turn };
        let mut path = self.pattern.replace("{turn}", &turn.to_string());
        for (place, values) in &self.places {
            path = path.replace(place, &values[turn.wrapping_mul(STEP) % values.len()]);
        }
        path
    }
}

/// A field of pins with one of these statuses, from the newest to the oldest.
async fn sample(client: &mut Client, status: &str, field: &str) -> anyhow::Result<Vec<String>> {
    let newest = page(client, &format!("/pins?limit=1&status={status}")).await?;
    let latest = created(newest["results"].get(0).with_context(|| format!("no pin is {status}"))?)?;
    // Pins that were added as fast as possible are a millisecond apart.
    let span = newest["count"].as_i64().context("a page without a count")?;
    let mut values = Vec::new();
    for number in 0..PAGES {
        let before = Timestamp::from_millis(latest.as_millis() + 1 - number * span / PAGES);
        let page = page(client, &format!("/pins?limit={PAGE}&status={status}&before={before}")).await?;
        let pins = page["results"].as_array().context("a page without results")?;
        values.extend(pins.iter().filter_map(|pin| Some(pin[field].as_str()?.to_owned())));
    }
    values.sort_unstable();
    values.dedup();
    ensure!(!values.is_empty(), "no pin that is {status} has a {field}");
    Ok(values)
}

async fn page(client: &mut Client, path: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&client.get(path).await?)?)
}

fn created(pin: &Value) -> anyhow::Result<Timestamp> {
    let text = pin["created"].as_str().context("a pin without a time")?;
    Timestamp::parse_floor(text).with_context(|| format!("{text} is no time"))
}

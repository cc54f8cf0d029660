//! A walk through a whole account, page by page.

use std::collections::HashSet;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Target;
use crate::client::Client;
use crate::measure;

/// Read every page; an error if a pin comes twice, if a page counts another number than are left, or if they are not
/// as many as the first page counted.
pub async fn walk(target: &Target) -> anyhow::Result<Value> {
    let mut client = Client::connect(target.server, &measure::tokens(target)?[0]).await?;
    let mut seen = HashSet::new();
    let mut latencies = Vec::new();
    let mut before = String::new();
    let mut counted = None;
    let began = Instant::now();
    loop {
        let sent = Instant::now();
        let page = client.get(&format!("/pins?limit=10&status=queued,pinning,pinned,failed{before}")).await?;
        latencies.push(sent.elapsed());
        let page: Value = serde_json::from_slice(&page)?;
        let count = page["count"].as_u64().context("a page without a count")?;
        let left = counted.get_or_insert(count).saturating_sub(seen.len() as u64);
        ensure!(count == left, "a page counted {count} pins, {left} were left");
        let results = page["results"].as_array().context("a page without results")?;
        for pin in results {
            let id = pin["requestid"].as_str().context("a pin without an id")?;
            ensure!(seen.insert(id.to_owned()), "{id} came twice");
        }
        let Some(last) = results.last() else { break };
        if count == results.len() as u64 {
            break;
        }
        before = format!("&before={}", last["created"].as_str().context("a pin without a time")?);
    }
    ensure!(Some(seen.len() as u64) == counted, "{} pins came, the first page counted {counted:?}", seen.len());
    let mut result = measure::summary(latencies, began.elapsed());
    result["pins"] = json!(seen.len());
    Ok(result)
}

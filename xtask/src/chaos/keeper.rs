//! An account whose one pin was replaced by what nobody has, and that by another such thing, before the faults came:
//! until the last of them is there, the first must not go.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::account::Account;
use super::material::Dag;
use crate::instance::client::Client;
use crate::signals;
use crate::stopwatch::Stopwatch;

/// How long its first pin may take while all is well.
const PATIENCE: Duration = Duration::from_mins(1);
const BEAT: Duration = Duration::from_millis(100);

/// Hours for which what is replaced stays at the least when its successor fails, so that the check is a sure one.
pub const HELD: u64 = 24;

/// Pin what is to be kept, and replace it twice.
pub fn begin(account: &Account, client: &Client) -> Result<()> {
    let material = &account.material;
    let mut nowhere = material.dags.iter().filter(|dag| dag.provider.is_none());
    let (place, id) = ask(account, client, "/pins", &material.kept)?;
    wait_until_pinned(client, &id)?;
    let mut last = (place, id);
    for _ in 0..2 {
        let dag = nowhere.next().context("there are not two DAGs that nobody has")?;
        let (new, id) = ask(account, client, &format!("/pins/{}", last.1), dag)?;
        account.book().gone(last.0);
        last = (new, id);
    }
    Ok(())
}

/// Ask for a DAG, and note it in the book.
fn ask(account: &Account, client: &Client, path: &str, dag: &Dag) -> Result<(usize, String)> {
    let name = format!("{}/{}", account.name, dag.cid);
    let (place, floor) = account.book().ask(&dag.cid, &name, BTreeMap::new());
    let answer =
        client.post(path, &json!({ "cid": dag.cid, "name": name, "origins": account.origins }))?.expect(202)?;
    account.book().added(place, &floor, &answer).map_err(anyhow::Error::msg)?;
    Ok((place, answer["requestid"].as_str().unwrap_or_default().to_owned()))
}

fn wait_until_pinned(client: &Client, id: &str) -> Result<()> {
    let watch = Stopwatch::start();
    loop {
        let item: Value = client.get(&format!("/pins/{id}"))?.expect(200)?;
        if item["status"] == "pinned" {
            return Ok(());
        }
        ensure!(!watch.passed(PATIENCE), "before any fault {item} is not pinned");
        signals::check()?;
        thread::sleep(BEAT);
    }
}

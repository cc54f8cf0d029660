//! An account whose one pin was replaced by what nobody has, and that by another such thing, before the faults came:
//! until the last of them is there, the first must not go.

use std::time::Duration;

use anyhow::{Context, Result};
use pinrail_testbed::instance::client::Client;

use super::account::Account;
use super::fixtures::Dag;
use super::model::Place;

/// How long its first pin may take while all is well.
const PATIENCE: Duration = Duration::from_mins(1);

/// Hours for which what is replaced stays at the least when its successor fails, so that the check is a sure one.
pub const HELD: u64 = 24;

/// Pin what is to be kept, and replace it twice.
pub fn begin(account: &Account, client: &Client) -> Result<()> {
    let fixtures = &account.fixtures;
    let mut nowhere = fixtures.dags.iter().filter(|dag| dag.provider.is_none());
    let mut last = ask(account, client, "/pins", &fixtures.kept)?;
    client.follow(&last.1, PATIENCE, |_| ())?;
    for _ in 0..2 {
        let dag = nowhere.next().context("there are not two DAGs that nobody has")?;
        let new = ask(account, client, &format!("/pins/{}", last.1), dag)?;
        account.model().gone(last.0);
        last = new;
    }
    Ok(())
}

/// Ask for a DAG; where it is noted, and the request's id.
fn ask(account: &Account, client: &Client, path: &str, dag: &Dag) -> Result<(Place, String)> {
    let name = format!("{}/{}", account.name, dag.cid);
    let (place, answer) = account.add_surely(client, path, (&dag.cid, &name), &account.origins)?;
    Ok((place, answer["requestid"].as_str().unwrap_or_default().to_owned()))
}

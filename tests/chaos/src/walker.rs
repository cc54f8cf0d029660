//! A client that lists, again and again, and holds every list against what its account knows.

use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::account::{Account, Outcome};
use super::filter::Filter;
use super::model::Item;

/// List until the history is over.
pub fn run(account: &Account, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let who = format!("{}/lists", account.name);
    while !account.history.is_over() {
        match rng.random_range(0..3) {
            0 => take_all(account, &who, &mut rng),
            1 => take_filtered(account, &who, &mut rng),
            _ => drop(walk(account, &who, &mut rng)),
        }
        thread::sleep(Duration::from_millis(rng.random_range(50..400)));
    }
}

/// A walk by pages. A request that is added meanwhile may be missed, one that was there may not.
pub fn walk(account: &Account, who: &str, rng: &mut StdRng) -> bool {
    let begun = account.model().now();
    let Some(items) = account.walk(who, rng) else { return false };
    let checked = account.model().check_walk(begun, &items);
    account.hold(who, checked);
    account.history.count("walks");
    true
}

/// The longest page there is.
const LONGEST: usize = 1000;

/// All in one page, whose count is of the same moment.
fn take_all(account: &Account, who: &str, rng: &mut StdRng) {
    let begun = account.model().now();
    if let Some(items) = take(account, who, "status=queued,pinning,pinned,failed", rng) {
        let checked = account.model().check_walk(begun, &items);
        account.hold(who, checked);
        account.history.count("lists");
    }
}

/// What some filter lets through.
pub fn take_filtered(account: &Account, who: &str, rng: &mut StdRng) {
    let filter = Filter::draw(account, rng);
    let begun = account.model().now();
    if let Some(items) = take(account, who, &filter.query(), rng) {
        let checked = account.model().check_filtered(begun, &filter, &items);
        account.hold(who, checked);
        account.history.count("filtered lists");
    }
}

/// A list in one page; none if it was broken off, or cut off: deletes that never arrived leave more behind than a page
/// holds after a while, and then the walks alone see everything.
fn take(account: &Account, who: &str, query: &str, rng: &mut StdRng) -> Option<Vec<Item>> {
    let path = format!("/pins?{query}&limit={LONGEST}");
    let answer = account.client(rng).get(&path);
    let Outcome::Done(page) = account.expect_done(who, &json!({ "list": path }), answer) else { return None };
    let results = page["results"].as_array().map_or(&[][..], Vec::as_slice);
    if results.len() == LONGEST {
        account.history.count("lists that were cut off");
        return None;
    }
    if page["count"].as_u64() != Some(results.len() as u64) {
        let text = format!("{path}: count is {}, and there are {}", page["count"], results.len());
        account.history.breach(who, &text);
        return None;
    }
    let items = results.iter().map(Item::read).collect::<Result<Vec<_>, _>>();
    items.map_err(|text| account.history.breach(who, &text)).ok()
}

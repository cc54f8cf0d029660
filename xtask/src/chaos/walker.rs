//! A client that lists, again and again, and holds every list against what its account knows.

use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::account::{Account, Outcome};
use super::book::Item;

/// List until the history is over.
pub fn run(account: &Account, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let who = format!("{}/lists", account.name);
    while !account.history.is_over() {
        if rng.random_ratio(1, 3) {
            take_all(account, &who, &mut rng);
        } else {
            walk(account, &who, &mut rng);
        }
        thread::sleep(Duration::from_millis(rng.random_range(50..400)));
    }
}

/// A walk by pages. A request that is added meanwhile may be missed, one that was there may not.
pub fn walk(account: &Account, who: &str, rng: &mut StdRng) -> bool {
    let begun = account.book().now();
    let Some(items) = account.walk(who, rng) else { return false };
    let checked = account.book().check_walk(begun, &items);
    account.hold(who, checked);
    account.history.count("walks");
    true
}

/// The longest page there is.
const LONGEST: usize = 1000;

/// All in one page, whose count is of the same moment. Deletes that never arrived leave more behind than a page holds
/// after a while: then the walks alone see everything.
fn take_all(account: &Account, who: &str, rng: &mut StdRng) {
    let begun = account.book().now();
    let path = format!("/pins?status=queued,pinning,pinned,failed&limit={LONGEST}");
    let answer = account.client(rng).get(&path);
    let Outcome::Done(page) = account.expect_done(who, &json!({ "list": path }), answer) else { return };
    let results = page["results"].as_array().map_or(&[][..], Vec::as_slice);
    if results.len() == LONGEST {
        account.history.count("lists that were cut off");
        return;
    }
    if page["count"].as_u64() != Some(results.len() as u64) {
        account.history.breach(who, &format!("count is {}, and there are {}", page["count"], results.len()));
        return;
    }
    let items = results.iter().map(Item::read).collect::<Result<Vec<_>, _>>();
    let checked = items.and_then(|items| account.book().check_walk(begun, &items));
    account.hold(who, checked);
    account.history.count("lists");
}

//! The page at `/docs/` in a real browser; docs.mjs makes the checks.

use anyhow::Result;
use pinrail_chaos::Kind;
use pinrail_e2e::{Fixture, tests_of_a_run};
use pinrail_testbed::environment::{Environment, root};
use pinrail_testbed::node::Node;
use pinrail_testbed::node::script::{Check, run_script};
use pinrail_testbed::tools;
use serde_json::json;

tests_of_a_run! { run;
    the_page_shows_every_operation: "the page shows every operation",
    the_pin_that_is_filled_in_is_sent_with_a_token: "the pin that is filled in is sent with a token",
    a_list_is_tried_out: "a list is tried out",
    nothing_is_asked_of_another_machine: "nothing is asked of another machine",
    the_browser_has_nothing_to_complain_of: "the browser has nothing to complain of",
}

fn run() -> Result<Vec<Check>> {
    let environment = Environment::read();
    let (node, chromium) = (Node::find(&environment)?, tools::chromium(&environment)?);
    let fixture = Fixture::start(Kind::Sqlite)?;
    let task = json!({ "chromium": chromium, "endpoint": fixture.instance.endpoint(), "token": fixture.token });
    run_script(&node, &root().join("tests/e2e/tests/docs.mjs"), &task)
}

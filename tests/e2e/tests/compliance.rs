//! The official compliance suite of the Pinning Service API: nine checks of nine.

use anyhow::Result;
use pinrail_chaos::Kind;
use pinrail_e2e::{Fixture, tests_of_a_run};
use pinrail_testbed::environment::Environment;
use pinrail_testbed::node::Node;
use pinrail_testbed::node::compliance::run_compliance;
use pinrail_testbed::node::script::Check;

tests_of_a_run! { run;
    a_request_with_no_token: "Request with no authentication token",
    a_request_with_an_invalid_token: "Request with invalid token",
    a_pin_is_posted: "Pins post of CID",
    a_new_pin_is_deleted: "Can create and then delete a new pin",
    pins_in_all_states_are_listed: "List pin objects (GET /pins) in all states",
    a_pin_is_replaced: "Can create and replace a pin's CID",
    a_pin_is_found_by_its_name: "Can create a pin with name",
    pages_follow_one_another: "Pagination: Get all pins, create new pins (optional), get first and second pages",
    all_pins_are_deleted: "Can delete all pins created during compliance checks",
}

fn run() -> Result<Vec<Check>> {
    let node = Node::find(&Environment::read())?;
    let fixture = Fixture::start(Kind::Sqlite)?;
    run_compliance(&node, &fixture.instance.endpoint(), &fixture.token)
}

//! How long it takes to refuse each hostile token, to accept a good one, and to ask one that is cached:
//! `cargo bench -p pinrail-domain`.

#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/tokens/fixture.rs"]
mod fixture;
#[path = "../tests/tokens/hostile_tokens.rs"]
mod hostile_tokens;

use std::hint::black_box;
use std::time::Instant;

use pinrail_domain::{Operation, Restrictions, Subject, attenuate, authorize};
use pinrail_spec::Cid;

const ROUNDS: u32 = 100;

fn main() {
    let good = fixture::token();
    let hour = Restrictions { expires: Some(fixture::later(60)), ..Restrictions::default() };
    let narrowed = attenuate(&good, &hour, [5; 32]).expect("a good token can be narrowed");
    time("verify a good token", || fixture::verify_here(&good).is_ok());
    time("verify a narrowed token", || fixture::verify_here(&narrowed).is_ok());
    time_authorize("authorize a good token", &good);
    time_authorize("authorize a narrowed token", &narrowed);
    for hostile in hostile_tokens::all() {
        time(hostile.name, || fixture::verify_here(&hostile.text).is_ok());
    }
}

fn time_authorize(name: &str, text: &str) {
    let token = fixture::verify_here(text).expect("a good token");
    let cid = Cid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").expect("a good CID");
    let (standing, pin) = (fixture::standing(), Subject { name: None, cid: &cid });
    time(name, || authorize(&token, &standing, &Operation::Add(pin), fixture::NOW).is_ok());
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch is what this is")]
fn time(name: &str, work: impl Fn() -> bool) {
    let accepted = work();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(work());
    }
    let each = start.elapsed() / ROUNDS;
    println!("{:>8.1} us  {}  {name}", each.as_secs_f64() * 1e6, if accepted { "accepted" } else { "refused " });
}

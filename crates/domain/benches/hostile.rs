//! How long it takes to refuse each hostile token, beside accepting a good one: `cargo bench -p pinrail-domain`.

#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/tokens/fixture.rs"]
mod fixture;
#[path = "../tests/tokens/hostile_tokens.rs"]
mod hostile_tokens;

use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u32 = 20;

fn main() {
    print_line("a good token", &fixture::token());
    for hostile in hostile_tokens::all() {
        print_line(hostile.name, &hostile.text);
    }
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch is what this is")]
fn print_line(name: &str, text: &str) {
    let accepted = fixture::verify_here(text).is_ok();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let _ = black_box(fixture::verify_here(black_box(text)));
    }
    let each = start.elapsed() / ROUNDS;
    println!("{:>8.0} us  {}  {name}", each.as_secs_f64() * 1e6, if accepted { "accepted" } else { "refused " });
}

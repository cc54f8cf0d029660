//! Roots beside those that a test is about.

use crate::server::PostgresDatabase;

/// Add so many roots in a state, each wanted by one request, of the only node; their `due` counts them from 1.
pub fn add_roots(database: &PostgresDatabase, state: &str, many: u32) {
    database.sql(&format!(
        "INSERT INTO roots (codec, multihash, node, state, requests, refs, epoch, due, wanted_since, attempts, retry,
            waiting, paused)
        SELECT 112, decode(lpad(to_hex(n), 64, '0'), 'hex'), (SELECT key FROM nodes), '{state}', 1, 1, 0, n, n, 0,
            false, false, false
        FROM generate_series(1, {many}) AS n"
    ));
}

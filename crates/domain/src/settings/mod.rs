//! The settings of both programs: which exist, what their values look like, and what `pinrail.toml` says of them.
//!
//! Both programs and `check` refuse the same values in the same words. Each program hands the values of the file to its
//! argument parser as defaults, and that ranks a flag over the environment over a default.

mod address;
mod file;
mod line;
mod schema;
mod value;

use std::time::Duration;

pub use address::{NONE, check_announce, check_bootstrap, check_listen, check_router, parse_base_path, parse_socket};
pub use file::{File, Problem};
pub use line::{escape_line, join_lines};
pub use schema::{CONNECTIONS, COUNT, DHT, Program, ROOT_BLOCKS, SLOTS, Setting};
pub use value::{parse_log, parse_network, parse_number, parse_rate, parse_size, parse_time};

/// The time that `serve` of both programs waits for a schema that `pinrail-api migrate` has yet to make.
pub const SCHEMA_WAIT: Duration = Duration::from_secs(30);

//! The standard library under the name `core2`, whose published versions are all yanked (see `docs/decisions`).
#![forbid(unsafe_code)]

pub use std::{error, io};

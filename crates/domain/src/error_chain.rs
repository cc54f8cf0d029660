//! Errors with their sources, as logs and operators are told.

use std::error::Error;
use std::iter::successors;

/// Returns the text of an error and of each source below it, as in `disk failed: no such device`.
///
/// No `Display` of an error prints its source, so whoever logs an error uses this once.
pub fn chain(error: &dyn Error) -> String {
    successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

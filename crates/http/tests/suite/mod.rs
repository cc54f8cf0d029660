//! What the API promises, over whichever storage the test binary names.

mod access;
mod adding;
mod bad_input;
mod checklist;
mod filters;
mod limits;
mod listing;
mod narrowed;
mod processes;
mod races;
mod removing;
mod replacing;
mod request_log;
mod strangers;
mod support;
mod surroundings;
mod tokens;

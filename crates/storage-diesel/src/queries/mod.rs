//! What both databases are asked, in Diesel's words. Compiled once for each: the parent module names the connection, how
//! queries run on it, and a `dialect` with what that database says differently.
//!
//! **Invariant:** on SQLite no query waits: each is done when it is first polled, so the writer's thread runs these
//! functions without a runtime. Nothing here may await anything but queries and other functions of these modules.

pub(super) mod account_blocking;
pub(super) mod accounts;
pub(super) mod audit;
pub(super) mod check;
pub(super) mod clock_repair;
pub(super) mod counter_deltas;
pub(super) mod counts;
pub(super) mod fair_turns;
pub(super) mod holds;
pub(super) mod leases;
pub(super) mod maintenance;
pub(super) mod nodes;
pub(super) mod pin_filters;
pub(super) mod pin_lists;
pub(super) mod pin_requests;
pub(super) mod service;
pub(super) mod settle;
pub(super) mod statistics;
pub(super) mod tokens;
pub(super) mod transfer;
pub(super) mod unit_of_work;

use super::{Conn, Db, RunQueryDsl, clock, dialect, session};

//! The storage on PostgreSQL, against one real server that this program starts and that ends with it.

#[path = "../clock/mod.rs"]
mod clock;
mod collation;
mod collisions;
mod conformance;
mod counters;
mod crowd;
mod lists;
mod look_ups;
mod names;
mod opening;
mod overlapping;
mod plans;
mod running;
#[path = "../scene/mod.rs"]
mod scene;
mod server;
mod strange;
mod transfer;

//! The checks, by what they are about. Each takes a fresh storage and panics when a promise is not kept.

pub mod accounts;
pub mod adding;
pub mod audit;
pub mod concurrency;
pub mod fairness;
pub mod leases;
pub mod listing;
pub mod model;
pub mod nodes;
pub mod paging;
pub mod quota;
pub mod removing;
pub mod replacing;
pub mod statistics;
pub mod tokens;
pub mod waiting;

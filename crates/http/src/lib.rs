//! The HTTP adapter: the Pinning Service API and its OpenAPI document.
//!
//! [`router`] answers requests, [`metrics_router`] a monitoring system, and [`serve`] brings them in from a socket. A handler fetches from the storage, asks
//! `pinrail-domain`, stores, and describes; which status code a failure has is decided in one place, `error.rs`.
//!
//! **Invariant:** nothing here touches a block, and no answer to one account depends on what another one holds.

mod answers;
mod body;
mod budget;
mod caller;
mod client_address;
mod connections;
mod database_metrics;
mod docs;
mod error;
mod health;
mod last_used;
mod limits;
mod metrics;
mod openapi;
mod path;
mod pins;
mod readiness;
mod request_log;
mod room_metrics;
mod router;
mod sending;
mod serve;
mod settings;
mod shares;
mod state;
mod strangers;
mod usage;
mod verified;

pub use client_address::ClientAddress;
pub use metrics::metrics_router;
pub use openapi::openapi;
pub use router::router;
pub use serve::{ServerLimits, serve};
pub use settings::{BODY_LIMIT, CorsOrigins, Rate, RateLimits, Settings};
pub use state::{Clock, Entropy, State};
pub use usage::Usage;

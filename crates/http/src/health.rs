//! Whether the process is alive, and whether it can do its work: for supervisors and load balancers.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderName, header};
use pinrail_spec::Reason;
use serde::Serialize;

use crate::error::ApiError;
use crate::state::State;

/// How the service is.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    status: &'static str,
}

type Answer = ([(HeaderName, &'static str); 1], Json<Health>);

/// Whether the process is alive
///
/// It answers, so it is.
pub(crate) async fn live() -> Answer {
    healthy("live")
}

/// Whether requests can be served
///
/// The database answers and accepts writes, and the service is not shutting down.
pub(crate) async fn ready(Shared(state): Shared<State>) -> Result<Answer, ApiError> {
    if state.is_draining() {
        return Err(ApiError::new(Reason::Unavailable, "the service is shutting down"));
    }
    state.readiness().check(state.storage(), state.now()).await?;
    Ok(healthy("ready"))
}

fn healthy(status: &'static str) -> Answer {
    ([(header::CACHE_CONTROL, "no-store")], Json(Health { status }))
}

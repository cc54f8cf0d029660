//! Whether the process is alive, and whether it can do its work: for supervisors and load balancers.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderName, header};
use pinrail_spec::{Failure, Reason};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::state::State;

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

type Answer = ([(HeaderName, &'static str); 1], Json<Health>);

/// Whether the process is alive
///
/// It answers, so it is.
#[utoipa::path(get, path = "/health/live", tag = "health", security(()), responses((status = 200, body = Health)))]
pub(crate) async fn live() -> Answer {
    healthy("live")
}

/// Whether requests can be served
///
/// The database answers and accepts writes, its disk has room, and the service is not shutting down.
#[utoipa::path(
    get, path = "/health/ready", tag = "health", security(()),
    responses((status = 200, body = Health), (status = 503, description = "Not now, and why", body = Failure))
)]
pub(crate) async fn ready(Shared(state): Shared<State>) -> Result<Answer, ApiError> {
    if state.is_draining() {
        return Err(ApiError::new(Reason::Unavailable, "the service is shutting down"));
    }
    state.check_room()?;
    state.readiness().check(state.storage(), state.now()).await?;
    Ok(healthy("ready"))
}

fn healthy(status: &'static str) -> Answer {
    ([(header::CACHE_CONTROL, "no-store")], Json(Health { status }))
}

//! One log line for each request, its id in the answer, and its place in the metrics.
//!
//! The line is an event in a span of the request, so that what else is logged meanwhile carries the same id. **Invariant:**
//! neither holds a query, a name, a token or a CID: the path is told by its template.

use std::cell::Cell;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use pinrail_domain::{PinRequest, RequestId, VerifiedToken};
use pinrail_spec::Reason;
use tokio::time::Instant;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, debug, info, info_span};

use crate::client_address::ClientAddress;
use crate::state::State;

/// The header of an answer that names its request in the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The status that is logged for a request whose client left before the answer was made.
const CLIENT_LEFT: u16 = 499;

tokio::task_local! {
    /// The time that the current request has spent in the database.
    static IN_DATABASE: Cell<Duration>;
}

/// Answer a request and log it. A client's own id is not taken over, for it could name another request.
pub(crate) async fn log(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let id = state.new_log_id();
    let line = Line::begin(&state, &request);
    let (method, route) = (line.method, line.route.as_str());
    let span = info_span!("request", %id, method, route, client = Empty, account = Empty, token = Empty);
    if let Some(client) = request.extensions().get::<ClientAddress>() {
        span.record("client", display(client));
    }
    let answering = async move {
        let mut line = line;
        let mut answer = next.run(request).await;
        line.end(&answer);
        if let Ok(id) = HeaderValue::from_str(&id) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        answer
    };
    IN_DATABASE.scope(Cell::default(), answering).instrument(span).await
}

/// The method, of those that anything here knows.
fn method(request: &Request) -> &'static str {
    let known = ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"];
    known.into_iter().find(|known| *known == request.method()).unwrap_or("other")
}

/// Note in the request's span who asks.
pub(crate) fn note_caller(token: &VerifiedToken) {
    Span::current().record("account", display(token.account())).record("token", display(token.id()));
}

/// Log which root a new pin request asks for: the worker logs the root's further life.
pub(crate) fn note_accepted(accepted: &PinRequest) {
    info!(pin = %accepted.id, root = %accepted.pin.cid.root(), status = accepted.status.as_str(), "pin request accepted");
}

/// Log that a pin request is gone.
pub(crate) fn note_removed(pin: &RequestId) {
    info!(%pin, "pin request removed");
}

/// Wait for the database, and count the time as the request's.
pub(crate) async fn timed<T>(call: &'static str, answer: impl Future<Output = T>) -> T {
    let _timing = Timing { call, begun: Instant::now() };
    answer.await
}

/// A call to the database that goes on; it counts also when it is broken off.
struct Timing {
    call: &'static str,
    begun: Instant,
}

impl Drop for Timing {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        // Not every call belongs to a request.
        let _outside = IN_DATABASE.try_with(|sum| sum.set(sum.get() + took));
        debug!(call = self.call, ms = millis(took), "database");
    }
}

/// The line of a request, written when it is dropped.
struct Line {
    state: State,
    method: &'static str,
    route: String,
    begun: Instant,
    status: u16,
    reason: Option<Reason>,
}

impl Line {
    fn begin(state: &State, request: &Request) -> Self {
        state.metrics().in_flight.inc();
        let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
        let (state, method) = (state.clone(), method(request));
        Self { state, method, route, begun: Instant::now(), status: CLIENT_LEFT, reason: None }
    }

    fn end(&mut self, answer: &Response) {
        self.status = answer.status().as_u16();
        self.reason = answer.extensions().get::<Reason>().copied();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (took, database) = (self.begun.elapsed(), IN_DATABASE.try_with(Cell::get).unwrap_or_default());
        let reason = self.reason.map(Reason::as_str);
        info!(status = self.status, reason, ms = millis(took), database_ms = millis(database), "answered");
        let metrics = self.state.metrics();
        metrics.in_flight.dec();
        metrics.answered(self.method, &self.route, self.status, took, database);
        if let Some(reason) = self.reason {
            metrics.refused(reason);
        }
    }
}

/// Milliseconds to the microsecond.
fn millis(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1_000.0
}

//! What a monitoring system is told of the service, in the text that Prometheus reads.
//!
//! **Invariant:** the number of series is bounded whatever clients send: no label names an account, an address, a path or
//! a CID. Every series with labels that are known beforehand is there from the start, so that its first rise is seen.

use std::fmt;
use std::time::Duration;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pinrail_spec::Reason;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::database_metrics::DatabaseMetrics;
use crate::error::ApiError;
use crate::room_metrics::RoomMetrics;
use crate::state::State;

/// The upper ends of the buckets that times are counted in, in seconds.
const TIMES: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// The kind of that text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The operations that are told from the start, with the status of each that succeeds.
const OPERATIONS: [(&str, &str, u16); 5] = [
    ("POST", "/pins", 202),
    ("GET", "/pins", 200),
    ("GET", "/pins/{requestid}", 200),
    ("POST", "/pins/{requestid}", 202),
    ("DELETE", "/pins/{requestid}", 202),
];

/// The routes of [`State`]'s metrics: `/metrics`, for a listener of its own.
pub fn metrics_router(state: State) -> Router {
    Router::new().route("/metrics", get(expose)).with_state(state)
}

async fn expose(Shared(state): Shared<State>) -> Response {
    state.metrics().of_room.show(&state.usage());
    state.metrics().of_database.refresh(state.storage()).await;
    match state.metrics().encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            ApiError::internal().into_response()
        }
    }
}

type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// Counters and gauges of one process.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Times<Answered>,
    database: Times<Routed>,
    refusals: Family<Refused, Counter>,
    pub(crate) in_flight: Gauge,
    of_room: RoomMetrics,
    of_database: DatabaseMetrics,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    reason: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let (requests, database) = (Times::<Answered>::new_with_constructor(times), Times::new_with_constructor(times));
        let (refusals, in_flight) = (Family::<Refused, Counter>::default(), Gauge::default());
        let mut registry = Registry::with_prefix("pinrail_api");
        registry.register("request_duration_seconds", "Time until requests were answered", requests.clone());
        registry.register("request_database_seconds", "Time that requests spent in the database", database.clone());
        registry.register("refusals", "Requests that were not carried out", refusals.clone());
        registry.register("requests_in_flight", "Requests that are being answered", in_flight.clone());
        let (of_room, of_database) = (RoomMetrics::default(), DatabaseMetrics::default());
        of_room.register(&mut registry);
        of_database.register(&mut registry);
        for (method, route, status) in OPERATIONS {
            drop(requests.get_or_create(&Answered { method, route: route.to_owned(), status }));
            drop(database.get_or_create(&Routed { method, route: route.to_owned() }));
        }
        for reason in Reason::ALL {
            drop(refusals.get_or_create(&Refused { reason: reason.as_str() }));
        }
        Self { registry, requests, database, refusals, in_flight, of_room, of_database }
    }

    /// Count an answer: how long it took, and how much of that in the database.
    pub(crate) fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration, database: Duration) {
        let route = route.to_owned();
        let labels = Routed { method, route: route.clone() };
        self.database.get_or_create(&labels).observe(database.as_secs_f64());
        self.requests.get_or_create(&Answered { method, route, status }).observe(took.as_secs_f64());
    }

    /// Count a request that was not carried out.
    pub(crate) fn refused(&self, reason: Reason) {
        self.refusals.get_or_create(&Refused { reason: reason.as_str() }).inc();
    }

    fn encode(&self) -> Result<String, fmt::Error> {
        let mut written = String::new();
        text::encode(&mut written, &self.registry)?;
        Ok(written)
    }
}

fn times() -> Histogram {
    Histogram::new(TIMES)
}

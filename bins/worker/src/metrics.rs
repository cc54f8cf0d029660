//! `/metrics`, for a monitoring system: what was counted of the work, and how node and block store are at the moment.
//!
//! **Invariant:** the number of series is bounded: no label names an account, a peer, an address or a CID.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pinrail_ipfs_embedded::Node;
use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::node_metrics::NodeMetrics;
use crate::run::WorkMetrics;

/// The kind of text that is exposed.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is exposed.
pub struct Metrics {
    registry: Registry,
    node: Arc<Node>,
    gauges: StoreGauges,
}

/// What is looked at when it is asked for.
#[derive(Debug, Default)]
struct StoreGauges {
    used: Gauge,
    free: Gauge,
    reserve: Gauge,
    full: Gauge,
}

impl Metrics {
    /// Of this work and this node.
    pub fn new(work: &WorkMetrics, node: Arc<Node>) -> Arc<Self> {
        let mut registry = Registry::with_prefix("pinrail_worker");
        work.register(&mut registry);
        let gauges = StoreGauges::default();
        gauges.register(&mut registry);
        registry.register_collector(Box::new(NodeMetrics(Arc::clone(&node))));
        Arc::new(Self { registry, node, gauges })
    }

    async fn encode(&self) -> Result<String, fmt::Error> {
        self.gauges.look_at(&self.node).await;
        let mut written = String::new();
        text::encode(&mut written, &self.registry)?;
        Ok(written)
    }
}

impl StoreGauges {
    fn register(&self, registry: &mut Registry) {
        registry.register("store_used_bytes", "Bytes of blocks that are kept", self.used.clone());
        registry.register("store_free_bytes", "Free bytes on the disk of the block store", self.free.clone());
        registry.register("store_reserve_bytes", "Free bytes at which fetches pause", self.reserve.clone());
        registry.register("store_full", "1 while fetches pause since the disk is full", self.full.clone());
    }

    /// Bring them up to date; what cannot be read stays as it was.
    async fn look_at(&self, node: &Arc<Node>) {
        let store = node.store().clone();
        if let Ok(Ok(space)) = tokio::task::spawn_blocking(move || store.space()).await {
            self.used.set(space.used.cast_signed());
            self.free.set(space.free.cast_signed());
            self.reserve.set(space.reserve.cast_signed());
            self.full.set(i64::from(space.full));
        }
    }
}

/// Answer on `listener`; ends when the future is dropped.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>) -> std::io::Result<()> {
    axum::serve(listener, Router::new().route("/metrics", get(expose)).with_state(metrics)).await
}

async fn expose(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.encode().await {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

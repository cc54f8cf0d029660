//! What the metrics tell of the room that requests and answers take.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::usage::Usage;

/// How much of the service's room is in use.
#[derive(Default)]
pub(crate) struct RoomMetrics {
    places: Gauge,
    waiting: Gauge,
    answer_bytes: Gauge,
    lists: Gauge,
    lists_limit: Gauge,
    lists_waiting: Gauge,
}

impl RoomMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("places", "Requests with a token whose answers are not sent yet", self.places.clone());
        registry.register("places_waiting", "Requests that wait for others to be answered", self.waiting.clone());
        registry.register("answer_bytes", "Bytes of answers in memory", self.answer_bytes.clone());
        registry.register("lists", "Lists that the database reads", self.lists.clone());
        registry.register("lists_limit", "Lists that it reads at once at most", self.lists_limit.clone());
        registry.register("lists_waiting", "Lists that wait for others to end", self.lists_waiting.clone());
    }

    pub(crate) fn show(&self, usage: &Usage) {
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.places.set(gauge(usage.in_flight));
        self.waiting.set(gauge(usage.waiting));
        self.answer_bytes.set(gauge(usage.answer_bytes));
        self.lists.set(gauge(usage.lists.in_use));
        self.lists_limit.set(gauge(usage.lists.places));
        self.lists_waiting.set(gauge(usage.lists.waiting));
    }
}

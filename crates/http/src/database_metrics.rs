//! What the metrics tell of the database: asked of it when they are scraped, a few times a minute at most.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use pinrail_spec::Status;
use pinrail_storage::{Statistics, Storage, StorageError};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer counts: many may scrape.
const FRESH: Duration = Duration::from_secs(15);
/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The gauges, and when they were last brought up to date.
#[derive(Default)]
pub(crate) struct DatabaseMetrics {
    up: Gauge,
    bytes: Gauge,
    requests: Family<OfStatus, Gauge>,
    roots: Family<OfState, Gauge>,
    overdue: Family<OfState, Gauge<f64, AtomicU64>>,
    asked: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStatus {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: &'static str,
}

impl DatabaseMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("database_up", "1 if the database answered when it was last asked", self.up.clone());
        registry.register("database_bytes", "Bytes that the database takes on its disk", self.bytes.clone());
        registry.register("pin_requests", "Pin requests by status", self.requests.clone());
        registry.register("roots", "Roots on their way, by state", self.roots.clone());
        registry.register("queue_overdue_seconds", "Time that the longest due root has been due", self.overdue.clone());
        self.show(&Statistics::default(), |_| 0.0);
    }

    /// Bring them up to date, unless they are.
    pub(crate) async fn refresh(&self, storage: &dyn Storage) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < FRESH) {
            return;
        }
        let answer = timeout(PATIENCE, self.ask(storage)).await;
        let late = |_| Err(StorageError::Unavailable("it did not answer in time".to_owned()));
        let outcome = answer.unwrap_or_else(late);
        if let Err(error) = &outcome {
            tracing::warn!(%error, "the metrics of the database are not up to date");
        }
        self.up.set(i64::from(outcome.is_ok()));
        *asked = Some(Instant::now());
    }

    async fn ask(&self, storage: &dyn Storage) -> Result<(), StorageError> {
        let now = storage.now().await?;
        let statistics = storage.statistics(now).await?;
        self.show(&statistics, |due| now.since(due).as_secs_f64());
        Ok(())
    }

    fn show(&self, statistics: &Statistics, age: impl Fn(pinrail_spec::Timestamp) -> f64) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.bytes.set(gauge(statistics.bytes));
        for (status, requests) in Status::ALL.into_iter().zip(statistics.requests) {
            self.requests.get_or_create(&OfStatus { status: status.as_str() }).set(gauge(requests));
        }
        for (state, roots) in [
            ("unfinished", statistics.unfinished),
            ("leased", statistics.leased),
            ("waiting", statistics.waiting),
            ("releasing", statistics.releasing),
        ] {
            self.roots.get_or_create(&OfState { state }).set(gauge(roots));
        }
        let longest = statistics.longest_due;
        for (state, due) in [("queued", longest.queued), ("pinning", longest.pinning), ("retry", longest.retry)] {
            self.overdue.get_or_create(&OfState { state }).set(due.map_or(0.0, &age));
        }
    }
}

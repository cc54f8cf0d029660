//! What is counted of the worker's own work.

use pinrail_domain::Verdict;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The upper ends of the buckets of the time from a root's being wanted to its being pinned, in seconds.
const PIN_TIMES: [f64; 11] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];
/// The same of the time that a step takes.
const STEP_TIMES: [f64; 8] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0];

/// Counters and gauges of the worker's work; clones share them.
#[derive(Debug, Clone)]
pub struct WorkMetrics {
    /// Leases that are held.
    pub leases: Gauge,
    /// Of those, roots that are being fetched.
    pub running: Gauge,
    /// The most that are fetched at once.
    pub slots: Gauge,
    /// Leases that were lost.
    pub lost: Counter,
    /// How long steps took.
    pub steps: Histogram,
    /// Steps that the database refused.
    pub failed_steps: Counter,
    settled: Family<Settled, Counter>,
    pin_time: Histogram,
    pinned_blocks: Counter,
    pinned_bytes: Counter,
}

/// How a lease ended, and why if it is not pinned or released. The reasons are those of `info`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Settled {
    outcome: &'static str,
    reason: &'static str,
}

impl WorkMetrics {
    /// Counters of a worker that fetches so many roots at once.
    pub fn new(slots: u32) -> Self {
        let metrics = Self {
            leases: Gauge::default(),
            running: Gauge::default(),
            slots: Gauge::default(),
            lost: Counter::default(),
            steps: Histogram::new(STEP_TIMES),
            failed_steps: Counter::default(),
            settled: Family::default(),
            pin_time: Histogram::new(PIN_TIMES),
            pinned_blocks: Counter::default(),
            pinned_bytes: Counter::default(),
        };
        metrics.slots.set(i64::from(slots));
        for outcome in ["pinned", "released"] {
            metrics.settled(outcome, "");
        }
        metrics
    }

    /// Have them exposed by `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("leases", "Roots that the worker holds a lease of", self.leases.clone());
        registry.register("fetches", "Roots that are being fetched", self.running.clone());
        registry.register("slots", "Roots that are fetched at once at most", self.slots.clone());
        registry.register("leases_lost", "Leases that another worker took or nobody wants", self.lost.clone());
        registry.register("step_duration_seconds", "Time that steps took", self.steps.clone());
        registry.register("steps_failed", "Steps that the database refused", self.failed_steps.clone());
        registry.register("roots_settled", "Leases by how they ended and why", self.settled.clone());
        registry.register("pin_duration_seconds", "Time from wanted to pinned", self.pin_time.clone());
        registry.register("pinned_blocks", "Blocks of roots that were pinned", self.pinned_blocks.clone());
        registry.register("pinned_bytes", "Bytes of roots that were pinned", self.pinned_bytes.clone());
    }

    /// Count what became of a root, `seconds` after it was wanted.
    pub fn note(&self, verdict: &Verdict, seconds: f64) {
        match verdict {
            Verdict::Pinned { size } => {
                self.settled("pinned", "").inc();
                self.pin_time.observe(seconds);
                self.pinned_blocks.inc_by(size.blocks);
                self.pinned_bytes.inc_by(size.bytes);
            }
            Verdict::Released => drop(self.settled("released", "").inc()),
            Verdict::Failed { failure } => drop(self.settled("failed", failure.reason.as_str()).inc()),
            Verdict::Retry { failure, .. } => drop(self.settled("retried", failure.reason.as_str()).inc()),
            Verdict::Wait { failure, .. } => drop(self.settled("waiting", failure.reason.as_str()).inc()),
            Verdict::Pause { storage_full: true, .. } => drop(self.settled("paused", "STORAGE_FULL").inc()),
            Verdict::Pause { storage_full: false, .. } => drop(self.settled("paused", "").inc()),
        }
    }

    fn settled(&self, outcome: &'static str, reason: &'static str) -> Counter {
        self.settled.get_or_create_owned(&Settled { outcome, reason })
    }
}

//! What every handler shares: the storage, the keys, the caches, the settings, and the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pinrail_domain::{Refusal, RequestId, ServiceId};
use pinrail_spec::Timestamp;
use pinrail_storage::{AccessTokens, PinRequests, Storage, StorageError};

use crate::answers::Answers;
use crate::budget::AnswerBytes;
use crate::error::ApiError;
use crate::last_used::LastUsed;
use crate::limits::TokenLimits;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::settings::Settings;
use crate::strangers::Strangers;
use crate::usage::Usage;
use crate::verified::VerifiedTokens;

/// The current time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// Ten fresh random bytes, for an id.
pub type Entropy = Arc<dyn Fn() -> [u8; 10] + Send + Sync>;

/// What the HTTP service works with. Cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Parts>);

struct Parts {
    storage: Arc<dyn Storage>,
    settings: Settings,
    tokens: VerifiedTokens,
    limits: Option<TokenLimits>,
    strangers: Option<Strangers>,
    answer_bytes: AnswerBytes,
    answers: Answers,
    last_used: LastUsed,
    readiness: Readiness,
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
    draining: AtomicBool,
    /// Whether the disk of the database is at its reserve.
    full: AtomicBool,
    /// Whether the log says that there is no IPFS node.
    told_no_node: AtomicBool,
}

impl State {
    /// A service that keeps its pins in `storage` and accepts the tokens of `service`.
    pub fn new(
        storage: Arc<dyn Storage>,
        service: ServiceId,
        clock: Clock,
        entropy: Entropy,
        settings: Settings,
    ) -> Self {
        Self(Arc::new(Parts {
            tokens: VerifiedTokens::new(service),
            limits: settings.rate_limits.map(TokenLimits::new),
            strangers: settings.rate_limits.map(Strangers::new),
            answer_bytes: AnswerBytes::new(settings.answer_bytes),
            last_used: LastUsed::new(Arc::clone(&storage) as Arc<dyn AccessTokens>),
            answers: Answers::default(),
            readiness: Readiness::default(),
            metrics: Metrics::new(),
            storage,
            settings,
            clock,
            entropy,
            draining: AtomicBool::new(false),
            full: AtomicBool::new(false),
            told_no_node: AtomicBool::new(false),
        }))
    }

    /// Answer from now on that the service is not ready, so that a load balancer sends no more requests.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Note whether the disk of the database is at its reserve: while it is, pins are neither added nor replaced, and the
    /// service is not ready.
    pub fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::Relaxed);
    }

    /// 503 while the disk of the database is at its reserve.
    pub(crate) fn check_room(&self) -> Result<(), ApiError> {
        if self.0.full.load(Ordering::Relaxed) { Err(ApiError::database_full()) } else { Ok(()) }
    }

    /// Write down which tokens were used and are not written yet; for a shutdown.
    pub async fn flush(&self) {
        self.0.last_used.flush().await;
    }

    /// How much of the service's room is in use.
    pub fn usage(&self) -> Usage {
        let (in_flight, waiting) = self.limits().map(TokenLimits::in_flight).unwrap_or_default();
        Usage { in_flight, waiting, answer_bytes: self.answer_bytes().held(), lists: self.storage().list_use() }
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        self.0.storage.as_ref()
    }

    /// The part of the storage that the operations of the Pinning Service API use.
    pub(crate) fn pin_requests(&self) -> &dyn PinRequests {
        self.0.storage.as_ref()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn tokens(&self) -> &VerifiedTokens {
        &self.0.tokens
    }

    /// How much tokens may ask for; `None` where nothing is limited.
    pub(crate) fn limits(&self) -> Option<&TokenLimits> {
        self.0.limits.as_ref()
    }

    /// How much may be asked for without a token that is known; `None` where nothing is limited.
    pub(crate) fn strangers(&self) -> Option<&Strangers> {
        self.0.strangers.as_ref()
    }

    pub(crate) fn answer_bytes(&self) -> &AnswerBytes {
        &self.0.answer_bytes
    }

    /// What was read last and still holds.
    pub(crate) fn answers(&self) -> &Answers {
        &self.0.answers
    }

    pub(crate) fn last_used(&self) -> &LastUsed {
        &self.0.last_used
    }

    pub(crate) fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    /// Why storage did not accept a pin, as the client is told it. That there is no IPFS node is the operator's to know,
    /// who reads it once and not with each request.
    pub(crate) fn not_accepted(&self, error: StorageError) -> ApiError {
        if error == StorageError::NoNode && !self.0.told_no_node.swap(true, Ordering::Relaxed) {
            tracing::warn!("pins are answered 503: no IPFS node is registered, start pinrail-worker");
        }
        error.into()
    }

    pub(crate) fn new_request_id(&self) -> RequestId {
        RequestId::new(self.now(), (self.0.entropy)())
    }

    /// A fresh name for what happens in one HTTP request, in hexadecimal.
    pub(crate) fn new_log_id(&self) -> String {
        (self.0.entropy)().iter().fold(String::new(), |id, byte| id + &format!("{byte:02x}"))
    }

    /// A refusal as the client is told it.
    pub(crate) fn refuse(&self, refusal: &Refusal) -> ApiError {
        ApiError::from_failure(refusal.reason(), refusal.failure(&self.0.settings.access_url))
    }
}

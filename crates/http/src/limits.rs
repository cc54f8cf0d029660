//! How much one token may ask for: rates, and requests in flight.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;
use pinrail_domain::{Limits, TokenId, VerifiedToken};
use pinrail_spec::Reason;
use pinrail_storage::Storage;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::settings::{Rate, RateLimits};

/// The most tokens whose use is counted at the same time; the least used are forgotten.
const COUNTED_TOKENS: u64 = 50_000;
/// After so long a token starts afresh; whether its account is unlimited is asked then again.
const COUNTED_FOR: Duration = Duration::from_mins(1);

/// Which bucket a request is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// Lists.
    Reads,
    /// Adding, replacing, deleting.
    Writes,
    /// `GET /pins/{requestid}`.
    Polls,
}

/// The use of each token in this process.
pub(crate) struct TokenLimits {
    limits: RateLimits,
    used: Cache<TokenId, Option<Arc<Use>>>,
}

/// The use of one token; everything that was narrowed from it counts here too.
struct Use {
    reads: DefaultDirectRateLimiter,
    writes: DefaultDirectRateLimiter,
    polls: DefaultDirectRateLimiter,
    in_flight: Arc<Semaphore>,
}

/// A place among the requests in flight, given back when it is dropped; `None` where nothing is limited.
pub(crate) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// A place where nothing is limited.
    pub(crate) const UNLIMITED: Self = Self { _permit: None };
}

impl TokenLimits {
    pub(crate) fn new(limits: RateLimits) -> Self {
        let used = Cache::builder().max_capacity(COUNTED_TOKENS).time_to_live(COUNTED_FOR).build();
        Self { limits, used }
    }

    /// Count a request and wait for a place among those in flight, or say when to try again.
    pub(crate) async fn admit(
        &self,
        token: &VerifiedToken,
        bucket: Bucket,
        storage: &dyn Storage,
    ) -> Result<Place, ApiError> {
        let Some(used) = self.used_by(token, storage).await? else { return Ok(Place::UNLIMITED) };
        used.count(bucket)?;
        let waiting = Arc::clone(&used.in_flight).acquire_owned();
        match tokio::time::timeout(self.limits.wait, waiting).await {
            Ok(permit) => Ok(Place { _permit: permit.ok() }),
            Err(_) => Err(too_many(format!(
                "the token has {} requests in flight, wait for some of them to be answered",
                self.limits.in_flight
            ))),
        }
    }

    /// The use of a token; `None` if its account has no limits at all, as that of a development service.
    async fn used_by(&self, token: &VerifiedToken, storage: &dyn Storage) -> Result<Option<Arc<Use>>, ApiError> {
        if let Some(used) = self.used.get(&token.id()) {
            return Ok(used);
        }
        let account = storage.find_account(&token.account()).await?;
        let unlimited = account.is_some_and(|account| account.limits == Limits::UNLIMITED);
        let limits = self.limits;
        Ok(self.used.get_with(token.id(), || (!unlimited).then(|| Arc::new(Use::new(limits)))))
    }
}

impl Use {
    fn new(limits: RateLimits) -> Self {
        Self {
            reads: limiter(limits.reads),
            writes: limiter(limits.writes),
            polls: limiter(limits.polls),
            in_flight: Arc::new(Semaphore::new(limits.in_flight)),
        }
    }

    fn count(&self, bucket: Bucket) -> Result<(), ApiError> {
        let (limiter, what) = match bucket {
            Bucket::Reads => (&self.reads, "lists"),
            Bucket::Writes => (&self.writes, "changes"),
            Bucket::Polls => (&self.polls, "look-ups"),
        };
        limiter.check().map_err(|early| {
            let wait = early.wait_time_from(DefaultClock::default().now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            too_many(format!("too many {what} with this token, try again in {} s", seconds.max(1))).retry_after(seconds)
        })
    }
}

fn limiter(rate: Rate) -> DefaultDirectRateLimiter {
    let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct(Quota::per_second(at_least_one(rate.per_second)).allow_burst(at_least_one(rate.burst)))
}

fn too_many(details: String) -> ApiError {
    ApiError::new(Reason::TooManyRequests, details)
}

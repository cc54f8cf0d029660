//! How much a token and its account may ask for: rates, and requests in flight.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;
use pinrail_domain::{AccountId, Limits, TokenId, VerifiedToken};
use pinrail_spec::Reason;
use pinrail_storage::Accounts;
use tokio::sync::OwnedSemaphorePermit;

use crate::error::ApiError;
use crate::request_log::timed;
use crate::settings::{Rate, RateLimits};
use crate::shares::Shares;
use crate::usage::{Counted, Gauge};

/// The most tokens, and the most networks, whose use is counted at the same time; the least used are forgotten.
pub(crate) const COUNTED: u64 = 50_000;
/// The time after which each starts afresh; an account is asked again then whether it is unlimited.
pub(crate) const COUNTED_FOR: Duration = Duration::from_mins(1);
/// An account may ask for as much as so many tokens.
const TOKENS: u32 = 4;

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

/// The use of each token and account in this process.
pub(crate) struct TokenLimits {
    limits: RateLimits,
    used: Cache<TokenId, Option<Arc<Use>>>,
    accounts: Cache<AccountId, Arc<Rates>>,
    of_token: Shares<TokenId>,
    of_account: Shares<AccountId>,
    in_flight: Gauge,
    waiting: Gauge,
}

/// The use of one token, with everything that was narrowed from it, and that of its account.
struct Use {
    token: Rates,
    account: Arc<Rates>,
}

struct Rates {
    reads: Limiter,
    writes: Limiter,
    polls: Limiter,
}

/// A bucket, and how much it holds.
struct Limiter {
    bucket: DefaultDirectRateLimiter,
    burst: u32,
}

/// A place among the requests in flight, given back when it is dropped.
#[derive(Default)]
pub(crate) struct Place {
    /// Whose use it is; `None` where nothing is limited.
    used: Option<Arc<Use>>,
    _permits: Option<[OwnedSemaphorePermit; 2]>,
    _counted: Option<Counted>,
}

impl TokenLimits {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            used: Cache::builder().max_capacity(COUNTED).time_to_live(COUNTED_FOR).build(),
            accounts: Cache::builder().max_capacity(COUNTED).time_to_live(COUNTED_FOR).build(),
            of_token: Shares::new(limits.in_flight),
            of_account: Shares::new(limits.in_flight * TOKENS as usize),
            in_flight: Gauge::default(),
            waiting: Gauge::default(),
        }
    }

    /// How many requests are in flight, and how many wait to be.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.in_flight.get(), self.waiting.get())
    }

    /// Count a request and wait for a place among those in flight, or say when to try again.
    pub(crate) async fn admit(
        &self,
        token: &VerifiedToken,
        bucket: Bucket,
        accounts: &dyn Accounts,
    ) -> Result<Place, ApiError> {
        let Some(used) = self.used_by(token, accounts).await? else {
            return Ok(Place { _counted: Some(self.in_flight.count()), ..Place::default() });
        };
        used.count(bucket, 1)?;
        let waiting = self.waiting.count();
        let permits = tokio::time::timeout(self.limits.wait, async {
            let token_permit = self.of_token.of(token.id()).acquire_owned().await.ok()?;
            Some([token_permit, self.of_account.of(token.account()).acquire_owned().await.ok()?])
        });
        let permits = permits.await.map_err(|_| self.too_many_in_flight())?;
        drop(waiting);
        Ok(Place { used: Some(used), _permits: permits, _counted: Some(self.in_flight.count()) })
    }

    fn too_many_in_flight(&self) -> ApiError {
        let (each, all) = (self.limits.in_flight, self.limits.in_flight * TOKENS as usize);
        too_many(format!(
            "the token has {each} requests in flight, or its account {all}, wait for some of them to be answered"
        ))
    }

    /// The use of a token; `None` if its account has no limits at all, as that of a development service.
    async fn used_by(&self, token: &VerifiedToken, accounts: &dyn Accounts) -> Result<Option<Arc<Use>>, ApiError> {
        if let Some(used) = self.used.get(&token.id()) {
            return Ok(used);
        }
        let account = timed("find_account", accounts.find_account(&token.account())).await?;
        let unlimited = account.is_some_and(|account| account.limits == Limits::UNLIMITED);
        let limits = self.limits;
        Ok(self.used.get_with(token.id(), || {
            let account = || self.accounts.get_with(token.account(), || Arc::new(Rates::new(limits, TOKENS)));
            (!unlimited).then(|| Arc::new(Use { token: Rates::new(limits, 1), account: account() }))
        }))
    }
}

impl Place {
    /// Count what a request costs beyond one of its kind, or say when to try again.
    pub(crate) fn charge(&self, bucket: Bucket, cost: u32) -> Result<(), ApiError> {
        self.used.as_ref().map_or(Ok(()), |used| used.count(bucket, cost))
    }
}

impl Use {
    fn count(&self, bucket: Bucket, cost: u32) -> Result<(), ApiError> {
        self.token.count(bucket, cost, "with this token")?;
        self.account.count(bucket, cost, "in this account")
    }
}

impl Rates {
    fn new(limits: RateLimits, times: u32) -> Self {
        let limiter = |rate: Rate| {
            let of = |number: u32| number.saturating_mul(times);
            let rate = Rate { per_second: of(rate.per_second), burst: of(rate.burst) };
            Limiter { bucket: limiter(rate), burst: rate.burst }
        };
        Self { reads: limiter(limits.reads), writes: limiter(limits.writes), polls: limiter(limits.polls) }
    }

    fn count(&self, bucket: Bucket, cost: u32, whose: &str) -> Result<(), ApiError> {
        let (limiter, what) = match bucket {
            Bucket::Reads => (&self.reads, "lists"),
            Bucket::Writes => (&self.writes, "changes"),
            Bucket::Polls => (&self.polls, "look-ups"),
        };
        // What costs more than a full bucket holds would never be answered.
        let affordable = if cost > 1 { cost.min(limiter.burst.saturating_sub(1)) } else { cost };
        let Some(cost) = NonZeroU32::new(affordable) else { return Ok(()) };
        check(&limiter.bucket, cost, &format!("{what} {whose}"))
    }
}

pub(crate) fn limiter(rate: Rate) -> DefaultDirectRateLimiter {
    let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct(Quota::per_second(at_least_one(rate.per_second)).allow_burst(at_least_one(rate.burst)))
}

/// Take from a bucket, or say when to try again.
pub(crate) fn check(bucket: &DefaultDirectRateLimiter, cost: NonZeroU32, what: &str) -> Result<(), ApiError> {
    let Ok(Err(early)) = bucket.check_n(cost) else { return Ok(()) };
    let wait = early.wait_time_from(DefaultClock::default().now());
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Err(too_many(format!("too many {what}, try again in {} s", seconds.max(1))).retry_after(seconds))
}

pub(crate) fn too_many(details: String) -> ApiError {
    ApiError::new(Reason::TooManyRequests, details)
}

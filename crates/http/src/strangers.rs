//! What one network may ask for before its token is known: a signature costs a hundred times what a known token does.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use governor::DefaultDirectRateLimiter;
use ipnet::IpNet;
use moka::sync::Cache;
use pinrail_spec::Reason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::client_address::ClientAddress;
use crate::error::ApiError;
use crate::limits::{COUNTED, COUNTED_FOR, check, limiter, too_many};
use crate::settings::RateLimits;
use crate::shares::Shares;

/// Tokens of one network that are verified, or wait for it, at the same time.
const FOR_EACH: usize = 8;

/// The requests of each network whose tokens are not known.
pub(crate) struct Strangers {
    limits: RateLimits,
    rates: Cache<IpNet, Arc<DefaultDirectRateLimiter>>,
    shares: Shares<IpNet>,
    verifying: Arc<Semaphore>,
}

/// A place among the tokens that are being verified.
pub(crate) struct Verifying {
    _place: Option<OwnedSemaphorePermit>,
    _share: Option<OwnedSemaphorePermit>,
}

impl Strangers {
    pub(crate) fn new(limits: RateLimits) -> Self {
        // Half of the processors, so that the others go on with what is known.
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            limits,
            rates: Cache::builder().max_capacity(COUNTED).time_to_idle(COUNTED_FOR).build(),
            shares: Shares::new(FOR_EACH),
            verifying: Arc::new(Semaphore::new((processors / 2).max(1))),
        }
    }

    /// Count a request without a known token, or say when to try again.
    pub(crate) fn count(&self, client: Option<ClientAddress>) -> Result<(), ApiError> {
        let Some(client) = client else { return Ok(()) };
        let rate = self.rates.get_with(client.network(), || Arc::new(limiter(self.limits.strangers)));
        check(&rate, NonZero::<u32>::MIN, "requests with tokens that are not known from this address")
    }

    /// Count a request with a token that is to be verified, and wait for a place to do so.
    pub(crate) async fn admit(&self, client: Option<ClientAddress>) -> Result<Verifying, ApiError> {
        self.count(client)?;
        let waiting = timeout(self.limits.wait, async {
            let share = match client {
                Some(client) => self.shares.of(client.network()).acquire_owned().await.ok(),
                None => None,
            };
            Verifying { _share: share, _place: Arc::clone(&self.verifying).acquire_owned().await.ok() }
        });
        waiting.await.map_err(|_| match client {
            Some(_) => {
                too_many("too many new tokens from this address at once, wait for some to be answered".to_owned())
            }
            None => ApiError::new(Reason::Unavailable, "too many new tokens at once, try again"),
        })
    }
}

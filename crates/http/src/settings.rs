//! What an operator can set about the HTTP service.

use std::time::Duration;

/// The largest body that is read, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// How requests are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A path such as `/psa` under which everything is found as well, for a proxy that does not cut it off.
    pub base_path: String,
    /// Whether origins in private networks are kept, for development.
    pub allow_private_origins: bool,
    /// Whether a list without a status filter shows only `pinned` ones even when a name is given.
    pub literal_status_filter: bool,
    /// Where pinning access is asked for: an address or a sentence, told with `PINNING_ACCESS_REQUIRED`.
    pub access_url: String,
    /// How much one token may ask for; `None` is no limit.
    pub rate_limits: Option<RateLimits>,
    /// Bytes of answers that are made or sent at the same time, a quarter of them for one account.
    pub answer_bytes: usize,
    /// Which web pages may call the API.
    pub cors: CorsOrigins,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long an answer may take to be made, the body's time not counted.
    pub answer_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_path: String::new(),
            allow_private_origins: false,
            literal_status_filter: false,
            access_url: "the operator of this service".to_owned(),
            rate_limits: Some(RateLimits::default()),
            answer_bytes: 256 << 20,
            cors: CorsOrigins::Any,
            body_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
        }
    }
}

/// Which web pages may call the API from a browser. Tokens come in a header and never in a cookie, so that a page
/// can do nothing but what its user gave it a token for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Any page.
    Any,
    /// Pages of these origins, such as `https://app.example.com`.
    These(Vec<String>),
}

/// A bucket that holds `burst` requests and is refilled at `per_second`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many requests a second in the long run, at least 1.
    pub per_second: u32,
    /// How many at once after a rest, at least 1.
    pub burst: u32,
}

/// How much one token, with all that was narrowed from it, may ask for; its account may ask for as much as four tokens.
///
/// A list costs more than one of its bucket if it looks for a part of a name or for pairs of meta, or is long.
///
/// Kubo asks page after page without a pause and gives up at the first 429, so the rates are generous: what protects
/// the service is the number in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Lists.
    pub reads: Rate,
    /// Adding, replacing and deleting.
    pub writes: Rate,
    /// `GET /pins/{requestid}`: a blocking `ipfs pin remote add` polls twice a second for each pin.
    pub polls: Rate,
    /// Requests of one address without a token, or with one that is not known yet and has to be verified.
    pub strangers: Rate,
    /// Requests at the same time, until their answers are sent; a further one waits.
    pub in_flight: usize,
    /// How long a further one waits before it is refused.
    pub wait: Duration,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            reads: Rate { per_second: 1_000, burst: 2_000 },
            writes: Rate { per_second: 200, burst: 1_000 },
            polls: Rate { per_second: 2_000, burst: 4_000 },
            strangers: Rate { per_second: 100, burst: 1_000 },
            in_flight: 64,
            wait: Duration::from_secs(1),
        }
    }
}

//! Every decision of Pinrail as a pure function: accounts, access tokens, authorization, limits, and the life of
//! a pin request and a root. No I/O, no clock, no randomness: the time and the dice are arguments.
//!
//! A service of your own can check the same tokens and the same access with this crate alone. It needs what Pinrail
//! keeps in its database: the service's id and public keys, and for every request the [`Standing`] of the token and
//! its account, with the record of the token, so that a revocation counts at once and a stolen key mints nothing.
//!
//! ```
//! use pinrail_domain::{Act, KeyRing, Refusal, ServiceId, Standing, TokenId, authorize_scope, verify};
//! use pinrail_domain::spec::{Reason, Timestamp};
//! # use pinrail_domain::{Access, AccountId, MintRequest, Role, Scopes, SigningKey, mint};
//! # let now = Timestamp::parse_floor("2026-11-23T05:00:00Z").unwrap();
//! # let service = ServiceId::new(now, [1; 10]);
//! # let (account, token) = (AccountId::new(now, [2; 10]), TokenId::new(now, [3; 10]));
//! # let key = SigningKey::new(1, [4; 32]);
//! # let public_keys = [key.public(now)];
//! # let minting =
//! #     MintRequest { service, account, token, name: "laptop".into(), scopes: Scopes::pins(), expires: None, created: now };
//! # let minted = mint(&minting, &key, [5; 32])?;
//! # let (bearer, record) = (minted.text, minted.record);
//! # let find_standing = |_: TokenId| {
//! #     let access = Some(Access { since: now, by: "operator".into(), until: None });
//! #     let role = Role::Pinner;
//! #     Standing { account, role, blocked: None, access, access_withdrawn: None, token: record, key_revoked: false }
//! # };
//!
//! // Once: the public keys of the service. A verified token may be cached for as long as these do not change.
//! let ring = KeyRing::new(&public_keys)?;
//!
//! // For each request: is this a token of ours, and may its account add a pin now?
//! let verified = verify(&bearer, &ring, service)?;
//! let standing = find_standing(verified.id());
//! authorize_scope(&verified, &standing, Act::Add, now)?;
//!
//! // A blocked account may not, whatever its token says.
//! let blocked = Standing { blocked: Some("spam".to_owned()), ..standing };
//! let refusal: Refusal = authorize_scope(&verified, &blocked, Act::Add, now).unwrap_err();
//! assert_eq!(refusal.reason(), Reason::AccountBlocked);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`authorize_scope`] judges what can be judged before the request is read; [`authorize`] does that and holds a
//! narrowed token against the pin that is meant.

mod account;
mod authorize;
mod describe;
mod error_chain;
mod failure;
mod fair_queue;
mod id;
mod judge;
mod lease;
mod life;
mod limits;
mod node;
mod origins;
mod pin_request;
mod root;
#[cfg(feature = "settings")]
pub mod settings;
mod size;
mod token;

/// The pinning API's own types, so that a service which embeds this crate names it alone.
pub use pinrail_spec as spec;

pub use account::{Access, Account, Role, Usage};
pub use authorize::{Act, NoAccess, Operation, Refusal, Standing, Subject, authorize, authorize_scope};
pub use describe::status_of;
pub use error_chain::chain;
pub use failure::{FailureReason, Missing, Phase, RootFailure};
pub use fair_queue::{FairQueue, WaitingAccount, most_for_one_account};
pub use id::{AccountId, LeaseToken, NodeId, RequestId, ServiceId, TokenId};
pub use judge::{Outcome, Policy, judge};
pub use lease::{Lease, LeaseKey, LeaseNews, LeaseTask, Verdict};
pub use life::{HELD_AFTER_FAILURE, LeaseLost, LeaseRecord, QueuePlace, RootRecord, Settled, Unwanted, Wanted};
pub use limits::{Admission, Claims, Limits, QuotaExceeded};
pub use node::{Backend, Node, SILENCE};
pub use origins::{MAX_REQUESTS_WITH_ORIGINS, take_origins_in_turns};
pub use pin_request::{NewPinRequest, PinPage, PinRequest, QueuePosition, carried_bytes};
pub use root::{BLOCK_OVERHEAD, DagSize, Progress, RootState, RootView};
pub use size::format_size;
pub use token::{
    AttenuateError, InspectedBlock, Inspection, KeyError, KeyRing, KeyState, MAX_TOKEN_BLOCKS, MAX_TOKEN_BYTES,
    MintError, MintRequest, MintedToken, Minter, NameRestriction, PublicKeyRecord, Restrictions, RevocationId, Scope,
    ScopeError, Scopes, SigningKey, TokenError, TokenRecord, VerifiedToken, attenuate, inspect, may_mint, mint, verify,
};

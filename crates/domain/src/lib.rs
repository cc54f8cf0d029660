//! Every decision of Pinrail as a pure function: accounts, access tokens, authorization, limits, and the life of
//! a pin request and a root. No I/O, no clock, no randomness: the time and the dice are arguments.

mod account;
mod authorize;
mod describe;
mod id;
mod judge;
mod lease;
mod limits;
mod node;
mod pin_request;
mod root;
mod token;

pub use account::{Access, Account, Role, Usage};
pub use authorize::{Act, Operation, Refusal, Standing, Subject, authorize, authorize_scope};
pub use describe::status_of;
pub use id::{AccountId, LeaseToken, NodeId, RequestId, ServiceId, TokenId};
pub use judge::{Outcome, Policy, judge};
pub use lease::{Lease, LeaseKey, LeaseNews, LeaseTask, Verdict};
pub use limits::{Limits, QuotaExceeded};
pub use node::{Backend, Node};
pub use pin_request::{NewPinRequest, PinPage, PinRequest, QueuePosition};
pub use root::{DagSize, Phase, Progress, RootFailure, RootState, RootView};
pub use token::{
    AttenuateError, InspectedBlock, Inspection, KeyError, KeyRing, KeyState, MAX_TOKEN_BLOCKS, MAX_TOKEN_BYTES,
    MintError, MintRequest, MintedToken, Minter, NameRestriction, PublicKeyRecord, Restrictions, RevocationId, Scope,
    ScopeError, Scopes, SigningKey, TokenError, TokenRecord, VerifiedToken, attenuate, inspect, may_mint, mint, verify,
};

//! Access tokens: biscuits signed with the service's Ed25519 keys, minted, verified, narrowed and inspected.
//!
//! The authority block (the first token block, the only one that the service signs) says
//! `pinrail(service, account, token)` (three UUIDs of 16 bytes) and `scope("…")` for each scope, and holds
//! `check if time($time), $time < date` if the token expires. Every further token block was appended by a holder,
//! offline, and can only narrow; what such a block may ask is held against an allow-list before anything of it is
//! evaluated.
//!
//! **Invariant:** biscuit-auth's types do not leave this module, and neither a clock nor randomness enters it. The one
//! exception is the stopwatch inside biscuit-auth's authorizer, which ends a run that takes too long.

mod allow;
mod attenuate;
mod authority;
mod error;
mod evaluate;
mod hex;
mod inspect;
mod key;
mod mint;
mod record;
mod scope;
mod verify;

pub use attenuate::{AttenuateError, NameRestriction, Restrictions, attenuate};
pub use error::TokenError;
pub(crate) use evaluate::{Denial, Facts};
pub use inspect::{InspectedBlock, Inspection, inspect};
pub use key::{KeyError, KeyRing, KeyState, PublicKeyRecord, SigningKey};
pub use mint::{MintError, MintRequest, MintedToken, Minter, may_mint, mint};
pub use record::{RevocationId, TokenRecord};
pub use scope::{Scope, ScopeError, Scopes};
pub use verify::{MAX_TOKEN_BLOCKS, MAX_TOKEN_BYTES, VerifiedToken, verify};

//! From a text to a token that is known to be ours, with everything that holders appended held against the allow-list.

use std::fmt;
use std::sync::Arc;

use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::error::FailedBlockCheck;
use biscuit_auth::{AuthorizerBuilder, Biscuit, UnverifiedBiscuit};

use pinrail_spec::Timestamp;

use super::allow::{self, Asked};
use super::authority::Authority;
use super::{KeyRing, RevocationId, Scopes, TokenError};
use crate::{AccountId, ServiceId, TokenId};

/// The longest text that is read as a token; the service's own have 400 to 500 characters.
pub const MAX_TOKEN_BYTES: usize = 4096;
/// The most blocks of a token: the service's own and four that holders appended.
pub const MAX_TOKEN_BLOCKS: usize = 5;

/// The bytes of an Ed25519 signature. Whoever has a signature of the other algorithm that Biscuit knows, ECDSA, can turn
/// it into a second one, and with that a block would have a second revocation id.
const SIGNATURE: usize = 64;

/// A token whose signatures and form were checked. Cheap to clone, and it may be cached for as long as the ring of
/// keys does not change: what may not be cached is its [`Standing`](crate::Standing).
#[derive(Clone)]
pub struct VerifiedToken(Arc<Parts>);

struct Parts {
    biscuit: Biscuit,
    authority: Authority,
    key_id: u32,
    revocation_ids: Vec<RevocationId>,
    /// Of each check of each block that was appended.
    asked: Vec<Vec<Asked>>,
}

/// Verify `text` as a token of `service`: its size, its signatures, whose it is, and that what holders appended is
/// within the allow-list. Nothing of it is evaluated, and no clock is asked: expiry is judged by
/// [`authorize`](crate::authorize).
pub fn verify(text: &str, ring: &KeyRing, service: ServiceId) -> Result<VerifiedToken, TokenError> {
    if text.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong(text.len()));
    }
    let unverified = UnverifiedBiscuit::from_base64(text).map_err(|_| TokenError::Malformed)?;
    // Before the signatures: each block costs one to verify.
    if unverified.block_count() > MAX_TOKEN_BLOCKS {
        return Err(TokenError::TooManyBlocks(unverified.block_count()));
    }
    let (key_id, key) = ring.find(unverified.root_key_id())?;
    let biscuit = unverified.verify(key).map_err(|_| TokenError::Signature)?;
    let (authority, asked) = read_blocks(&biscuit)?;
    if authority.service != service {
        return Err(TokenError::OtherService);
    }
    let revocation_ids: Vec<_> = biscuit.revocation_identifiers().into_iter().map(RevocationId::from_bytes).collect();
    if revocation_ids.iter().any(|id| id.as_bytes().len() != SIGNATURE) {
        return Err(TokenError::Algorithm);
    }
    Ok(VerifiedToken(Arc::new(Parts { biscuit, authority, key_id, revocation_ids, asked })))
}

fn read_blocks(biscuit: &Biscuit) -> Result<(Authority, Vec<Vec<Asked>>), TokenError> {
    let authorizer = AuthorizerBuilder::new().build(biscuit).map_err(|_| TokenError::UnknownForm)?;
    let world = authorizer.snapshot().map_err(|_| TokenError::UnknownForm)?.world;
    let symbols = SymbolTable::from(world.symbols).map_err(|_| TokenError::UnknownForm)?;
    let [first, appended @ ..] = world.blocks.as_slice() else { return Err(TokenError::UnknownForm) };
    let by_block = appended.iter().enumerate().map(|(index, block)| {
        allow::check_block(block, &symbols).map_err(|why| TokenError::Narrowing { block: index + 1, why })
    });
    let asked = by_block.collect::<Result<_, _>>()?;
    Ok((Authority::read(first, &symbols)?, asked))
}

impl VerifiedToken {
    /// Whose token it is.
    pub fn account(&self) -> AccountId {
        self.0.authority.account
    }

    /// Its identifier, shared with everything narrowed from it.
    pub fn id(&self) -> TokenId {
        self.0.authority.token
    }

    /// What it allowed when it was minted; narrowing may leave less.
    pub fn scopes(&self) -> &Scopes {
        &self.0.authority.scopes
    }

    /// When it ends, if it was minted so; narrowing may end it earlier.
    pub fn expires(&self) -> Option<Timestamp> {
        self.0.authority.expires
    }

    /// Whether a holder appended anything to it.
    pub fn is_narrowed(&self) -> bool {
        self.0.revocation_ids.len() > 1
    }

    /// The id of the key that signed it.
    pub fn key_id(&self) -> u32 {
        self.0.key_id
    }

    /// The revocation ids of its blocks: the first covers its whole family, each further one what was narrowed from
    /// that block on.
    pub fn revocation_ids(&self) -> &[RevocationId] {
        &self.0.revocation_ids
    }

    pub(super) fn biscuit(&self) -> &Biscuit {
        &self.0.biscuit
    }

    /// Whether a check that was appended asks for the pin's name, and for its CID.
    pub(crate) fn asks_for(&self) -> (bool, bool) {
        let checks = || self.0.asked.iter().flatten();
        (checks().any(|asked| asked.name), checks().any(|asked| asked.cid))
    }

    /// Whether this check asks for the pin's name or CID.
    pub(super) fn is_about_pin(&self, check: &FailedBlockCheck) -> bool {
        let place = |number: u32| usize::try_from(number).ok();
        let block = place(check.block_id).and_then(|block| self.0.asked.get(block.checked_sub(1)?));
        let asked = block.and_then(|block| block.get(place(check.check_id)?));
        asked.is_some_and(|asked| asked.name || asked.cid)
    }
}

/// Names the token without its text, which whoever reads a log could use.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = formatter.debug_struct("VerifiedToken");
        parts.field("id", &self.id()).field("account", &self.account()).finish_non_exhaustive()
    }
}

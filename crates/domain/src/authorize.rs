//! Who may do what: a verified token, where its account stands, and the operation.
//!
//! The order of judgement is 401, the scope's 403, (400 for the request), the narrowed token's 403, (404, 409):
//! [`authorize_scope`] answers the first two before the request is read, [`authorize`] all of them once it is known
//! which pin is meant.

use thiserror::Error;

use pinrail_spec::{Cid, Failure, Match, Pin, PinFilter, Reason, RootKey, Timestamp};

use crate::token::{Denial, Facts};
use crate::{Access, AccountId, Role, Scope, TokenError, TokenRecord, VerifiedToken};

/// Where a token and its account stand, looked up for every request: it may not be older than the database's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The account that was looked up.
    pub account: AccountId,
    /// What it may do beyond its own pins.
    pub role: Role,
    /// Why it is blocked, if it is.
    pub blocked: Option<String>,
    /// The grant by which it may pin, if it has one.
    pub access: Option<Access>,
    /// When its access was withdrawn, if none was granted since.
    pub access_withdrawn: Option<Timestamp>,
    /// The record of the token: one that is signed well and differs from it was not minted by the service.
    pub token: TokenRecord,
    /// Whether the key that signed the token was revoked.
    pub key_revoked: bool,
}

impl Standing {
    /// Whether the token was revoked with everything narrowed from it, or the key that signed it.
    pub const fn is_revoked(&self) -> bool {
        self.key_revoked || self.token.revoked.is_some()
    }

    /// Whether both the token and its record have this scope.
    pub(crate) fn allows(&self, token: &VerifiedToken, scope: Scope) -> bool {
        token.scopes().contains(scope) && self.token.scopes.contains(scope)
    }

    /// The end of the token or of its record, whichever comes first.
    pub(crate) fn end_of(&self, token: &VerifiedToken) -> Option<Timestamp> {
        token.expires().into_iter().chain(self.token.expires).min()
    }
}

/// The kinds of operation, judged before the request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// List pins or read one.
    Read,
    /// Add a pin.
    Add,
    /// Replace a pin: by the specification a shortcut for removing one and adding another, so it takes both scopes.
    Replace,
    /// Delete a pin.
    Delete,
    /// Mint, list and revoke tokens.
    ManageTokens,
    /// Administer the service.
    Administer,
}

impl Act {
    /// The scopes that it takes.
    pub const fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Read => &[Scope::PinsRead],
            Self::Add => &[Scope::PinsWrite],
            Self::Replace => &[Scope::PinsWrite, Scope::PinsDelete],
            Self::Delete => &[Scope::PinsDelete],
            Self::ManageTokens => &[Scope::Tokens],
            Self::Administer => &[Scope::Admin],
        }
    }
}

/// A pin as narrowing sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Its name, if it has one.
    pub name: Option<&'a str>,
    /// Its CID.
    pub cid: &'a Cid,
}

impl<'a> From<&'a Pin> for Subject<'a> {
    fn from(pin: &'a Pin) -> Self {
        Self { name: pin.name.as_deref(), cid: &pin.cid }
    }
}

/// What is to be done, with all that narrowing may ask of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Read one pin.
    Read(Subject<'a>),
    /// List pins.
    List {
        /// The name that they all have, if the list is by one exact name.
        name: Option<&'a str>,
        /// The root that they all have, if the list is by a single CID.
        root: Option<&'a RootKey>,
    },
    /// Add a pin.
    Add(Subject<'a>),
    /// Replace a pin.
    Replace {
        /// The one that goes.
        old: Subject<'a>,
        /// The one that comes.
        new: Subject<'a>,
    },
    /// Delete a pin.
    Delete(Subject<'a>),
    /// Read, replace or delete a pin that turned out not to be there, judged before saying so.
    Absent(Act),
    /// Mint, list and revoke tokens.
    ManageTokens,
    /// Administer the service.
    Administer,
}

impl<'a> Operation<'a> {
    /// The list that a filter asks for.
    pub fn list(filter: &'a PinFilter) -> Self {
        let exact = filter.name.as_ref().filter(|name| name.matching == Match::Exact);
        let single = if let [root] = filter.roots.as_slice() { Some(root) } else { None };
        Self::List { name: exact.map(|name| name.text.as_str()), root: single }
    }

    /// Its kind.
    const fn act(&self) -> Act {
        match self {
            Self::Read(_) | Self::List { .. } => Act::Read,
            Self::Add(_) => Act::Add,
            Self::Replace { .. } => Act::Replace,
            Self::Delete(_) => Act::Delete,
            Self::Absent(act) => *act,
            Self::ManageTokens => Act::ManageTokens,
            Self::Administer => Act::Administer,
        }
    }
}

/// Why an account has no pinning access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAccess {
    /// It was never granted any.
    NotYet,
    /// Its access ended then, as it was granted.
    Ended(Timestamp),
    /// Its access was withdrawn then.
    Withdrawn(Timestamp),
}

/// Why an operation is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// 401: no token, or one that is not valid.
    #[error("{0}")]
    Unauthorized(String),
    /// 403: the token does not allow this.
    #[error("{0}")]
    Forbidden(String),
    /// 403: the account may not pin, or no longer.
    #[error("the account has no pinning access")]
    PinningAccessRequired(NoAccess),
    /// 403: the account is blocked.
    #[error("the account is blocked: {why}")]
    AccountBlocked {
        /// Why.
        why: String,
    },
    /// 503: the token could not be judged in time.
    #[error("the token could not be judged in time, try again")]
    Unavailable,
}

impl Refusal {
    /// Refuses a token without a record, and in the same words one that its record contradicts.
    pub fn unknown_token() -> Self {
        Self::Unauthorized("the token is not known, or not any more".to_owned())
    }

    /// Its kind on the wire.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Unauthorized(_) => Reason::Unauthorized,
            Self::Forbidden(_) => Reason::Forbidden,
            Self::PinningAccessRequired(_) => Reason::PinningAccessRequired,
            Self::AccountBlocked { .. } => Reason::AccountBlocked,
            Self::Unavailable => Reason::Unavailable,
        }
    }

    /// What the client is told; `ask_at` is the place where pinning access can be asked for.
    pub fn failure(&self, ask_at: &str) -> Failure {
        let details = match self {
            Self::PinningAccessRequired(NoAccess::NotYet) => {
                format!("this account has no pinning access yet, where to ask for it: {ask_at}")
            }
            Self::PinningAccessRequired(NoAccess::Ended(ended)) => {
                format!("the pinning access of this account ended at {ended}, where to ask for it again: {ask_at}")
            }
            Self::PinningAccessRequired(NoAccess::Withdrawn(at)) => {
                format!("the pinning access of this account was withdrawn at {at}, where to ask about it: {ask_at}")
            }
            other => other.to_string(),
        };
        Failure::new(self.reason(), details)
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::Unauthorized(error.to_string())
    }
}

/// Judge all that can be judged before the request is read: that the token is good (401), its scopes, and whether the
/// account may do such a thing at all (403).
///
/// An account without pinning access reads and deletes, and so may empty itself. A blocked one only reads: what it has
/// is evidence. Blocked wins over missing access, which asking would not help.
pub fn authorize_scope(token: &VerifiedToken, standing: &Standing, act: Act, now: Timestamp) -> Result<(), Refusal> {
    check_token(token, standing, now)?;
    if let Some(scope) = act.scopes().iter().find(|scope| !standing.allows(token, **scope)) {
        return Err(Refusal::Forbidden(format!("this takes the scope {scope}, which the token does not have")));
    }
    if matches!(act, Act::ManageTokens | Act::Administer) && token.is_narrowed() {
        return Err(Refusal::Forbidden("this takes a token that was never narrowed".to_owned()));
    }
    if act == Act::Administer && standing.role != Role::Administrator {
        return Err(Refusal::Forbidden("this takes an account with the role administrator".to_owned()));
    }
    check_account(standing, act, now)
}

/// Judge an operation once all that narrowing may ask of it is known. It judges all that [`authorize_scope`] does
/// again, so that calling it alone is safe.
pub fn authorize(
    token: &VerifiedToken,
    standing: &Standing,
    operation: &Operation<'_>,
    now: Timestamp,
) -> Result<(), Refusal> {
    authorize_scope(token, standing, operation.act(), now)?;
    let allows = |facts: &Facts<'_>| token.allows(facts, now).map_err(|denial| refuse(token, facts, denial));
    match operation {
        Operation::Read(pin) => allows(&about(Scope::PinsRead, pin)),
        Operation::List { name, root } => allows(&Facts {
            operation: Scope::PinsRead,
            name: *name,
            cid: root.and_then(|root| root.to_cid().ok()).map(|cid| cid.to_string()),
        }),
        Operation::Add(pin) => allows(&about(Scope::PinsWrite, pin)),
        Operation::Replace { old, new } => {
            allows(&about(Scope::PinsDelete, old)).and_then(|()| allows(&about(Scope::PinsWrite, new)))
        }
        Operation::Delete(pin) => allows(&about(Scope::PinsDelete, pin)),
        Operation::Absent(act) => act.scopes().iter().try_for_each(|scope| allow_absent(token, *scope, now)),
        Operation::ManageTokens | Operation::Administer => Ok(()),
    }
}

/// A check that asks for a name or a CID is given the benefit of the doubt: there is no pin to ask about, and the answer
/// will be 404.
fn allow_absent(token: &VerifiedToken, operation: Scope, now: Timestamp) -> Result<(), Refusal> {
    let facts = Facts { operation, name: None, cid: None };
    match token.allows(&facts, now) {
        Err(Denial::Check { about_pin: true, .. }) => Ok(()),
        answer => answer.map_err(|denial| refuse(token, &facts, denial)),
    }
}

fn check_token(token: &VerifiedToken, standing: &Standing, now: Timestamp) -> Result<(), Refusal> {
    let refuse = |details: &str| Err(Refusal::Unauthorized(details.to_owned()));
    if !is_of(token, standing) {
        return Err(Refusal::unknown_token());
    }
    let is_block_revoked = token.revocation_ids().iter().any(|id| standing.token.revoked_blocks.contains(id));
    if standing.is_revoked() || is_block_revoked {
        return refuse("the token was revoked");
    }
    match standing.end_of(token) {
        Some(end) if now >= end => refuse("the token has expired, mint a new one"),
        _ => Ok(()),
    }
}

/// Whether this is the very token that was recorded when it was minted, or was narrowed from it: a key that was stolen
/// signs others, and none with the same signature.
fn is_of(token: &VerifiedToken, standing: &Standing) -> bool {
    let record = &standing.token;
    let is_known = (standing.account, record.account, record.id) == (token.account(), token.account(), token.id());
    is_known && record.key_id == token.key_id() && token.revocation_ids().first() == Some(&record.revocation_id)
}

fn check_account(standing: &Standing, act: Act, now: Timestamp) -> Result<(), Refusal> {
    match &standing.blocked {
        Some(why) if act != Act::Read => return Err(Refusal::AccountBlocked { why: why.clone() }),
        _ => {}
    }
    if !matches!(act, Act::Add | Act::Replace) {
        return Ok(());
    }
    let lacks = match (&standing.access, standing.access_withdrawn) {
        (Some(access), _) => access.until.filter(|until| now >= *until).map(NoAccess::Ended),
        (None, Some(withdrawn)) => Some(NoAccess::Withdrawn(withdrawn)),
        (None, None) => Some(NoAccess::NotYet),
    };
    lacks.map_or(Ok(()), |why| Err(Refusal::PinningAccessRequired(why)))
}

fn about<'a>(operation: Scope, pin: &Subject<'a>) -> Facts<'a> {
    Facts { operation, name: Some(pin.name.unwrap_or_default()), cid: Some(pin.cid.to_v1_base32()) }
}

/// Say which check failed, and which filter a list lacks for the token to allow it.
fn refuse(token: &VerifiedToken, facts: &Facts<'_>, denial: Denial) -> Refusal {
    let Denial::Check { source: failed, about_pin } = denial else { return Refusal::Unavailable };
    let (asks_name, asks_cid) = token.asks_for();
    let lacks_name = about_pin && asks_name && facts.name.is_none();
    let lacks_cid = about_pin && asks_cid && facts.cid.is_none();
    let way_out = match (lacks_name, lacks_cid) {
        (true, true) => ", add the filters name=… (exact) and cid=… (a single one)",
        (true, false) => ", add the filter name=… (exact)",
        (false, true) => ", add the filter cid=… (a single one)",
        (false, false) => "",
    };
    let failed = failed.map(|check| format!(": {}", shorten(&check))).unwrap_or_default();
    Refusal::Forbidden(format!("the token is narrowed and does not allow this{way_out}{failed}"))
}

/// The most of a failed check that is shown, in characters.
const SHOWN: usize = 200;

fn shorten(check: &str) -> String {
    match check.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &check[..end]),
        None => check.to_owned(),
    }
}

//! The authority block: what the service itself says in a token, read over its parsed form.

use std::str::FromStr;

use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::format::schema::{self, term::Content};

use pinrail_spec::Timestamp;

use super::{Scope, Scopes, TokenError};
use crate::{AccountId, ServiceId, TokenId};

/// What the authority block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub service: ServiceId,
    pub account: AccountId,
    pub token: TokenId,
    pub scopes: Scopes,
    pub expires: Option<Timestamp>,
}

impl Authority {
    /// Read the facts of `block`; anything that this version does not mint is an error, since it could mean less
    /// than it seems to.
    pub(super) fn read(block: &schema::SnapshotBlock, symbols: &SymbolTable) -> Result<Self, TokenError> {
        let mut found = Found::default();
        for fact in &block.facts {
            found.take(&fact.predicate, symbols).ok_or(TokenError::UnknownForm)?;
        }
        let expiry_checks = usize::from(found.expires.is_some());
        let known = block.rules.is_empty() && block.scope.is_empty() && block.checks.len() == expiry_checks;
        let authority = found.complete().filter(|_| known);
        authority.ok_or(TokenError::UnknownForm)
    }
}

/// The facts found so far, each at most once.
#[derive(Default)]
struct Found {
    service: Option<ServiceId>,
    account: Option<AccountId>,
    token: Option<TokenId>,
    scopes: Vec<Scope>,
    expires: Option<Timestamp>,
}

impl Found {
    fn take(&mut self, fact: &schema::Predicate, symbols: &SymbolTable) -> Option<()> {
        let [term] = fact.terms.as_slice() else { return None };
        match (symbols.get_symbol(fact.name)?, term.content.as_ref()?) {
            ("service", content) => once(&mut self.service, read(content, symbols)),
            ("account", content) => once(&mut self.account, read(content, symbols)),
            ("token", content) => once(&mut self.token, read(content, symbols)),
            ("scope", content) => read(content, symbols).map(|scope| self.scopes.push(scope)),
            ("expires", Content::Date(seconds)) => once(&mut self.expires, from_seconds(*seconds)),
            _ => None,
        }
    }

    fn complete(self) -> Option<Authority> {
        Some(Authority {
            service: self.service?,
            account: self.account?,
            token: self.token?,
            scopes: self.scopes.into_iter().collect(),
            expires: self.expires,
        })
    }
}

fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = value;
    slot.is_some().then_some(())
}

fn read<T: FromStr>(content: &Content, symbols: &SymbolTable) -> Option<T> {
    let Content::String(index) = content else { return None };
    symbols.get_symbol(*index)?.parse().ok()
}

fn from_seconds(seconds: u64) -> Option<Timestamp> {
    i64::try_from(seconds).ok()?.checked_mul(1000).map(Timestamp::from_millis)
}

//! What a token allows at all, before any narrowing.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One thing that a token may allow; narrowing names it as the fact `operation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// List pins and read one.
    #[serde(rename = "pins:read")]
    PinsRead,
    /// Add pins; replacing one takes [`Scope::PinsDelete`] as well.
    #[serde(rename = "pins:write")]
    PinsWrite,
    /// Delete pins.
    #[serde(rename = "pins:delete")]
    PinsDelete,
    /// Mint, list and revoke the account's tokens.
    #[serde(rename = "tokens")]
    Tokens,
    /// Administer the service; counts only while the account has the role.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::PinsRead, Self::PinsWrite, Self::PinsDelete, Self::Tokens, Self::Admin];

    /// Its word in tokens, on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PinsRead => "pins:read",
            Self::PinsWrite => "pins:write",
            Self::PinsDelete => "pins:delete",
            Self::Tokens => "tokens",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Not the name of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown scope {0:?}, wanted pins:read, pins:write, pins:delete, tokens or admin")]
pub struct ScopeError(pub String);

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| ScopeError(text.to_owned()))
    }
}

/// A set of scopes, written as a comma-separated list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// What a token for `ipfs pin remote` needs: read, write and delete pins.
    pub fn pins() -> Self {
        Self::from_iter([Scope::PinsRead, Scope::PinsWrite, Scope::PinsDelete])
    }

    /// Whether `scope` is among them.
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of [`Scope::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            formatter.write_str(if index == 0 { "" } else { "," })?;
            formatter.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(Scope::from_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Scopes};

    #[test]
    fn a_list_reads_back_as_it_was_written() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert_eq!(Scopes::pins().to_string(), "pins:read,pins:write,pins:delete");
        assert_eq!("pins:delete, pins:read,,pins:write".parse(), Ok(Scopes::pins()));
        assert_eq!("pins:reed".parse::<Scopes>().unwrap_err().0, "pins:reed");
    }
}

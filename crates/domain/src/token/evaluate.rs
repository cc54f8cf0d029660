//! Asking a narrowed token: the facts of an operation against the checks that holders appended.

use std::sync::LazyLock;
use std::time::Duration;

use biscuit_auth::builder::{Fact, Term, fact, string};
use biscuit_auth::error::{FailedBlockCheck, FailedCheck};
use biscuit_auth::macros::policy;
use biscuit_auth::{AuthorizerBuilder, AuthorizerLimits, error};

use pinrail_spec::Timestamp;

use super::{Scope, VerifiedToken};

/// How long one run may take. The allow-list bounds the work to some microseconds, so only a machine that is out of
/// breath gets here; the library's own limit of 1 ms failed one good request in 500.
const MAX_TIME: Duration = Duration::from_secs(1);

static ALLOW: LazyLock<AuthorizerBuilder> = LazyLock::new(|| {
    let limits = AuthorizerLimits { max_time: MAX_TIME, ..AuthorizerLimits::default() };
    let builder = AuthorizerBuilder::new().set_limits(limits);
    builder.policy(policy!("allow if true")).expect("a policy without parameters is complete")
});

/// What a check may ask of an operation on one pin, beside the time and the token's own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    /// `operation`, named as the scope that it takes.
    pub operation: Scope,
    /// `pin_name`; the empty name for a pin without one, absent for a list that is not by one exact name.
    pub name: Option<&'a str>,
    /// `pin_cid`, version 1 in base32; absent for a list that is not by a single CID.
    pub cid: Option<String>,
}

/// Why a narrowed token does not allow an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denial {
    /// A check failed or could not be evaluated.
    Check {
        /// It as the holder wrote it, if known; of several one that no pin could meet, if there is such a one.
        source: Option<String>,
        /// Whether all that failed ask for the pin's name or CID.
        about_pin: bool,
    },
    /// The run took too long.
    Timeout,
}

impl Denial {
    const UNKNOWN: Self = Self::Check { source: None, about_pin: false };
}

impl VerifiedToken {
    /// Whether everything that holders appended allows the operation at `now`.
    pub(crate) fn allows(&self, facts: &Facts<'_>, now: Timestamp) -> Result<(), Denial> {
        if !self.is_narrowed() {
            return Ok(());
        }
        let mut builder = ALLOW.clone();
        let account = fact("account", &[string(&self.account().to_string())]);
        for fact in facts.to_biscuit(now).into_iter().chain([account]) {
            builder = builder.fact(fact).map_err(|_| Denial::UNKNOWN)?;
        }
        let mut authorizer = builder.build(self.biscuit()).map_err(|_| Denial::UNKNOWN)?;
        read_answer(authorizer.authorize(), |check| self.is_about_pin(check))
    }
}

fn read_answer(
    answer: Result<usize, error::Token>,
    is_about_pin: impl Fn(&FailedBlockCheck) -> bool,
) -> Result<(), Denial> {
    match answer {
        Ok(_) => Ok(()),
        Err(error::Token::RunLimit(_)) => Err(Denial::Timeout),
        Err(error::Token::FailedLogic(logic)) => Err(denial(&logic, is_about_pin)),
        Err(_) => Err(Denial::UNKNOWN),
    }
}

fn denial(logic: &error::Logic, is_about_pin: impl Fn(&FailedBlockCheck) -> bool) -> Denial {
    let (error::Logic::Unauthorized { checks, .. } | error::Logic::NoMatchingPolicy { checks }) = logic else {
        return Denial::UNKNOWN;
    };
    let failed = checks.iter().filter_map(|check| match check {
        FailedCheck::Block(check) => Some(check),
        FailedCheck::Authorizer(_) => None,
    });
    let hopeless = failed.clone().find(|check| !is_about_pin(check));
    let Some(shown) = hopeless.or_else(|| failed.clone().next()) else { return Denial::UNKNOWN };
    Denial::Check { source: Some(shown.rule.clone()), about_pin: hopeless.is_none() }
}

impl Facts<'_> {
    fn to_biscuit(&self, now: Timestamp) -> Vec<Fact> {
        let seconds = u64::try_from(now.as_millis() / 1000).unwrap_or(0);
        let mut facts =
            vec![fact("operation", &[string(self.operation.as_str())]), fact("time", &[Term::Date(seconds)])];
        facts.extend(self.name.map(|name| fact("pin_name", &[string(name)])));
        facts.extend(self.cid.as_ref().map(|cid| fact("pin_cid", &[string(cid)])));
        facts
    }
}

#[cfg(test)]
mod tests {
    use biscuit_auth::error::{Expression, RunLimit, Token};

    use super::{Denial, read_answer};

    #[test]
    fn only_a_run_that_took_too_long_is_not_the_token_s_fault() {
        let read = |answer| read_answer(answer, |_| false);
        assert_eq!(read(Ok(0)), Ok(()));
        assert_eq!(read(Err(Token::RunLimit(RunLimit::Timeout))), Err(Denial::Timeout));
        assert_eq!(read(Err(Token::Execution(Expression::InvalidType))), Err(Denial::UNKNOWN));
    }
}

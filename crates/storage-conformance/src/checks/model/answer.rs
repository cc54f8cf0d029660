//! What a storage answers, as it is compared: whole and structurally, a refusal by its kind.

use pinrail_domain::{
    Account, AccountId, LeaseNews, LeaseTask, Node, PinPage, PinRequest, PublicKeyRecord, QuotaExceeded, Standing,
    TokenRecord,
};
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::StorageError;

/// What an operation came to.
pub type Outcome = Result<Answer, Refusal>;

/// An answer, by what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done, or there was nothing that it could be done to.
    Done,
    Flag(bool),
    Count(usize),
    Account(Option<Box<Account>>),
    Accounts(Vec<Account>),
    Request(Option<Box<PinRequest>>),
    Page(PinPage),
    Token(Option<TokenRecord>),
    Tokens(Vec<TokenRecord>),
    Standing(Option<Standing>),
    Keys(Vec<PublicKeyRecord>),
    Nodes(Vec<Node>),
    Roots(Vec<RootKey>),
    Leases(Vec<Taken>),
    Standings(Vec<bool>),
    News(Vec<LeaseNews>),
    Settled(Vec<Result<(), Refusal>>),
}

/// A lease without its token, which is random.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub root: RootKey,
    pub epoch: u64,
    pub task: LeaseTask,
    pub account: Option<AccountId>,
    pub attempt: u32,
    pub wanted_since: Timestamp,
    pub until: Timestamp,
}

/// A refusal without its words, but for those of a limit, which are numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    LeaseLost,
    Conflict,
    Missing,
    Quota(QuotaExceeded),
    NoNode,
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::LeaseLost => Self::LeaseLost,
            StorageError::Conflict(_) => Self::Conflict,
            StorageError::Missing(_) => Self::Missing,
            StorageError::Quota(exceeded) => Self::Quota(exceeded),
            StorageError::NoNode => Self::NoNode,
            StorageError::Busy(_) | StorageError::Full(_) | StorageError::Unavailable(_) | StorageError::Corrupt(_) => {
                panic!("nothing was done to the storage: {error}")
            }
        }
    }
}

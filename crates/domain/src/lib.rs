//! Every decision of Pinrail as a pure function: accounts, access tokens, authorization, limits, and the life of
//! a pin request and a root. No I/O, no clock, no randomness: the time and the dice are arguments.

mod account;
mod id;
mod lease;
mod limits;
mod node;
mod pin_request;
mod root;

pub use account::{Access, Account, Role, Usage};
pub use id::{AccountId, LeaseToken, NodeId, RequestId, ServiceId, TokenId};
pub use lease::{Lease, LeaseKey, LeaseNews, LeaseTask, Verdict};
pub use limits::{Limits, QuotaExceeded};
pub use node::{Backend, Node};
pub use pin_request::{NewPinRequest, PinPage, PinRequest, QueuePosition};
pub use root::{DagSize, Phase, Progress, RootFailure, RootState, RootView};

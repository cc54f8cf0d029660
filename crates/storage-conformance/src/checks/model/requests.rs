//! Operations on pin requests: what the Pinning Service API asks for.

use pinrail_domain::{AccountId, NewPinRequest, PinRequest, RequestId, TokenId};
use pinrail_spec::{Pin, PinFilter, Timestamp};
use pinrail_storage::Storage;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Strategy, prop_oneof};
use uuid::Uuid;

use super::answer::{Answer, Outcome};
use super::client::{Client, Known, Moments, Pick, any_pick};
use super::values::{Bound, any_bound, any_filter, any_pin};

#[derive(Debug, Clone)]
pub enum RequestOperation {
    Add {
        account: Pick,
        pin: Pin,
        same_id: Option<Pick>,
    },
    /// `by` is another account that asks for it, which must not come to know of it.
    Replace {
        request: Pick,
        by: Option<Pick>,
        pin: Pin,
        same_id: Option<Pick>,
    },
    Remove {
        request: Pick,
        by: Option<Pick>,
    },
    Find {
        request: Pick,
        by: Option<Pick>,
    },
    List {
        account: Pick,
        filter: PinFilter,
        before: Option<Bound>,
        after: Option<Bound>,
    },
}

/// Pins that come and go, and looks at them.
pub fn any_request_operation() -> BoxedStrategy<RequestOperation> {
    use RequestOperation::{Add, Find, List, Remove, Replace};
    let rarely = || option::weighted(0.05, any_pick());
    prop_oneof![
        8 => (any_pick(), any_pin(), option::weighted(0.02, any_pick()))
            .prop_map(|(account, pin, same_id)| Add { account, pin, same_id }),
        4 => (any_pick(), rarely(), any_pin(), option::weighted(0.02, any_pick()))
            .prop_map(|(request, by, pin, same_id)| Replace { request, by, pin, same_id }),
        5 => (any_pick(), rarely()).prop_map(|(request, by)| Remove { request, by }),
        4 => (any_pick(), rarely()).prop_map(|(request, by)| Find { request, by }),
        6 => (any_pick(), any_filter(), any_bound(), any_bound())
            .prop_map(|(account, filter, before, after)| List { account, filter, before, after }),
    ]
    .boxed()
}

impl RequestOperation {
    pub async fn take(&self, client: &mut Client, storage: &dyn Storage, moments: Moments) -> Outcome {
        let now = moments.now;
        match self {
            Self::Add { account, pin, same_id } => {
                let account = client.account(*account);
                let request = new_request(client, account, pin, *same_id, now);
                let added = storage.add_pin_request(&request, now).await?;
                Ok(remember(client, added))
            }
            Self::Replace { request, by, pin, same_id } => {
                let (old, account) = asked(client, *request, *by);
                let request = new_request(client, account, pin, *same_id, now);
                match storage.replace_pin_request(&old.id, &request, now).await? {
                    Some(added) => Ok(remember(client, added)),
                    None => Ok(Answer::Request(None)),
                }
            }
            Self::Remove { request, by } => {
                let (request, account) = asked(client, *request, *by);
                Ok(Answer::Flag(storage.remove_pin_request(&account, &request.id, now).await?))
            }
            Self::Find { request, by } => {
                let (request, account) = asked(client, *request, *by);
                let found = storage.find_pin_request(&account, &request.id, now).await?;
                Ok(Answer::Request(found.map(Box::new)))
            }
            Self::List { account, filter, before, after } => {
                let filter = PinFilter {
                    before: bound(client, before.as_ref()),
                    after: bound(client, after.as_ref()),
                    ..filter.clone()
                };
                Ok(Answer::Page(storage.list_pin_requests(&client.account(*account), &filter, now).await?))
            }
        }
    }
}

/// A request, and the account that asks about it.
fn asked(client: &Client, request: Pick, by: Option<Pick>) -> (Known, AccountId) {
    let request = client.request(request);
    (request, by.map_or(request.account, |by| client.account(by)))
}

fn bound(client: &Client, bound: Option<&Bound>) -> Option<Timestamp> {
    let (request, beside) = bound?;
    client.created(*request).map(|created| Timestamp::from_millis(created.as_millis() + beside))
}

fn new_request(
    client: &mut Client,
    account: AccountId,
    pin: &Pin,
    same_id: Option<Pick>,
    now: Timestamp,
) -> NewPinRequest {
    let unique = client.unique();
    let id = same_id.map_or_else(|| RequestId::new(now, unique), |pick| client.request(pick).id);
    NewPinRequest { id, account, token: TokenId::from_uuid(Uuid::from_u128(1)), pin: pin.clone() }
}

fn remember(client: &mut Client, request: PinRequest) -> Answer {
    client.requests.push(Known { account: request.account, id: request.id, created: request.created });
    Answer::Request(Some(Box::new(request)))
}

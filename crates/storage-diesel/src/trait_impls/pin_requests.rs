//! Pin requests: which of their steps write, and which reads may take long. Compiled for each database.

use async_trait::async_trait;
use pinrail_domain::{AccountId, NewPinRequest, PinPage, PinRequest, RequestId};
use pinrail_spec::{Match, NameFilter, PinFilter, Timestamp};
use pinrail_storage::{PinRequests, StorageError};

use super::Store;
use super::queries::{pin_lists, pin_requests};

#[async_trait]
impl PinRequests for Store {
    async fn add_pin_request(&self, request: &NewPinRequest, now: Timestamp) -> Result<PinRequest, StorageError> {
        self.add(request.clone(), now).await
    }

    async fn replace_pin_request(
        &self,
        old: &RequestId,
        request: &NewPinRequest,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError> {
        let old = *old;
        let request = request.clone();
        self.change(request.account, now, move |conn| {
            Box::pin(async move { pin_requests::replace_pin_request(conn, &old, &request, now).await })
        })
        .await
    }

    async fn remove_pin_request(
        &self,
        account: &AccountId,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let account = *account;
        let id = *id;
        self.change(account, now, move |conn| {
            Box::pin(async move { pin_requests::remove_pin_request(conn, &account, &id, now).await })
        })
        .await
    }

    async fn find_pin_request(
        &self,
        account: &AccountId,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError> {
        self.find_request(*account, *id, now).await
    }

    async fn list_pin_requests(
        &self,
        account: &AccountId,
        filter: &PinFilter,
        now: Timestamp,
    ) -> Result<PinPage, StorageError> {
        let (account, filter) = (*account, filter.clone());
        if asks_for_nul(&filter) {
            return Ok(PinPage { count: 0, requests: Vec::new() });
        }
        self.list(account, walks(&filter), move |conn| {
            Box::pin(async move { pin_lists::list_pin_requests(conn, &account, &filter, now).await })
        })
        .await
    }
}

/// Whether a filter asks for U+0000, which no request holds and PostgreSQL does not take.
fn asks_for_nul(filter: &PinFilter) -> bool {
    let names = filter.name.iter().map(|name| &name.text);
    names.chain(filter.meta.iter().flat_map(|(key, value)| [key, value])).any(|text| text.contains('\0'))
}

/// Requests in a page that is read at once.
const SHORT_PAGE: u16 = 100;

/// Whether a list may have to look at every request of the account, or at many: parts of names have no index, and a pair
/// of meta may stand in all of them.
fn walks(filter: &PinFilter) -> bool {
    let part = |name: &NameFilter| matches!(name.matching, Match::Partial | Match::Ipartial);
    filter.limit > SHORT_PAGE || !filter.meta.is_empty() || filter.name.as_ref().is_some_and(part)
}

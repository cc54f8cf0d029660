//! Pin requests on SQLite: which of their steps write, and which reads may take long.

use async_trait::async_trait;
use pinrail_domain::{AccountId, NewPinRequest, PinPage, PinRequest, RequestId};
use pinrail_spec::{Match, NameFilter, PinFilter, Timestamp};
use pinrail_storage::{PinRequests, StorageError};

use super::reader::Length;
use super::{SqliteStorage, pages, requests};

#[async_trait]
impl PinRequests for SqliteStorage {
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
        self.write_for_workers(now, move |conn| {
            Box::pin(async move { requests::replace_pin_request(conn, &old, &request, now).await })
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
        self.write_for_workers(now, move |conn| {
            Box::pin(async move { requests::remove_pin_request(conn, &account, &id, now).await })
        })
        .await
    }

    async fn find_pin_request(
        &self,
        account: &AccountId,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError> {
        let account = *account;
        let id = *id;
        self.look_up(move |conn| Box::pin(async move { pages::find_pin_request(conn, &account, &id, now).await })).await
    }

    async fn list_pin_requests(
        &self,
        account: &AccountId,
        filter: &PinFilter,
        now: Timestamp,
    ) -> Result<PinPage, StorageError> {
        let (account, filter) = (*account, filter.clone());
        let length = if walks(&filter) { Length::Long } else { Length::Short };
        self.readers()
            .read(length, move |conn| {
                Box::pin(async move { pages::list_pin_requests(conn, &account, &filter, now).await })
            })
            .await
    }
}

/// Whether a list may have to look at every request of the account: parts of names have no index, and a pair of
/// meta may stand in all of them.
fn walks(filter: &PinFilter) -> bool {
    let part = |name: &NameFilter| matches!(name.matching, Match::Partial | Match::Ipartial);
    !filter.meta.is_empty() || filter.name.as_ref().is_some_and(part)
}

//! The statements that lists leave on the server.

use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use pinrail_storage::{PinRequests, StorageError};
use pinrail_testbed::postgres::lend;

use super::{PostgresOptions, PostgresStorage, migrate};
use crate::TimeSource;
use crate::list_samples::{NOW, account, fill, shapes_of_lists};

const KEPT: &str = "(SELECT count(*) FROM pg_prepared_statements)";

#[tokio::test]
async fn hundreds_of_shapes_of_lists_leave_few_statements() {
    let database = lend(|url| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(migrate(url)).expect("it is migrated");
    });
    let options = PostgresOptions { time: TimeSource::Caller, ..PostgresOptions::default() };
    let storage = PostgresStorage::open(&database.url(), &options).await.expect("it is opened");
    fill(&storage, account(1)).await;
    let mut shapes = 0;
    for filter in shapes_of_lists().step_by(3) {
        match storage.list_pin_requests(&account(1), &filter, NOW).await {
            Ok(page) => assert_eq!((page.count, page.requests.len()), (3, 1), "{filter:?}"),
            // A machine that is busy with other tests.
            Err(StorageError::Busy(_)) => {}
            Err(error) => panic!("{filter:?}: {error}"),
        }
        shapes += 1;
    }
    // One after another, so all of them were on this connection.
    let kept = storage.look_up(|conn| {
        Box::pin(async move { Ok(diesel::select(sql::<BigInt>(KEPT)).get_result::<i64>(conn).await?) })
    });
    let kept = kept.await.expect("a count");
    assert!(shapes > 300 && (1..100).contains(&kept), "{kept} statements are kept of {shapes} shapes");
}

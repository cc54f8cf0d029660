//! Steps that collide without end, and a commit whose answer is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pinrail_domain::Limits;
use pinrail_storage::{PinRequests, StorageError};
use pinrail_storage_diesel::{PostgresOptions, PostgresStorage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::system_time;
use crate::scene::{everything, request, settle_in};
use crate::server::PostgresDatabase;

/// Fails each insert of a request as a collision does, and counts the tries where no rollback reaches.
const COLLIDE: &str = "CREATE SEQUENCE tries;
    CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM nextval('tries');
        RAISE EXCEPTION 'could not serialize access' USING ERRCODE = 'serialization_failure';
    END $$;
    CREATE TRIGGER collide BEFORE INSERT ON pin_requests EXECUTE FUNCTION collide();";

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_always_collides_is_given_up_after_eight_tries() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    database.sql(COLLIDE);
    let refused = storage.add_pin_request(&request(account, 1), system_time()).await;
    assert!(matches!(&refused, Err(StorageError::Unavailable(why)) if why.contains("serialize")), "{refused:?}");
    assert_eq!(database.sql("SELECT last_value FROM tries").trim(), "8");
    database.sql("DROP TRIGGER collide ON pin_requests");
    storage.add_pin_request(&request(account, 1), system_time()).await.expect("its id was never taken");
    assert_eq!(storage.check_counters().await.expect("the counters are read"), []);
}

/// Forwards connections to the server; once it is armed, the first that commits is cut before the answer comes back.
async fn proxy(server: SocketAddr, is_armed: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let upstream = TcpStream::connect(server).await.expect("the server listens");
            tokio::spawn(forward(client, upstream, Arc::clone(&is_armed)));
        }
    });
    address
}

async fn forward(client: TcpStream, server: TcpStream, is_armed: Arc<AtomicBool>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut bytes = [0; 16 * 1024];
    while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
        let is_commit = bytes[..read].windows(7).any(|window| window == b"COMMIT\0");
        if is_commit && is_armed.swap(false, Ordering::SeqCst) {
            answers.abort();
            to_server.write_all(&bytes[..read]).await.expect("the server reads");
            return;
        }
        if to_server.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_told_and_not_repeated() {
    let database = PostgresDatabase::new();
    let (account, _) = settle_in(&database.open().await, Limits::UNLIMITED).await;
    let is_armed = Arc::new(AtomicBool::new(false));
    let (before, name) =
        database.url().rsplit_once('/').map(|(place, name)| (place.to_owned(), name.to_owned())).expect("a URL");
    let (user, server) =
        before.rsplit_once('@').map(|(user, server)| (user.to_owned(), server.to_owned())).expect("a user");
    let address = proxy(server.parse().expect("an address"), Arc::clone(&is_armed)).await;
    let url = format!("{user}@{address}/{name}");
    let storage = PostgresStorage::open(&url, &PostgresOptions::default()).await.expect("it is opened");
    storage.add_pin_request(&request(account, 1), system_time()).await.expect("it is added");

    is_armed.store(true, Ordering::SeqCst);
    let lost = storage.add_pin_request(&request(account, 2), system_time()).await;
    assert!(matches!(&lost, Err(StorageError::Unavailable(why)) if why.contains("answer to a commit")), "{lost:?}");
    assert!(!is_armed.load(Ordering::SeqCst));
    // The server has been told to commit, and does so when it reads that.
    let count = async || storage.list_pin_requests(&account, &everything(), system_time()).await.expect("a page").count;
    while count().await != 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(storage.check_counters().await.expect("the counters are read"), []);
}

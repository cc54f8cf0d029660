//! Wake-ups between processes: `NOTIFY` after commits that concern workers, `LISTEN` for those of others.
//!
//! One connection does both, beside the pool and outside every insert: a NOTIFY inside a transaction takes a lock
//! that all who notify queue for until their commits are on the disk. Whoever waits looks again by a timer too, so a
//! wake-up that is lost while the server restarts costs time and nothing else.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Connection};

use super::errors::chain;
use super::open::Place;

const LISTEN: &str = "LISTEN pinrail_changed";
const NOTIFY: &str = "NOTIFY pinrail_changed";

/// The shortest time between two wake-ups that a process sends.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long to wait before connecting again.
const RECONNECT: Duration = Duration::from_millis(500);

/// Tells other processes of changes, and hears of theirs.
pub(super) struct Listener {
    wanted: Arc<Notify>,
    changes: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Begin to listen, and go on until this is dropped.
    pub(super) fn start(place: Place) -> Self {
        let (changes, wanted) = (watch::Sender::new(0), Arc::new(Notify::new()));
        let task = tokio::spawn(keep_listening(place, changes.clone(), Arc::clone(&wanted)));
        Self { wanted, changes, task }
    }

    /// Tell everybody that something changed which may concern workers, soon.
    pub(super) fn tell(&self) {
        self.changes.send_modify(|changes| *changes += 1);
        self.wanted.notify_one();
    }

    /// What counts up with each change that is heard of.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_listening(place: Place, changes: watch::Sender<u64>, wanted: Arc<Notify>) {
    loop {
        match place.connect().await {
            Ok((client, connection)) => {
                let hearing = hear(connection, &changes);
                let telling = talk(&client, &wanted, &changes);
                let why = futures::future::select(Box::pin(hearing), Box::pin(telling)).await.factor_first().0;
                tracing::warn!("the connection for wake-ups is lost: {why}");
            }
            Err(error) => tracing::debug!("no connection for wake-ups: {error}"),
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Count what is heard until the connection ends; why it did.
async fn hear<S, T>(mut connection: Connection<S, T>, changes: &watch::Sender<u64>) -> String
where
    Connection<S, T>: Unpin,
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(_))) => changes.send_modify(|changes| *changes += 1),
            Some(Ok(_)) => {}
            Some(Err(error)) => return chain(&error),
            None => return "the server ended it".to_owned(),
        }
    }
}

/// Listen, and send a wake-up whenever one is wanted; why that ended.
async fn talk(client: &Client, wanted: &Notify, changes: &watch::Sender<u64>) -> String {
    if let Err(error) = client.batch_execute(LISTEN).await {
        return chain(&error);
    }
    // Something may have changed while nobody listened, and a wake-up may have been lost with the connection.
    changes.send_modify(|changes| *changes += 1);
    wanted.notify_one();
    loop {
        wanted.notified().await;
        if let Err(error) = client.batch_execute(NOTIFY).await {
            return chain(&error);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

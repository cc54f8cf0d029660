//! From a listening socket to the routes, with bounds on what strangers may take.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// Connections at the same time; further ones wait.
const CONNECTIONS: usize = 256;
/// The same for one address; a further one is closed.
const OF_ADDRESS: usize = 32;
/// How long the headers of a request may take, and a connection be idle between two.
const HEADERS: Duration = Duration::from_secs(5);
/// How long a connection may last: an answer is less than 2 KiB.
const CONNECTION: Duration = Duration::from_mins(1);
/// What a request's headers may be at most.
const HEADER_BYTES: usize = 16 << 10;
/// How long to wait when the system gives no connection, for want of files above all.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections by address.
type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// Answer on `listener`; ends when the future is dropped.
pub async fn serve(listener: TcpListener, router: Router) {
    let (places, counts) = (Arc::new(Semaphore::new(CONNECTIONS)), Counts::default());
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, client)) => {
                if let Some(place) = Place::take(&counts, client.ip(), place) {
                    tokio::spawn(answer(stream, router.clone(), place));
                }
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn answer(stream: TcpStream, router: Router, place: Place) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEADER_BYTES);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // What a client breaks, or does not end in time, is closed.
    let _ended = timeout(CONNECTION, connection).await;
    drop(place);
}

/// A place that a connection takes until it is dropped.
struct Place {
    counts: Counts,
    address: IpAddr,
    _of_all: OwnedSemaphorePermit,
}

impl Place {
    fn take(counts: &Counts, address: IpAddr, of_all: OwnedSemaphorePermit) -> Option<Self> {
        let mut counted = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counted.entry(address).or_default();
        if *count >= OF_ADDRESS {
            return None;
        }
        *count += 1;
        drop(counted);
        Some(Self { counts: Arc::clone(counts), address, _of_all: of_all })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counted = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counted.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counted.remove(&self.address);
            }
        }
    }
}

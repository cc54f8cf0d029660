//! From a listening socket to the router, with bounds on what a connection may take.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::client_address::{ClientAddress, TrustedProxies};
use crate::connections::{Connections, Place};
use crate::sending::{PIECE, Sending, Streams};

/// What connections may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at the same time. When all are taken the longest idle one is closed for a further one, which waits
    /// while all are busy.
    pub connections: usize,
    /// The same for one client address, an IPv6 address with its /48; a further one is closed while all are busy.
    pub connections_per_address: usize,
    /// The proxies whose `Forwarded` and `X-Forwarded-For` are believed; the limit for one address is not for them.
    pub trusted_proxies: Vec<IpNet>,
    /// How long the headers of a request may take to arrive, and how long a connection may be idle between two.
    pub header_timeout: Duration,
    /// How long a client may read nothing of an answer; over HTTP/2 the stream is reset then, else the connection.
    pub write_timeout: Duration,
    /// How long a client may take to read an answer.
    pub send_timeout: Duration,
    /// How long a client may send nothing at all; longer than any answer takes to be made.
    pub silence: Duration,
    /// How long answers that are being made may take at a shutdown.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connections_per_address: 512,
            trusted_proxies: Vec::new(),
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_mins(5),
            silence: Duration::from_mins(2),
            drain: Duration::from_secs(10),
        }
    }
}

/// The most bytes of headers in one request; HTTP/2 counts them as they are once unpacked.
const HEADER_BYTES: u32 = 64 * 1024;
/// The most requests at the same time on one HTTP/2 connection.
const STREAMS: u32 = 128;
/// How long accepting pauses when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection that was idle may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Serve `router` on `listener`, over HTTP/1.1 and over HTTP/2 without TLS, until `shutdown` completes and the
/// answers that are being made are sent, or their time is over.
pub async fn serve(listener: TcpListener, router: Router, limits: ServerLimits, shutdown: impl Future<Output = ()>) {
    let connections = Connections::new(limits.connections, limits.connections_per_address);
    let (ending, ended) = watch::channel(());
    let drain = limits.drain;
    let server = Arc::new(Server {
        protocol: protocol(&limits),
        proxies: TrustedProxies::new(limits.trusted_proxies.clone()),
        limits,
        router,
        ended,
        told_untrusted: AtomicBool::new(false),
    });
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer, place) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &server.proxies, &connections) => accepted,
        };
        tokio::spawn(Arc::clone(&server).run(stream, peer, place));
    }
    drop(listener);
    drop(server);
    let _ = ending.send(());
    if tokio::time::timeout(drain, ending.closed()).await.is_err() {
        tracing::warn!("the time to shut down was over before every answer was sent");
    }
}

/// The next connection that gets a place, and whom it is from.
async fn accept(
    listener: &TcpListener,
    proxies: &TrustedProxies,
    connections: &Arc<Connections>,
) -> (TcpStream, IpAddr, Arc<Place>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let peer = peer.ip().to_canonical();
                let network = (!proxies.contains(peer)).then(|| ClientAddress(peer).network());
                if let Some(place) = connections.enter(network).await {
                    return (stream, peer, place);
                }
                tracing::debug!(%peer, "a connection was closed: its address has all that one may have");
            }
            Err(error) => {
                // Out of file descriptors, or a client that left at once: the listener itself is sound.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What every connection is served with.
struct Server {
    protocol: Builder<Streams>,
    proxies: TrustedProxies,
    limits: ServerLimits,
    router: Router,
    /// Changes when connections are to end.
    ended: watch::Receiver<()>,
    /// Whether the log names a proxy that is not trusted.
    told_untrusted: AtomicBool,
}

impl Server {
    /// Serve one connection until it ends, is idle for too long, or its place is another's.
    async fn run(self: Arc<Self>, stream: TcpStream, peer: IpAddr, place: Arc<Place>) {
        let (server, requests) = (Arc::clone(&self), Arc::clone(&place));
        let answer = service_fn(move |request| Arc::clone(&server).answer(request, peer, Arc::clone(&requests)));
        let stream = TokioIo::new(Box::pin(bound(stream, &self.limits)));
        let mut connection = pin!(self.protocol.serve_connection(stream, answer));
        let mut ended = self.ended.clone();
        let is_idle = tokio::select! {
            outcome = connection.as_mut() => return tell(outcome),
            () = place.taken() => return,
            () = place.idle_for(self.limits.header_timeout) => true,
            _ = ended.changed() => false,
        };
        connection.as_mut().graceful_shutdown();
        let goodbye = if is_idle { GOODBYE } else { self.limits.drain };
        tokio::select! {
            outcome = connection => tell(outcome),
            () = place.taken() => {}
            () = tokio::time::sleep(goodbye) => {}
        }
    }

    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: IpAddr,
        place: Arc<Place>,
    ) -> Result<Response<Sending<crate::connections::Busy>>, Infallible> {
        let busy = place.begin();
        let client = self.proxies.client(peer, request.headers());
        self.note_untrusted(peer, request.headers());
        request.extensions_mut().insert(client);
        let response = self.router.clone().oneshot(request.map(Body::new)).await?;
        Ok(response.map(|body| Sending::new(body, self.limits.send_timeout, busy)))
    }

    /// Say once that clients behind a proxy count as one, which its operator will want to know.
    fn note_untrusted(&self, peer: IpAddr, headers: &HeaderMap) {
        let is_near = match peer {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
        };
        let tells = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
        let is_untrusted = is_near && tells && !self.proxies.contains(peer);
        if is_untrusted && !self.told_untrusted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{peer} forwards requests but is not among trusted-proxies: its clients count as one address"
            );
        }
    }
}

fn tell(outcome: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection broke");
    }
}

/// The stream with an end to silence: the protocol's own timers start only once it is known which protocol it is.
fn bound(stream: TcpStream, limits: &ServerLimits) -> TimeoutStream<TcpStream> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not switch off Nagle's algorithm");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_read_timeout(Some(limits.silence));
    stream.set_write_timeout(Some(limits.write_timeout));
    stream
}

fn protocol(limits: &ServerLimits) -> Builder<Streams> {
    let mut builder = Builder::new(Streams { stall: limits.write_timeout });
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .max_send_buf_size(PIECE)
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout);
    builder
}

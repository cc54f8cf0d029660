//! Yamux over a socket that is counted, with streams that say what was read of them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::iter::{Once, once};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use tokio::time::Sleep;
use yamux::{Config, Connection, ConnectionError, DEFAULT_CREDIT, Mode};

use super::Account;
use super::socket::{Socket, Unread};

/// Streams at which yamux ends the connection. The socket is not read beyond fewer, so it comes to this only with a
/// peer that does not read the ends of its own streams.
const MAX_STREAMS: usize = 4_093;
/// What all streams together may have beyond their first window. It keeps a stream's window at 1 MiB or less:
/// JavaScript peers send a whole window as one frame, and a frame of more than 1 MiB is refused with its connection.
const EXTRA_WINDOW: usize = 768 << 10;
/// A peer that does not read must not keep its connection by never letting it be closed in order.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Makes a connection one of many streams, whose received bytes count for `account`.
#[derive(Clone)]
pub struct Upgrade(pub Arc<Account>);

impl Upgrade {
    fn apply<C: AsyncRead + AsyncWrite + Unpin>(self, socket: C, mode: Mode) -> Muxer<C> {
        let mut config = Config::default();
        let windows = MAX_STREAMS * usize::try_from(DEFAULT_CREDIT).expect("256 KiB");
        config.set_max_connection_receive_window(None).set_max_num_streams(MAX_STREAMS);
        config.set_max_connection_receive_window(Some(windows + EXTRA_WINDOW));
        let unread = Unread::new(self.0);
        let connection = Connection::new(Socket::new(socket, unread.clone()), config, mode);
        Muxer { connection, unread, arrived: VecDeque::new(), acceptor: None, close_by: None }
    }
}

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Muxer<C>, Infallible>>;

    fn upgrade_inbound(self, socket: C, _: &'static str) -> Self::Future {
        ready(Ok(self.apply(socket, Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Muxer<C>, Infallible>>;

    fn upgrade_outbound(self, socket: C, _: &'static str) -> Self::Future {
        ready(Ok(self.apply(socket, Mode::Client)))
    }
}

/// A connection of many streams.
pub struct Muxer<C> {
    connection: Connection<Socket<C>>,
    unread: Arc<Unread>,
    /// Streams that the peer opened and nobody took yet. As the socket stops before there are too many, none is
    /// dropped.
    arrived: VecDeque<Stream>,
    acceptor: Option<Waker>,
    close_by: Option<Pin<Box<Sleep>>>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        let arrived = ready!(self.connection.poll_next_inbound(cx)).unwrap_or(Err(ConnectionError::Closed));
        Poll::Ready(arrived.map(|stream| Stream { inner: stream, unread: self.unread.clone() }))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = ConnectionError;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        if let Some(stream) = self.arrived.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let arrival = self.poll_arrival(cx);
        if arrival.is_pending() {
            self.acceptor = Some(cx.waker().clone());
        }
        arrival
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        let inner = ready!(self.connection.poll_new_outbound(cx))?;
        self.unread.open(inner.id().val());
        Poll::Ready(Ok(Stream { inner, unread: self.unread.clone() }))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let closed = self.connection.poll_close(cx);
        let close_by = self.close_by.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_LIMIT)));
        if closed.is_pending() { close_by.as_mut().poll(cx).map(Ok) } else { closed }
    }

    /// Yamux moves only while it is asked for streams, also when nobody takes them.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        let stream = ready!(self.poll_arrival(cx))?;
        self.arrived.push_back(stream);
        self.acceptor.take().into_iter().for_each(Waker::wake);
        // There may be more, but others on this thread go first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// One stream.
pub struct Stream {
    inner: yamux::Stream,
    unread: Arc<Unread>,
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.unread.read(self.inner.id().val(), read);
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.unread.close(self.inner.id().val());
    }
}

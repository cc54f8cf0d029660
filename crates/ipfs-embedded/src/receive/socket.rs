//! A connection's bytes below its streams: counted as they come, and not read while there is no room for them.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use futures::{AsyncRead, AsyncWrite};

use super::Account;
use crate::bitswap::lock;

/// Streams of one connection, beyond which nothing is read until some have ended.
const MAX_STREAMS: usize = 512;
/// Memory that a stream takes, with the task that reads it.
const STREAM_BYTES: usize = 2 << 10;
/// Memory that a frame takes beside its content.
const FRAME_BYTES: usize = 64;
/// A yamux frame's header: version, type, flags, stream and length.
const HEADER_BYTES: usize = 12;
const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const SYN: u8 = 1;

/// Tells connections apart.
static NEXT_CONNECTION: AtomicUsize = AtomicUsize::new(0);

/// What of one connection is in memory and not read yet, by stream.
pub struct Unread {
    account: Arc<Account>,
    connection: usize,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    unread: HashMap<u32, Pending>,
    waiting: Option<Waker>,
}

/// Bytes of one stream, and what their frames take beside.
#[derive(Default)]
struct Pending {
    bytes: usize,
    frames: usize,
}

impl Unread {
    pub fn new(account: Arc<Account>) -> Arc<Self> {
        let connection = NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { account, connection, streams: Mutex::default() })
    }

    pub fn account(&self) -> &Account {
        &self.account
    }

    /// A stream was opened.
    pub fn open(&self, stream: u32) {
        if lock(&self.streams).unread.insert(stream, Pending::default()).is_none() {
            self.account.add(STREAM_BYTES);
        }
    }

    /// Bytes of a stream were read.
    pub fn read(&self, stream: u32, bytes: usize) {
        let mut streams = lock(&self.streams);
        let Some(pending) = streams.unread.get_mut(&stream) else { return };
        let bytes = bytes.min(pending.bytes);
        // Frames are taken to be of one size, which is right once all are read.
        let frames = if bytes == pending.bytes { pending.frames } else { pending.frames * bytes / pending.bytes };
        pending.bytes -= bytes;
        pending.frames -= frames;
        drop(streams);
        self.account.release(bytes + frames);
    }

    /// A stream was dropped, with what was not read of it.
    pub fn close(&self, stream: u32) {
        let mut streams = lock(&self.streams);
        let Some(pending) = streams.unread.remove(&stream) else { return };
        let waker = if streams.unread.len() < MAX_STREAMS { streams.waiting.take() } else { None };
        drop(streams);
        self.account.release(STREAM_BYTES + pending.bytes + pending.frames);
        waker.into_iter().for_each(Waker::wake);
    }

    fn has_room(&self, cx: &Context<'_>) -> bool {
        let mut streams = lock(&self.streams);
        if streams.unread.len() >= MAX_STREAMS {
            streams.waiting = Some(cx.waker().clone());
            return false;
        }
        drop(streams);
        self.account.has_room(self.connection, cx)
    }

    fn begin_frame(&self, header: [u8; HEADER_BYTES]) -> (u32, usize) {
        let [_, kind, _, flags, a, b, c, d, rest @ ..] = header;
        let (stream, length) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes(rest));
        if kind <= WINDOW_UPDATE && flags & SYN != 0 {
            self.open(stream);
        }
        (stream, if kind == DATA { usize::try_from(length).unwrap_or(usize::MAX) } else { 0 })
    }

    /// Count content of a frame; what comes for a stream that was dropped is dropped too.
    fn receive(&self, stream: u32, bytes: usize, begins: bool) {
        let mut streams = lock(&self.streams);
        let Some(pending) = streams.unread.get_mut(&stream) else { return };
        let frame = if begins { FRAME_BYTES } else { 0 };
        pending.bytes += bytes;
        pending.frames += frame;
        drop(streams);
        self.account.add(bytes + frame);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let streams = std::mem::take(&mut lock(&self.streams).unread);
        let held = streams.into_values().map(|pending| STREAM_BYTES + pending.bytes + pending.frames);
        self.account.release(held.sum());
    }
}

/// Where the next byte stands in its frame.
struct Position {
    header: [u8; HEADER_BYTES],
    in_header: usize,
    stream: u32,
    /// Content of the frame that is still to come.
    left: usize,
    begins: bool,
}

impl Position {
    fn advance(&mut self, mut bytes: &[u8], unread: &Unread) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let content = self.left.min(bytes.len());
                unread.receive(self.stream, content, self.begins);
                (self.left, self.begins, bytes) = (self.left - content, false, &bytes[content..]);
                continue;
            }
            let part = (HEADER_BYTES - self.in_header).min(bytes.len());
            self.header[self.in_header..self.in_header + part].copy_from_slice(&bytes[..part]);
            (self.in_header, bytes) = (self.in_header + part, &bytes[part..]);
            if self.in_header == HEADER_BYTES {
                (self.stream, self.left) = unread.begin_frame(self.header);
                (self.in_header, self.begins) = (0, true);
            }
        }
    }
}

/// The socket that yamux reads and writes.
pub struct Socket<C> {
    inner: C,
    position: Position,
    unread: Arc<Unread>,
}

impl<C> Socket<C> {
    pub fn new(inner: C, unread: Arc<Unread>) -> Self {
        let header = [0; HEADER_BYTES];
        Self { inner, position: Position { header, in_header: 0, stream: 0, left: 0, begins: false }, unread }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Socket<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.unread.has_room(cx) {
            return Poll::Pending;
        }
        let this = &mut *self;
        let read = ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
        this.unread.account().note_received(read);
        this.position.advance(&buffer[..read], &this.unread);
        Poll::Ready(Ok(read))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Socket<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buffer))?;
        self.unread.account().note_sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

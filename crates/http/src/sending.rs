//! Answers on their way to a client: in small pieces, with an end for clients that take nothing.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, sleep_until};

/// The most bytes of an answer that are handed on at once. What is handed on waits in the HTTP library, where no limit
/// of ours sees it.
pub(crate) const PIECE: usize = 16 * 1024;
/// A last piece that is longer leaves its last byte for a piece of its own. HTTP/2 takes that only when the client has
/// room for everything before it, so the answer does not end here while most of it still waits there.
const SHORT: usize = 1_024;

tokio::task_local! {
    /// When the answer on this HTTP/2 stream last moved.
    static MOVED: Arc<Moved>;
}

/// When something last moved; `None` before anything has.
#[derive(Default)]
struct Moved(Mutex<Option<Instant>>);

impl Moved {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Wait until nothing has moved for so long, once anything has.
    async fn stalls(&self, limit: Duration) {
        loop {
            let moved = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if moved.is_some_and(|moved| moved.elapsed() >= limit) {
                return;
            }
            sleep_until(moved.unwrap_or_else(Instant::now) + limit).await;
        }
    }
}

/// Runs HTTP/2 streams, and drops those whose client takes nothing of its answer for `stall`, which resets them. Their
/// bodies are not asked for anything while the client has no room, so they cannot end themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams {
    pub(crate) stall: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let stall = self.stall;
        let moved = Arc::<Moved>::default();
        let stream = MOVED.scope(Arc::clone(&moved), stream);
        tokio::spawn(async move {
            tokio::select! {
                () = stream => {}
                () = moved.stalls(stall) => tracing::debug!("a stream was reset: its client takes nothing"),
            }
        });
    }
}

/// The body of an answer that is being sent, and what is held until it is sent or given up.
pub(crate) struct Sending<T> {
    body: Body,
    /// What of the body was not handed on yet.
    rest: Bytes,
    moved: Option<Arc<Moved>>,
    until: Instant,
    _held: T,
}

impl<T> Sending<T> {
    /// Send `body` within `limit`, and hold `held` meanwhile. On HTTP/2 it is to be called within the stream's task.
    pub(crate) fn new(body: Body, limit: Duration, held: T) -> Self {
        let moved = MOVED.try_with(Arc::clone).ok();
        if let Some(moved) = &moved {
            moved.note();
        }
        Self { body, rest: Bytes::new(), moved, until: Instant::now() + limit, _held: held }
    }

    fn next_piece(&mut self) -> Bytes {
        let length = match self.rest.len() {
            long if long > PIECE => PIECE,
            last if last > SHORT => last - 1,
            short => short,
        };
        self.rest.split_to(length)
    }
}

impl<T: Unpin> HttpBody for Sending<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Some(moved) = &this.moved {
            moved.note();
        }
        if Instant::now() > this.until {
            return Poll::Ready(Some(Err(axum::Error::new("the client took too long to take the answer"))));
        }
        if this.rest.is_empty() {
            match ready!(pin!(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return Poll::Ready(other),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(this.next_piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(of_body.lower() + rest);
        hint
    }
}

//! [`Buffer`]: what the broker has sent and nobody has taken yet, and when there last was nothing of that.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt as _, Stream};
use tokio::time::{Instant, timeout};

/// While nothing comes it is looked this often whether the buffer is still empty: a message counts as older by so much.
const LOOK: Duration = Duration::from_secs(1);

/// What the client has received, in order.
pub(super) struct Buffer<S> {
    stream: S,
    /// When it was last found empty.
    empty: Instant,
}

impl<S: Stream + Unpin> Buffer<S> {
    /// An empty one.
    pub(super) fn new(stream: S) -> Self {
        Self { stream, empty: Instant::now() }
    }

    /// Waits for what comes next. May be dropped at any time.
    pub(super) async fn next(&mut self) -> Option<S::Item> {
        loop {
            if let Ok(next) = timeout(LOOK, poll_fn(|context| self.poll(context))).await {
                return next;
            }
        }
    }

    /// What comes next, if it is there.
    pub(super) fn next_if_there(&mut self) -> Option<Option<S::Item>> {
        poll_fn(|context| self.poll(context)).now_or_never()
    }

    /// What was taken last came after this, and so did all behind it.
    pub(super) fn since(&self) -> Instant {
        self.empty
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let next = Pin::new(&mut self.stream).poll_next(context);
        if next.is_pending() {
            self.empty = Instant::now();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;
    use tokio::time::advance;

    fn buffer() -> (mpsc::UnboundedSender<u32>, Buffer<impl Stream<Item = u32> + Unpin>) {
        let (sends, mut comes) = mpsc::unbounded_channel();
        (sends, Buffer::new(futures_util::stream::poll_fn(move |context| comes.poll_recv(context))))
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn what_lies_in_the_buffer_is_as_old_as_the_buffer_is_not_empty() {
        let (sends, mut buffer) = buffer();
        (0..3).for_each(|number| sends.send(number).expect("it is read"));
        advance(20 * MINUTE).await;
        assert_eq!(buffer.next().await, Some(0));
        assert_eq!(buffer.since().elapsed(), 20 * MINUTE);
        advance(MINUTE).await;
        assert_eq!((buffer.next_if_there(), buffer.next_if_there()), (Some(Some(1)), Some(Some(2))));
        assert_eq!(buffer.since().elapsed(), 21 * MINUTE);
        assert_eq!(buffer.next_if_there(), None);
        assert_eq!(buffer.since().elapsed(), Duration::ZERO, "it was found empty");
        sends.send(3).expect("it is read");
        advance(MINUTE).await;
        assert_eq!((buffer.next_if_there(), buffer.since().elapsed()), (Some(Some(3)), MINUTE));
        drop(sends);
        assert_eq!(buffer.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_after_a_long_wait_is_not_as_old_as_the_wait() {
        let (sends, mut buffer) = buffer();
        let (next, ()) = tokio::join!(buffer.next(), async {
            tokio::time::sleep(60 * MINUTE + LOOK / 2).await;
            sends.send(0).expect("it is read");
        });
        assert_eq!(next, Some(0));
        assert!(buffer.since().elapsed() <= LOOK);
    }
}

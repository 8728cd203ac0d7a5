//! [`SimLinks`]: the links of one start of one instance.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::SimNetwork;
use super::state::Next;
use crate::contracts::{BoxFuture, Cause, Error, Lane, LinkEvent, Links, PeerId, Result};

/// The links of one start of one instance. Dropped without being closed, the instance was killed.
pub(super) struct SimLinks {
    network: SimNetwork,
    me: PeerId,
    /// Which start it is: closed, it has no more to do with the instance.
    start: Option<u64>,
}

impl SimLinks {
    pub(super) fn new(network: SimNetwork, me: PeerId, start: u64) -> Self {
        Self { network, me, start: Some(start) }
    }

    /// Waits until this time, or until something changes.
    async fn wait(&self, until: Option<Duration>) {
        let changed = self.network.changed[self.me].notified();
        let Some(until) = until else { return changed.await };
        let time = self.network.clock.sleep(until.saturating_sub(self.network.clock.elapsed()));
        tokio::select! {
            biased;
            () = changed => {}
            () = time => {}
        }
    }
}

impl Links for SimLinks {
    fn next(&mut self) -> BoxFuture<'_, Result<LinkEvent>> {
        Box::pin(async {
            let Some(start) = self.start else { return Err(Error::new(Cause::Bug, "these links are closed")) };
            loop {
                let next = self.network.lock().next(self.me, start, self.network.clock.elapsed());
                match next {
                    Next::Event(event) => return event,
                    Next::Killed => std::future::pending().await,
                    Next::Wait(until) => self.wait(until).await,
                }
            }
        })
    }

    fn send(&mut self, peer: PeerId, lane: Lane, frame: Vec<Bytes>) {
        let Some(start) = self.start else { return };
        let mut whole = BytesMut::with_capacity(frame.iter().map(Bytes::len).sum());
        frame.iter().for_each(|piece| whole.extend_from_slice(piece));
        self.network.lock().send(self.me, start, peer, lane, whole.freeze(), self.network.clock.elapsed());
        self.network.changed[peer].notify_one();
    }

    fn cut(&mut self, peer: PeerId, why: &str) {
        if let Some(start) = self.start {
            self.network.change(|state, now| state.give_up(self.me, start, peer, why, now));
        }
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let Some(start) = self.start else { return };
            let began = self.network.clock.elapsed();
            loop {
                let now = self.network.clock.elapsed();
                let until = self.network.lock().arrived_at(self.me, start, now, began);
                match until.filter(|&until| until > now) {
                    Some(until) => self.network.clock.sleep(until - now).await,
                    None => break,
                }
            }
            self.start = None;
            self.network.change(|state, now| state.close(self.me, start, now));
        })
    }
}

impl Drop for SimLinks {
    fn drop(&mut self) {
        if let Some(start) = self.start.take() {
            self.network.change(|state, now| state.kill(self.me, Some(start), now));
        }
    }
}

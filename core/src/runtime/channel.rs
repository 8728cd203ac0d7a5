//! Channels of batches between tasks. Where one side has several workers, batches are dealt to them in turn and collected
//! in the same turn: that keeps order.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::parcel::{Close, Message, Parcel};
use super::summary::Ended;

/// The sending end: one lane, or one a worker.
pub(super) struct Outgoing {
    lanes: Vec<Sender<Message>>,
    turn: usize,
}

/// The receiving end: one lane, or one a worker.
pub(super) struct Incoming {
    lanes: Vec<Receiver<Message>>,
    turn: usize,
}

/// A channel with one lane.
pub(super) fn single(batches: usize) -> (Outgoing, Incoming) {
    let (sender, receiver) = channel(batches.max(1));
    (Outgoing::new(vec![sender]), Incoming::new(vec![receiver]))
}

/// One sender, `workers` receivers.
pub(super) fn deal(batches: usize, workers: usize) -> (Outgoing, Vec<Incoming>) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel(batches.max(1))).unzip();
    (Outgoing::new(senders), receivers.into_iter().map(|receiver| Incoming::new(vec![receiver])).collect())
}

/// `workers` senders, one receiver.
pub(super) fn collect(batches: usize, workers: usize) -> (Vec<Outgoing>, Incoming) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel(batches.max(1))).unzip();
    (senders.into_iter().map(|sender| Outgoing::new(vec![sender])).collect(), Incoming::new(receivers))
}

/// The other end is gone.
pub(super) struct Gone;

impl Outgoing {
    fn new(lanes: Vec<Sender<Message>>) -> Self {
        Self { lanes, turn: 0 }
    }

    /// Whether batches are dealt to several workers in turn.
    pub(super) fn deals(&self) -> bool {
        self.lanes.len() > 1
    }

    /// Waits for room for one message. Who deals to one alone and has found none waits until half of the lane is free: else
    /// each of the receiver's steps would wake the sender for one more batch, and where batches are small that costs more
    /// than they do. May be dropped at any time.
    pub(super) async fn ready(&self) -> Result<(), Gone> {
        let lane = &self.lanes[self.turn];
        match lane.try_reserve() {
            Ok(_) => Ok(()),
            Err(TrySendError::Closed(())) => Err(Gone),
            Err(TrySendError::Full(())) => {
                // Others would wait for the slowest.
                let room = if self.deals() { 1 } else { lane.max_capacity().div_ceil(2) };
                lane.reserve_many(room).await.map(drop).map_err(|_| Gone)
            }
        }
    }

    /// Waits until the receiver wants no more. May be dropped at any time.
    pub(super) async fn closed(&self) {
        self.lanes[self.turn].closed().await;
    }

    /// Sends a batch after [`ready`](Self::ready) said that there is room. `turn_ends`: the next goes to the next lane.
    pub(super) fn send(&mut self, parcel: Parcel, turn_ends: bool) -> Result<(), Gone> {
        let sent = self.lanes[self.turn].try_send(Message::Parcel { parcel, turn_ends });
        if turn_ends {
            self.turn = (self.turn + 1) % self.lanes.len();
        }
        // Only this end sends, so the room that was there is still there: what fails is a receiver that is gone.
        sent.map_err(|_| Gone)
    }

    /// Tells every lane how the stream ended; `None`: something failed.
    pub(super) async fn close(&mut self, ended: Option<Ended>) {
        // In turn order: the receiver meets the end in the lane whose turn it is.
        for i in 0..self.lanes.len() {
            let lane = &self.lanes[(self.turn + i) % self.lanes.len()];
            let message = ended.map_or(Message::Failed, Message::End);
            // A receiver that is gone needs no word.
            let _ = lane.send(message).await;
        }
        self.lanes.clear();
    }
}

impl Incoming {
    fn new(lanes: Vec<Receiver<Message>>) -> Self {
        Self { lanes, turn: 0 }
    }

    /// The next batch, or how the stream ended. A sender that is gone without a word has failed. May be dropped at any
    /// time.
    pub(super) async fn next(&mut self) -> Result<Parcel, Close> {
        match self.lanes[self.turn].recv().await {
            Some(Message::Parcel { parcel, turn_ends }) => {
                if turn_ends {
                    self.turn = (self.turn + 1) % self.lanes.len();
                }
                Ok(parcel)
            }
            Some(Message::End(ended)) => Err(Close::End(ended)),
            Some(Message::Failed) | None => Err(Close::Failed),
        }
    }

    /// Wants no more: senders see it at their next batch.
    pub(super) fn stop(&mut self) {
        self.lanes.iter_mut().for_each(Receiver::close);
    }
}

//! [`Locator`]: asks the instances where records began what the positions before them are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::contracts::{OriginAt, Report};
use crate::data::Position;

/// Asks for positions, and hands on the answers.
pub(super) struct Locator {
    reports: mpsc::UnboundedSender<Report>,
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Option<Position>>>,
}

impl Locator {
    pub(super) fn new(reports: mpsc::UnboundedSender<Report>) -> Self {
        Self { reports, asked: Mutex::default() }
    }

    /// The position before this record; `None` if nobody can tell.
    pub(super) async fn ask(&self, at: OriginAt) -> Option<Position> {
        let answered = {
            let (answer, answered) = oneshot::channel();
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let id = asked.next;
            asked.next += 1;
            // Those who have given up waiting.
            asked.waiting.retain(|_, answer| !answer.is_closed());
            asked.waiting.insert(id, answer);
            let _ = self.reports.send(Report::Locate { id, at });
            answered
        };
        answered.await.ok().flatten()
    }

    /// An answer came.
    pub(super) fn answer(&self, id: u64, position: Option<Position>) {
        let waiting = self.asked.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&id);
        if let Some(waiting) = waiting {
            let _ = waiting.send(position);
        }
    }
}

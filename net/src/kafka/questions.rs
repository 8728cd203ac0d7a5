//! [`Questions`]: a thread on which the brokers are asked what has to be waited for.

use std::sync::mpsc;

use millstream_core::contracts::{Cause, Error, Result};
use tokio::sync::oneshot;

/// A thread on which the brokers are asked, one question behind the other. It ends when this is dropped and its last
/// question is answered.
#[derive(Debug)]
pub struct Questions(mpsc::Sender<Question>);

type Question = Box<dyn FnOnce() + Send>;

/// Brings the answer to a question; an error says that nobody is there to answer it.
pub type Answer<T> = oneshot::Receiver<T>;

impl Questions {
    /// Starts a thread for them.
    pub fn new() -> Result<Self> {
        let (questions, asked) = mpsc::channel::<Question>();
        thread("kafka questions", move || asked.into_iter().for_each(|question| question()))?;
        Ok(Self(questions))
    }

    /// Asks something. What is not waited for is asked all the same.
    pub fn ask<T: Send + 'static>(&self, question: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        // Where nobody hears it or answers it any more, the receiver says so.
        let _ = self.0.send(Box::new(move || {
            let _ = answer.send(question());
        }));
        answered
    }
}

/// What is said when nobody was there to answer.
pub fn unanswered(error: oneshot::error::RecvError) -> Error {
    Error::new(Cause::Bug, "a question to the brokers was not answered").because(error)
}

/// Starts a thread.
pub fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let started = std::thread::Builder::new().name(name.into()).spawn(work);
    let wrong = "no thread could be started for a Kafka client";
    started.map(drop).map_err(|error| Error::new(Cause::Outside, wrong).because(error))
}

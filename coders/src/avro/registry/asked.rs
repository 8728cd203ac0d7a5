//! [`Asked`]: what a registry was asked, what is known of it, and who waits for an answer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millstream_core::contracts::Halt;

use super::{Settings, client};
use crate::avro::Schema;

/// How often those who wait ask whether they are to give up.
const LOOK: Duration = Duration::from_millis(20);

/// What a registry is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// The schema of an id.
    Id(u32),
    /// The schema of a subject: of this version, or the latest.
    Version(String, Option<u32>),
    /// The id of a schema under a subject.
    LookUp(String, Written),
    /// The same, after it was registered.
    Register(String, Written),
}

/// A schema that is looked up: told apart by its identity.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) schema: Schema,
    /// What is sent in its place, where it refers to others: the text, and what it refers to (name, subject, version).
    pub(crate) referring: Option<Arc<Referring>>,
}

/// A schema's text that refers to others.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Referring {
    pub(crate) text: String,
    pub(crate) references: Vec<(String, String, u32)>,
}

impl PartialEq for Written {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema && self.referring == other.referring
    }
}

impl Eq for Written {}

impl std::hash::Hash for Written {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.schema.identity().hash(state);
        self.referring.hash(state);
    }
}

/// What is known.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) id: u32,
    pub(crate) schema: Schema,
}

/// Why nothing is known.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    /// Whether the registry said so, or it could not be waited for.
    pub(crate) is_final: bool,
}

/// Shared by all who ask.
pub(crate) struct Asked {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) settings: Settings,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    answers: HashMap<Question, Answer>,
    /// The questions that are answered, the oldest first.
    answered: VecDeque<Question>,
    worker: Option<client::Worker>,
}

enum Answer {
    /// It is being asked.
    Awaited,
    Known(Known),
    Refused(Refusal, Instant),
}

impl Asked {
    pub(crate) fn new(settings: Settings) -> Self {
        let state = State { answers: HashMap::new(), answered: VecDeque::new(), worker: None };
        Self { shared: Arc::new(Shared { settings, state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// What is known of a question; waits until something is, or it is time to give up.
    pub(crate) fn ask(&self, question: &Question, halt: &Halt) -> Result<Known, Refusal> {
        let shared = &self.shared;
        let mut state = shared.state();
        // What is answered while it is waited for is the answer, however long such are remembered.
        let mut waits = false;
        loop {
            match state.answers.get(question) {
                Some(Answer::Known(known)) => return Ok(known.clone()),
                Some(Answer::Refused(refusal, since)) if waits || since.elapsed() < shared.settings.refused => {
                    return Err(refusal.clone());
                }
                Some(Answer::Awaited) => waits = true,
                _ => {
                    waits = true;
                    if let Err(wrong) = self.begin(&mut state, question) {
                        drop(state);
                        return Err(in_vain(wrong, halt));
                    }
                }
            }
            if halt.is_due() {
                let message = "the registry did not answer before it was time to give up".to_owned();
                return Err(Refusal { message, is_final: false });
            }
            state = shared.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn begin(&self, state: &mut State, question: &Question) -> Result<(), String> {
        let worker = match &state.worker {
            Some(worker) => worker,
            None => state.worker.insert(client::Worker::begin(&self.shared)?),
        };
        worker.ask(question.clone());
        state.answers.insert(question.clone(), Answer::Awaited);
        Ok(())
    }
}

/// Waits until it is time to give up: that a registry can't be asked is no fault of the records.
fn in_vain(wrong: String, halt: &Halt) -> Refusal {
    tracing::error!(wrong, "the schema registry can't be asked; records wait until the run is ended");
    while !halt.is_due() {
        std::thread::sleep(LOOK);
    }
    Refusal { message: wrong, is_final: false }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A question has been answered.
    pub(super) fn answered(&self, question: Question, answer: Result<Known, Refusal>) {
        let mut state = self.state();
        let answer = match answer {
            Ok(known) => Answer::Known(known),
            Err(refusal) => Answer::Refused(refusal, Instant::now()),
        };
        state.answered.retain(|other| *other != question);
        state.answered.push_back(question.clone());
        state.answers.insert(question, answer);
        while state.answered.len() > self.settings.known {
            if let Some(oldest) = state.answered.pop_front() {
                state.answers.remove(&oldest);
            }
        }
        self.changed.notify_all();
    }
}

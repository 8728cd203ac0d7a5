//! [`Registry`]: a schema registry with the Confluent API, and Avro that refers to it.
//!
//! ```text
//! record  00, the schema's id (u32, big-endian), the value
//! ```
//!
//! What is asked of the registry is asked once, by a thread of the registry's own, however many coders wait for it, and
//! is remembered. While the registry can't be reached, says that it has trouble of its own, or something else answers in
//! its place, it is asked again and again; the coders wait, and their records with them. What it refuses is remembered
//! for a short while: those records fail.
//!
//! ```text
//! subject.rs   under which subject schemas are
//! asked.rs     what is asked, what is known, who waits
//! client.rs    the thread that asks
//! http.rs      one call, bounded
//! coding.rs    registered records: how a coder uses it
//! ```

mod asked;
mod client;
mod coding;
mod http;
mod subject;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::contracts::{Cause, Error, Halt, Result};

pub(crate) use self::asked::Known;
use self::asked::{Asked, Question, Refusal};
pub use self::coding::Registered;
use self::coding::Written;
pub(crate) use self::coding::{PREFIX, id, prefix};
pub use self::subject::Subject;
use super::Schema;

/// A schema registry with the Confluent API. Cloning it costs nothing, and clones share what is known.
///
/// ```
/// use millstream_coders::avro::{self, Registry, Schema, Subject};
/// use millstream_core::contracts::Format;
///
/// let registry = Registry::at("https://registry.example:8081").basic_auth("orders", "secret");
/// let decoder = avro::values().registered(&registry.reading()).decoder();
///
/// let order: Schema = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}"#.parse()?;
/// let orders = registry.writing(Subject::value_of("orders"), &order);
/// let encoder = avro::values().registered(&orders).encoder();
/// # assert!(decoder.is_some() && encoder.is_some());
/// # Ok::<(), millstream_core::contracts::CodeError>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    settings: Arc<Settings>,
    asked: Arc<std::sync::OnceLock<Asked>>,
}

/// What is declared about a registry.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) urls: Vec<String>,
    /// What is wrong with a URL, which is not kept then.
    pub(crate) wrong: Option<&'static str>,
    pub(crate) user: Option<(String, String)>,
    pub(crate) token: Option<String>,
    /// PEM of certificates that are trusted beside the system's.
    pub(crate) authorities: Vec<u8>,
    pub(crate) patience: Duration,
    pub(crate) again: (Duration, Duration),
    pub(crate) known: usize,
    pub(crate) refused: Duration,
}

impl Registry {
    /// A registry at this base URL, such as `http://localhost:8081`. URLs are shown in messages: one that may hold a
    /// secret (an `@`, a query) is not used, see [`Registry::check`]; [`Registry::basic_auth`] and [`Registry::token`]
    /// are for those.
    pub fn at(url: impl Into<String>) -> Self {
        let settings = Settings {
            urls: Vec::new(),
            wrong: None,
            user: None,
            token: None,
            authorities: Vec::new(),
            patience: Duration::from_secs(10),
            again: (Duration::from_millis(100), Duration::from_secs(5)),
            known: 1_000,
            refused: Duration::from_secs(5),
        };
        Self { settings: Arc::new(settings), asked: Arc::default() }.or_at(url)
    }

    /// Another URL of the same registry, asked when those before it don't answer.
    #[must_use]
    pub fn or_at(self, url: impl Into<String>) -> Self {
        let url = client::plain(&url.into());
        self.with(|settings| match url {
            Ok(url) => settings.urls.push(url),
            Err(wrong) => settings.wrong = Some(wrong),
        })
    }

    /// Basic authentication; none by default.
    #[must_use]
    pub fn basic_auth(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let user = (user.into(), password.into());
        self.with(|settings| settings.user = Some(user))
    }

    /// A bearer token; none by default.
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        let token = token.into();
        self.with(|settings| settings.token = Some(token))
    }

    /// Certificates (PEM) of authorities to trust beside the system's, for a registry with certificates of its own.
    #[must_use]
    pub fn trusting(self, pem: impl AsRef<[u8]>) -> Self {
        self.with(|settings| settings.authorities.extend_from_slice(pem.as_ref()))
    }

    /// The same, from a file.
    pub fn trusting_file(self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let refuse = |error| Error::new(Cause::User, format!("{} can't be read", path.display())).because(error);
        Ok(self.trusting(std::fs::read(path).map_err(refuse)?))
    }

    /// How long one call may take before it counts as failed; 10 s by default.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        self.with(|settings| settings.patience = patience)
    }

    /// How long to wait before the registry is asked again when it can't be reached: at first, and at most, doubled each
    /// time; 100 ms and 5 s by default.
    #[must_use]
    pub fn again(self, first: Duration, most: Duration) -> Self {
        self.with(|settings| settings.again = (first.max(Duration::from_millis(1)), most.max(first)))
    }

    /// How many answers are remembered, of schemas and of ids each; 1,000 by default. The oldest is forgotten, and asked
    /// for again when it is needed.
    #[must_use]
    pub fn remembering(self, answers: usize) -> Self {
        self.with(|settings| settings.known = answers.max(1))
    }

    /// How long a refusal is remembered, such as that there is no schema of an id; 5 s by default. Records that need it
    /// fail meanwhile, without a call each.
    #[must_use]
    pub fn remembering_refusals(self, time: Duration) -> Self {
        self.with(|settings| settings.refused = time)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        // What was asked with other settings is not this one's.
        Self { asked: Arc::default(), ..self }
    }

    /// Checks URLs and certificates; nothing is asked. Records that need a registry whose settings are wrong wait, and
    /// the log says what is wrong: better to check it first.
    pub fn check(&self) -> Result<()> {
        client::check(&self.settings).map_err(|wrong| Error::new(Cause::User, wrong))
    }

    /// The schema of a subject: of this version, or the latest. Waits for the answer, 30 s at most while the registry
    /// can't be reached.
    pub fn schema(&self, subject: &str, version: Option<u32>) -> Result<Schema> {
        self.check()?;
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let halt = Halt::when(move || std::time::Instant::now() > deadline);
        let answer = self.ask(&Question::Version(subject.to_owned(), version), &halt);
        answer.map(|known| known.schema).map_err(|why| {
            let error = Error::new(if why.is_final { Cause::User } else { Cause::Outside }, why.message);
            error.at(format!("the schema registry at {}", self.shown()))
        })
    }

    /// Records that are read, each by the schema that it names.
    pub fn reading(&self) -> Registered {
        Registered::new(self.clone(), None)
    }

    /// Records that are written by this schema, which has to be registered under the subject, unless
    /// [`Registered::registering`] says otherwise; and read.
    pub fn writing(&self, subject: Subject, schema: &Schema) -> Registered {
        Registered::new(self.clone(), Some((subject, Written::By(schema.clone()))))
    }

    /// Records that are written by the latest schema of the subject; and read.
    pub fn writing_latest(&self, subject: Subject) -> Registered {
        Registered::new(self.clone(), Some((subject, Written::Latest)))
    }

    /// Generic values that are written each by the schema that it has with it; and read.
    pub fn writing_own(&self, subject: Subject) -> Registered {
        Registered::new(self.clone(), Some((subject, Written::Own)))
    }

    pub(crate) fn ask(&self, question: &Question, halt: &Halt) -> Result<Known, Refusal> {
        self.asked.get_or_init(|| Asked::new((*self.settings).clone())).ask(question, halt)
    }

    /// The URLs, for messages.
    pub(crate) fn shown(&self) -> String {
        self.settings.urls.join(" or ")
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({})", self.shown())
    }
}

//! [`Worker`]: the thread that asks a registry. The encoder and the decoder of `schema_registry_converter` are not used,
//! since their caches have no bounds and keep what was refused for ever.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use millstream_core::contracts::WAITS;
use schema_registry_converter::schema_registry_common::{RawRegisteredSchema, RegisteredReference, SrCall};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Settings;
use super::asked::{Known, Question, Refusal, Shared, Written};
use super::http::{Answer, Http, Trouble};
use crate::avro::Schema;
use crate::avro::plan::Plan;
use crate::avro::raw::MOST;

/// How deep schemas may refer to others, and to how many in all.
const DEEP: usize = 16;
const MANY: usize = 256;

/// The thread that asks. It ends once nobody can ask any more.
pub(super) struct Worker(mpsc::UnboundedSender<Question>);

impl Worker {
    /// Starts it. An error says what is wrong with the settings.
    pub(super) fn begin(shared: &Arc<Shared>) -> Result<Self, String> {
        let calls = Arc::new(Calls::new(&shared.settings)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("the registry can't be asked: {error}"))?;
        let (ask, mut asked) = mpsc::unbounded_channel::<Question>();
        let shared = Arc::downgrade(shared);
        let work = async move {
            while let Some(question) = asked.recv().await {
                let asking = tokio::spawn(answer(calls.clone(), shared.clone(), question.clone()));
                tokio::spawn(answer_broken(asking, shared.clone(), question));
            }
        };
        let thread = std::thread::Builder::new().name("registry".to_owned());
        let begun = thread.spawn(move || runtime.block_on(work));
        begun.map_err(|error| format!("no thread to ask the registry by: {error}"))?;
        Ok(Self(ask))
    }

    pub(super) fn ask(&self, question: Question) {
        // The thread takes questions as long as this is there.
        let _ = self.0.send(question);
    }
}

/// Asks until there is an answer, or nobody who wants it.
async fn answer(calls: Arc<Calls>, shared: Weak<Shared>, question: Question) {
    let (mut wait, most) = calls.settings.again;
    let mut failed = 0_u32;
    loop {
        let answer = calls.answer(&question).await;
        let Some(shared) = shared.upgrade() else { return };
        match answer {
            Ok(known) => {
                if failed > 0 {
                    tracing::info!(registry = calls.shown(), failed, "the schema registry answers again");
                }
                return shared.answered(question, Ok(known));
            }
            Err(Trouble::Refused(message)) => {
                return shared.answered(question, Err(Refusal { message, is_final: true }));
            }
            Err(Trouble::Passing(why)) => {
                failed += 1;
                let registry = calls.shown();
                if failed.is_power_of_two() {
                    let what = "the schema registry gives no answer: records wait";
                    tracing::warn!(target: WAITS, registry, failed, why, "{what}");
                }
            }
        }
        drop(shared);
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(most);
    }
}

/// Refuses what broke on its way: who waits for it would wait for ever.
async fn answer_broken(asking: JoinHandle<()>, shared: Weak<Shared>, question: Question) {
    if let (Err(broken), Some(shared)) = (asking.await, shared.upgrade()) {
        let message =
            format!("the registry's answer to {question:?} could not be taken, which is a mistake here: {broken}");
        shared.answered(question, Err(Refusal { message, is_final: true }));
    }
}

/// What is wrong with the settings, if anything is. Nothing is asked.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    Calls::new(settings).map(drop)
}

/// The calls.
struct Calls {
    settings: Settings,
    http: Http,
}

impl Calls {
    fn new(settings: &Settings) -> Result<Self, String> {
        if let Some(wrong) = settings.wrong {
            return Err(wrong.to_owned());
        }
        if settings.urls.is_empty() {
            return Err("a registry without a URL".to_owned());
        }
        Ok(Self { settings: settings.clone(), http: Http::new(settings)? })
    }

    fn shown(&self) -> String {
        self.settings.urls.join(" or ")
    }

    async fn answer(&self, question: &Question) -> Answer<Known> {
        match question {
            Question::Id(id) => {
                let found = self.http.call(SrCall::GetById(*id)).await;
                let found = found.map_err(|trouble| trouble.of(&format!("the schema of id {id}"), &self.shown()))?;
                self.known(found, Some(*id)).await
            }
            Question::Version(subject, version) => self.version(subject, *version).await,
            Question::LookUp(subject, written) => {
                let found = self.http.call(SrCall::PostForVersion(subject, &body(written))).await;
                let mend = "register it, or have it registered by `registering`";
                self.written(found, subject, written, ["is not registered", mend]).await
            }
            Question::Register(subject, written) => {
                let found = self.http.call(SrCall::PostNew(subject, &body(written))).await;
                let mend = "mend the schema, name another subject, or change the subject's compatibility";
                self.written(found, subject, written, ["can't be registered", mend]).await
            }
        }
    }

    async fn version(&self, subject: &str, version: Option<u32>) -> Answer<Known> {
        let (call, what) = match version {
            Some(version) => (
                SrCall::GetBySubjectAndVersion(subject, version),
                format!("version {version} of the subject {subject}"),
            ),
            None => (SrCall::GetLatest(subject), format!("the latest version of the subject {subject}")),
        };
        let found = self.http.call(call).await.map_err(|trouble| trouble.of(&what, &self.shown()))?;
        self.known(found, None).await
    }

    /// The id that was found for what is written. A refusal says what that means, and what to do.
    async fn written(
        &self,
        found: Answer<RawRegisteredSchema>,
        subject: &str,
        written: &Written,
        [what, mend]: [&str; 2],
    ) -> Answer<Known> {
        let why = match found {
            Ok(RawRegisteredSchema { id: Some(id), .. }) => return Ok(Known { id, schema: written.schema.clone() }),
            Ok(_) => return Err(Trouble::Refused(format!("{} answered without an id", self.shown()))),
            Err(Trouble::Passing(why)) => return Err(Trouble::Passing(why)),
            Err(Trouble::Refused(why)) => why,
        };
        let (shown, registry) = (written.schema.shown(), self.shown());
        let differs = self.differs(subject, &written.schema).await;
        Err(Trouble::Refused(format!(
            "the schema of these records ({shown}) {what} under the subject {subject} at {registry}: {why}; \
             {differs}{mend}"
        )))
    }

    /// How a schema differs from the latest of the subject, as half a sentence; nothing if that can't be said.
    async fn differs(&self, subject: &str, schema: &Schema) -> String {
        let Ok(found) = self.http.call(SrCall::GetLatest(subject)).await else { return String::new() };
        let version = found.version.map_or_else(String::new, |version| format!(" (version {version})"));
        let Ok(latest) = self.known(found, None).await else { return String::new() };
        let mut lines = Vec::new();
        if let Err(mismatches) = Plan::of(latest.schema.graph(), schema.graph()) {
            lines.push(format!(
                "what the subject's latest schema{version} wrote can't be read by this one: {mismatches}"
            ));
        }
        if let Err(mismatches) = Plan::of(schema.graph(), latest.schema.graph()) {
            lines.push(format!("what this one writes can't be read by the subject's latest{version}: {mismatches}"));
        }
        if lines.is_empty() {
            lines.push(format!(
                "each can read what the subject's latest schema{version} wrote, and the other way round"
            ));
        }
        lines.push(String::new());
        lines.join("; ")
    }

    async fn known(&self, found: RawRegisteredSchema, id: Option<u32>) -> Answer<Known> {
        let shown = self.shown();
        let refused = |what: String| Trouble::Refused(format!("{what}, at {shown}"));
        let kind = found.schema_type.as_deref().unwrap_or("AVRO");
        if kind != "AVRO" {
            return Err(refused(format!("expected a schema of Avro, found one of {kind}")));
        }
        let (Some(id), Some(text)) = (id.or(found.id), found.schema) else {
            return Err(refused("expected a schema and its id, found an answer without them".to_owned()));
        };
        let mut others = Others::default();
        others.count(&text)?;
        for reference in few(found.references)? {
            self.referred(&reference.subject, reference.version, &mut others, DEEP).await?;
        }
        let others: Vec<_> = others.texts.iter().map(String::as_str).collect();
        let schema = Schema::parse_with(&text, &others)
            .map_err(|error| refused(format!("the schema of id {id} can't be used: {error}")))?;
        Ok(Known { id, schema })
    }

    /// Adds the texts of a schema that is referred to, and of those that it refers to. Each is asked for once.
    fn referred<'a>(
        &'a self,
        subject: &'a str,
        version: u32,
        others: &'a mut Others,
        deep: usize,
    ) -> Pin<Box<dyn Future<Output = Answer<()>> + Send + 'a>> {
        Box::pin(async move {
            let what = format!("version {version} of the subject {subject}, which a schema refers to");
            if others.asked.contains(&(subject.to_owned(), version)) {
                return Ok(());
            }
            if deep == 0 || others.asked.len() >= MANY {
                let text = format!("{what}: schemas refer to others more than {DEEP} deep, or to more than {MANY}");
                return Err(Trouble::Refused(text));
            }
            others.asked.insert((subject.to_owned(), version));
            let found = self.http.call(SrCall::GetBySubjectAndVersion(subject, version)).await;
            let found = found.map_err(|trouble| trouble.of(&what, &self.shown()))?;
            let Some(text) = found.schema else {
                return Err(Trouble::Refused(format!("{what}: the answer has no schema")));
            };
            others.count(&text).map_err(|trouble| trouble.of(&what, &self.shown()))?;
            for reference in few(found.references)? {
                self.referred(&reference.subject, reference.version, others, deep - 1).await?;
            }
            if !others.texts.contains(&text) {
                others.texts.push(text);
            }
            Ok(())
        })
    }
}

/// What a schema refers to, and that in turn.
#[derive(Default)]
struct Others {
    /// Each behind those that it refers to.
    texts: Vec<String>,
    /// Subjects and versions.
    asked: HashSet<(String, u32)>,
    /// How many bytes the texts have that came, and that of the schema that refers to them.
    bytes: usize,
}

impl Others {
    /// One more text has come.
    fn count(&mut self, text: &str) -> Answer<()> {
        self.bytes += text.len();
        if self.bytes <= MOST {
            return Ok(());
        }
        Err(Trouble::Refused(format!("a schema and those that it refers to have more than {MOST} bytes together")))
    }
}

/// What one schema refers to, if that isn't too much.
fn few(references: Option<Vec<RegisteredReference>>) -> Answer<Vec<RegisteredReference>> {
    let references = references.unwrap_or_default();
    match references.len() {
        0..=MANY => Ok(references),
        many => Err(Trouble::Refused(format!("a schema refers to {many} others, and {MANY} is the most"))),
    }
}

fn body(written: &Written) -> String {
    let text = written.referring.as_ref().map_or(written.schema.text(), |referring| &referring.text);
    let mut body = json!({"schema": text, "schemaType": "AVRO"});
    if let Some(referring) = &written.referring {
        let reference = |(name, subject, version): &(String, String, u32)| json!({"name": name, "subject": subject, "version": version});
        body["references"] = referring.references.iter().map(reference).collect();
    }
    body.to_string()
}

/// A URL as it is asked and shown, without a slash at its end; or what is wrong, without the URL: it may hold secrets.
pub(super) fn plain(url: &str) -> Result<String, &'static str> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    if url.contains('@') {
        return Err("expected a registry's URL that may be shown, found one with an `@` in it: give the user and the \
                    password by `basic_auth`, or a token by `token`");
    }
    if url.contains(['?', '#']) {
        return Err("expected a registry's URL that may be shown, found one with a query or a fragment in it (`?`, \
                    `#`): give the user and the password by `basic_auth`, or a token by `token`");
    }
    if !["http", "https"].contains(&scheme) {
        return Err("expected a registry's URL that begins with http:// or https://, found another scheme: give it \
                    such as http://localhost:8081");
    }
    Ok(format!("{scheme}://{}", rest.trim_end_matches('/')))
}

//! [`Http`]: one call of a registry, by the first of its URLs that answers. What is asked and what is answered is of
//! `schema_registry_converter`; its own calls are not used, since they read answers of any length, take one that is cut
//! off for a refusal, and ask the next URL what the first has answered.

use std::error::Error as _;
use std::sync::Arc;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Response};
use schema_registry_converter::schema_registry_common::{RawError, RawRegisteredSchema, SrCall};

use super::Settings;

/// The most bytes of an answer: those of the largest schema, with room for what JSON makes of them.
const MOST: usize = 16 << 20;

/// The most bytes of what a refusal says that are repeated: some have the schemas in them.
const REPEATED: usize = 4 << 10;

const JSON: &str = "application/vnd.schemaregistry.v1+json";

/// Why an answer did not come.
pub(super) enum Trouble {
    /// It may come when it is asked again.
    Passing(String),
    /// It won't.
    Refused(String),
}

pub(super) type Answer<T> = Result<T, Trouble>;

impl Trouble {
    pub(super) fn of(self, what: &str, registry: &str) -> Self {
        match self {
            Self::Passing(why) => Self::Passing(why),
            Self::Refused(why) => Self::Refused(format!("{what} can't be had from {registry}: {why}")),
        }
    }
}

pub(super) struct Http {
    settings: Settings,
    client: Client,
}

impl Http {
    /// An error says what is wrong with the settings.
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls(settings)?)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("millstream")
            .timeout(settings.patience)
            .build()
            .map_err(|error| format!("the registry's settings are wrong: {}", shown(error)))?;
        Ok(Self { settings: settings.clone(), client })
    }

    /// What the first registry that answers says.
    pub(super) async fn call(&self, call: SrCall<'_>) -> Answer<RawRegisteredSchema> {
        let mut none = Vec::new();
        for url in &self.settings.urls {
            match self.ask(url, call).await {
                Err(Trouble::Passing(why)) => none.push(format!("{url}: {why}")),
                answered => return answered,
            }
        }
        Err(Trouble::Passing(none.join("; ")))
    }

    async fn ask(&self, url: &str, call: SrCall<'_>) -> Answer<RawRegisteredSchema> {
        let passing = |error| Trouble::Passing(shown(error));
        let mut response = self.request(url, call).send().await.map_err(passing)?;
        let status = response.status();
        if status.is_success() {
            let body = read(&mut response, MOST).await.map_err(passing)?;
            let body = body.ok_or_else(|| Trouble::Refused(format!("its answer has more than {MOST} bytes")))?;
            return answer(&body);
        }
        let body = read(&mut response, MOST).await.map_err(passing)?;
        Err(refusal(status.as_u16(), &body.unwrap_or_default()))
    }

    fn request(&self, url: &str, call: SrCall<'_>) -> RequestBuilder {
        let (path, body) = asked(call);
        let url = format!("{url}/{path}");
        let request = match body {
            None => self.client.get(url),
            Some(body) => self.client.post(url).header(CONTENT_TYPE, JSON).header(ACCEPT, JSON).body(body.to_owned()),
        };
        match (&self.settings.user, &self.settings.token) {
            (Some((user, password)), _) => request.basic_auth(user, Some(password)),
            (None, Some(token)) => request.bearer_auth(token),
            (None, None) => request,
        }
    }
}

/// The path of a call behind the base URL, and what is sent.
fn asked(call: SrCall<'_>) -> (String, Option<&str>) {
    match call {
        // Records outlive subjects that are deleted.
        SrCall::GetById(id) => (format!("schemas/ids/{id}?deleted=true"), None),
        SrCall::GetByGuid(guid) => (format!("schemas/guids/{}?deleted=true", escaped(guid)), None),
        SrCall::GetLatest(subject) => (format!("subjects/{}/versions/latest", escaped(subject)), None),
        SrCall::GetBySubjectAndVersion(subject, version) => {
            (format!("subjects/{}/versions/{version}", escaped(subject)), None)
        }
        SrCall::PostNew(subject, body) => (format!("subjects/{}/versions", escaped(subject)), Some(body)),
        SrCall::PostForVersion(subject, body) => (format!("subjects/{}?deleted=false", escaped(subject)), Some(body)),
    }
}

/// As one part of a path.
fn escaped(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// The body, unless it has more bytes than that.
async fn read(response: &mut Response, most: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// What an answer says. A registry's has an id or a schema. Another is of what stands before a registry that is away, such
/// as a proxy with a page to say so: that passes.
fn answer(body: &[u8]) -> Answer<RawRegisteredSchema> {
    match serde_json::from_slice::<RawRegisteredSchema>(body) {
        Ok(found) if found.id.is_some() || found.schema.is_some() => Ok(found),
        Ok(_) => Err(Trouble::Passing(format!("its answer has neither an id nor a schema: {OTHER}"))),
        Err(error) => Err(Trouble::Passing(format!("its answer is none of a schema registry ({error}): {OTHER}"))),
    }
}

/// What to do where something else than a registry answers.
const OTHER: &str = "see to the URL, its path too, and to what stands before the registry";

/// What a status that is none of success comes to. What the registry says of itself (5xx) passes, as does being asked too
/// much, and who asks not being let in: that is no fault of the record, and may be mended over there. So does what has no
/// code of a registry's with it: it was not the registry that answered.
fn refusal(status: u16, body: &[u8]) -> Trouble {
    let said = serde_json::from_slice::<RawError>(body).ok().filter(|said| said.error_code != 0);
    let text = match &said {
        Some(RawError { error_code, message, .. }) => {
            let message = &message[..message.floor_char_boundary(REPEATED)];
            format!("{message} (status {status}, code {error_code})")
        }
        None => format!("status {status}"),
    };
    match status {
        401 | 403 => Trouble::Passing(format!("{text}: see to the user and the password, or the token")),
        408 | 429 | 500.. => Trouble::Passing(text),
        _ if said.is_none() => Trouble::Passing(format!("{text} without the code of a registry's error: {OTHER}")),
        _ => Trouble::Refused(text),
    }
}

/// An error with its causes, without the URL: that is told beside it.
fn shown(error: reqwest::Error) -> String {
    let error = error.without_url();
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

/// TLS by ring, trusting the system's authorities and those that are given.
fn tls(settings: &Settings) -> Result<rustls::ClientConfig, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for authority in CertificateDer::pem_slice_iter(&settings.authorities) {
        let authority =
            authority.map_err(|error| format!("the authorities to trust are no certificates in PEM: {error}"))?;
        roots.add(authority).map_err(|error| format!("an authority can't be trusted: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("TLS can't be set up: {error}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

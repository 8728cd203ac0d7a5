//! [`Identity`]: an instance's own certificate and key, and what is wrong with a certificate, in words.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use millstream_core::contracts::PeerId;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};

use super::certs;

/// Longer files are not certificates.
const MAX_FILE: u64 = 1 << 20;

/// What an instance shows of itself, and whom it believes.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) roots: Arc<RootCertStore>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key(), roots: self.roots.clone() }
    }
}

/// The functions that TLS is made of.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Identity {
    /// Reads the files of an instance, and judges them as its peers would. All that is wrong with them comes together.
    pub(super) fn read(folder: &Path, me: PeerId, instances: usize) -> Result<Self, Vec<String>> {
        let (certificate, key) = certs::files_of(me);
        let files = Files { folder, again: format!("`millstream certs new DIR --instances {instances}`") };
        let mut wrong = Vec::new();
        let mut keep = |result: Result<_, String>| result.map_err(|text| wrong.push(text)).ok();
        let roots = keep(files.certificates(certs::AUTHORITY));
        let chain = keep(files.certificates(&certificate));
        let key = files.key(&key);
        match (roots, chain, key) {
            (Some(roots), Some(chain), Ok(key)) => files.judged(roots, chain, key, me).map_err(|text| vec![text]),
            (_, _, key) => {
                wrong.extend(key.err().into_iter().flatten());
                Err(wrong)
            }
        }
    }
}

/// A folder of certificates.
struct Files<'a> {
    folder: &'a Path,
    /// How to make them anew.
    again: String,
}

impl Files<'_> {
    fn certificates(&self, name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
        let (path, text) = self.text(name)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(format!("{} has no certificate in it: make a new one by {}", path.display(), self.again)),
            Err(error) => {
                let error = pem_words(&error);
                Err(format!("{} is not PEM text ({error}): make a new one by {}", path.display(), self.again))
            }
        }
    }

    /// The key, or all that is wrong with it.
    fn key(&self, name: &str) -> Result<PrivateKeyDer<'static>, Vec<String>> {
        let open = open_to_others(&self.folder.join(name));
        let read = self.text(name).and_then(|(path, text)| {
            PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
                let error = pem_words(&error);
                format!("{} has no private key in it ({error}): make a new one by {}", path.display(), self.again)
            })
        });
        match (read, open) {
            (Ok(key), None) => Ok(key),
            (read, open) => Err(open.into_iter().chain(read.err()).collect()),
        }
    }

    fn text(&self, name: &str) -> Result<(PathBuf, Vec<u8>), String> {
        let path = self.folder.join(name);
        let read = std::fs::File::open(&path).and_then(|file| {
            let mut text = Vec::new();
            file.take(MAX_FILE).read_to_end(&mut text).map(|_| text)
        });
        match read {
            Ok(text) => Ok((path, text)),
            Err(error) => Err(format!(
                "{} can't be read ({error}): name the folder that was made by {}, with the files of this instance",
                path.display(),
                self.again
            )),
        }
    }

    /// Judges the files together.
    fn judged(
        &self,
        authority: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        me: PeerId,
    ) -> Result<Identity, String> {
        let (certificate, key_file) = certs::files_of(me);
        let shown = |name: &str| self.folder.join(name).display().to_string();
        let mut roots = RootCertStore::empty();
        for root in authority {
            roots
                .add(root)
                .map_err(|error| format!("{} is not an authority's certificate ({error})", shown(certs::AUTHORITY)))?;
        }
        let roots = Arc::new(roots);
        judge(&chain, roots.clone(), &certs::name_of(me))
            .map_err(|why| format!("the certificate {} {why}: make new ones by {}", shown(&certificate), self.again))?;
        fits(&chain, &key).map_err(|why| {
            format!("the key {} {why} {}: take both from the same folder", shown(&key_file), shown(&certificate))
        })?;
        Ok(Identity { chain, key, roots })
    }
}

/// What is wrong with PEM text. The error's own words show what it has found as lists of numbers.
fn pem_words(error: &pem::Error) -> String {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).escape_debug().to_string();
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("it is cut off: the line `-----END {}-----` is missing", shown(end_marker))
        }
        pem::Error::IllegalSectionStart { line } => format!("`{}` begins no section", shown(line)),
        other => other.to_string(),
    }
}

/// Whether anyone but its owner may read the file.
#[cfg(unix)]
fn open_to_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let path = path.display();
    (mode & 0o077 != 0).then(|| format!("the key {path} may be read by others (mode {mode:03o}): `chmod 600 {path}`"))
}

#[cfg(not(unix))]
fn open_to_others(_path: &Path) -> Option<String> {
    None
}

/// Whether peers would accept this certificate now.
fn judge(chain: &[CertificateDer<'_>], roots: Arc<RootCertStore>, name: &str) -> Result<(), String> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| format!("can't be judged ({error})"))?;
    let name = ServerName::try_from(name).map_err(|error| format!("can't be judged ({error})"))?;
    let [first, others @ ..] = chain else { return Err("is not there".to_owned()) };
    match verifier.verify_server_cert(first, others, &name, &[], UnixTime::now()) {
        Ok(_) => Ok(()),
        Err(error) => Err(words(&error, first)),
    }
}

/// Whether the key is that of the certificate.
fn fits(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> Result<(), String> {
    let key = provider().key_provider.load_private_key(key.clone_key());
    let key = key.map_err(|error| format!("is of no use ({error}), beside"))?;
    match CertifiedKey::new(chain.to_vec(), key).keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => Err("is not that of".to_owned()),
        _ => Ok(()),
    }
}

/// What is wrong with a certificate, to stand behind its name.
pub(super) fn words(error: &rustls::Error, certificate: &CertificateDer<'_>) -> String {
    let rustls::Error::InvalidCertificate(error) = error else { return format!("is not accepted ({error})") };
    match error {
        CertificateError::ExpiredContext { not_after, .. } => format!("has expired on {}", date(*not_after)),
        CertificateError::Expired => "has expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("holds only from {} on (are the clocks right?)", date(*not_before))
        }
        CertificateError::NotValidYet => "does not hold yet (are the clocks right?)".to_owned(),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is signed by a foreign authority (not by that of ca.pem)".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, .. } => {
            format!("is made out to {}, not to {}", listed(&names(certificate)), expected.to_str())
        }
        other => format!("is not accepted ({other})"),
    }
}

/// The names that a certificate is made out to.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let parsed = webpki::EndEntityCert::try_from(certificate);
    parsed.map(|parsed| parsed.valid_dns_names().map(str::to_owned).collect()).unwrap_or_default()
}

pub(super) fn listed(names: &[String]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

fn date(time: UnixTime) -> String {
    // What lies beyond the year 9999 can't be written that way.
    let time = UNIX_EPOCH + Duration::from_secs(time.as_secs().min(253_402_300_799));
    humantime::format_rfc3339_seconds(time).to_string()
}

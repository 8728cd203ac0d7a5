//! [`Certs`]: makes a private authority and the certificates that it signs.
//!
//! ```text
//! ca.pem            the authority's certificate: each instance needs it
//! instance-N.pem    the certificate of instance N, made out to `instance-N.millstream`
//! instance-N.key    its key (PKCS #8), readable by its owner alone
//! ```
//!
//! The authority's own key is kept nowhere: nobody can make another certificate that these instances accept. More
//! instances, or a longer time, are a new folder.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_core::contracts::{Cause, Error, PeerId, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// The authority's certificate.
pub(super) const AUTHORITY: &str = "ca.pem";
/// Certificates begin to hold so much earlier, for clocks that differ.
const EARLIER: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// More certificates than anyone needs.
pub(super) const MOST: usize = 256;

/// The name that the certificate of an instance carries.
pub(super) fn name_of(peer: PeerId) -> String {
    format!("instance-{}.millstream", peer + 1)
}

/// The files of an instance: its certificate and its key.
pub(super) fn files_of(peer: PeerId) -> (String, String) {
    (format!("instance-{}.pem", peer + 1), format!("instance-{}.key", peer + 1))
}

/// Makes the certificates of a pipeline's instances, in a folder: `ca.pem`, and `instance-1.pem` with
/// `instance-1.key` and so on.
///
/// All instances on one machine may share the folder. Other machines get `ca.pem` and the two files of their instance.
/// The authority's key is thrown away: for more instances, or when the time is up, make a new folder and start all
/// instances anew.
#[derive(Debug, Clone)]
pub struct Certs {
    folder: PathBuf,
    instances: usize,
    days: u32,
}

impl Certs {
    /// Certificates for so many instances (1 to 256) in this folder, which is made if it isn't there. They hold for a
    /// year.
    pub fn new(folder: impl AsRef<Path>, instances: usize) -> Self {
        Self { folder: folder.as_ref().to_owned(), instances, days: 365 }
    }

    /// They hold for so many days, 1 to 3,650. Default 365. Afterwards no instance can reach another any more.
    #[must_use]
    pub fn days(mut self, days: u32) -> Self {
        self.days = days;
        self
    }

    /// Makes and writes them, and says which files it has written. Never writes over a file.
    ///
    /// # Errors
    /// A number out of its bounds, a file that is there already, a folder that can't be written.
    pub fn write(&self) -> Result<Vec<PathBuf>> {
        self.check()?;
        let from = SystemTime::now() - EARLIER;
        let authority = Authority::new(from, from + EARLIER + DAY * self.days)?;
        let mut files = vec![(AUTHORITY.to_owned(), authority.pem(), 0o644)];
        for peer in 0..self.instances {
            let (certificate, key) = authority.sign(&name_of(peer), from, authority.until)?;
            let (certificate_file, key_file) = files_of(peer);
            files.push((certificate_file, certificate, 0o644));
            files.push((key_file, key, 0o600));
        }
        self.write_all(files)
    }

    fn check(&self) -> Result<()> {
        if !(1..=MOST).contains(&self.instances) {
            let found = self.instances;
            return Err(Error::new(
                Cause::User,
                format!("certificates are made for 1 to {MOST} instances, not {found}"),
            ));
        }
        if !(1..=3650).contains(&self.days) {
            let found = self.days;
            return Err(Error::new(Cause::User, format!("certificates hold for 1 to 3650 days, not {found}")));
        }
        Ok(())
    }

    fn write_all(&self, files: Vec<(String, String, u32)>) -> Result<Vec<PathBuf>> {
        let folder = self.folder.display();
        if let Some((there, ..)) = files.iter().find(|(name, ..)| self.folder.join(name).exists()) {
            let text =
                format!("{folder} has a file {there} already: give a new folder, or remove the old certificates");
            return Err(Error::new(Cause::User, text));
        }
        std::fs::create_dir_all(&self.folder)
            .map_err(|error| Error::new(Cause::User, format!("the folder {folder} can't be made")).because(error))?;
        let mut written = Vec::new();
        for (name, text, mode) in files {
            let path = self.folder.join(name);
            if let Err(error) = write_new(&path, &text, mode) {
                // Half a set is of no use, and would stand in the way of the next attempt.
                written.iter().for_each(|path: &PathBuf| drop(std::fs::remove_file(path)));
                return Err(Error::new(Cause::User, format!("{} can't be written", path.display())).because(error));
            }
            written.push(path);
        }
        Ok(written)
    }
}

/// Writes a file that must not be there, with its permissions from the start.
fn write_new(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut file = create_new(path, mode)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(unix)]
fn create_new(path: &Path, mode: u32) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
fn create_new(path: &Path, _mode: u32) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// A private authority, while it signs.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    until: SystemTime,
}

impl Authority {
    pub(super) fn new(from: SystemTime, until: SystemTime) -> Result<Self> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(Vec::new(), from, until)?;
        // A name of its own, so that a certificate of another authority is told from one with a broken signature.
        let own: String = key.public_key_raw().iter().skip(1).take(4).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name.push(DnType::CommonName, format!("Millstream authority {own}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).map_err(failed)?, until })
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate made out to this name, and its key, both as PEM.
    pub(super) fn sign(&self, name: &str, from: SystemTime, until: SystemTime) -> Result<(String, String)> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(vec![name.to_owned()], from, until)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn params(names: Vec<String>, from: SystemTime, until: SystemTime) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since(from);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since(until);
    Ok(params)
}

fn failed(error: rcgen::Error) -> Error {
    Error::new(Cause::Bug, "a certificate can't be made").because(error)
}

#[cfg(test)]
mod tests;

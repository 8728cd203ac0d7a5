//! [`Certs`]: an authority, with certificates that it has signed for a server on loopback and for a client.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// Who the client is, by its certificate.
pub(crate) const CLIENT: &str = "millstream-client";

/// Paths of PEM files; keys are PKCS #8.
pub(crate) struct Certs {
    folder: PathBuf,
}

impl Certs {
    /// Makes them in a new folder.
    pub(crate) fn new(folder: &Path) -> Self {
        fs::create_dir(folder).expect("a folder can be made");
        let certs = Self { folder: folder.to_owned() };
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = params("Millstream test authority", Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(params, key).expect("an authority can be made");
        fs::write(certs.authority(), authority.pem()).expect("a file can be written");
        certs.sign(&authority, "server", params_of("localhost", &["localhost", "127.0.0.1"]));
        certs.sign(&authority, "client", params_of(CLIENT, &[]));
        certs
    }

    /// The authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The certificate of `server` (localhost and 127.0.0.1) or `client`.
    pub(crate) fn certificate(&self, of: &str) -> PathBuf {
        self.folder.join(format!("{of}.pem"))
    }

    /// Its key.
    pub(crate) fn key(&self, of: &str) -> PathBuf {
        self.folder.join(format!("{of}.key"))
    }

    /// Its key and its certificate in one file.
    pub(crate) fn key_and_certificate(&self, of: &str) -> PathBuf {
        self.folder.join(format!("{of}.both"))
    }

    fn sign(&self, authority: &CertifiedIssuer<'_, KeyPair>, name: &str, params: CertificateParams) {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, authority).expect("an authority signs").pem();
        let key = key.serialize_pem();
        fs::write(self.key_and_certificate(name), format!("{key}{certificate}")).expect("a file can be written");
        fs::write(self.certificate(name), certificate).expect("a file can be written");
        fs::write(self.key(name), key).expect("a file can be written");
    }
}

fn params_of(name: &str, hosts: &[&str]) -> CertificateParams {
    let mut params = params(name, hosts.iter().map(|&host| host.to_owned()).collect());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn params(name: &str, hosts: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).expect("hosts are names or addresses");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

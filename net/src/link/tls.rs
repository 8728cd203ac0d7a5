//! What TLS is told: version 1.3 only, both sides show a certificate, no early data, no resumption.
//!
//! The verifiers around those of rustls change nothing of the verdict. They put the reason into words that reach both
//! sides: QUIC carries the text of the error to the peer.

use std::fmt;
use std::sync::Arc;

use millstream_core::contracts::{Cause, Error, PeerId, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError, ServerConfig, SignatureScheme,
};

use super::certs;
use super::identity::{Identity, listed, names, provider, words};

/// The application protocol, with its version.
pub(super) const ALPN: &[u8] = b"millstream/1";

/// What each [`Verdict`] begins with: whose it is depends on who reads it.
pub(super) const THE_CERTIFICATE: &str = "the certificate";

/// Both sides of TLS.
pub(super) struct Sides {
    pub(super) server: ServerConfig,
    pub(super) client: ClientConfig,
}

/// With certificates: each side is one of so many instances, and can prove it.
pub(super) fn mutual(identity: &Identity, instances: usize) -> Result<Sides> {
    let roots = identity.roots.clone();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
        .build()
        .map_err(|error| unusable("ca.pem").because(error))?;
    let servers = WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| unusable("ca.pem").because(error))?;
    let clients = Arc::new(Clients { inner: clients, instances });
    let server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(broken)?
        .with_client_cert_verifier(clients)
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(|error| unusable("the instance's certificate").because(error))?;
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(broken)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Servers { inner: servers }))
        .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(|error| unusable("the instance's certificate").because(error))?;
    Ok(finished(server, client))
}

/// Without certificates: a throw-away one encrypts, and nobody is asked for theirs.
pub(super) fn plain() -> Result<Sides> {
    let made = rcgen::generate_simple_self_signed(vec![certs::name_of(0)])
        .map_err(|error| Error::new(Cause::Bug, "a throw-away certificate can't be made").because(error))?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(broken)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(broken)?;
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(broken)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    Ok(finished(server, client))
}

fn finished(mut server: ServerConfig, mut client: ClientConfig) -> Sides {
    server.alpn_protocols = vec![ALPN.to_vec()];
    // Each link shows its certificates anew: one that has expired since is not let in by a ticket.
    server.send_tls13_tickets = 0;
    server.max_early_data_size = 0;
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = Resumption::disabled();
    client.enable_early_data = false;
    Sides { server, client }
}

fn unusable(what: &str) -> Error {
    Error::new(Cause::User, format!("{what} can't be used for TLS"))
}

fn broken(error: rustls::Error) -> Error {
    Error::new(Cause::Bug, "TLS can't be set up").because(error)
}

/// A verdict in words, on its way through the errors of TLS.
struct Verdict(String);

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// TLS writes the cause of an error in this form.
impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Verdict {}

fn refused(text: String) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Verdict(text)))))
}

/// A certificate that is not accepted, in words.
fn verdict_of(error: &rustls::Error, certificate: &CertificateDer<'_>) -> String {
    let misplaced = matches!(
        error,
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName
        )
    );
    let hint = if misplaced { " (have both the same list of peers?)" } else { "" };
    format!("{THE_CERTIFICATE} {}{hint}", words(error, certificate))
}

/// The text of a [`Verdict`] in the text of the error that it has become.
pub(super) fn verdict(error: &str) -> Option<&str> {
    error.strip_prefix("invalid peer certificate: Other(OtherError(")?.strip_suffix("))")
}

/// Judges those who are dialed.
#[derive(Debug)]
struct Servers {
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner
            .verify_server_cert(certificate, others, name, ocsp, now)
            .map_err(|error| refused(verdict_of(&error, certificate)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Judges those who dial.
#[derive(Debug)]
struct Clients {
    inner: Arc<dyn ClientCertVerifier>,
    instances: usize,
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self
            .inner
            .verify_client_cert(certificate, others, now)
            .map_err(|error| refused(verdict_of(&error, certificate)))?;
        match instances_of(certificate, self.instances).is_empty() {
            false => Ok(verified),
            true => Err(refused(format!(
                "{THE_CERTIFICATE} is made out to {}, and to none of the {} instances",
                listed(&names(certificate)),
                self.instances
            ))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Which instances a certificate is made out to.
pub(super) fn instances_of(certificate: &CertificateDer<'_>, instances: usize) -> Vec<PeerId> {
    let names = names(certificate);
    (0..instances).filter(|peer| names.contains(&certs::name_of(*peer))).collect()
}

/// Believes everyone; see [`plain`].
#[derive(Debug)]
pub(super) struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

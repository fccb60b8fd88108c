//! TLS as libpq does it: `sslmode` of the URL decides whether to encrypt, and whether to believe the server's certificate.

use std::path::PathBuf;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tallybook_core::{Error, ErrorKind, Result};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::connect::invalid;

const OPERATION: &str = "preparing TLS";

/// Makes TLS connections for the driver.
pub(crate) type Connector = MakeRustlsConnect;

/// How much of the server's certificate is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// Anything: the connection is only encrypted (`disable`, `allow`, `prefer`, `require`).
    None,
    /// It must be signed by a known authority (`verify-ca`, or `require` with an authority).
    Authority(Roots),
    /// And it must be this host's (`verify-full`).
    Full(Roots),
}

/// The authorities that are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Those of the system.
    System,
    /// Those in this PEM file (`sslrootcert`).
    File(PathBuf),
}

/// Takes what the driver does not know out of the URL: `sslmode=verify-ca|verify-full|allow` and `sslrootcert`.
pub(crate) fn verification(url: &str) -> Result<(String, Verification)> {
    // The last one: a password may hold a question mark.
    let (address, query) = url.rsplit_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots) = (None, None);
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", "system")) => roots = Some(Roots::System),
            Some(("sslrootcert", path)) => {
                roots = Some(Roots::File(percent_decode_str(path).decode_utf8_lossy().as_ref().into()));
            }
            _ => rest.push(pair),
        }
    }
    let (driver_mode, verification) = match (mode, roots) {
        (None, _) => (None, Verification::None),
        (Some("allow"), _) => (Some("prefer"), Verification::None),
        (Some(mode @ ("disable" | "prefer")), _) | (Some(mode @ "require"), None) => (Some(mode), Verification::None),
        // As libpq has it: whoever names an authority wants it to be asked.
        (Some("require"), Some(roots)) => (Some("require"), Verification::Authority(roots)),
        (Some("verify-ca"), roots) => (Some("require"), Verification::Authority(roots.unwrap_or(Roots::System))),
        (Some("verify-full"), roots) => (Some("require"), Verification::Full(roots.unwrap_or(Roots::System))),
        (Some(_), _) => {
            return Err(invalid(
                "sslmode in DATABASE_URL must be disable, allow, prefer, require, verify-ca or verify-full",
            ));
        }
    };
    let mode = driver_mode.map(|mode| format!("sslmode={mode}"));
    rest.extend(mode.as_deref());
    let url = if rest.is_empty() { address.to_owned() } else { format!("{address}?{}", rest.join("&")) };
    Ok((url, verification))
}

/// A connector that believes as much as it is told.
pub(crate) fn connector(verification: Verification) -> Result<Connector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("no version of TLS is left").with_source(error))?;
    let config = match verification {
        Verification::Full(roots) => builder.with_root_certificates(roots.load()?).with_no_client_auth(),
        Verification::Authority(roots) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots.load()?), provider.clone())
                .build()
                .map_err(|error| failed("the authorities cannot be used").with_source(error))?;
            let verifier = Arc::new(Lenient { provider, authority: Some(verifier) });
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
        Verification::None => {
            let verifier = Arc::new(Lenient { provider, authority: None });
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

impl Roots {
    fn load(&self) -> Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        match self {
            Self::System => {
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Self::File(path) => {
                let unreadable =
                    || failed(&format!("sslrootcert {} cannot be read as PEM certificates", path.display()));
                for certificate in
                    CertificateDer::pem_file_iter(path).map_err(|error| unreadable().with_source(error))?
                {
                    let certificate = certificate.map_err(|error| unreadable().with_source(error))?;
                    store.add(certificate).map_err(|error| unreadable().with_source(error))?;
                }
            }
        }
        if store.is_empty() {
            return Err(failed(
                "there is no certificate authority to verify the server with; name one with sslrootcert",
            ));
        }
        Ok(store)
    }
}

fn failed(context: &str) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, context)
}

/// Believes every certificate, or every one of a known authority whatever host it names.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The chain is checked before the name.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sslmode_is_split_into_what_the_driver_does_and_what_is_verified() {
        let split = |query: &str| verification(&format!("postgres://u:p?w@h/d{query}")).expect("a mode");
        let file = |path: &str| Roots::File(path.into());
        for (query, url, verification) in [
            ("", "", Verification::None),
            ("?sslmode=disable", "?sslmode=disable", Verification::None),
            ("?sslmode=allow", "?sslmode=prefer", Verification::None),
            ("?sslmode=prefer", "?sslmode=prefer", Verification::None),
            ("?sslmode=require", "?sslmode=require", Verification::None),
            ("?sslmode=require&sslrootcert=ca.pem", "?sslmode=require", Verification::Authority(file("ca.pem"))),
            ("?sslmode=verify-ca", "?sslmode=require", Verification::Authority(Roots::System)),
            ("?sslmode=verify-full&sslrootcert=system", "?sslmode=require", Verification::Full(Roots::System)),
            (
                "?sslmode=verify-full&connect_timeout=3&sslrootcert=/my%20keys/ca.pem",
                "?connect_timeout=3&sslmode=require",
                Verification::Full(file("/my keys/ca.pem")),
            ),
        ] {
            assert_eq!(split(query), (format!("postgres://u:p?w@h/d{url}"), verification), "{query}");
        }
        assert!(verification("postgres://u@h/d?sslmode=maybe").is_err());
    }
}

//! Certificates: a server's TLS settings from PEM text, and a self-signed certificate for a first start.

use cairn_types::{Error, Result};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// A certificate that nobody vouches for, and its key, as PEM text. The key does not show in `Debug`.
#[derive(Clone)]
pub struct SelfSigned {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl std::fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelfSigned").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// TLS 1.2 and 1.3 by the certificate chain in `certificate_pem` (the server's own one first) and its key (PKCS#8,
/// PKCS#1 or SEC1). Clients need no certificate.
///
/// # Errors
/// `Analysis` when either text is not PEM of its kind or they do not belong together.
pub fn server_config(certificate_pem: &str, key_pem: &str) -> Result<Arc<ServerConfig>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| Error::analysis(format!("The TLS certificate is not valid PEM: {error}")))?;
    if chain.is_empty() {
        return Err(Error::analysis("The TLS certificate file has no CERTIFICATE section; give a PEM file"));
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| {
        Error::analysis(format!("The TLS key is not a PEM private key without a passphrase: {error}"))
    })?;
    let unusable = |error| Error::analysis(format!("The TLS certificate and key cannot be used: {error}"));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    Ok(Arc::new(config))
}

/// Mints a certificate for the host names and addresses `names`.
///
/// # Errors
/// `Analysis` when a name cannot stand in a certificate.
pub fn self_signed(names: &[String]) -> Result<SelfSigned> {
    let certified = rcgen::generate_simple_self_signed(names).map_err(|error| {
        Error::analysis(format!("Could not make a certificate for {}: {error}", names.join(", ")))
    })?;
    Ok(SelfSigned { certificate_pem: certified.cert.pem(), key_pem: certified.signing_key.serialize_pem() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn minted() -> SelfSigned {
        self_signed(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
    }

    #[test]
    fn a_minted_certificate_serves() {
        let minted = minted();
        assert!(server_config(&minted.certificate_pem, &minted.key_pem).is_ok());
        assert!(!format!("{minted:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let (one, other) = (minted(), minted());
        let check = |certificate: &str, key: &str, expected: &str| {
            let error = server_config(certificate, key).unwrap_err();
            assert!(error.message().starts_with(expected), "{error}");
        };
        check("", &one.key_pem, "The TLS certificate file has no CERTIFICATE");
        check(&one.key_pem, &one.key_pem, "The TLS certificate file has no CERTIFICATE");
        check("-----BEGIN CERTIFICATE-----\n???", &one.key_pem, "The TLS certificate is not valid PEM");
        check(&one.certificate_pem, "", "The TLS key is not a PEM");
        check(&one.certificate_pem, &one.certificate_pem, "The TLS key is not a PEM");
        check(&one.certificate_pem, &other.key_pem, "The TLS certificate and key cannot be used");
        assert!(self_signed(&["ü".to_owned()]).is_err());
    }
}

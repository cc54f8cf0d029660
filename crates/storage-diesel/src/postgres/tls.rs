//! TLS to the server: rustls with one named provider, the server's certificate and name always verified.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Socket;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;

/// A secured connection.
pub(super) type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// What makes connections secure, for one database; what is wrong with its certificates, if anything is.
pub(super) fn connector(address: &Address) -> Result<MakeRustlsConnect, String> {
    let mut roots = RootCertStore::empty();
    match &address.roots {
        Some(file) => trust_file(&mut roots, file)?,
        None if address.is_tls => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err("this system has no certificates to verify a server with, set sslrootcert".to_owned());
            }
        }
        None => {}
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn trust_file(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let wrong =
        |error: &dyn std::fmt::Display| format!("the certificates in {} cannot be read: {error}", file.display());
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() { Err(wrong(&"it holds none")) } else { Ok(()) }
}

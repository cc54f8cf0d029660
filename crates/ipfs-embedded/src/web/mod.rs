//! HTTP to hosts that are not ours: over TLS or plain, through the outbound gate, without redirects, proxies or cookies.

mod connect;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use self::connect::Connector;
use crate::gate::OutboundGate;

/// A connection that is not used for this long is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Idle connections that are kept with one host.
const MAX_IDLE: usize = 4;

/// Sends requests without a body.
pub type Client = legacy::Client<HttpsConnector<Connector>, Empty<Bytes>>;

/// A client that connects to what `gate` admits, and believes the certificates that this machine trusts.
pub fn client(gate: OutboundGate) -> io::Result<Client> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let connector = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider)?;
    let connector = connector.https_or_http().enable_all_versions().wrap_connector(Connector::new(gate));
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(IDLE_LIMIT).pool_max_idle_per_host(MAX_IDLE).pool_timer(TokioTimer::new());
    Ok(builder.build(connector))
}

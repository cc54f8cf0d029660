//! Encryption of a connection: Noise or TLS, whichever both sides have.

use std::io;

use futures::future::{BoxFuture, Either, FutureExt, TryFutureExt};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise, tls};

/// Noise or TLS. Noise comes first when we dial, where TLS would settle on `ChaCha20` and
/// cost more; Go peers that dial us prefer TLS and choose AES, which the processor does.
#[derive(Clone)]
pub struct Secure {
    tls: tls::Config,
    noise: noise::Config,
}

impl Secure {
    /// Encryption as the peer that has this key.
    pub fn new(keypair: &Keypair) -> io::Result<Self> {
        Ok(Self {
            tls: tls::Config::new(keypair).map_err(io::Error::other)?,
            noise: noise::Config::new(keypair).map_err(io::Error::other)?,
        })
    }
}

const TLS: &str = "/tls/1.0.0";
const NOISE: &str = "/noise";

impl UpgradeInfo for Secure {
    type Info = &'static str;
    type InfoIter = [&'static str; 2];

    fn protocol_info(&self) -> Self::InfoIter {
        [NOISE, TLS]
    }
}

pub type Secured<C> = (PeerId, Either<TlsStream<C>, noise::Output<C>>);
pub type TlsStream<C> = <tls::Config as StreamOf<C>>::Stream;

/// Names the stream that a security upgrade makes of `C`.
pub trait StreamOf<C> {
    type Stream;
}

impl<C, S> StreamOf<C> for tls::Config
where
    tls::Config: InboundConnectionUpgrade<C, Output = (PeerId, S)>,
{
    type Stream = S;
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Secure {
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<C>>>;

    fn upgrade_inbound(self, socket: C, protocol: &'static str) -> Self::Future {
        if protocol == TLS {
            let upgrade = self.tls.upgrade_inbound(socket, protocol).map_err(io::Error::other);
            return upgrade.map_ok(|(peer, stream)| (peer, Either::Left(stream))).boxed();
        }
        let upgrade = self.noise.upgrade_inbound(socket, protocol).map_err(io::Error::other);
        upgrade.map_ok(|(peer, stream)| (peer, Either::Right(stream))).boxed()
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Secure {
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<C>>>;

    fn upgrade_outbound(self, socket: C, protocol: &'static str) -> Self::Future {
        if protocol == TLS {
            let upgrade = self.tls.upgrade_outbound(socket, protocol).map_err(io::Error::other);
            return upgrade.map_ok(|(peer, stream)| (peer, Either::Left(stream))).boxed();
        }
        let upgrade = self.noise.upgrade_outbound(socket, protocol).map_err(io::Error::other);
        upgrade.map_ok(|(peer, stream)| (peer, Either::Right(stream))).boxed()
    }
}

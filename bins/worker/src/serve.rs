//! `serve`: builds a worker of its parts, runs it, and takes it down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pinrail_domain::Backend;
use pinrail_ipfs::IpfsBackend;
use pinrail_ipfs_embedded::{EmbeddedBackend, Node, NodeLimits, NodeOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::folder::NodeFolder;
use crate::health::{self, Health};
use crate::metrics::{self, Metrics};
use crate::run::Worker;
use crate::settings::{Common, ServeArgs};
use crate::system::{now, throw_die, told_to_stop};
use crate::{database, log, routing};

/// How long the last settlements may take after the drain.
const SETTLE: Duration = Duration::from_secs(10);

/// What is logged unless the settings say otherwise: libp2p's own start is no news to an operator.
const LOG: &str = "info,libp2p_swarm=warn";

/// Work until told to stop.
pub async fn serve(common: &Common, settings: &ServeArgs) -> Result<()> {
    log::start(common, LOG)?;
    let told_to_stop = told_to_stop()?;
    let folder = NodeFolder::new(&common.data_dir);
    folder.check_owner()?;
    let store = folder.open_blocks(settings.store())?;
    let health = bind(settings.health, "/health").await?;
    let health_address = health.local_addr()?;
    let metrics = bind_if_named(settings.metrics, "/metrics").await?;
    let metrics_address = metrics.as_ref().map(TcpListener::local_addr).transpose()?.map(tracing::field::display);
    let routing = bind_if_named(settings.routing, "/routing/v1").await?;
    let routing_address = routing.as_ref().map(TcpListener::local_addr).transpose()?.map(tracing::field::display);
    let storage = database::open(common).await?;
    let id = folder.id()?;
    for open in folder.open_to_others() {
        warn!("{open}");
    }
    let options = NodeOptions {
        keypair: folder.key()?,
        listen: settings.listen.clone(),
        announce: settings.announce.clone(),
        dial: settings.dial(),
        limits: NodeLimits::default(),
        routing: settings.finding(),
    };
    let node = Arc::new(Node::start(options, store).await?);
    let backend: Arc<dyn IpfsBackend> =
        Arc::new(EmbeddedBackend::new(Arc::clone(&node), settings.stall, Arc::new(now)));

    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        told_to_stop.await;
        info!("shutting down");
        stop.send_replace(true);
    });
    let (held, asked) = (Arc::clone(&storage), Arc::clone(&backend));
    let worker = Worker::new(storage, backend, id, Backend::Embedded, settings.policy(), Box::new(throw_die));
    let answers = Health::new(Arc::clone(&held), asked, id, worker.registered(), stopping.clone());
    tokio::spawn(health::serve(health, answers));
    info!(health = %health_address, metrics = metrics_address, routing = routing_address, node = %id, "pinrail-worker is up");
    if settings.allow_private {
        warn!("allow-private is on: origins that clients name reach the networks around this machine");
    }
    if let Some(listener) = routing {
        tokio::spawn(routing::serve(listener, routing::router(Arc::clone(&node))));
    }
    if let Some(listener) = metrics {
        tokio::spawn(metrics::serve(listener, Metrics::new(worker.metrics(), node)));
    }
    tokio::select! {
        () = worker.run(is_told(stopping.clone()), settings.drain) => {}
        () = overtime(stopping, settings.drain) => {
            warn!("the time to shut down is over, leases that were not given back run out by themselves");
        }
    }
    Ok(())
}

/// Listens on an address of the settings.
async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} for {what}"))
}

/// The same, where they name one.
async fn bind_if_named(address: Option<SocketAddr>, what: &str) -> Result<Option<TcpListener>> {
    match address {
        Some(address) => bind(address, what).await.map(Some),
        None => Ok(None),
    }
}

/// Resolves when the worker is told to stop.
async fn is_told(mut stopping: watch::Receiver<bool>) {
    // The sender goes only after it was sent.
    let _ = stopping.wait_for(|is_so| *is_so).await;
}

/// Resolves when the worker was told to stop and has had its time: to drain, then to settle.
async fn overtime(stopping: watch::Receiver<bool>, drain: Duration) {
    is_told(stopping).await;
    tokio::time::sleep(drain + SETTLE).await;
}

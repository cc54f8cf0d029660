//! `serve`: builds the HTTP service of its parts, runs it, and takes it down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pinrail_http::{State, router};
use pinrail_storage::Storage;
use tokio::net::TcpListener;
use tracing::info;

use crate::database;
use crate::settings::{Common, ServeArgs};
use crate::system::{now, random, told_to_stop};

/// How long to wait for a schema that `pinrail-api migrate` has yet to make.
const SCHEMA: Duration = Duration::from_secs(30);

/// Answer requests until told to stop.
pub async fn serve(common: &Common, settings: &ServeArgs) -> Result<()> {
    let told_to_stop = told_to_stop()?;
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", settings.listen))?;
    let storage: Arc<dyn Storage> = Arc::new(database::open(common, SCHEMA).await?);
    let service = storage.service_id().await?;
    let state = State::new(storage, service, Arc::new(now), Arc::new(random), settings.http());
    info!(listen = %listener.local_addr()?, %service, "pinrail-api is up");
    let shutdown = async {
        told_to_stop.await;
        info!("shutting down");
        state.drain();
    };
    pinrail_http::serve(listener, router(state.clone()), settings.server(), shutdown).await;
    state.flush().await;
    Ok(())
}

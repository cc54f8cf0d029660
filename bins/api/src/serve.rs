//! `serve`: builds the HTTP service of its parts, runs it, and takes it down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pinrail_domain::settings::SCHEMA_WAIT;
use pinrail_http::{ServerLimits, State, metrics_router, router};
use pinrail_storage::{Storage, StorageError};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::settings::{Common, ServeArgs};
use crate::system::{now, random, told_to_stop};
use crate::{data_folder, database, reserve};

/// How long the last writes may take at a shutdown.
const FLUSH: Duration = Duration::from_secs(5);

/// How long to wait before asking a database again that went away.
const AGAIN: Duration = Duration::from_millis(500);

/// Answer requests until told to stop.
pub async fn serve(common: &Common, settings: &ServeArgs) -> Result<()> {
    let told_to_stop = told_to_stop()?;
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", settings.listen))?;
    let metrics = bind_metrics(settings.metrics).await?;
    let storage: Arc<dyn Storage> = database::open(common, SCHEMA_WAIT).await?;
    for open in data_folder::open_to_others(common) {
        warn!("{open}");
    }
    let service = patiently(async || storage.service_id().await).await?;
    let state = State::new(Arc::clone(&storage), service, Arc::new(now), Arc::new(random), settings.http());
    let metrics_address = metrics.as_ref().map(TcpListener::local_addr).transpose()?.map(tracing::field::display);
    if let Some(metrics) = metrics {
        let routes = metrics_router(state.clone());
        tokio::spawn(pinrail_http::serve(metrics, routes, ServerLimits::default(), std::future::pending()));
    }
    info!(listen = %listener.local_addr()?, metrics = metrics_address, %service, "pinrail-api is up");
    if settings.allow_private {
        warn!("allow-private is on: origins in private networks are kept, for the worker to dial");
    }
    let watching = tokio::spawn(reserve::watch(database::named(common)?, settings.reserve, state.clone()));
    let shutdown = async {
        told_to_stop.await;
        info!("shutting down");
        state.drain();
    };
    pinrail_http::serve(listener, router(state.clone()), settings.server(), shutdown).await;
    watching.abort();
    let last_writes = async {
        state.flush().await;
        storage.close().await;
    };
    if timeout(FLUSH, last_writes).await.is_err() {
        warn!("when tokens were last used is not written down: the database does not answer");
    }
    Ok(())
}

async fn bind_metrics(address: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    Ok(Some(listener.with_context(|| format!("cannot listen on {address} for /metrics"))?))
}

/// Ask again while the database is not there: a server that was just opened may be restarting.
async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<T, StorageError>) -> Result<T, StorageError> {
    let until = Instant::now() + SCHEMA_WAIT;
    loop {
        match ask().await {
            Err(StorageError::Unavailable(why)) if Instant::now() < until => {
                warn!("the database is not available: {why}; asking again");
                sleep(AGAIN).await;
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_database_that_restarts_is_asked_again_for_a_while() {
        let gone = || StorageError::Unavailable("it is shutting down".to_owned());
        let mut asked = 0;
        let answer = patiently(async || {
            asked += 1;
            if asked < 3 { Err(gone()) } else { Ok("the service") }
        });
        assert_eq!((answer.await.ok(), asked), (Some("the service"), 3));
        assert_eq!(patiently(async || Err::<(), _>(gone())).await, Err(gone()));
    }
}

//! `/health/live` and `/health/ready`, for whoever watches the worker.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use pinrail_domain::{NodeId, chain};
use pinrail_ipfs::IpfsBackend;
use pinrail_spec::{Failure, Reason};
use pinrail_storage::{Storage, StorageError};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

/// How long an answer counts: each one costs a durable write and a read of the disk.
const FRESH: Duration = Duration::from_secs(1);

/// A check that takes longer than this has failed.
const LIMIT: Duration = Duration::from_secs(5);

/// What is said until the node is registered.
const UNREGISTERED: &str = "the node is not registered yet";

/// What readiness is asked of.
pub struct Health {
    storage: Arc<dyn Storage>,
    backend: Arc<dyn IpfsBackend>,
    node: NodeId,
    registered: watch::Receiver<bool>,
    stopping: watch::Receiver<bool>,
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Health {
    /// Ready once `registered` is true, while both answer and the database knows `node` to be alive, until `stopping`
    /// turns true.
    ///
    /// Before that the database has the addresses of the last run, and clients are told of those.
    pub fn new(
        storage: Arc<dyn Storage>,
        backend: Arc<dyn IpfsBackend>,
        node: NodeId,
        registered: watch::Receiver<bool>,
        stopping: watch::Receiver<bool>,
    ) -> Arc<Self> {
        Arc::new(Self { storage, backend, node, registered, stopping, last: Mutex::default() })
    }

    /// Whether it is ready now, or why not.
    pub async fn check(&self) -> Result<(), String> {
        if *self.stopping.borrow() {
            return Err("the worker is shutting down".to_owned());
        }
        if !*self.registered.borrow() {
            return Err(UNREGISTERED.to_owned());
        }
        let mut last = self.last.lock().await;
        if let Some((_, answer)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return answer.clone();
        }
        let look = async {
            self.look_at_storage().await?;
            self.backend.ready().await.map_err(|problem| chain(&problem))
        };
        let late = || Err(format!("no answer within {} seconds", LIMIT.as_secs()));
        let answer = timeout(LIMIT, look).await.unwrap_or_else(|_| late());
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn look_at_storage(&self) -> Result<(), String> {
        let text = |problem: StorageError| problem.to_string();
        self.storage.ready().await.map_err(text)?;
        let (nodes, now) = (self.storage.list_nodes().await.map_err(text)?, self.storage.now().await.map_err(text)?);
        match nodes.iter().find(|node| node.id == self.node) {
            Some(node) if node.retired => Err("the node was retired, so it is given no roots".to_owned()),
            Some(node) if node.is_live(now) => Ok(()),
            _ => Err(UNREGISTERED.to_owned()),
        }
    }
}

/// Answer on `listener`; ends when the future is dropped.
pub async fn serve(listener: TcpListener, health: Arc<Health>) -> std::io::Result<()> {
    let routes = Router::new().route("/health/live", get(live)).route("/health/ready", get(ready));
    axum::serve(listener, routes.with_state(health)).await
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

async fn live() -> Response {
    healthy("live")
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    match health.check().await {
        Ok(()) => healthy("ready"),
        Err(problem) => {
            let failure = Json(Failure::new(Reason::Unavailable, problem));
            (StatusCode::SERVICE_UNAVAILABLE, [(header::CACHE_CONTROL, "no-store")], failure).into_response()
        }
    }
}

fn healthy(status: &'static str) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(Status { status })).into_response()
}

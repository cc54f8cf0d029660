//! The yardstick for reads: the same JSON from an axum handler that asks nobody.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use hyper::body::Bytes;
use tokio::net::TcpListener;

/// Serve `body` at every path until killed.
pub async fn serve(listen: SocketAddr, body: Vec<u8>) -> anyhow::Result<()> {
    let body = Bytes::from(body);
    let answer = move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    let listener = TcpListener::bind(listen).await?;
    println!("listening");
    axum::serve(listener, Router::new().fallback(get(answer))).await?;
    Ok(())
}

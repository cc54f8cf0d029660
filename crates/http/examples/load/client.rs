//! One keep-alive HTTP/1.1 connection.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection with the token that it sends.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    authorization: String,
    host: String,
}

impl Client {
    /// Connect to `server`.
    pub async fn connect(server: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server).await.with_context(|| format!("{server} does not answer"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, authorization: format!("Bearer {token}"), host: server.to_string() })
    }

    /// Send one request and read its whole answer; an error unless it has the status `wanted`.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: String,
        wanted: StatusCode,
    ) -> anyhow::Result<Bytes> {
        self.sender.ready().await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status == wanted, "{path} answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// Get a JSON document.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        self.send(Method::GET, path, String::new(), StatusCode::OK).await
    }
}

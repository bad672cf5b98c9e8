//! A small HTTP client for the load and the tests: one connection, JSON in, JSON out.

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A connection to a web service. After the other side has closed it, the next request opens a new one.
pub struct Client {
    address: SocketAddr,
    connection: Option<SendRequest<Full<Bytes>>>,
}

const LIMIT: Duration = Duration::from_secs(10);

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    pub async fn get(&mut self, path: &str) -> Result<(StatusCode, Value)> {
        let (status, text) = self.ask(Method::GET, path, Bytes::new(), None).await?;
        Ok((status, serde_json::from_str(&text)?))
    }

    pub async fn get_text(&mut self, path: &str) -> Result<String> {
        Ok(self.ask(Method::GET, path, Bytes::new(), None).await?.1)
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let (status, text) = self.ask(Method::POST, path, body.to_string().into(), None).await?;
        Ok((status, serde_json::from_str(&text)?))
    }

    /// With an `Idempotency-Key`.
    pub async fn post_once(
        &mut self,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<(StatusCode, Value)> {
        let body = body.to_string().into();
        let (status, text) = self.ask(Method::POST, path, body, Some(key)).await?;
        Ok((status, serde_json::from_str(&text)?))
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
    ) -> Result<(StatusCode, String)> {
        let asked = tokio::time::timeout(LIMIT, self.exchange(method, path, body, key)).await;
        asked
            .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {LIMIT:?}")))
            .inspect_err(|_| self.connection = None)
            .with_context(|| format!("http://{}{path} does not answer", self.address))
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
    ) -> Result<(StatusCode, String)> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => connect(self.address).await?,
        };
        connection.ready().await?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = connection.send_request(request.body(Full::new(body))?).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        self.connection = Some(connection);
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // The connection's own work; it ends with the sender.
    tokio::spawn(connection);
    Ok(sender)
}

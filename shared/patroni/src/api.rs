//! One request over one connection.

use crate::{
    answer::{Cluster, History, Status},
    trouble::Trouble,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use reconcile::{Failure, Login};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use std::{fmt, io, net::IpAddr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// A look at one agent: it answers from memory, or asks etcd first.
pub const LOOK: Duration = Duration::from_millis(1_000);

/// A handover answers when it is over: Patroni itself waits for 10 s of a
/// shutdown and as long again for the new leader.
pub const HANDOVER: Duration = Duration::from_secs(40);

/// Any other call that changes something: one write to etcd, with its retries.
pub const BIG: Duration = Duration::from_secs(8);

/// No answer of Patroni's is longer, in bytes.
const LONGEST: usize = 1 << 20;

/// Of what it says against a request, this much is told, in bytes.
const TOLD: usize = 300;

/// Asks the agents of one cluster.
#[derive(Clone)]
pub struct Api {
    tls: TlsConnector,
    port: u16,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Api {
    /// Trusts the peer authority (PEM) and no other.
    ///
    /// # Errors
    ///
    /// [`Failure::Broken`] when the PEM holds no usable certificate.
    pub fn new(peer_authority: &str, port: u16) -> Result<Self, Failure> {
        let broken = |what: String| Failure::Broken { call: "patroni:connect", what };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(peer_authority.as_bytes()) {
            let certificate =
                certificate.map_err(|error| broken(format!("the card's peer authority is not PEM: {error}")))?;
            roots.add(certificate).map_err(|error| broken(format!("the card's peer authority: {error}")))?;
        }
        if roots.is_empty() {
            return Err(broken("the card's peer authority holds no certificate".to_owned()));
        }
        let config =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| broken(format!("TLS: {error}")))?
                .with_root_certificates(roots)
                .with_no_client_auth();
        Ok(Api { tls: TlsConnector::from(Arc::new(config)), port })
    }

    /// `GET /cluster`.
    ///
    /// # Errors
    ///
    /// [`Trouble`], why there is no answer.
    pub async fn cluster(&self, address: IpAddr, limit: Duration) -> Result<Cluster, Trouble> {
        Cluster::read(&self.get(address, "/cluster", limit).await?).map_err(Trouble::Junk)
    }

    /// `GET /patroni`.
    ///
    /// # Errors
    ///
    /// [`Trouble`], why there is no answer.
    pub async fn status(&self, address: IpAddr, limit: Duration) -> Result<Status, Trouble> {
        Status::read(&self.get(address, "/patroni", limit).await?).map_err(Trouble::Junk)
    }

    /// `GET /history`.
    ///
    /// # Errors
    ///
    /// [`Trouble`], why there is no answer.
    pub async fn history(&self, address: IpAddr, limit: Duration) -> Result<Vec<History>, Trouble> {
        History::read(&self.get(address, "/history", limit).await?).map_err(Trouble::Junk)
    }

    /// `GET /config`: the dynamic configuration.
    ///
    /// # Errors
    ///
    /// [`Trouble`], why there is no answer.
    pub async fn config(&self, address: IpAddr, limit: Duration) -> Result<Value, Trouble> {
        let body = self.get(address, "/config", limit).await?;
        serde_json::from_slice(&body).map_err(|error| Trouble::Junk(error.to_string()))
    }

    /// `POST /switchover`: the lead goes from one member to another; what
    /// Patroni says of it when it is over.
    ///
    /// # Errors
    ///
    /// [`Trouble::No`] when Patroni does not do it; after any other it may have
    /// happened all the same.
    pub async fn switchover(&self, address: IpAddr, login: &Login, from: &str, to: &str) -> Result<String, Trouble> {
        let body = json!({ "leader": from, "candidate": to });
        let order = Order { login, body };
        self.send(Method::POST, address, "/switchover", Some(&order), HANDOVER).await.map(|body| said(&body))
    }

    /// `PATCH /config`: pauses Patroni, or ends that.
    ///
    /// # Errors
    ///
    /// [`Trouble`], why it may not have happened.
    pub async fn set_paused(&self, address: IpAddr, login: &Login, paused: bool) -> Result<(), Trouble> {
        // Null removes the key, which is what its own tool does.
        let body = json!({ "pause": if paused { Value::Bool(true) } else { Value::Null } });
        self.send(Method::PATCH, address, "/config", Some(&Order { login, body }), BIG).await.map(drop)
    }

    /// `POST /reinitialize`: the member there makes its data anew.
    ///
    /// # Errors
    ///
    /// [`Trouble::No`] when Patroni does not do it, as on the leader.
    pub async fn reinitialize(&self, address: IpAddr, login: &Login) -> Result<String, Trouble> {
        let order = Order { login, body: json!({ "force": true }) };
        self.send(Method::POST, address, "/reinitialize", Some(&order), BIG).await.map(|body| said(&body))
    }

    async fn get(&self, address: IpAddr, path: &str, limit: Duration) -> Result<Bytes, Trouble> {
        self.send(Method::GET, address, path, None, limit).await
    }

    async fn send(
        &self,
        method: Method,
        address: IpAddr,
        path: &str,
        order: Option<&Order<'_>>,
        limit: Duration,
    ) -> Result<Bytes, Trouble> {
        match timeout(limit, self.exchange(method, address, path, order)).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::Silent(format!("no answer to {path} within {} ms", limit.as_millis()))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        address: IpAddr,
        path: &str,
        order: Option<&Order<'_>>,
    ) -> Result<Bytes, Trouble> {
        let stream = TcpStream::connect((address, self.port)).await.map_err(of_connect)?;
        stream.set_nodelay(true).map_err(|error| Trouble::Silent(error.to_string()))?;
        let stream = self.tls.connect(ServerName::from(address), stream).await.map_err(of_tls)?;
        let cut = |error: hyper::Error| Trouble::Silent(format!("connection cut: {error}"));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(cut)?;
        // Its error reaches the caller through the sender.
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        let answer = sender.send_request(self.request(method, address, path, order)?).await.map_err(cut)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| Trouble::Silent(format!("an answer without an end: {error}")))?.to_bytes();
        drop(driver);
        if status.is_success() { Ok(body) } else { Err(Trouble::No { status: status.as_u16(), text: said(&body) }) }
    }

    fn request(
        &self,
        method: Method,
        address: IpAddr,
        path: &str,
        order: Option<&Order<'_>>,
    ) -> Result<Request<Full<Bytes>>, Trouble> {
        let host = std::net::SocketAddr::new(address, self.port).to_string();
        let mut request = Request::builder().method(&method).uri(path).header(header::HOST, host);
        if let Some(Order { login, .. }) = order {
            let login = base64(format!("{}:{}", login.username, login.password).as_bytes());
            request = request
                .header(header::AUTHORIZATION, format!("Basic {login}"))
                .header(header::CONTENT_TYPE, "application/json");
        }
        let body = order.map_or_else(Bytes::new, |order| Bytes::from(order.body.to_string()));
        request.body(Full::new(body)).map_err(|_| Trouble::Junk(format!("no request can be made for {path}")))
    }
}

/// A call that changes something, with the login that Patroni asks for.
struct Order<'a> {
    login: &'a Login,
    body: Value,
}

/// The task that moves the connection's bytes; it ends with its owner.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn of_connect(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Trouble::Refused,
        _ => Trouble::Silent(format!("no TCP connection: {error}")),
    }
}

/// A certificate that does not verify is another thing than a connection that breaks.
fn of_tls(error: io::Error) -> Trouble {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => Trouble::Tls(inner.to_string()),
        None => Trouble::Silent(format!("connection cut: {error}")),
    }
}

/// The beginning of a body as one line.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(TOLD)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Base64 with padding, for the one header that needs it.
///
/// Source: RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests;

//! For tests: an HTTP client that answers from a script and keeps what it was asked.

use crate::SdkConfig;
use aws_config::{BehaviorVersion, Region, timeout::TimeoutConfig};
use aws_sdk_lambda::primitives::SdkBody;
use aws_sdk_ssm::{
    config::{
        Credentials, SharedCredentialsProvider,
        http::{HttpRequest, HttpResponse},
    },
    error::ConnectorError,
};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use reconcile::Failure;
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

/// One request as it left.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub method: String,
    pub uri: String,
    pub body: String,
    headers: Vec<(String, String)>,
}

/// One answer of the script.
pub(crate) enum Reply {
    /// A status and a body. The request id, in a header, is always `r-1`.
    Http(u16, String),
    /// A status and headers, without a body.
    Headed(u16, Vec<(&'static str, &'static str)>),
    /// As [`Reply::Http`], made from the request.
    Made(fn(&Asked) -> (u16, String)),
    /// Bytes of the CBOR protocol (`smithy-protocol: rpc-v2-cbor`), well or as an error.
    Cbor(u16, Vec<u8>),
    /// Nothing, ever.
    Silence,
    /// The connection breaks.
    Broken,
}

/// The script, and what was asked so far.
#[derive(Clone)]
pub(crate) struct Replay {
    script: Arc<Mutex<VecDeque<Reply>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A configuration whose every call is answered by the script, with the time-outs
/// of production shortened to those of a test.
pub(crate) fn script(replies: impl IntoIterator<Item = Reply>) -> (SdkConfig, Replay) {
    let replay = Replay { script: Arc::new(Mutex::new(replies.into_iter().collect())), asked: Arc::default() };
    let connector = replay.clone();
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(50)).build();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
        .retry_config(crate::config::retries())
        .timeout_config(timeouts)
        .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(connector.clone())))
        .build();
    (config, replay)
}

/// A script of one answer.
pub(crate) fn answer(status: u16, body: impl Into<String>) -> (SdkConfig, Replay) {
    script([Reply::Http(status, body.into())])
}

/// The error body of the JSON protocols.
pub(crate) fn json_error(code: &str, message: &str) -> String {
    serde_json::json!({ "__type": code, "message": message }).to_string()
}

impl Replay {
    /// Everything that was asked; the whole script must have been used.
    pub fn asked(&self) -> Vec<Asked> {
        let left = self.script.lock().unwrap().len();
        assert_eq!(left, 0, "answers of the script that nobody asked for");
        self.asked.lock().unwrap().clone()
    }

    /// The one request that was made.
    pub fn only(&self) -> Asked {
        let asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:#?}");
        asked[0].clone()
    }
}

impl Asked {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The fields of a form (the query protocols), without the API version.
    pub fn form(&self) -> Vec<(String, String)> {
        let field = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), decoded(value)));
        self.body.split('&').filter_map(field).filter(|(name, _)| name != "Version").collect()
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&hex, 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

impl HttpConnector for Replay {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let asked = Asked {
            method: request.method().to_owned(),
            uri: request.uri().to_owned(),
            // Of a binary protocol, the names in it can still be read.
            body: String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned(),
            headers: request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        };
        self.asked.lock().unwrap().push(asked.clone());
        let reply = self.script.lock().unwrap().pop_front().expect("the script has no answer left");
        let respond = |status: u16, body: String| {
            let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            response.headers_mut().insert("x-amzn-requestid", "r-1");
            HttpConnectorFuture::ready(Ok(response))
        };
        match reply {
            Reply::Http(status, body) => respond(status, body),
            Reply::Headed(status, headers) => {
                let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
                for (name, value) in headers {
                    response.headers_mut().insert(name, value);
                }
                HttpConnectorFuture::ready(Ok(response))
            }
            Reply::Made(make) => {
                let (status, body) = make(&asked);
                respond(status, body)
            }
            Reply::Cbor(status, bytes) => {
                let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(bytes));
                response.headers_mut().insert("smithy-protocol", "rpc-v2-cbor");
                response.headers_mut().insert("content-type", "application/cbor");
                HttpConnectorFuture::ready(Ok(response))
            }
            Reply::Silence => HttpConnectorFuture::new(std::future::pending()),
            Reply::Broken => HttpConnectorFuture::ready(Err(ConnectorError::io("connection reset by peer".into()))),
        }
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replay")
    }
}

/// The kind of a failure, for tables.
pub(crate) fn kind(failure: &Failure) -> &'static str {
    match failure {
        Failure::Transient { .. } => "transient",
        Failure::LostRace { .. } => "lost race",
        Failure::Broken { .. } => "broken",
    }
}

//! Against a server of its own, over real TLS.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Answers every connection with the same bytes; what it was asked arrives at the receiver.
async fn server(names: &[&str], answer: Vec<u8>) -> (Api, mpsc::UnboundedReceiver<String>) {
    let authority = authority("peers");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut seen = vec![0; 4096];
            let count = stream.read(&mut seen).await.unwrap_or(0);
            let mut text = String::from_utf8_lossy(&seen[..count]).into_owned();
            if text.starts_with('P') && text.ends_with("\r\n\r\n") {
                let count = stream.read(&mut seen).await.unwrap_or(0);
                text.push_str(&String::from_utf8_lossy(&seen[..count]));
            }
            drop(sender.send(text));
            if answer.is_empty() {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            drop(stream.write_all(&answer).await);
            drop(stream.shutdown().await);
        }
    });
    (Api::new(&authority.pem(), port).unwrap(), asked)
}

fn login() -> Login {
    Login { username: "admin".to_owned(), password: "s3cret".to_owned() }
}

/// As Python's `http.server` answers: HTTP/1.0, and the end of the connection ends the body.
fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.0 {status}\r\nServer: BaseHTTP/0.6\r\nContent-Type: application/json\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn a_look_needs_no_login_and_a_change_does() {
    let (api, mut asked) = server(&["127.0.0.1"], http("200 OK", r#"{"members": [], "pause": true}"#)).await;
    assert!(api.cluster(HERE, LOOK).await.unwrap().paused);
    let text = asked.recv().await.unwrap();
    assert!(text.starts_with("GET /cluster HTTP/1.1\r\n") && !text.contains("authorization"), "{text}");

    api.set_paused(HERE, &login(), false).await.unwrap();
    let text = asked.recv().await.unwrap();
    assert!(text.starts_with("PATCH /config HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("authorization: Basic YWRtaW46czNjcmV0\r\n"), "{text}");
    assert!(text.ends_with(r#"{"pause":null}"#), "{text}");

    let (api, mut asked) = server(&["127.0.0.1"], http("200 OK", "Successfully switched over to \"shop_2\"")).await;
    assert_eq!(
        api.switchover(HERE, &login(), "shop_1", "shop_2").await.unwrap(),
        "Successfully switched over to \"shop_2\""
    );
    let text = asked.recv().await.unwrap();
    assert!(text.starts_with("POST /switchover"), "{text}");
    assert!(text.ends_with(r#"{"candidate":"shop_2","leader":"shop_1"}"#), "{text}");
}

#[tokio::test]
async fn a_refusal_is_told_with_its_text() {
    let (api, _asked) = server(&["127.0.0.1"], http("412 Precondition Failed", "leader name\ndoes not match")).await;
    let trouble = api.switchover(HERE, &login(), "shop_1", "shop_2").await.unwrap_err();
    assert_eq!(trouble.to_string(), "HTTP 412: leader name does not match");
    assert!(matches!(trouble.failure("patroni:switchover", "shop_1"), Failure::LostRace { .. }));
    let (api, _asked) = server(&["127.0.0.1"], http("401 Unauthorized", "")).await;
    let trouble = api.reinitialize(HERE, &login()).await.unwrap_err();
    assert!(matches!(trouble.failure("patroni:reinitialize", "shop_1"), Failure::Broken { .. }));
    let (api, _asked) = server(&["127.0.0.1"], http("503 Service Unavailable", "Switchover failed")).await;
    let trouble = api.switchover(HERE, &login(), "shop_1", "shop_2").await.unwrap_err();
    assert!(matches!(trouble.failure("patroni:switchover", "shop_1"), Failure::Transient { .. }));
}

#[tokio::test]
async fn another_address_or_authority_is_not_believed() {
    let answer = || http("200 OK", r#"{"members": []}"#);
    let (api, _asked) = server(&["127.0.0.2"], answer()).await;
    assert!(matches!(api.cluster(HERE, LOOK).await, Err(Trouble::Tls(_))));
    let (api, _asked) = server(&["127.0.0.1"], answer()).await;
    let stranger = Api::new(&authority("others").pem(), api.port).unwrap();
    assert!(matches!(stranger.cluster(HERE, LOOK).await, Err(Trouble::Tls(_))));
    assert!(api.cluster(HERE, LOOK).await.is_ok());
}

#[tokio::test]
async fn silence_junk_and_endless_answers_end_in_time() {
    let (api, _asked) = server(&["127.0.0.1"], vec![]).await;
    let before = std::time::Instant::now();
    let trouble = api.cluster(HERE, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(trouble.to_string(), "no answer to /cluster within 300 ms");
    assert!(before.elapsed() < Duration::from_secs(2));
    for junk in [b"\x00\x01\x02".to_vec(), b"HTTP/1.0 200 OK\r\n\r\n{\"members\":".to_vec(), b"SSH-2.0-x\r\n".to_vec()]
    {
        let (api, _asked) = server(&["127.0.0.1"], junk).await;
        assert!(matches!(api.cluster(HERE, LOOK).await, Err(Trouble::Junk(_) | Trouble::Silent(_))));
    }
    let mut endless = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
    endless.resize(LONGEST + 4096, b' ');
    let (api, _asked) = server(&["127.0.0.1"], endless).await;
    assert!(matches!(api.cluster(HERE, Duration::from_secs(5)).await, Err(Trouble::Silent(_))));
}

#[tokio::test]
async fn a_port_that_refuses_is_told_from_silence() {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let api = Api::new(&authority("peers").pem(), port).unwrap();
    assert!(matches!(api.status(HERE, LOOK).await, Err(Trouble::Refused)));
    for bad in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"] {
        assert!(matches!(Api::new(bad, 1), Err(Failure::Broken { .. })), "{bad}");
    }
}

#[test]
fn base64_as_in_its_rfc() {
    let table = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];
    for (plain, expected) in table {
        assert_eq!(base64(plain.as_bytes()), expected);
    }
}

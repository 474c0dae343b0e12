//! Connections to the members as an application makes them: TLS verified in full, from the client's own address.

use crate::{
    error::{Error, cannot, story},
    place::CLIENT_ADDRESS,
};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{net::TcpSocket, time::timeout};
use tokio_postgres::{Client, Config, config::SslMode, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Time for TCP, TLS and login together.
pub const CONNECT: Duration = Duration::from_secs(1);
/// Time for one statement, by the client's clock.
pub const STATEMENT: Duration = Duration::from_secs(2);

/// How to log in to a cluster's database.
#[derive(Clone)]
pub struct Database {
    tls: MakeRustlsConnect,
    config: Config,
    /// The name in the members' certificate: the writer record's.
    server_name: String,
    port: u16,
}

impl Database {
    /// Logs in as `user` to `database`; `authority` is the certificate (PEM) that signed the members' one.
    pub fn new(
        authority: &str,
        server_name: &str,
        port: u16,
        database: &str,
        user: &str,
        password: &str,
    ) -> Result<Database, Error> {
        let doing = "read the cluster's certificate authority";
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate.map_err(cannot(doing))?).map_err(cannot(doing))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(cannot("set TLS up"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut config = Config::new();
        config.user(user).password(password).dbname(database).application_name("lab");
        config.ssl_mode(SslMode::Require);
        Ok(Database { tls: MakeRustlsConnect::new(tls), config, server_name: server_name.to_owned(), port })
    }

    /// The same login through a load balancer: another port, and the certificate must name it.
    pub fn through(&self, server_name: &str, port: u16) -> Database {
        Database { server_name: server_name.to_owned(), port, ..self.clone() }
    }

    /// The same login where the certificate must carry this name: what a CNAME leads to has a certificate of its own.
    pub fn named(&self, server_name: &str) -> Database {
        self.through(server_name, self.port)
    }

    /// Connects to the member at this address.
    ///
    /// # Errors
    ///
    /// What went wrong, in one line.
    pub async fn connect(&self, address: IpAddr) -> Result<Client, String> {
        timeout(CONNECT, self.connect_in_time(address)).await.unwrap_or_else(|_| Err("no answer in 1 s".to_owned()))
    }

    async fn connect_in_time(&self, address: IpAddr) -> Result<Client, String> {
        let told = |error: std::io::Error| error.to_string();
        let socket = TcpSocket::new_v4().map_err(told)?;
        socket.bind((CLIENT_ADDRESS, 0).into()).map_err(told)?;
        let stream = socket.connect((address, self.port).into()).await.map_err(told)?;
        let options = socket2::SockRef::from(&stream);
        // What a careful application sets: a peer that is gone without a word is noticed by the kernel too.
        let keepalive = socket2::TcpKeepalive::new().with_time(CONNECT).with_interval(CONNECT).with_retries(2);
        options.set_tcp_keepalive(&keepalive).map_err(told)?;
        options.set_tcp_user_timeout(Some(STATEMENT)).map_err(told)?;
        stream.set_nodelay(true).map_err(told)?;
        let tls = MakeTlsConnect::<tokio::net::TcpStream>::make_tls_connect(&mut self.tls.clone(), &self.server_name)
            .map_err(|error| error.to_string())?;
        let (client, connection) = self.config.connect_raw(stream, tls).await.map_err(|error| story(&error))?;
        // Ends with the client; a broken connection shows in the client's next statement.
        tokio::spawn(connection);
        Ok(client)
    }
}

/// What a member answers when asked as an application can ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// It acknowledged a write, on this timeline.
    Writable(u32),
    /// It is out of recovery, on this timeline, but acknowledged no write: its commits wait for standbys.
    Waiting(u32),
    /// It only reads.
    Standby,
    /// It does not answer.
    Silent(String),
}

impl Database {
    /// Whether a member acknowledges writes, found by having it commit one.
    pub async fn ask(&self, address: IpAddr) -> Member {
        let client = match self.connect(address).await {
            Ok(client) => client,
            Err(why) => return Member::Silent(why),
        };
        match timeout(STATEMENT, ask(&client)).await {
            Ok(Ok(member)) => member,
            Ok(Err(error)) => Member::Silent(story(&error)),
            Err(_) => Member::Silent("no answer in 2 s".to_owned()),
        }
    }
}

async fn ask(client: &Client) -> Result<Member, tokio_postgres::Error> {
    let row = client
        .query_one(
            "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END",
            &[],
        )
        .await?;
    let Some(timeline) = row.get::<_, Option<String>>(0) else { return Ok(Member::Standby) };
    let timeline = u32::from_str_radix(&timeline, 16).unwrap_or_default();
    // A transaction with nothing in it but a message in the log: its commit waits for standbys as any other does, and
    // it needs no table.
    let write = client.query_one("SELECT pg_logical_emit_message(true, 'lab', 'is this member writable?')", &[]);
    Ok(match timeout(STATEMENT / 2, write).await {
        Ok(Ok(_)) => Member::Writable(timeline),
        Ok(Err(_)) | Err(_) => Member::Waiting(timeline),
    })
}

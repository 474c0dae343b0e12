//! One connection to one member.

use crate::{
    names::Names,
    trouble::Trouble,
    trust::{self, Reach},
};
use domain::card::{Card, CardMember};
use reconcile::{Failure, Login};
use rustls::pki_types::ServerName;
use std::{fmt, net::IpAddr, time::Duration};
use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_postgres::{
    Client, Config, Row,
    config::SslMode,
    tls::MakeTlsConnect,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The database in which functions work: every server has it, and the
/// application's own may be dropped or locked at will.
const DATABASE: &str = "postgres";

/// Time that saying goodbye may take. A connection that is merely dropped
/// leaves a line in the member's log, once a second for a probe.
const GOODBYE: Duration = Duration::from_millis(50);

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The member's own address, or the name of its endpoint.
    pub host: Host,
    /// PostgreSQL's port.
    pub port: u16,
    /// The name that the certificate must carry: the writer record's, or the endpoint's own.
    pub server_name: String,
    /// The database.
    pub database: String,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// At an address that is its own for life.
    Address(IpAddr),
    /// Wherever this name points at the moment of connecting.
    Name(String),
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Host::Address(address)
    }
}

impl Target {
    /// One member of the cluster that a card describes.
    #[must_use]
    pub fn member(card: &Card, member: &CardMember) -> Self {
        Target::at(card, member.address)
    }

    /// The member at an address.
    #[must_use]
    pub fn at(card: &Card, address: IpAddr) -> Self {
        Target {
            host: Host::Address(address),
            port: card.port,
            server_name: card.records.writer.clone(),
            database: DATABASE.to_owned(),
        }
    }

    /// An endpoint of AWS, by its name; its certificate must carry it.
    #[must_use]
    pub fn endpoint(name: &str, port: u16) -> Self {
        let name = name.trim_end_matches('.').to_owned();
        Target { host: Host::Name(name.clone()), port, server_name: name, database: DATABASE.to_owned() }
    }

    /// The same server, another database.
    #[must_use]
    pub fn of_database(&self, database: &str) -> Self {
        Target { database: database.to_owned(), ..self.clone() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => std::net::SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Opens connections to the members of one cluster.
#[derive(Clone)]
pub struct Connector {
    tls: MakeRustlsConnect,
    names: Names,
    login: Login,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("login", &self.login).finish_non_exhaustive()
    }
}

impl Connector {
    /// Trusts the certificate authority (PEM) and no other, and logs in as `login`.
    ///
    /// # Errors
    ///
    /// [`Failure::Broken`] when the PEM holds no usable certificate.
    pub fn new(certificate_authority: &str, login: Login) -> Result<Self, Failure> {
        let mut roots = rustls::RootCertStore::empty();
        trust::add(&mut roots, certificate_authority, "the card's certificate authority")?;
        Ok(Connector { tls: trust::client(roots)?, names: Names::System, login })
    }

    /// Reaches servers that AWS runs, and logs in as `login`.
    #[must_use]
    pub fn managed(reach: &Reach, login: Login) -> Self {
        Connector { tls: reach.tls.clone(), names: reach.names, login }
    }

    /// What it logs in with.
    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    /// Reaches the same servers as another role.
    pub(crate) fn as_role(&self, login: &Login) -> Self {
        Connector { login: login.clone(), ..self.clone() }
    }

    /// Connects, asks, and says goodbye, all before the time is up.
    pub(crate) async fn session<T>(
        &self,
        target: &Target,
        timeout: Duration,
        ask: impl AsyncFnOnce(&Session) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let session = self.connect(target, timeout).await?;
        let answer = ask(&session).await;
        session.close().await;
        answer
    }

    async fn connect(&self, target: &Target, timeout: Duration) -> Result<Session, Trouble> {
        let limit = Limit { deadline: Instant::now() + timeout, timeout };
        if let Err(error) = ServerName::try_from(target.server_name.as_str()) {
            return Err(Trouble::Odd(format!("{:?} is no server name: {error}", target.server_name)));
        }
        // The TCP connection is made here, not by tokio-postgres, whose error does not tell it from the rest.
        let stream = self.stream(target, limit).await?;
        stream.set_nodelay(true).map_err(Trouble::Local)?;
        let mut config = Config::new();
        config
            .user(&self.login.username)
            .password(&self.login.password)
            .dbname(&target.database)
            .application_name("understudy")
            .ssl_mode(SslMode::Require)
            .options(format!("-c statement_timeout={}", timeout.as_millis().max(1)));
        let mut tls = self.tls.clone();
        let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, &target.server_name)
            .map_err(|error| Trouble::Odd(format!("TLS: {error}")))?;
        let (client, connection) =
            limit.hold("PostgreSQL's greeting on an open TCP connection", config.connect_raw(stream, tls)).await??;
        // The driver's own error reaches the caller through the client, as a closed connection.
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        Ok(Session { client, driver, limit })
    }

    /// A TCP connection; to a name with several addresses, the first that answers.
    async fn stream(&self, target: &Target, limit: Limit) -> Result<TcpStream, Trouble> {
        let addresses = match &target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => limit.hold("an answer of DNS", self.names.addresses(name)).await??,
        };
        let mut last = Trouble::Silent(format!("{target} has no address"));
        for address in addresses {
            match limit.hold("a TCP connection", TcpStream::connect((address, target.port))).await? {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Trouble::of_connect(error),
            }
        }
        Err(last)
    }
}

/// The time a call may take.
#[derive(Clone, Copy)]
struct Limit {
    deadline: Instant,
    timeout: Duration,
}

impl Limit {
    /// Waits for `future`; when the time is up, says for what it waited.
    async fn hold<F: Future>(self, waited_for: &str, future: F) -> Result<F::Output, Trouble> {
        timeout_at(self.deadline, future)
            .await
            .map_err(|_| Trouble::Silent(format!("waited {} ms for {waited_for}", self.timeout.as_millis())))
    }
}

/// The task that moves the connection's bytes; it ends with its owner.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An open connection whose every question ends at one deadline.
pub(crate) struct Session {
    client: Client,
    driver: Driver,
    limit: Limit,
}

impl Session {
    /// Runs statements without parameters or results.
    pub(crate) async fn run(&self, purpose: &str, statements: &str) -> Result<(), Trouble> {
        Ok(self.limit.hold(purpose, self.client.batch_execute(statements)).await??)
    }

    /// Asks for rows; every parameter is text, cast by the statement.
    pub(crate) async fn rows(&self, purpose: &str, query: &str, values: &[&str]) -> Result<Vec<Row>, Trouble> {
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            values.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT)).collect();
        Ok(self.limit.hold(purpose, self.client.query_typed(query, &values)).await??)
    }

    /// Asks for one text, `None` when it is null or there is no row.
    pub(crate) async fn text(&self, purpose: &str, query: &str, values: &[&str]) -> Result<Option<String>, Trouble> {
        match self.rows(purpose, query, values).await?.first() {
            Some(row) => Ok(row.try_get(0)?),
            None => Ok(None),
        }
    }

    /// Asks for one boolean.
    pub(crate) async fn holds(&self, purpose: &str, query: &str, values: &[&str]) -> Result<bool, Trouble> {
        match self.rows(purpose, query, values).await?.first() {
            Some(row) => Ok(row.try_get(0)?),
            None => Err(Trouble::Odd(format!("no answer to a question of yes or no ({purpose})"))),
        }
    }

    /// Asks every few milliseconds until the answer is yes, `looks` times in a row.
    pub(crate) async fn until(&self, purpose: &str, query: &str, values: &[&str], looks: u32) -> Result<(), Trouble> {
        /// An answer takes about 0.2 ms; a reload or a promotion takes 20-100 ms.
        const PAUSE: Duration = Duration::from_millis(4);
        let mut agreed = 0;
        loop {
            agreed = if self.holds(purpose, query, values).await? { agreed + 1 } else { 0 };
            if agreed >= looks {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn close(self) {
        let Session { client, mut driver, .. } = self;
        drop(client);
        // Politeness only: the answer is known, and a goodbye that hangs is cut off by the drop.
        drop(tokio::time::timeout(GOODBYE, &mut driver.0).await);
    }
}

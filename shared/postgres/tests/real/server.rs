//! Real PostgreSQL servers on 127.0.22.x, with TLS, as a generated cluster has them.

use postgres::{Connector, Target};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use reconcile::Login;
use std::{
    fs,
    net::{IpAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The name in the servers' certificate.
pub const SERVER_NAME: &str = "orders-rw.db.internal";
pub const PASSWORD: &str = "operator's \"secret\"";

/// A throw-away certificate authority and what it signed.
pub struct Authority {
    pub pem: String,
    certificate: String,
    key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Not the default name, which the signed certificate has: OpenSSL would call that one self-signed.
        params.distinguished_name.push(DnType::CommonName, "orders certificate authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        Authority { pem: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A writer and its standbys; all gone when dropped.
pub struct Cluster {
    root: PathBuf,
    pub authority: Authority,
    pub members: Vec<Server>,
}

pub struct Server {
    data: PathBuf,
    pub address: IpAddr,
    pub port: u16,
    postmaster: Option<Child>,
}

impl Cluster {
    /// Starts a writer, `orders_1`, and so many standbys behind it.
    pub fn start(standbys: u8) -> Self {
        static CLUSTERS: AtomicU32 = AtomicU32::new(0);
        let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("understudy-postgres-{}-{number}", std::process::id()));
        fs::create_dir(&root).unwrap();
        give_away(&root);
        let mut cluster = Cluster { root, authority: Authority::new(), members: vec![] };
        cluster.initialise();
        for number in 2..=standbys + 1 {
            cluster.add_standby(number);
        }
        let streaming = format!("SELECT count(*) = {standbys} FROM pg_stat_replication WHERE state = 'streaming'");
        cluster.members[0].eventually(&streaming);
        cluster
    }

    fn initialise(&mut self) {
        let server = Server::at(&self.root, 1);
        let data = server.data.to_str().unwrap();
        succeed(tool("initdb").args(["-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]));
        write(&server.data.join("server.crt"), &self.authority.certificate);
        write(&server.data.join("server.key"), &self.authority.key);
        write(&self.root.join("ca.crt"), &self.authority.pem);
        write(&self.root.join("passfile"), "*:*:*:replicator:replicate\n");
        let hba =
            "local all all trust\nlocal replication all trust\nhostssl all,replication all 127.0.0.0/8 scram-sha-256\n";
        write(&server.data.join("pg_hba.conf"), hba);
        let settings = "ssl = on\nhot_standby = on\nmax_connections = 12\nmax_wal_senders = 5\nwal_level = replica\n\
            fsync = off\nshared_buffers = 16MB\nwal_receiver_timeout = 5s\nwal_sender_timeout = 5s\n\
            wal_retrieve_retry_interval = 200ms\nmax_slot_wal_keep_size = 32MB\nmin_wal_size = 32MB\nmax_wal_size = 64MB\n";
        write(&server.data.join("postgresql.conf"), settings);
        self.members.push(server);
        self.members[0].start(&[]);
        self.members[0].sql(&format!(
            "CREATE ROLE understudy LOGIN REPLICATION PASSWORD '{}' IN ROLE pg_monitor, pg_checkpoint;
             GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer), pg_reload_conf() TO understudy;
             GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name, synchronous_standby_names TO understudy;
             CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'replicate';
             CREATE ROLE stranger LOGIN PASSWORD 'stranger';
             CREATE SCHEMA understudy AUTHORIZATION understudy;
             CREATE TABLE understudy.epochs (epoch bigint PRIMARY KEY, writer text NOT NULL,
                 written_at timestamptz NOT NULL DEFAULT now());
             ALTER TABLE understudy.epochs OWNER TO understudy;
             CREATE TABLE t (n int)",
            PASSWORD.replace('\'', "''")
        ));
    }

    fn add_standby(&mut self, number: u8) {
        let mut server = Server::at(&self.root, number);
        let name = format!("orders_{number}");
        let writer = &self.members[0];
        writer.sql(&format!("SELECT pg_create_physical_replication_slot('{name}', true)"));
        let socket = self.root.to_str().unwrap();
        succeed(
            tool("pg_basebackup")
                .args(["-h", socket, "-U", "postgres", "-X", "stream", "-c", "fast", "--no-sync"])
                .args(["-p", &writer.port.to_string(), "-D", server.data.to_str().unwrap()]),
        );
        let root = self.root.display();
        let conninfo = format!(
            "user=replicator passfile={root}/passfile sslmode=verify-full sslrootcert={root}/ca.crt \
             host={SERVER_NAME} application_name={name} connect_timeout=3"
        );
        let mut settings = fs::read_to_string(server.data.join("postgresql.conf")).unwrap();
        settings.push_str(&format!("understudy.replication_conninfo = '{conninfo}'\n"));
        write(&server.data.join("postgresql.conf"), &settings);
        let followed = format!(
            "primary_conninfo = '{conninfo} hostaddr={} port={}'\nprimary_slot_name = '{name}'\n",
            writer.address, writer.port
        );
        write(&server.data.join("postgresql.auto.conf"), &followed);
        write(&server.data.join("standby.signal"), "");
        server.start(&[]);
        self.members.push(server);
    }

    /// Connects as the functions do.
    pub fn connector(&self) -> Connector {
        self.connector_of("understudy", PASSWORD)
    }

    pub fn connector_of(&self, username: &str, password: &str) -> Connector {
        let login = Login { username: username.to_owned(), password: password.to_owned() };
        Connector::new(&self.authority.pem, login).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            if thread::panicking() {
                println!("{}: {}", member.address, member.log());
            }
            member.kill();
        }
        drop(fs::remove_dir_all(&self.root));
    }
}

impl Server {
    fn at(root: &Path, number: u8) -> Self {
        let address = IpAddr::from([127, 0, 22, 10 + number]);
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        Server { data: root.join(number.to_string()), address, port, postmaster: None }
    }

    pub fn target(&self) -> Target {
        Target {
            host: self.address.into(),
            port: self.port,
            server_name: SERVER_NAME.to_owned(),
            database: "postgres".to_owned(),
        }
    }

    /// Starts it and waits until it listens.
    pub fn start(&mut self, settings: &[&str]) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.data.with_extension("log")).unwrap();
        let mut command = tool("postgres");
        command.args(["-D", self.data.to_str().unwrap(), "-h", &self.address.to_string()]);
        command.args(["-p", &self.port.to_string(), "-k", self.socket()]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        self.postmaster = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let up = if settings.contains(&"hot_standby=off") { "not accept" } else { "accepting" };
        self.wait(&format!("{} to answer", self.port), || match TcpStream::connect((self.address, self.port)) {
            Ok(_) => up == "not accept" || self.try_sql("SELECT 1").is_ok(),
            Err(_) => false,
        });
    }

    pub fn kill(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            // Immediate shutdown: the postmaster ends its children; a stopped one must be woken to do it.
            self::signal("QUIT", postmaster.id());
            self::signal("CONT", postmaster.id());
            postmaster.wait().unwrap();
        }
    }

    pub fn signal(&self, name: &str) {
        self::signal(name, self.postmaster.as_ref().unwrap().id());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.data.with_extension("log")).unwrap()
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.data.join(file)).unwrap()
    }

    pub fn append(&self, file: &str, line: &str) {
        let text = self.read(file);
        write(&self.data.join(file), &format!("{text}{line}\n"));
    }

    /// The folder of its socket: the cluster's.
    fn socket(&self) -> &str {
        self.data.parent().unwrap().to_str().unwrap()
    }

    /// As the superuser, over the socket.
    pub fn sql(&self, text: &str) -> String {
        self.try_sql(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    pub fn psql(&self, text: &str) -> Command {
        let mut command = tool("psql");
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-c", text]);
        command.args(["-h", self.socket(), "-p", &self.port.to_string()]);
        command
    }

    fn try_sql(&self, text: &str) -> Result<String, String> {
        let output = self.psql(text).output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Waits until the question is answered by true.
    pub fn eventually(&self, question: &str) {
        self.wait(question, || self.try_sql(question).is_ok_and(|answer| answer == "t"));
    }

    fn wait(&self, what: &str, mut reached: impl FnMut() -> bool) {
        let started = Instant::now();
        while !reached() {
            assert!(started.elapsed() < Duration::from_secs(20), "waited 20 s for {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn signal(name: &str, process: u32) {
    succeed(Command::new("kill").args([&format!("-{name}"), &process.to_string()]));
}

/// A program of PostgreSQL, as the user `postgres` when root runs the test:
/// the server refuses to run as root.
fn tool(name: &str) -> Command {
    let newest = fs::read_dir("/usr/lib/postgresql")
        .expect("Debian's PostgreSQL is installed")
        .map(|version| version.unwrap().path())
        .max_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()))
        .unwrap();
    let mut command = Command::new(newest.join("bin").join(name));
    // Without HOME, or libpq would look for a client certificate in the home of whoever runs the test.
    command.current_dir("/").env("LC_ALL", "C").env_remove("HOME");
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command
}

/// The ids of `postgres` when this is root.
fn other_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

fn give_away(path: &Path) {
    if let Some((user, group)) = other_user() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    give_away(path);
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

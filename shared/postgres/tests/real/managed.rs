//! Servers that AWS runs, as far as a plain PostgreSQL can stand in for them.

use crate::{
    looks::{standby, writer},
    server::{Cluster, PASSWORD, SERVER_NAME, Server},
};
use domain::{failover::Sql, lsn::Lsn, managed::Lag};
use postgres::{Connector, Reach, Target};
use reconcile::{Failure, Login};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    process::Child,
    sync::{Arc, Mutex},
    time::Duration,
};

const AMPLE: Duration = Duration::from_secs(10);

/// What Aurora's function answers, of a writer and one reader.
const AURORA: &str = "CREATE FUNCTION aurora_replica_status(OUT server_id text, OUT session_id text,
    OUT durable_lsn bigint, OUT replica_lag_in_msec double precision) RETURNS SETOF record LANGUAGE sql AS $$
    VALUES ('carts-1', 'MASTER_SESSION_ID', 74565, NULL::float8), ('carts-2', '3b1f', 74000, 17.4) $$";

/// A DNS server that gives every name one address, which can be moved.
#[derive(Clone)]
pub struct Names {
    address: Arc<Mutex<Ipv4Addr>>,
    server: SocketAddr,
}

impl Names {
    pub fn start(address: IpAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let names = Names { address: Arc::new(Mutex::new(v4(address))), server: socket.local_addr().unwrap() };
        let held = names.address.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let mut answer = bytes[..length].to_vec();
                (answer[2], answer[3], answer[7]) = (0x81, 0x80, 1);
                // The name of the question, by a pointer; A, IN, 1 s, 4 bytes.
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                answer.extend(held.lock().unwrap().octets());
                socket.send_to(&answer, from).unwrap();
            }
        });
        names
    }

    fn move_to(&self, address: IpAddr) {
        *self.address.lock().unwrap() = v4(address);
    }
}

fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => panic!("{address} is not IPv4"),
    }
}

pub fn reach(cluster: &Cluster, names: &Names) -> Reach {
    Reach::new(Some(&cluster.authority.pem), Some(names.server)).unwrap()
}

fn operator() -> Login {
    Login { username: "understudy".to_owned(), password: PASSWORD.to_owned() }
}

fn endpoint(member: &Server) -> Target {
    Target::endpoint(SERVER_NAME, member.port)
}

fn connected(cluster: &Cluster) -> (Connector, Names) {
    let names = Names::start(cluster.members[0].address);
    (Connector::managed(&reach(cluster, &names), operator()), names)
}

#[tokio::test]
async fn an_endpoint_is_resolved_for_every_connection_and_its_name_is_verified() {
    let cluster = Cluster::start(1);
    let [one, two] = &cluster.members[..] else { panic!() };
    let (connector, names) = connected(&cluster);
    writer(connector.probe_managed(false, &endpoint(one), AMPLE).await);
    names.move_to(two.address);
    standby(connector.probe_managed(false, &endpoint(two), AMPLE).await);
    let stranger = Target::endpoint("payments.rds.internal", two.port);
    let seen = connector.probe_managed(false, &stranger, AMPLE).await;
    assert!(matches!(&seen, Sql::Alive(text) if text.contains("not valid for name")), "{seen:?}");
    // Without the lab's own authority, RDS's are trusted, and no other.
    let real = Connector::managed(&Reach::new(None, Some(names.server)).unwrap(), operator());
    let seen = real.probe_managed(false, &endpoint(two), AMPLE).await;
    assert!(matches!(&seen, Sql::Alive(text) if text.contains("UnknownIssuer")), "{seen:?}");
    let nowhere = Connector::managed(&Reach::new(None, Some("127.0.0.1:9".parse().unwrap())).unwrap(), operator());
    let seen = nowhere.probe_managed(false, &endpoint(two), Duration::from_millis(300)).await;
    assert!(matches!(&seen, Sql::Silent(text) if text.contains("DNS")), "{seen:?}");
}

#[tokio::test]
async fn a_server_of_rds_is_seen_even_where_its_control_file_is_not() {
    let cluster = Cluster::start(1);
    let [one, two] = &cluster.members[..] else { panic!() };
    let (connector, names) = connected(&cluster);
    let plain = writer(cluster.connector().probe(&one.target(), AMPLE).await);
    let seen = writer(connector.probe_managed(false, &endpoint(one), AMPLE).await);
    assert_eq!((seen.timeline, seen.system_id, seen.streams.len()), (plain.timeline, plain.system_id, 1));
    names.move_to(two.address);
    two.eventually(&format!("SELECT pg_last_wal_replay_lsn() >= '{}'", plain.lsn));
    let replica = standby(connector.probe_managed(false, &endpoint(two), AMPLE).await);
    assert_eq!((replica.timeline, replica.system_id), (1, plain.system_id));
    assert!(replica.furthest() >= Some(plain.lsn) && replica.receiver.is_some_and(|receiver| receiver.streaming));
    assert_eq!(replica.upstream, Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), "there is one, and RDS tells which");

    one.sql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
    two.eventually("SELECT NOT has_function_privilege('understudy', 'pg_control_system()', 'EXECUTE')");
    let less = standby(connector.probe_managed(false, &endpoint(two), AMPLE).await);
    assert_eq!((less.timeline, less.system_id), (1, 0), "the receiver still tells the timeline");
}

#[tokio::test]
async fn a_replica_that_receives_nothing_says_since_when() {
    let mut cluster = Cluster::start(1);
    let (connector, names) = connected(&cluster);
    names.move_to(cluster.members[1].address);
    let replica = endpoint(&cluster.members[1]);
    let one = &cluster.members[0];
    one.sql("CREATE TABLE rows (n int)");
    let written: Lsn = one.sql("SELECT pg_current_wal_lsn()").parse().unwrap();
    cluster.members[1].eventually(&format!("SELECT pg_last_wal_replay_lsn() >= '{written}'"));
    let lag = connector.replica_lag(&replica, AMPLE).await.unwrap();
    assert_eq!((lag.ms, lag.bytes), (Some(0), None));
    assert!(lag.replayed >= Some(written));
    cluster.members[0].kill();
    cluster.members[1].eventually("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let lag = connector.replica_lag(&replica, AMPLE).await.unwrap();
    assert!(lag.ms.is_some_and(|ms| ms >= 20), "{lag:?}");
    cluster.members[1].sql("SELECT pg_promote()");
    let promoted = connector.replica_lag(&replica, AMPLE).await.unwrap_err();
    assert!(matches!(promoted, Failure::LostRace { .. }), "{promoted:?}");
}

#[tokio::test]
async fn clients_are_counted_and_ended_and_others_are_not() {
    let cluster = Cluster::start(0);
    let one = &cluster.members[0];
    let (connector, _names) = connected(&cluster);
    one.sql("CREATE ROLE rdsadmin SUPERUSER LOGIN");
    assert_eq!(connector.client_sessions(&endpoint(one), AMPLE).await.unwrap(), 0);
    let sleep = |role: &str| -> Child { one.psql("SELECT pg_sleep(60)").args(["-U", role]).spawn().unwrap() };
    let mut sessions =
        [sleep("stranger"), sleep("stranger"), sleep("postgres"), sleep("rdsadmin"), sleep("understudy")];
    one.eventually("SELECT count(*) = 5 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    assert_eq!(connector.client_sessions(&endpoint(one), AMPLE).await.unwrap(), 3, "a superuser could write, too");

    let refused = connector.end_sessions(&endpoint(one), AMPLE).await.unwrap_err();
    assert!(matches!(&refused, Failure::Broken { what, .. } if what.contains("42501")), "{refused:?}");
    one.sql("GRANT pg_signal_backend TO understudy");
    assert_eq!(connector.end_sessions(&endpoint(one), AMPLE).await.unwrap(), 2);
    one.eventually("SELECT count(*) = 3 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    assert_eq!(connector.client_sessions(&endpoint(one), AMPLE).await.unwrap(), 1, "no role of a customer's ends it");

    one.sql("REVOKE pg_monitor FROM understudy");
    let blind = connector.client_sessions(&endpoint(one), AMPLE).await.unwrap_err();
    assert!(blind.to_string().contains("grant it pg_monitor"), "{blind}");
    for session in &mut sessions {
        session.kill().unwrap();
        session.wait().unwrap();
    }
}

#[tokio::test]
async fn aurora_is_asked_only_what_it_answers() {
    let cluster = Cluster::start(1);
    let [one, two] = &cluster.members[..] else { panic!() };
    let (connector, names) = connected(&cluster);
    let missing = connector.probe_managed(true, &endpoint(one), AMPLE).await;
    assert!(matches!(&missing, Sql::Alive(text) if text.contains("aurora_replica_status")), "{missing:?}");
    one.sql(AURORA);
    let seen = writer(connector.probe_managed(true, &endpoint(one), AMPLE).await);
    assert_eq!((seen.lsn, seen.timeline), (Lsn(74_565), 1));
    let proven = connector.prove_managed(true, &endpoint(one), 7, "carts-1", AMPLE).await.unwrap();
    assert_eq!(proven.lsn, Lsn(74_565));
    assert_eq!(one.sql("SELECT epoch, writer FROM understudy.epochs"), "7|carts-1");
    let lags = connector.aurora_lags(&endpoint(one), AMPLE).await.unwrap();
    assert_eq!(lags, [("carts-2".to_owned(), Lag { ms: Some(17), ..Lag::default() })].into());

    names.move_to(two.address);
    let reader = endpoint(two);
    two.eventually("SELECT to_regproc('aurora_replica_status') IS NOT NULL");
    assert_eq!(standby(connector.probe_managed(true, &reader, AMPLE).await).received, None);
    assert_eq!(connector.aurora_lags(&reader, AMPLE).await.unwrap(), lags, "a reader knows as much");
    let refused = connector.prove_managed(true, &reader, 8, "carts-2", AMPLE).await.unwrap_err();
    assert!(matches!(refused, Failure::LostRace { .. }), "{refused:?}");
    let proven = connector.prove_managed(false, &reader, 8, "leads-2", AMPLE).await.unwrap_err();
    assert!(matches!(proven, Failure::LostRace { .. }), "{proven:?}");
}

//! What a probe sees, of every kind.

use crate::server::{Authority, Cluster, PASSWORD, SERVER_NAME};
use domain::failover::{Sql, StandbySeen, WriterSeen};
use postgres::{Connector, Host, Target, is_login_failure};
use reconcile::{Failure, Login};
use std::{
    future::Future,
    time::{Duration, Instant},
};
use tokio::net::{TcpListener, TcpSocket};

/// Ample for a busy machine; a probe that answers takes some 20 ms.
const AMPLE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

pub fn writer(sql: Sql) -> WriterSeen {
    match sql {
        Sql::Writer(seen) => seen,
        other => panic!("not a writer: {other:?}"),
    }
}

pub fn standby(sql: Sql) -> StandbySeen {
    match sql {
        Sql::Standby(seen) => seen,
        other => panic!("not a standby: {other:?}"),
    }
}

fn alive(sql: Sql) -> String {
    match sql {
        Sql::Alive(text) => text,
        other => panic!("not merely alive: {other:?}"),
    }
}

fn silent(sql: Sql) -> String {
    match sql {
        Sql::Silent(text) => text,
        other => panic!("not silent: {other:?}"),
    }
}

#[tokio::test]
async fn a_writer_and_its_standbys() {
    let cluster = Cluster::start(2);
    let connector = cluster.connector();
    let [one, two, _] = &cluster.members[..] else { panic!() };
    connector.set_synchronous(&one.target(), "ANY 1 (orders_2, orders_3)", AMPLE).await.unwrap();
    one.sql("INSERT INTO t SELECT generate_series(1, 1000)");

    let first = writer(connector.probe(&one.target(), AMPLE).await);
    assert_eq!((first.timeline, first.slots), (1, vec!["orders_2".to_owned(), "orders_3".to_owned()]));
    assert_eq!(first.synchronous_setting, "ANY 1 (orders_2, orders_3)");
    let streams: Vec<_> = first.streams.iter().map(|stream| (stream.name.as_str(), stream.streaming)).collect();
    assert_eq!(streams, [("orders_2", true), ("orders_3", true)]);
    assert_eq!(first.system_id.to_string(), one.sql("SELECT system_identifier FROM pg_control_system()"));

    two.eventually(&format!("SELECT pg_last_wal_replay_lsn() >= '{}'", first.lsn));
    let second = standby(connector.probe(&two.target(), AMPLE).await);
    assert_eq!((second.timeline, second.system_id), (1, first.system_id));
    assert_eq!(second.upstream, Some(one.address));
    assert!(second.furthest() >= Some(first.lsn), "{second:?}");
    let receiver = second.receiver.unwrap();
    assert!(receiver.streaming && receiver.silent_for < Duration::from_secs(5), "{receiver:?}");
    assert_eq!(receiver.upstream, Some(one.address), "although libpq shows the record's name as sender_host");
}

#[tokio::test]
async fn alive_but_not_to_be_asked() {
    let mut cluster = Cluster::start(1);
    let connector = cluster.connector();
    let target = cluster.members[0].target();

    let wrong = connector_with(&cluster.authority.pem, "understudy", "guess").probe(&target, AMPLE).await;
    assert!(is_login_failure(&wrong), "{wrong:?}");
    assert_eq!(alive(wrong), "SQLSTATE 28P01: password authentication failed for user \"understudy\"");

    // Without its rights, the role would read nulls and empty views for a broken replication.
    let stranger = connector_with(&cluster.authority.pem, "stranger", "stranger");
    let denied = stranger.probe(&target, AMPLE).await;
    assert!(!is_login_failure(&denied));
    assert!(alive(denied).starts_with("SQLSTATE 42501"));
    cluster.members[0].sql("GRANT EXECUTE ON FUNCTION pg_ls_waldir() TO stranger");
    assert!(alive(stranger.probe(&target, AMPLE).await).contains("grant it pg_monitor"));

    let other = connector_with(&Authority::new().pem, "understudy", PASSWORD).probe(&target, AMPLE).await;
    assert!(alive(other).contains("certificate"));
    let elsewhere = Target { server_name: "payments-rw.db.internal".to_owned(), ..target.clone() };
    assert!(alive(connector.probe(&elsewhere, AMPLE).await).contains("not valid for name"));
    let malformed = Target { server_name: "no name".to_owned(), ..target.clone() };
    assert!(alive(connector.probe(&malformed, AMPLE).await).contains("is no server name"));

    let sleepers: Vec<_> = (0..12).map(|_| cluster.members[0].psql("SELECT pg_sleep(60)").spawn().unwrap()).collect();
    let crowded = until_alive(&connector, &target).await;
    assert!(crowded.starts_with("SQLSTATE 53300"), "{crowded}");
    cluster.members[0].signal("INT");
    for mut sleeper in sleepers {
        sleeper.wait().unwrap();
    }

    let second = &mut cluster.members[1];
    second.kill();
    second.start(&["hot_standby=off"]);
    let starting = alive(connector.probe(&second.target(), AMPLE).await);
    assert!(starting.starts_with("SQLSTATE 57P03"), "{starting}");
}

/// Looks until the answer is no role, which takes a moment to come about.
async fn until_alive(connector: &Connector, target: &Target) -> String {
    let started = Instant::now();
    loop {
        if let Sql::Alive(text) = connector.probe(target, AMPLE).await {
            return text;
        }
        assert!(started.elapsed() < AMPLE, "always found a free connection");
    }
}

fn connector_with(authority: &str, username: &str, password: &str) -> Connector {
    Connector::new(authority, Login { username: username.to_owned(), password: password.to_owned() }).unwrap()
}

#[tokio::test]
async fn refused_and_silent() {
    let mut cluster = Cluster::start(0);
    let connector = cluster.connector();
    let target = cluster.members[0].target();

    cluster.members[0].signal("STOP");
    assert_eq!(
        silent(connector.probe(&target, SHORT).await),
        "waited 300 ms for PostgreSQL's greeting on an open TCP connection"
    );
    cluster.members[0].signal("CONT");
    writer(connector.probe(&target, AMPLE).await);
    cluster.members[0].kill();
    assert_eq!(connector.probe(&target, AMPLE).await, Sql::Refused);

    // Something that accepts and never speaks; then something that accepts and hangs up.
    let deaf = TcpListener::bind("127.0.22.20:0").await.unwrap();
    let target = Target {
        host: Host::Address("127.0.22.20".parse().unwrap()),
        port: deaf.local_addr().unwrap().port(),
        ..target
    };
    silent(connector.probe(&target, SHORT).await);
    let hung_up = async {
        loop {
            drop(deaf.accept().await);
        }
    };
    tokio::select! {
        seen = connector.probe(&target, AMPLE) => assert!(silent(seen).starts_with("connection cut")),
        () = hung_up => {}
    }
    // Something that speaks, but not PostgreSQL's protocol.
    let odd = async {
        loop {
            let (stream, _) = deaf.accept().await.unwrap();
            stream.writable().await.unwrap();
            stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            std::mem::forget(stream);
        }
    };
    tokio::select! {
        seen = connector.probe(&target, AMPLE) => assert!(alive(seen).contains("TLS")),
        () = odd => {}
    }
}

#[tokio::test]
async fn a_host_that_answers_no_packet() {
    // A listener whose queue is full drops every further packet, as a dead host does.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.22.21:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = vec![];
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, tokio::net::TcpStream::connect(address)).await {
        queue.push(stream);
    }
    let target = Target {
        host: address.ip().into(),
        port: address.port(),
        server_name: SERVER_NAME.to_owned(),
        database: "postgres".to_owned(),
    };
    let connector = connector_with(&Authority::new().pem, "understudy", PASSWORD);
    assert_eq!(silent(connector.probe(&target, SHORT).await), "waited 300 ms for a TCP connection");

    // No call takes longer than it may.
    let names = ["orders_2".to_owned()];
    on_time("freeze", connector.freeze(&target, SHORT)).await;
    on_time("follow", connector.follow(&target, address.ip(), 1, "orders_1", SHORT)).await;
    on_time("promote", connector.promote(&target, SHORT)).await;
    on_time("prove", connector.prove(&target, 1, "i-1", SHORT)).await;
    on_time("prepare-slots", connector.prepare_slots(&target, &names, SHORT)).await;
    on_time("drop-slots", connector.drop_slots(&target, &names, SHORT)).await;
    on_time("set-synchronous", connector.set_synchronous(&target, "", SHORT)).await;
}

async fn on_time<T: std::fmt::Debug>(name: &str, call: impl Future<Output = Result<T, Failure>> + Send) {
    let started = Instant::now();
    let failure = call.await.unwrap_err();
    assert!(matches!(failure, Failure::Transient { .. }), "{failure:?}");
    let story = failure.story();
    assert!(story.starts_with(&format!("postgres:{name} failed for now: 127.0.22.21:")), "{story}");
    assert!(story.contains("waited 300 ms for a TCP connection"), "{story}");
    assert!((SHORT..SHORT * 3).contains(&started.elapsed()), "{name} took {:?}", started.elapsed());
}

#[tokio::test]
async fn probes_leave_nothing_behind() {
    let cluster = Cluster::start(0);
    let (member, connector) = (&cluster.members[0], cluster.connector());
    let before = member.log().len();
    let started = Instant::now();
    for _ in 0..20 {
        writer(connector.probe(&member.target(), AMPLE).await);
    }
    println!("one probe, TLS and login included: {:?}", started.elapsed() / 20);
    member.eventually("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'understudy'");
    assert_eq!(member.log()[before..], *"", "a probe a second must not fill the log");

    // A question that hangs on the server is ended there too.
    let query = connector.probe(&member.target(), Duration::ZERO).await;
    silent(query);
    assert!(!format!("{connector:?}").contains("secret"));
}

#[test]
fn a_bad_authority_is_told() {
    let login = || Login { username: "understudy".to_owned(), password: PASSWORD.to_owned() };
    for (pem, expected) in [
        ("", "the card's certificate authority holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "the card's certificate authority is not PEM"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "the card's certificate authority cannot be used",
        ),
    ] {
        let story = Connector::new(pem, login()).unwrap_err().story();
        assert!(story.contains(expected), "{story}");
    }
}

//! A preflight asks its own Region, and Route 53, and nobody else: every request is signed for a Region, and a server on
//! this machine reads for which.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

use domain::{
    card::{BackupCard, CardInstance, ManagedCard, OtherRegion, PairCard, Records, Side, Topology},
    policy::Policy,
    region::{Check, DrCard},
};
use fleet::region::{Alone, DrCluster, OwnRegion, Settings};
use reconcile::Preflights as _;
use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

const HERE: &str = "eu-central-1";

/// Reads one request's head, answers it, and tells for which Region and service it was signed.
fn serve(mut stream: TcpStream, told: &mpsc::Sender<(String, String)>) {
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let (mut head, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let Ok(read @ 1..) = stream.read(&mut part) else { return };
        head.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&head);
        // Credential=KEY/20261121/eu-central-1/rds/aws4_request
        let Some(scope) = text.split("Credential=").nth(1).and_then(|rest| rest.split(',').next()) else { continue };
        let mut words = scope.split('/').skip(2).map(str::to_owned);
        let (region, service) = (words.next().unwrap(), words.next().unwrap());
        // An item that is not there lets the checks go on to their next call; everything else is denied.
        let known = service == "dynamodb";
        told.send((region, service)).unwrap();
        let (status, body) = if known { ("200 OK", "{}") } else { ("403 Forbidden", "") };
        let _ =
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        return;
    }
}

#[test]
fn a_preflight_asks_no_other_region() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in server.incoming() {
            let tell = tell.clone();
            thread::spawn(move || serve(stream.unwrap(), &tell));
        }
    });
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_preflight_itself", "--ignored", "--nocapture"])
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_REGION", HERE)
        .env("AWS_ACCESS_KEY_ID", "AKIDTEST")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let asked: BTreeSet<(String, String)> = told.try_iter().collect();
    let services: BTreeSet<&str> = asked.iter().map(|(_, service)| service.as_str()).collect();
    for service in ["dynamodb", "monitoring", "rds", "route53", "secretsmanager"] {
        assert!(services.contains(service), "{service} was not asked: {services:?}");
    }
    for (region, service) in &asked {
        // Route 53's too: at this endpoint, which is not its own, it signs as all do.
        assert_eq!(region, HERE, "{service}");
    }
}

/// Run by the test above, in an environment of its own.
#[tokio::test]
#[ignore = "needs the server of the other test"]
async fn the_preflight_itself() {
    let settings = Settings {
        fleet: "prod".to_owned(),
        topic: format!("arn:aws:sns:{HERE}:111122223333:prod-pages"),
        deploy_function: "prod-deploy-cluster".to_owned(),
        state_table: "prod-state".to_owned(),
        reach: postgres::Reach::new(None, None).unwrap(),
    };
    let own = OwnRegion::new(&cloud::load().await, settings);
    let cluster = DrCluster::open(&own, card(), Alone).await;
    for check in Check::ALL {
        let checked = cluster.check(check).await;
        assert_eq!(checked.ok, matches!(check, Check::Images | Check::Backups), "{checked:?}");
    }
    assert!(cluster.publish_ready(false).await.is_err());
}

fn card() -> DrCard {
    DrCard::Managed(Box::new(ManagedCard {
        version: 1,
        fleet: "prod".to_owned(),
        cluster: "ledger".to_owned(),
        topology: Topology::RdsPostgres,
        side: Side::Dr,
        region: HERE.to_owned(),
        database: "ledger".to_owned(),
        port: 5432,
        records: Records {
            zone_id: "Z1".to_owned(),
            writer: "ledger-dr-rw.db.internal".to_owned(),
            reader: "ledger-dr-ro.db.internal".to_owned(),
            ttl_s: 1,
        },
        operator_secret: "understudy/prod/ledger/operator".to_owned(),
        db_cluster: None,
        instances: vec![CardInstance { id: "prod-ledger-1".to_owned(), place: 1, never_promote: false, tier: 0 }],
        aws_fails_over: false,
        global_cluster: None,
        other: Some(OtherRegion { region: "eu-west-1".to_owned(), db_cluster_arn: None, instances: Vec::new() }),
        isolation: None,
        backups: Some(BackupCard { retention_days: 30, window: "02:00-03:00".to_owned() }),
        pair: Some(PairCard {
            name: "ledger.db.internal".to_owned(),
            alarm: "understudy-prod-ledger-primary-serves".to_owned(),
            namespace: "Understudy".to_owned(),
            metric: "PrimaryServes".to_owned(),
            health_check: "hc-1".to_owned(),
        }),
        pooler: None,
        policy: Policy::default(),
    }))
}

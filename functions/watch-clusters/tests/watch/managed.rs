//! Clusters that AWS runs, through the whole of a run.

use crate::fleet::{Script, down, ms, run, secs, silent, standby, state, writer};
use domain::{
    card::{CardInstance, ManagedCard, Records, Registered, Side, Topology},
    events::Function,
    managed::{DbClusterSeen, Described, InstanceSeen},
    policy::Policy,
    state::State,
};
use watch_clusters::Cards;

fn card() -> ManagedCard {
    let instance =
        |place: u32| CardInstance { id: format!("prod-orders-{place}"), place, never_promote: false, tier: 0 };
    ManagedCard {
        version: 1,
        fleet: "prod".to_owned(),
        cluster: "orders".to_owned(),
        topology: Topology::RdsPostgres,
        side: Side::Primary,
        region: "eu-west-1".to_owned(),
        database: "app".to_owned(),
        port: 5432,
        records: Records { zone_id: "Z1".to_owned(), writer: "w".to_owned(), reader: "r".to_owned(), ttl_s: 1 },
        operator_secret: "arn".to_owned(),
        db_cluster: None,
        instances: (1..=2).map(instance).collect(),
        aws_fails_over: true,
        global_cluster: None,
        other: None,
        isolation: None,
        backups: None,
        pair: None,
        pooler: None,
        policy: Policy { probe_timeout_ms: 900, ..Policy::default() },
    }
}

fn described() -> Described {
    let instance = |place: u32| InstanceSeen {
        id: format!("prod-orders-{place}"),
        status: "available".to_owned(),
        endpoint: Some(format!("orders-{place}.rds")),
        source: (place > 1).then(|| "prod-orders-1".to_owned()),
        ..InstanceSeen::default()
    };
    Described { instances: (1..=2).map(instance).collect(), ..Described::default() }
}

fn managed(card: ManagedCard) -> Script {
    let mut script = Script::well();
    let cards = Cards { cards: vec![Registered::Managed(card)], unreadable: vec![] };
    script.cards = Box::new(move |_| Ok(cards.clone()));
    script.state = Box::new(|_| Ok(Some(State { writer: Some("prod-orders-1".to_owned()), ..state() })));
    script.rds = Box::new(|_| Ok(described()));
    script.member("orders-1.rds", |_| (ms(5), writer()));
    script.member("orders-2.rds", |_| (ms(5), standby(None)));
    script
}

#[tokio::test(start_paused = true)]
async fn all_is_well_and_rds_is_asked_twice_a_minute() {
    let (report, world) = managed(card()).run(secs(75)).await;
    assert_eq!((report.clusters, report.raised), (1, 0));
    let notes = world.notes.lock().unwrap();
    assert_eq!(notes.rds.iter().map(|at| at.as_secs()).collect::<Vec<_>>(), [0, 30, 60]);
    for endpoint in ["orders-1.rds", "orders-2.rds"] {
        let probes = notes.probes.get(endpoint).map_or(0, Vec::len);
        assert!((69..=71).contains(&probes), "{endpoint}: {probes}");
    }
    let last = notes.documents.last().unwrap();
    assert_eq!((&last["WriterUp"], &last["MembersUp"]), (&1.into(), &2.into()));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_dies_is_suspected_after_three_probes_and_rds_is_asked_at_once() {
    let mut script = managed(card());
    script.member("orders-1.rds", |now| if now < secs(10) { (ms(5), writer()) } else { silent() });
    let (_, world) = script.run(secs(75)).await;
    let suspicions = world.suspicions();
    assert!((secs(12)..secs(14)).contains(&suspicions[0]), "{suspicions:?}");
    let notes = world.notes.lock().unwrap();
    let asked: Vec<u64> = notes.rds.iter().map(|at| at.as_secs()).filter(|at| (10..30).contains(at)).collect();
    assert!(asked.len() > 1 && asked[0] <= 13, "{asked:?}");
    let gaps = notes.rds.windows(2).map(|pair| pair[1] - pair[0]).min();
    assert!(gaps >= Some(secs(5)), "{:?}", notes.rds);
    let (_, told) = &notes.events[0];
    assert_eq!(told["detail"]["member"], "prod-orders-1");
    assert_eq!(told["detail"]["last_lsn"], "0/900");
    assert_eq!(notes.woken[0], Function::PromoteReplica);
    assert_eq!(notes.documents.last().unwrap()["WriterUp"], 0);
}

#[tokio::test(start_paused = true)]
async fn without_rds_what_it_said_last_is_gone_on_with() {
    let mut script = managed(card());
    script.rds = Box::new(|now| if now < secs(80) { Ok(described()) } else { Err(down("rds:DescribeDBInstances")) });
    script.member("orders-1.rds", |now| if now < secs(90) { (ms(5), writer()) } else { silent() });
    let (watcher, world) = script.watcher();
    run(&watcher, &world, secs(75)).await.unwrap();
    tokio::time::sleep(secs(15)).await;
    run(&watcher, &world, secs(75)).await.unwrap();
    let suspicions = world.suspicions();
    assert!(suspicions.first().is_some_and(|at| (secs(92)..secs(94)).contains(at)), "{suspicions:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_may_pause_is_only_asked_about() {
    let mut script = managed(ManagedCard {
        topology: Topology::AuroraServerless,
        db_cluster: Some("prod-orders".to_owned()),
        ..card()
    });
    script.rds = Box::new(|now| {
        let db_cluster = DbClusterSeen {
            id: "prod-orders".to_owned(),
            status: "available".to_owned(),
            // AWS fails over in the middle.
            writer: Some(if now < secs(20) { "prod-orders-1" } else { "prod-orders-2" }.to_owned()),
            pauses: true,
            ..DbClusterSeen::default()
        };
        Ok(Described { db_cluster: Some(db_cluster), ..described() })
    });
    let (report, world) = script.run(secs(75)).await;
    assert_eq!(report.probes, 0);
    let notes = world.notes.lock().unwrap();
    assert!(notes.probes.is_empty() && notes.documents.last().unwrap()["WriterUp"] == 1);
    drop(notes);
    let moved = world.told("Understudy Not Adopted").len() + world.told("Understudy Leader Moved").len();
    assert!(moved >= 1 && world.suspicions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_another_region_serves_nothing_is_found() {
    let mut script = managed(ManagedCard {
        side: Side::Dr,
        other: Some(domain::card::OtherRegion {
            region: "eu-central-1".to_owned(),
            db_cluster_arn: None,
            instances: vec![],
        }),
        ..card()
    });
    script.serves = Box::new(|_| Ok(false));
    script.member("orders-1.rds", |_| silent());
    let (report, world) = script.run(secs(75)).await;
    assert_eq!(report.raised, 0);
    let notes = world.notes.lock().unwrap();
    let last = notes.documents.last().unwrap();
    assert_eq!((last.get("WriterUp"), &last["MembersUp"]), (None, &1.into()));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_busy_for_a_minute_is_told_of_every_minute() {
    let mut script = managed(card());
    script.rds = Box::new(|_| {
        let mut seen = described();
        seen.instances[1].status = "modifying".to_owned();
        Ok(seen)
    });
    let (watcher, world) = script.watcher();
    for _ in 0..4 {
        run(&watcher, &world, secs(75)).await.unwrap();
    }
    let told = world.told("Understudy Database Busy");
    assert!(told.len() >= 3 && told[0] >= secs(60), "{told:?}");
    assert!(told.windows(2).skip(3).all(|pair| pair[1] - pair[0] >= secs(60)), "{told:?}");
}

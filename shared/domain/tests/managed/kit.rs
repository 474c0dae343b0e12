//! Managed clusters as a look sees them, changed by chaining.
//!
//! `carts` is Aurora: `prod-carts-1` writes, `-2` and `-3` read. `leads` is RDS: `prod-leads-1` writes, `-2` is its
//! replica.

use domain::{
    card::{BackupCard, CardInstance, Isolation, ManagedCard, Records, Side, Topology},
    decision::Decision,
    failover::{Lease, ReceiverSeen, Seen, Sql, StandbySeen, Suspicion, WriterSeen},
    follow::Waiting,
    lsn::Lsn,
    managed::{By, Course, DbClusterSeen, Described, InstanceSeen, Lag, NamesSeen, Observed, Step, decide},
    policy::Policy,
    state::{Change, ChangeKind, State},
};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

pub const NOW: u64 = 1_774_840_330_000;
pub const ISOLATED: &str = "sg-isolated";
pub const USUAL: &str = "sg-usual";

pub fn endpoint(id: &str) -> String {
    format!("{id}.lab.eu-west-1.rds.amazonaws.com")
}

pub fn writer(lsn: u64) -> Sql {
    Sql::Writer(WriterSeen {
        timeline: 1,
        lsn: Lsn(lsn),
        system_id: 0,
        synchronous_setting: String::new(),
        streams: Vec::new(),
        slots: Vec::new(),
    })
}

/// A reader of Aurora: nobody can say when it heard its writer.
pub fn reader() -> Sql {
    standby(900, None)
}

/// A replica of RDS that heard its source so many milliseconds ago; `None`: its receiver is gone.
pub fn standby(lsn: u64, heard_ms: Option<u64>) -> Sql {
    let receiver = |ms| ReceiverSeen { streaming: true, silent_for: Duration::from_millis(ms), upstream: None };
    Sql::Standby(StandbySeen {
        timeline: 1,
        known_timeline: 1,
        received: Some(Lsn(lsn)),
        replayed: Some(Lsn(lsn)),
        system_id: 0,
        receiver: heard_ms.map(receiver),
        upstream: Some(IpAddr::from([0, 0, 0, 0])),
    })
}

pub fn silent() -> Sql {
    Sql::Silent("no answer within 600 ms".to_owned())
}

pub fn card(topology: Topology, cluster: &str, places: u32) -> ManagedCard {
    let instance = |place| CardInstance { id: format!("prod-{cluster}-{place}"), place, never_promote: false, tier: 1 };
    let aurora = topology.is_aurora();
    ManagedCard {
        version: 1,
        fleet: "prod".to_owned(),
        cluster: cluster.to_owned(),
        topology,
        side: Side::Primary,
        region: "eu-west-1".to_owned(),
        database: "app".to_owned(),
        port: 5432,
        records: Records {
            zone_id: "Z1".to_owned(),
            writer: format!("{cluster}-rw.db.internal"),
            reader: format!("{cluster}-ro.db.internal"),
            ttl_s: 1,
        },
        operator_secret: "arn:secret".to_owned(),
        db_cluster: aurora.then(|| format!("prod-{cluster}")),
        instances: (1..=places).map(instance).collect(),
        aws_fails_over: aurora,
        global_cluster: None,
        other: None,
        isolation: (!aurora).then(|| Isolation {
            security_groups: vec![USUAL.to_owned()],
            isolated_group: ISOLATED.to_owned(),
            network_acl: None,
            usual_network_acl: None,
        }),
        backups: (!aurora).then(|| BackupCard { retention_days: 30, window: "02:00-03:00".to_owned() }),
        pair: None,
        pooler: None,
        policy: Policy::default(),
    }
}

pub fn instance(id: &str, source: Option<&str>) -> InstanceSeen {
    let place = id.rsplit('-').next().unwrap_or_default();
    InstanceSeen {
        id: id.to_owned(),
        arn: format!("arn:aws:rds:eu-west-1:111122223333:db:{id}"),
        status: "available".to_owned(),
        endpoint: Some(endpoint(id)),
        class: "db.r6g.large".to_owned(),
        zone: Some(format!("eu-west-1{}", ["a", "b", "c"][place.parse::<usize>().unwrap_or(1) - 1])),
        source: source.map(str::to_owned),
        backup_retention_days: if source.is_none() { 30 } else { 0 },
        promotion_tier: Some(1),
        security_groups: vec![(USUAL.to_owned(), "active".to_owned())],
        subnet: Some(format!("subnet-{place}")),
        ..InstanceSeen::default()
    }
}

fn observed(card: ManagedCard, described: Described, sql: &[(&str, Sql)], readers: &[String]) -> Observed {
    let target = match &described.db_cluster {
        Some(cluster) => cluster.endpoint.clone(),
        None => described.instances[0].endpoint.clone(),
    };
    Observed {
        state: State { epoch: 6, writer: Some(card.instances[0].id.clone()), timeline: 1, ..State::unclaimed() },
        card,
        looked_at_ms: NOW,
        lease: Lease::Free,
        rds: Seen::Known(described),
        sql: sql.iter().map(|(id, sql)| ((*id).to_owned(), sql.clone())).collect(),
        lags: BTreeMap::new(),
        records: Seen::Known(NamesSeen { writer: target, epoch: Some(6), readers: readers.to_vec() }),
        suspicion: None,
        silent_since_ms: None,
        answered_ms: None,
        waiting: None,
        roles: None,
        switchover: None,
    }
}

/// Aurora, all well.
pub fn carts() -> Observed {
    let described = Described {
        instances: ["prod-carts-1", "prod-carts-2", "prod-carts-3"].map(|id| instance(id, None)).to_vec(),
        db_cluster: Some(DbClusterSeen {
            id: "prod-carts".to_owned(),
            arn: "arn:aws:rds:eu-west-1:111122223333:cluster:prod-carts".to_owned(),
            status: "available".to_owned(),
            endpoint: Some("prod-carts.cluster-lab.eu-west-1.rds.amazonaws.com".to_owned()),
            reader_endpoint: Some("prod-carts.cluster-ro-lab.eu-west-1.rds.amazonaws.com".to_owned()),
            writer: Some("prod-carts-1".to_owned()),
            pauses: false,
        }),
        global: None,
    };
    let sql = [("prod-carts-1", writer(900)), ("prod-carts-2", reader()), ("prod-carts-3", reader())];
    let readers = ["prod-carts.cluster-ro-lab.eu-west-1.rds.amazonaws.com".to_owned()];
    observed(card(Topology::AuroraProvisioned, "carts", 3), described, &sql, &readers)
}

/// RDS without a standby of its own, and one replica; all well.
pub fn leads() -> Observed {
    let described = Described {
        instances: vec![instance("prod-leads-1", None), instance("prod-leads-2", Some("prod-leads-1"))],
        ..Described::default()
    };
    let sql = [("prod-leads-1", writer(900)), ("prod-leads-2", standby(900, Some(100)))];
    observed(card(Topology::RdsPostgres, "leads", 2), described, &sql, &[endpoint("prod-leads-2")])
        .lag("prod-leads-2", 40)
}

/// Its writer is dead: three failed probes, the replica's stream is dead, 4.0 s of silence.
pub fn leads_dead() -> Observed {
    leads()
        .sql("prod-leads-1", silent())
        .sql("prod-leads-2", standby(900, None))
        .suspected("prod-leads-1", 3, 4_000, Some(900))
        .waits("silent", 4_000)
}

/// The change away from it is open, and the lease ours.
pub fn leads_changing() -> Observed {
    leads_dead().changing(ChangeKind::Failover, "prod-leads-1", By::Promotion)
}

/// Aurora's writer is silent for so long, and RDS calls it available.
pub fn carts_gray(silent_ms: u64) -> Observed {
    carts().sql("prod-carts-1", silent()).suspected("prod-carts-1", 3, silent_ms, Some(900)).waits("silent", silent_ms)
}

pub trait Chain: Sized {
    fn but(self, change: impl FnOnce(&mut Observed)) -> Self;

    fn sql(self, id: &str, sql: Sql) -> Self {
        self.but(|seen| {
            seen.sql.insert(id.to_owned(), sql);
        })
    }

    fn rds(self, change: impl FnOnce(&mut Described)) -> Self {
        self.but(|seen| {
            if let Seen::Known(described) = &mut seen.rds {
                change(described);
            }
        })
    }

    fn of(self, id: &str, change: impl FnOnce(&mut InstanceSeen)) -> Self {
        self.rds(|described| {
            let found = described.instances.iter_mut().find(|instance| instance.id == id);
            change(found.unwrap_or_else(|| panic!("no instance {id}")));
        })
    }

    fn status(self, id: &str, status: &str) -> Self {
        self.of(id, |instance| instance.status = status.to_owned())
    }

    fn cluster(self, change: impl FnOnce(&mut DbClusterSeen)) -> Self {
        self.rds(|described| {
            if let Some(cluster) = &mut described.db_cluster {
                change(cluster);
            }
        })
    }

    fn groups(self, id: &str, group: &str, status: &str) -> Self {
        self.of(id, |instance| instance.security_groups = vec![(group.to_owned(), status.to_owned())])
    }

    fn lag(self, id: &str, ms: u64) -> Self {
        self.but(|seen| {
            seen.lags.insert(id.to_owned(), Lag { ms: Some(ms), ..Lag::default() });
        })
    }

    fn suspected(self, id: &str, failures: u32, silent_ms: u64, last_lsn: Option<u64>) -> Self {
        self.but(|seen| {
            seen.suspicion = Some(Suspicion {
                member: id.to_owned(),
                failures,
                silent_for: Duration::from_millis(silent_ms),
                last_lsn: last_lsn.map(Lsn),
                synchronous_setting: None,
            });
        })
    }

    fn waits(self, kind: &str, ms: u64) -> Self {
        self.but(|seen| {
            let (since_ms, about) = (seen.looked_at_ms - ms, Some("eu-west-1a".to_owned()));
            let confirmed_ms = seen.looked_at_ms.saturating_sub(1_000).max(since_ms);
            seen.waiting = Some(Waiting { kind: kind.to_owned(), since_ms, confirmed_ms, about });
        })
    }

    fn policy(self, change: impl FnOnce(&mut Policy)) -> Self {
        self.but(|seen| change(&mut seen.card.policy))
    }

    fn changing(self, kind: ChangeKind, from: &str, by: By) -> Self {
        self.but(|seen| {
            (seen.lease, seen.state.epoch) = (Lease::Mine, 7);
            seen.state.change = Some(Change {
                kind,
                from: from.to_owned(),
                seen: vec![format!("{from} silent")],
                last_writer_lsn: Some(Lsn(900)),
                silent_since_ms: NOW - 4_000,
                woken_at_ms: NOW - 600,
                woken_by: "by watch-clusters".to_owned(),
                began_at_ms: NOW - 500,
                managed: Some(Course { by, ..Course::default() }),
                ..Change::default()
            });
        })
    }

    fn change(self, edit: impl FnOnce(&mut Change, &mut Course)) -> Self {
        self.but(|seen| {
            let change = seen.state.change.as_mut().unwrap_or_else(|| panic!("no change"));
            let mut course = change.managed.clone().unwrap_or_default();
            edit(change, &mut course);
            change.managed = Some(course);
        })
    }
}

impl Chain for Observed {
    fn but(mut self, change: impl FnOnce(&mut Observed)) -> Self {
        change(&mut self);
        self
    }
}

/// A decision in one line: what a table can hold.
pub fn short(seen: &Observed) -> String {
    match decide(seen) {
        Decision::Steady => "steady".to_owned(),
        Decision::Wait(reason) => format!("wait: {}", reason.kind()),
        Decision::Refuse(reason) => format!("refuse: {}", reason.kind()),
        Decision::Act(steps) => steps.iter().map(word).collect::<Vec<_>>().join(", "),
    }
}

pub fn word(step: &Step) -> String {
    match step {
        Step::LookAgain => "look again".to_owned(),
        Step::Note(waiting) => format!("note {}", waiting.kind),
        Step::Forget => "forget".to_owned(),
        Step::Adopt { writer, .. } => format!("adopt {writer}"),
        Step::Begin { epoch, change } => format!("begin {epoch} from {}", change.from),
        Step::Hold { epoch } => format!("hold {epoch}"),
        Step::NoteChange(_) => "note change".to_owned(),
        Step::Isolate { instance, groups } => format!("{instance} gets {}", groups.join("+")),
        Step::SetNetworkAcl { subnet, acl } => format!("{subnet} gets {acl}"),
        Step::Reboot { instance } => format!("reboot {instance}"),
        Step::Stop { instance } => format!("stop {instance}"),
        Step::FailOver { to, .. } => format!("fail over to {to}"),
        Step::Promote { instance, evidence, .. } => format!("promote {instance} by {}", evidence.kind()),
        Step::Prove { instance, .. } => format!("prove {instance}"),
        Step::SetBackups { instance, retention_days, .. } => format!("backups of {instance} {retention_days} d"),
        Step::KeepRoles { after, .. } => format!("roles {}", after.writer),
        Step::RenderAnew => "render anew".to_owned(),
        Step::MoveWriterRecord { from, to } => {
            let from = from.as_ref().map_or("nothing", |(target, _)| short_name(target));
            format!("record {from} to {}/{}", short_name(&to.0), to.1)
        }
        Step::SetReaders(readers) => {
            let ids: Vec<&str> = readers.iter().map(|(id, _)| id.as_str()).collect();
            format!("readers {}", ids.join("+"))
        }
        Step::Abandon { .. } => "abandon".to_owned(),
        Step::Finish { writer, .. } => format!("finish {writer}"),
    }
}

fn short_name(target: &str) -> &str {
    target.split('.').next().unwrap_or(target)
}

/// Each row: a rule in words, the world that tests it, the whole answer.
pub fn check(table: &[(&str, Observed, &str)]) {
    for (name, seen, expected) in table {
        assert_eq!(short(seen), *expected, "{name}");
    }
}

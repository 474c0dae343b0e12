//! One cluster of RDS in two Regions, as a look from the second one sees it.

use domain::{
    card::{CardInstance, ManagedCard, OtherRegion, Records, Side, Topology},
    failover::{Seen, Sql, StandbySeen, WriterSeen},
    lsn::Lsn,
    policy::Policy,
    region::{Change, DrCard, Kind, Look, Position, Promoted, Region, Request, Server, SideSeen},
};

pub const NOW: u64 = 1_774_840_330_000;
pub const HERE: &str = "arn:aws:rds:eu-central-1:111122223333:db:prod-ledger-1";
const THERE: &str = "arn:aws:rds:eu-west-1:111122223333:db:prod-ledger-1";

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

pub fn standby(lsn: u64) -> Sql {
    Sql::Standby(StandbySeen {
        timeline: 1,
        known_timeline: 1,
        received: Some(Lsn(lsn)),
        replayed: Some(Lsn(lsn)),
        system_id: 0,
        receiver: None,
        upstream: None,
    })
}

fn server(arn: &str, source: Option<&str>, sql: Sql) -> Server {
    Server {
        id: "prod-ledger-1".to_owned(),
        arn: Some(arn.to_owned()),
        status: "available".to_owned(),
        writer: None,
        endpoint: Some("prod-ledger-1.example".to_owned()),
        source: source.map(str::to_owned),
        sql,
    }
}

fn one(server: Server) -> Seen<SideSeen> {
    Seen::Known(SideSeen { servers: vec![server], can_cut: true, ..SideSeen::default() })
}

/// All is well: eu-west-1 serves at 1000, eu-central-1 has 995.
pub fn look(topology: Topology) -> Look {
    Look {
        card: DrCard::Managed(Box::new(card(topology))),
        looked_at_ms: NOW,
        region: Region::default(),
        asked: None,
        woken_by: "by a test".to_owned(),
        fresh: "1a2b3c4d".to_owned(),
        paused: false,
        gave_order: false,
        ended_sessions: false,
        here: one(server(HERE, Some(THERE), standby(995))),
        there: one(server(THERE, None, writer(1_000))),
        global: Seen::Known(None),
        risk: Position { bytes: Some(5), ms: Some(800), by: "its lag".to_owned() },
    }
}

/// The same, with a change under way.
pub fn changing(kind: Kind, edit: impl FnOnce(&mut Change)) -> Look {
    let mut change = Change {
        kind,
        woken_by: "by a test".to_owned(),
        began_at_ms: NOW,
        seen: Vec::new(),
        risk: Position::default(),
        from: None,
        to: "prod-ledger-1".to_owned(),
        approval: None,
        fence_ordered_at_ms: None,
        sure: None,
        sure_at_ms: None,
        last_lsn: None,
        orders: 0,
        ordered_at_ms: None,
        last_order_at_ms: None,
        promoted: None,
        silent_since_ms: None,
        done: Vec::new(),
        undoing: None,
    };
    edit(&mut change);
    let mut look = look(Topology::RdsPostgres);
    look.region = Region { epoch: 1, change: Some(change), ..Region::default() };
    look
}

pub fn promoted() -> Promoted {
    Promoted { instance: "prod-ledger-1".to_owned(), lsn: Lsn(1_000), timeline: 2, at_ms: NOW }
}

pub fn side(seen: &mut Seen<SideSeen>) -> &mut SideSeen {
    match seen {
        Seen::Known(side) => side,
        other => panic!("{other:?}"),
    }
}

pub fn policy(look: &mut Look) -> &mut Policy {
    match &mut look.card {
        DrCard::Managed(card) => &mut card.policy,
        DrCard::Standby(card) => &mut card.policy,
    }
}

pub fn approve(token: &str) -> Request {
    Request::Failover { cluster: "ledger".to_owned(), to: None, approval: Some(token.to_owned()) }
}

pub fn switchover() -> Request {
    Request::Switchover { cluster: "ledger".to_owned(), to: None }
}

fn card(topology: Topology) -> ManagedCard {
    ManagedCard {
        version: 1,
        fleet: "prod".to_owned(),
        cluster: "ledger".to_owned(),
        topology,
        side: Side::Dr,
        region: "eu-central-1".to_owned(),
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
        backups: None,
        pair: None,
        pooler: None,
        policy: Policy::default(),
    }
}

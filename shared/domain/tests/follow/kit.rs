//! A cluster of three that Patroni owns, changed by chaining: `i-a` leads,
//! `i-b` is a synchronous standby, `i-c` another; epoch 7, timeline 4.

use domain::{
    card::{CardHost, CardMember},
    failover::{
        Host, Lease, Member, Observed, ReceiverSeen, Seen, Sql, StandbySeen, StreamSeen, Suspicion, WriterSeen,
    },
    follow::{Account, Fork, Led, Role, StoreHost, Waiting},
    lsn::Lsn,
    policy::Policy,
    records::RecordsSeen,
    state::{State, Synchronous},
};
use std::{net::IpAddr, time::Duration};

pub const NOW: u64 = 1_774_840_330_000;
pub const PATIENCE: Duration = Duration::from_secs(33);

pub fn address(id: &str) -> IpAddr {
    IpAddr::from([10, 0, id.as_bytes()[2] - b'a' + 1, 10])
}

pub fn name(id: &str) -> String {
    id.replace("i-", "shop_")
}

pub fn writer(timeline: u32, setting: &str, streaming: &[&str]) -> Sql {
    let stream = |id: &&str| StreamSeen {
        name: name(id),
        streaming: true,
        flushed: Some(Lsn(if *id == "i-b" { 900 } else { 800 })),
    };
    Sql::Writer(WriterSeen {
        timeline,
        lsn: Lsn(900),
        system_id: 42,
        synchronous_setting: setting.to_owned(),
        streams: streaming.iter().map(stream).collect(),
        slots: Vec::new(),
    })
}

pub fn standby(upstream: &str) -> Sql {
    let upstream = Some(address(upstream));
    Sql::Standby(StandbySeen {
        timeline: 4,
        known_timeline: 4,
        received: Some(Lsn(900)),
        replayed: Some(Lsn(900)),
        system_id: 42,
        receiver: Some(ReceiverSeen { streaming: true, silent_for: Duration::from_millis(100), upstream }),
        upstream,
    })
}

pub fn silent() -> Sql {
    Sql::Silent("no answer within 600 ms".to_owned())
}

fn member(id: &str, sql: Sql) -> Member {
    let card = CardMember {
        name: name(id),
        id: id.to_owned(),
        address: address(id),
        zone: id.replace("i-", "eu-west-1"),
        never_promote: false,
        tier: 0,
    };
    Member { card, host: Host::Running, sql, guard: None }
}

pub fn account(leader: Option<&str>) -> Account {
    let role = |id: &str| Role {
        id: id.to_owned(),
        role: if Some(id) == leader { "leader" } else { "replica" }.to_owned(),
        state: if Some(id) == leader { "running" } else { "streaming" }.to_owned(),
        timeline: Some(4),
        lag: Some(0),
    };
    Account {
        by: "shop_a".to_owned(),
        leader: leader.map(str::to_owned),
        paused: false,
        roles: ["i-a", "i-b", "i-c"].map(role).into(),
        forks: vec![Fork {
            timeline: 3,
            ended_at: Lsn(500),
            at_ms: Some(NOW - 86_400_000),
            leader: Some("shop_a".into()),
        }],
    }
}

pub fn well() -> Led {
    let etcd = |number: u8| StoreHost {
        card: CardHost {
            name: format!("shop-etcd-{number}"),
            id: format!("i-e{number}"),
            address: IpAddr::from([10, 0, number, 20]),
            zone: "eu-west-1a".to_owned(),
        },
        host: Host::Running,
    };
    Led {
        seen: Observed {
            fleet: "prod".to_owned(),
            cluster: "shop".to_owned(),
            silent_since_ms: None,
            writer_record: "shop-rw.db.internal".to_owned(),
            looked_at_ms: NOW,
            state: State {
                epoch: 7,
                writer: Some("i-a".to_owned()),
                synchronous: Synchronous { required: 1, names: vec!["shop_b".to_owned()] },
                ..State::unclaimed()
            },
            lease: Lease::Free,
            synchronous_required: 1,
            switchover: None,
            commits_wait: false,
            members: vec![
                member("i-a", writer(4, "shop_b", &["i-b", "i-c"])),
                member("i-b", standby("i-a")),
                member("i-c", standby("i-a")),
            ],
            records: Seen::Known(RecordsSeen {
                writer: vec![address("i-a")],
                epoch: Some(7),
                reader: vec![address("i-b"), address("i-c")],
                ..RecordsSeen::default()
            }),
            suspicion: None,
            policy: Policy::default(),
        },
        keeper: "Patroni",
        patience: PATIENCE,
        account: Seen::Known(account(Some("i-a"))),
        heard: vec!["Patroni on shop_b: replica, running, etcd last seen 0.4 s ago".to_owned()],
        store: vec![etcd(1), etcd(2), etcd(3)],
        waiting: None,
        answered_ms: None,
    }
}

/// `i-a` is silent for 27 s, and Patroni made `i-b` leader on timeline 5.
pub fn moved() -> Led {
    let mut led = dead().sql("i-b", writer(5, "shop_c", &["i-c"])).sql("i-c", standby("i-b"));
    let mut account = account(Some("i-b"));
    account.by = "shop_b".to_owned();
    account.forks.push(Fork {
        timeline: 4,
        ended_at: Lsn(900),
        at_ms: Some(NOW - 2_000),
        leader: Some("shop_b".into()),
    });
    led.account = Seen::Known(account);
    led
}

/// `i-a` is silent for 27 s, and nobody leads yet.
pub fn dead() -> Led {
    let mut led = well().sql("i-a", silent());
    led.seen.suspicion = Some(Suspicion {
        member: "i-a".to_owned(),
        failures: 27,
        silent_for: Duration::from_secs(27),
        last_lsn: Some(Lsn(880)),
        synchronous_setting: Some("shop_b".to_owned()),
    });
    led.account = Seen::Known(account(None));
    led
}

pub trait Chain: Sized {
    fn sql(self, id: &str, sql: Sql) -> Self;
    fn host(self, id: &str, host: Host) -> Self;
    fn but(self, change: impl FnOnce(&mut Self)) -> Self;
    fn waits(self, kind: &str, since_ms: u64) -> Self;
    fn later(self, span: Duration) -> Self;
}

impl Chain for Led {
    fn sql(mut self, id: &str, sql: Sql) -> Self {
        self.seen.members.iter_mut().find(|member| member.card.id == id).unwrap_or_else(|| panic!("{id}")).sql = sql;
        self
    }

    fn host(mut self, id: &str, host: Host) -> Self {
        match self.seen.members.iter_mut().find(|member| member.card.id == id) {
            Some(member) => member.host = host,
            None => {
                let store = self.store.iter_mut().find(|store| store.card.id == id);
                store.unwrap_or_else(|| panic!("{id}")).host = host;
            }
        }
        self
    }

    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn waits(mut self, kind: &str, since_ms: u64) -> Self {
        let confirmed_ms = self.seen.looked_at_ms;
        self.waiting = Some(Waiting { kind: kind.to_owned(), since_ms, confirmed_ms, about: None });
        self
    }

    fn later(mut self, span: Duration) -> Self {
        self.seen.looked_at_ms += u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self
    }
}

//! Each rule on both sides of its limit.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod guards;

use super::*;
use crate::{
    card::CardHost,
    failover::{Lease, Seen, StandbySeen, StreamSeen, WriterSeen},
    follow::{Account, StoreHost},
    lsn::Lsn,
    state::Pause,
    steady::kit::{NOW, silent, standby, well, writer},
};

const AFTER: u64 = 300_000;

/// `i-a` leads, `i-b` and `i-c` stream, three hosts of etcd run; all are well.
fn ward() -> Ward {
    let seen = well();
    let role = |id: &str| Role {
        id: id.to_owned(),
        role: if id == "i-a" { "leader" } else { "replica" }.to_owned(),
        state: if id == "i-a" { "running" } else { "streaming" }.to_owned(),
        timeline: Some(2),
        lag: Some(0),
    };
    let host = |id: &str, name: &str, resource: &str, sql: Option<Sql>, role: Option<Role>| HostSeen {
        id: id.to_owned(),
        name: name.to_owned(),
        zone: "eu-west-1a".to_owned(),
        resource: resource.to_owned(),
        host: Host::Running,
        impaired: None,
        sql,
        role,
        incident: None,
        command: None,
        found: None,
    };
    let mut hosts = vec![
        host("i-a", "orders_a", "Member1", Some(writer(&["i-b", "i-c"])), Some(role("i-a"))),
        host("i-b", "orders_b", "Member2", Some(standby()), Some(role("i-b"))),
        host("i-c", "orders_c", "Member3", Some(standby()), Some(role("i-c"))),
    ];
    let etcd = |number: u8| StoreHost {
        card: CardHost {
            name: format!("orders-etcd-{number}"),
            id: format!("i-e{number}"),
            address: std::net::IpAddr::from([10, 0, number, 20]),
            zone: "eu-west-1a".to_owned(),
        },
        host: Host::Running,
    };
    let store: Vec<StoreHost> = (1..=3).map(etcd).collect();
    hosts.extend(store.iter().map(|store| host(&store.card.id, &store.card.name, "Etcd1", None, None)));
    let account = Account {
        by: "orders_a".to_owned(),
        leader: Some("i-a".to_owned()),
        roles: ["i-a", "i-b", "i-c"].map(role).into(),
        ..Account::default()
    };
    let led = Led {
        seen,
        keeper: "Patroni",
        patience: Duration::from_secs(33),
        account: Seen::Known(account),
        heard: Vec::new(),
        store,
        waiting: None,
        answered_ms: None,
    };
    Ward { led, hosts, taken: None }
}

impl Ward {
    fn but(mut self, change: impl FnOnce(&mut Ward)) -> Self {
        change(&mut self);
        self
    }

    fn of(&mut self, id: &str) -> &mut HostSeen {
        self.hosts.iter_mut().find(|host| host.id == id).unwrap()
    }

    /// It ails since so many milliseconds.
    fn ails(self, id: &str, ailment: Ailment, for_ms: u64) -> Self {
        let since_ms = NOW - for_ms;
        let incident = Incident { ailment, since_ms, began_ms: since_ms, orders: Vec::new(), given_up: false };
        self.but(|ward| {
            ward.of(id).incident = Some(incident);
            show(ward, id, ailment);
        })
    }

    fn ordered(self, id: &str, act: Act, ago_ms: u64) -> Self {
        let given = Given { act, at_ms: NOW - ago_ms, command: None, ended: None };
        self.but(|ward| ward.of(id).incident.as_mut().unwrap().orders.push(given))
    }

    fn decide(&self, id: &str) -> Decision<Step, Reason> {
        decide(self, self.hosts.iter().find(|host| host.id == id).unwrap())
    }

    /// In words.
    fn told(&self, id: &str) -> String {
        match self.decide(id) {
            Decision::Steady => "steady".to_owned(),
            Decision::Wait(reason) => format!("wait: {reason}"),
            Decision::Refuse(reason) => format!("refuse: {reason}"),
            Decision::Act(steps) => steps.iter().map(Step::to_string).collect::<Vec<_>>().join("; "),
        }
    }
}

/// Lets a host look as one with that ailment.
fn show(ward: &mut Ward, id: &str, ailment: Ailment) {
    let host = ward.of(id);
    let (state, sql) = match ailment {
        Ailment::Off => {
            host.host = Host::Stopped;
            ("", Some(silent()))
        }
        Ailment::Gone => {
            host.host = Host::Terminated;
            ("", Some(silent()))
        }
        Ailment::Impaired => {
            host.impaired = Some("instance status check fails".to_owned());
            return;
        }
        Ailment::Silent => ("", Some(silent())),
        Ailment::Down => ("", Some(Sql::Refused)),
        Ailment::Failed => ("start failed", Some(Sql::Refused)),
        Ailment::Astray => ("running", Some(astray())),
    };
    if host.sql.is_some() {
        host.sql = sql;
        host.role = host.role.take().filter(|_| !state.is_empty()).map(|role| Role { state: state.to_owned(), ..role });
    }
}

fn astray() -> Sql {
    let Sql::Standby(seen) = standby() else { panic!("no standby") };
    Sql::Standby(StandbySeen { receiver: None, ..seen })
}

#[test]
fn what_ails_a_host() {
    let role = |state: &str| {
        let state = state.to_owned();
        move |host: &mut HostSeen| host.role.as_mut().unwrap().state = state.clone()
    };
    let found = |change: &dyn Fn(&mut HostSeen)| {
        let ward = ward().but(|ward| change(ward.of("i-c")));
        ailment(&ward, ward.hosts.iter().find(|host| host.id == "i-c").unwrap())
    };
    for (ailing, expected) in [
        (Ailment::Off, Ailment::Off),
        (Ailment::Gone, Ailment::Gone),
        (Ailment::Impaired, Ailment::Impaired),
        (Ailment::Silent, Ailment::Silent),
        (Ailment::Down, Ailment::Down),
        (Ailment::Failed, Ailment::Failed),
        (Ailment::Astray, Ailment::Astray),
    ] {
        let mut ward = ward();
        show(&mut ward, "i-c", ailing);
        assert_eq!(ailment(&ward, &ward.hosts[2]), Ok(Some(expected)));
    }
    assert_eq!(found(&|_| ()), Ok(None));
    // What it is doing takes as long as it takes.
    for state in ["creating replica", "starting", "in archive recovery"] {
        assert_eq!(
            found(&|host| {
                role(state)(host);
                host.sql = Some(Sql::Refused);
            }),
            Ok(None),
            "{state}"
        );
        assert_eq!(
            found(&|host| {
                role(state)(host);
                host.sql = Some(astray());
            }),
            Ok(None),
            "{state}"
        );
    }
    // Silent to us, and well by its own agent's word: it is our way that is broken.
    assert_eq!(found(&|host| host.sql = Some(silent())), Ok(None));
    // Too many clients is not dead.
    assert_eq!(
        found(&|host| {
            host.role = None;
            host.sql = Some(Sql::Alive("53300".into()));
        }),
        Ok(None)
    );
    for unclear in [Host::Pending, Host::Stopping, Host::ShuttingDown, Host::Unknown("throttled".into())] {
        assert!(found(&|host| host.host = unclear.clone()).is_err(), "{unclear:?}");
    }
    // Nobody to follow while nobody leads.
    let mut nobody = ward().but(|ward| show(ward, "i-c", Ailment::Astray));
    nobody.led.seen.lease = Lease::Other(Duration::from_secs(1));
    assert_eq!(ailment(&nobody, &nobody.hosts[2]), Ok(None));
    // etcd's own words are not heard from here.
    let mut etcd = ward().but(|ward| ward.of("i-e1").host = Host::Stopped);
    assert_eq!(ailment(&etcd, &etcd.hosts[3]), Ok(Some(Ailment::Off)));
    etcd.of("i-e1").host = Host::Running;
    assert_eq!(ailment(&etcd, &etcd.hosts[3]), Ok(None));
}

#[test]
fn a_host_is_repaired_when_it_ails_for_long_enough_and_once() {
    let table = [
        (Ailment::Off, "start it, since it is stopped"),
        (Ailment::Impaired, "reboot it, since it fails a status check of EC2"),
        (Ailment::Silent, "reboot it, since it does not answer at all, and EC2 says running"),
        (Ailment::Down, "run repair.sh on it, since it answers, and PostgreSQL does not run on it"),
        (Ailment::Failed, "run repair.sh on it, since it could not start PostgreSQL"),
        (Ailment::Astray, "run repair.sh on it, since it runs PostgreSQL, and follows nobody"),
    ];
    for (ailing, order) in table {
        let first = ward().but(|ward| show(ward, "i-c", ailing));
        assert_eq!(first.told("i-c"), format!("note that it {ailing}"));
        let early = ward().ails("i-c", ailing, AFTER - 1);
        assert_eq!(early.told("i-c"), format!("wait: it {ailing}; repaired in 0.0 s at the earliest"));
        assert_eq!(ward().ails("i-c", ailing, AFTER).told("i-c"), order);
        let by_hand = ward().ails("i-c", ailing, AFTER).but(|ward| ward.led.seen.policy.repair_after_s = 0);
        assert_eq!(by_hand.told("i-c"), format!("wait: it {ailing}; repair_after_s is 0, so that a person repairs"));
        // Its time to show, and then a person.
        let act = ailing.remedy().unwrap();
        let settles = ward().ails("i-c", ailing, AFTER * 4).ordered("i-c", act, 599_999);
        assert_eq!(settles.told("i-c"), format!("wait: ordered to {act}; 0.0 s left to show"));
        let over = ward().ails("i-c", ailing, AFTER * 4).ordered("i-c", act, 600_000);
        assert_eq!(over.told("i-c"), "tell that nothing more is done");
        let told = over.but(|ward| ward.of("i-c").incident.as_mut().unwrap().given_up = true);
        assert_eq!(told.told("i-c"), format!("wait: it {ailing}; all that can be done by itself was done"));
    }
}

#[test]
fn what_is_gone_is_told_and_what_is_well_is_forgotten() {
    assert_eq!(ward().ails("i-c", Ailment::Gone, 0).told("i-c"), "tell that nothing more is done");
    let well_again = |ward: Ward| {
        ward.but(|ward| {
            let fresh = super::tests::ward();
            let incident = ward.of("i-c").incident.take();
            *ward.of("i-c") = HostSeen { incident, ..fresh.hosts[2].clone() };
        })
    };
    assert_eq!(well_again(ward().ails("i-c", Ailment::Down, 5_000)).told("i-c"), "forget it: it is well by itself");
    let repaired = well_again(ward().ails("i-c", Ailment::Off, AFTER).ordered("i-c", Act::Start, 60_000));
    assert_eq!(repaired.told("i-c"), "write the ledger and tell that it is well again");
    let booting = well_again(ward().ails("i-c", Ailment::Off, AFTER).ordered("i-c", Act::Start, 59_999));
    assert_eq!(booting.told("i-c"), "wait: ordered to start it; 0.0 s left to show");
    // On its way: neither well nor ill.
    let starting = repaired.but(|ward| ward.of("i-c").host = Host::Pending);
    assert_eq!(starting.told("i-c"), "wait: not known how it is: EC2 says pending");
    // It starts, and PostgreSQL does not: another ailment of the same incident.
    let next = ward().ails("i-c", Ailment::Off, AFTER * 4).ordered("i-c", Act::Start, 600_000);
    let next = next.but(|ward| {
        ward.of("i-c").host = Host::Running;
        show(ward, "i-c", Ailment::Down);
    });
    let Decision::Act(steps) = next.decide("i-c") else { panic!("nothing is noted") };
    let [Step::Note(after)] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!((after.ailment, after.since_ms, after.orders.len()), (Ailment::Down, NOW, 1));
    assert_eq!(after.began_ms, NOW - AFTER * 4);
}

#[test]
fn an_item_is_written_and_read_as_the_same_text() {
    let incident =
        ward().ails("i-c", Ailment::Failed, 5).ordered("i-c", Act::Remake, 3).hosts[2].incident.clone().unwrap();
    let text = serde_json::to_string(&incident).unwrap();
    assert_eq!(serde_json::from_str::<Incident>(&text).unwrap(), incident);
    assert!(text.contains(r#""ailment":"failed""#) && text.contains(r#""act":"remake""#), "{text}");
    assert!(incident.order().comment.len() <= 100, "{}", incident.order().comment);
}

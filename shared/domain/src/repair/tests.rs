//! Each rule on both sides of its limit.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

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
        assert_eq!(found(&|host| { role(state)(host); host.sql = Some(Sql::Refused); }), Ok(None), "{state}");
        assert_eq!(found(&|host| { role(state)(host); host.sql = Some(astray()); }), Ok(None), "{state}");
    }
    // Silent to us, and well by its own agent's word: it is our way that is broken.
    assert_eq!(found(&|host| host.sql = Some(silent())), Ok(None));
    // Too many clients is not dead.
    assert_eq!(found(&|host| { host.role = None; host.sql = Some(Sql::Alive("53300".into())); }), Ok(None));
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
    let well_again = |ward: Ward| ward.but(|ward| {
        let fresh = super::tests::ward();
        let incident = ward.of("i-c").incident.take();
        *ward.of("i-c") = HostSeen { incident, ..fresh.hosts[2].clone() };
    });
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
fn nothing_is_taken_away_from_a_cluster_that_serves() {
    let paused = |ward: &mut Ward| ward.led.seen.state.pause = Some(Pause { until_ms: NOW + 1, reason: "x".into() });
    let patroni_paused = |ward: &mut Ward| {
        let Seen::Known(account) = &mut ward.led.account else { panic!("no account") };
        account.paused = true;
    };
    let leaderless = |ward: &mut Ward| ward.led.seen.lease = Lease::Other(Duration::from_secs(4));
    let table: Vec<(&str, Ward, &str, &str)> = vec![
        ("paused: not even a start", ward().ails("i-c", Ailment::Off, AFTER).but(paused), "i-c", "wait: the cluster is paused"),
        ("paused by Patroni's own tools", ward().ails("i-c", Ailment::Off, AFTER).but(patroni_paused), "i-c",
         "wait: the cluster is paused"),
        ("what is off is started whoever leads", ward().ails("i-c", Ailment::Off, AFTER).but(leaderless), "i-c",
         "start it, since it is stopped"),
        ("what runs is not touched then", ward().ails("i-c", Ailment::Silent, AFTER).but(leaderless), "i-c",
         "wait: another pass holds the lease, for 4.0 s at most"),
        ("never the leader", ward().ails("i-a", Ailment::Impaired, AFTER), "i-a", "wait: it leads, or is named leader"),
        ("one at a time", ward().ails("i-c", Ailment::Silent, AFTER).ails("i-e1", Ailment::Impaired, AFTER)
            .ordered("i-e1", Act::Reboot, 1_000).but(|ward| take(ward, "i-e1", 1_000)), "i-c", "wait: i-e1 is being repaired"),
        ("until it settled", ward().ails("i-c", Ailment::Silent, AFTER).ails("i-e1", Ailment::Impaired, AFTER * 4)
            .ordered("i-e1", Act::Reboot, 600_000).but(|ward| take(ward, "i-e1", 600_000)), "i-c",
         "reboot it, since it does not answer at all, and EC2 says running"),
        ("or is well", ward().ails("i-c", Ailment::Silent, AFTER).but(|ward| take(ward, "i-e1", 1_000)), "i-c",
         "reboot it, since it does not answer at all, and EC2 says running"),
        ("a start takes nobody's turn", ward().ails("i-c", Ailment::Off, AFTER).ails("i-e1", Ailment::Impaired, AFTER)
            .ordered("i-e1", Act::Reboot, 1_000).but(|ward| take(ward, "i-e1", 1_000)), "i-c", "start it, since it is stopped"),
        ("etcd keeps its quorum", ward().ails("i-e1", Ailment::Impaired, AFTER), "i-e1",
         "reboot it, since it fails a status check of EC2"),
        ("or is left alone", ward().ails("i-e1", Ailment::Impaired, AFTER).ails("i-e2", Ailment::Off, 0), "i-e1",
         "wait: only 1 other hosts of etcd run, and 2 must"),
        ("two of three impaired", ward().ails("i-e1", Ailment::Impaired, AFTER).ails("i-e2", Ailment::Impaired, 0), "i-e1",
         "wait: only 1 other hosts of etcd run, and 2 must"),
        ("not the last standby", ward().ails("i-c", Ailment::Impaired, AFTER).but(|ward| streaming(ward, &["i-c"])), "i-c",
         "wait: commits wait for it, and no other standby streams"),
        ("one of two", ward().ails("i-c", Ailment::Impaired, AFTER), "i-c", "reboot it, since it fails a status check of EC2"),
        ("the last, which does not stream", ward().ails("i-c", Ailment::Silent, AFTER).but(|ward| streaming(ward, &[])), "i-c",
         "reboot it, since it does not answer at all, and EC2 says running"),
        ("the last, where commits wait for nobody", ward().ails("i-c", Ailment::Impaired, AFTER)
            .but(|ward| { streaming(ward, &["i-c"]); ward.led.seen.synchronous_required = 0; }), "i-c",
         "reboot it, since it fails a status check of EC2"),
    ];
    for (what, ward, id, expected) in table {
        assert_eq!(ward.told(id), expected, "{what}");
    }
}

fn take(ward: &mut Ward, id: &str, ago_ms: u64) {
    ward.taken = Some(Taken { id: id.to_owned(), at_ms: NOW - ago_ms });
}

/// By the leader's account, only these stream.
fn streaming(ward: &mut Ward, ids: &[&str]) {
    let stream = |id: &&str| StreamSeen { name: id.replace("i-", "orders_"), streaming: true, flushed: Some(Lsn(1)) };
    let Sql::Writer(answer) = &ward.led.seen.members[0].sql else { panic!("no writer") };
    let answer = WriterSeen { streams: ids.iter().map(stream).collect(), ..answer.clone() };
    ward.led.seen.members[0].sql = Sql::Writer(answer);
}

#[test]
fn a_command_is_gone_after() {
    let sent = |command: Option<CommandSeen>, found: Option<&str>| {
        ward().ails("i-c", Ailment::Failed, AFTER * 4).ordered("i-c", Act::Remake, 5_000).but(|ward| {
            let host = ward.of("i-c");
            (host.command, host.found) = (command.clone(), found.map(str::to_owned));
            if host.command.is_some() {
                host.incident.as_mut().unwrap().orders[0].command = Some("c-1".to_owned());
            }
        })
    };
    assert_eq!(sent(None, None).told("i-c"), "wait: ordered to run repair.sh on it; 595.0 s left to show");
    let Decision::Act(steps) = sent(None, Some("c-1")).decide("i-c") else { panic!("not noted") };
    assert!(matches!(&steps[..], [Step::Note(after)] if after.orders[0].command.as_deref() == Some("c-1")), "{steps:?}");
    let running = sent(Some(CommandSeen::Running("InProgress".into())), None);
    assert_eq!(running.told("i-c"), "wait: repair.sh: InProgress");
    // As long as it runs, it runs; and nobody else has its turn.
    let long = running.but(|ward| {
        ward.of("i-c").incident.as_mut().unwrap().orders[0].at_ms = NOW - AFTER * 4;
        take(ward, "i-c", AFTER * 4);
    });
    assert_eq!(long.told("i-c"), "wait: repair.sh: InProgress");
    let other = long.ails("i-b", Ailment::Silent, AFTER);
    assert_eq!(other.told("i-b"), "wait: i-c is being repaired");
    let ended = sent(Some(CommandSeen::Succeeded("log\n{\"outcome\":\"reinitialised\"}\n".into())), None);
    assert_eq!(ended.told("i-c"), "note how its command ended: {\"outcome\":\"reinitialised\"}");
    let failed = sent(Some(CommandSeen::Failed { status: "Failed".into(), stderr: "x\nno space left\n".into() }), None);
    let Decision::Act(steps) = failed.decide("i-c") else { panic!("not noted") };
    let [Step::Note(after)] = &steps[..] else { panic!("{steps:?}") };
    let noted = failed.clone().but(|ward| ward.of("i-c").incident = Some(after.clone()));
    // Nothing more can be hoped for.
    assert_eq!(noted.told("i-c"), "tell that nothing more is done");
}

#[test]
fn an_item_is_written_and_read_as_the_same_text() {
    let incident = ward().ails("i-c", Ailment::Failed, 5).ordered("i-c", Act::Remake, 3).hosts[2].incident.clone().unwrap();
    let text = serde_json::to_string(&incident).unwrap();
    assert_eq!(serde_json::from_str::<Incident>(&text).unwrap(), incident);
    assert!(text.contains(r#""ailment":"failed""#) && text.contains(r#""act":"remake""#), "{text}");
    assert!(incident.order().comment.len() <= 100, "{}", incident.order().comment);
}

#[test]
fn the_pages_are_short_exact_and_name_the_next_step() {
    let page = |ward: Ward, id: &str| match ward.decide(id) {
        Decision::Act(steps) => match steps.into_iter().next() {
            Some(Step::Order { page, .. } | Step::GiveUp { page, .. } | Step::Finish { page, .. }) => page,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let started = page(ward().ails("i-c", Ailment::Off, 302_000), "i-c");
    assert_eq!(started.subject, "P2 orders: orders_c (i-c, eu-west-1a) is stopped, started");
    assert_eq!(
        started.text,
        "Seen    orders_c is stopped since 03:07:08.0Z (302.0 s); EC2 says stopped, PostgreSQL is silent (no answer within 900 ms)\n\
         Done    i-c started once\n\
         Now     orders_a writes, 2 standbys stream; 3 of 3 hosts of etcd run\n\
         Next    nothing; a page tells when it is back, or that it is not in 10 min\n"
    );
    let gone = page(ward().ails("i-c", Ailment::Gone, 0), "i-c");
    assert_eq!(gone.subject, "P2 orders: orders_c (i-c, eu-west-1a) is gone, and must be made anew");
    assert!(gone.text.contains("stack understudy-prod-orders has it as Member3"), "{}", gone.text);
    let silent = page(ward().ails("i-c", Ailment::Silent, AFTER * 4).ordered("i-c", Act::Reboot, 600_000), "i-c");
    assert!(silent.text.contains("Done    rebooted 03:02:10.0Z\n"), "{}", silent.text);
    assert!(silent.text.contains("aws ec2 stop-instances --force --region eu-west-1 --instance-ids i-c"), "{}", silent.text);
    for page in [started, gone, silent] {
        assert!(page.subject.len() <= 100);
        let names: Vec<&str> = page.text.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["Seen", "Done", "Now", "Next"]);
    }
}

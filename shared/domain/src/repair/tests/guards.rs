//! What a repair could take away, its command, and its pages.

use super::*;

#[test]
fn nothing_is_taken_away_from_a_cluster_that_serves() {
    let paused = |ward: &mut Ward| ward.led.seen.state.pause = Some(Pause { until_ms: NOW + 1, reason: "x".into() });
    let patroni_paused = |ward: &mut Ward| {
        let Seen::Known(account) = &mut ward.led.account else { panic!("no account") };
        account.paused = true;
    };
    let leaderless = |ward: &mut Ward| ward.led.seen.lease = Lease::Other(Duration::from_secs(4));
    let table: Vec<(&str, Ward, &str, &str)> = vec![
        (
            "paused: not even a start",
            ward().ails("i-c", Ailment::Off, AFTER).but(paused),
            "i-c",
            "wait: the cluster is paused",
        ),
        (
            "paused by Patroni's own tools",
            ward().ails("i-c", Ailment::Off, AFTER).but(patroni_paused),
            "i-c",
            "wait: the cluster is paused",
        ),
        (
            "what is off is started whoever leads",
            ward().ails("i-c", Ailment::Off, AFTER).but(leaderless),
            "i-c",
            "start it, since it is stopped",
        ),
        (
            "what runs is not touched then",
            ward().ails("i-c", Ailment::Silent, AFTER).but(leaderless),
            "i-c",
            "wait: another pass holds the lease, for 4.0 s at most",
        ),
        ("never the leader", ward().ails("i-a", Ailment::Impaired, AFTER), "i-a", "wait: it leads, or is named leader"),
        (
            "one at a time",
            ward()
                .ails("i-c", Ailment::Silent, AFTER)
                .ails("i-e1", Ailment::Impaired, AFTER)
                .ordered("i-e1", Act::Reboot, 1_000)
                .but(|ward| take(ward, "i-e1", 1_000)),
            "i-c",
            "wait: i-e1 is being repaired",
        ),
        (
            "until it settled",
            ward()
                .ails("i-c", Ailment::Silent, AFTER)
                .ails("i-e1", Ailment::Impaired, AFTER * 4)
                .ordered("i-e1", Act::Reboot, 600_000)
                .but(|ward| take(ward, "i-e1", 600_000)),
            "i-c",
            "reboot it, since it does not answer at all, and EC2 says running",
        ),
        (
            "or is well",
            ward().ails("i-c", Ailment::Silent, AFTER).but(|ward| take(ward, "i-e1", 1_000)),
            "i-c",
            "reboot it, since it does not answer at all, and EC2 says running",
        ),
        (
            "a start takes nobody's turn",
            ward()
                .ails("i-c", Ailment::Off, AFTER)
                .ails("i-e1", Ailment::Impaired, AFTER)
                .ordered("i-e1", Act::Reboot, 1_000)
                .but(|ward| take(ward, "i-e1", 1_000)),
            "i-c",
            "start it, since it is stopped",
        ),
        (
            "etcd keeps its quorum",
            ward().ails("i-e1", Ailment::Impaired, AFTER),
            "i-e1",
            "reboot it, since it fails a status check of EC2",
        ),
        (
            "or is left alone",
            ward().ails("i-e1", Ailment::Impaired, AFTER).ails("i-e2", Ailment::Off, 0),
            "i-e1",
            "wait: only 1 other hosts of etcd run, and 2 must",
        ),
        (
            "two of three impaired",
            ward().ails("i-e1", Ailment::Impaired, AFTER).ails("i-e2", Ailment::Impaired, 0),
            "i-e1",
            "wait: only 1 other hosts of etcd run, and 2 must",
        ),
        (
            "not the last standby",
            ward().ails("i-c", Ailment::Impaired, AFTER).but(|ward| streaming(ward, &["i-c"])),
            "i-c",
            "wait: commits wait for it, and no other standby streams",
        ),
        (
            "one of two",
            ward().ails("i-c", Ailment::Impaired, AFTER),
            "i-c",
            "reboot it, since it fails a status check of EC2",
        ),
        (
            "the last, which does not stream",
            ward().ails("i-c", Ailment::Silent, AFTER).but(|ward| streaming(ward, &[])),
            "i-c",
            "reboot it, since it does not answer at all, and EC2 says running",
        ),
        (
            "the last, where commits wait for nobody",
            ward().ails("i-c", Ailment::Impaired, AFTER).but(|ward| {
                streaming(ward, &["i-c"]);
                ward.led.seen.synchronous_required = 0;
            }),
            "i-c",
            "reboot it, since it fails a status check of EC2",
        ),
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
    assert!(
        matches!(&steps[..], [Step::Note(after)] if after.orders[0].command.as_deref() == Some("c-1")),
        "{steps:?}"
    );
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
    assert!(
        silent.text.contains("aws ec2 stop-instances --force --region eu-west-1 --instance-ids i-c"),
        "{}",
        silent.text
    );
    for page in [started, gone, silent] {
        assert!(page.subject.len() <= 100);
        let names: Vec<&str> = page.text.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["Seen", "Done", "Now", "Next"]);
    }
}

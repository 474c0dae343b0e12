//! The pages, whole.

use crate::{
    kit::{Chain, NOW, account, dead, moved, standby, well, writer},
    open,
};
use domain::{
    decision::Decision,
    failover::{Host, Page, Seen, Sql},
    follow::{Led, Step, decide, refusal},
    state::Synchronous,
};

fn finished(led: Led) -> Page {
    let led = open(led, Some("i-b")).but(|led| {
        let Seen::Known(records) = &mut led.seen.records else { panic!("no records") };
        let standbys = led.seen.members.iter().filter(|member| matches!(member.sql, Sql::Standby(_)));
        records.reader = standbys.map(|member| member.card.address).collect();
        led.seen.state.synchronous = Synchronous { required: 1, names: vec!["shop_c".to_owned()] };
        let change = led.seen.state.change.as_mut().unwrap();
        (change.began_at_ms, change.woken_by) = (NOW + 100, "by watch-clusters".to_owned());
        change.record_moved_at_ms = Some(NOW + 400);
        led.seen.looked_at_ms = NOW + 900;
    });
    match decide(&[led]) {
        Decision::Act(steps) => match steps.into_iter().next() {
            Some(Step::Finish { page, ledger, .. }) => {
                assert_eq!(ledger.rto_ms, Some(27_400));
                page
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_that_was_followed() {
    let page = finished(moved());
    assert_eq!(page.subject, "P1 shop: writer moved to i-b (eu-west-1b) by Patroni, 27.4 s after it fell silent");
    let expected = "\
Seen    i-a (eu-west-1a), the writer of record, is silent (no answer within 600 ms) since 03:11:43.0Z; EC2 says running; \
27 probes of it failed in a row
Sure    Patroni on shop_b says that shop_b leads; its history: timeline 4 ended at 03:12:08.0Z at 0/384 by shop_b; \
PostgreSQL on shop_b is out of recovery on timeline 5
Done    record shop-rw.db.internal moved 03:12:10.4Z, epoch 8; Patroni promoted, Understudy did not
Lost    nothing that was acknowledged: shop_b was a synchronous standby (ANY 1 (\"shop_b\") when a probe saw it last)
Took    new writer seen 27.0 s after the first silence (by watch-clusters), record moved 0.4 s later
Now     i-b (eu-west-1b) writes; one standby streams; commits wait for 1 of 1
Next    nothing urgent. i-a is looked after by itself when it is silent for 300 s. What would happen now: aws lambda invoke \
--function-name prod-promote-replica --cli-binary-format raw-in-base64-out --payload '{\"explain\":\"shop\"}' /dev/stdout
";
    assert_eq!(page.text, expected);
}

#[test]
fn how_urgent_it_is() {
    let alive = finished(moved().sql("i-a", standby("i-b")));
    assert_eq!(alive.subject, "P2 shop: writer moved to i-b (eu-west-1b) by Patroni; the old one answers");
    let asked = finished(moved().but(|led| led.seen.switchover = Some("shop_b".to_owned())).sql("i-a", standby("i-b")));
    assert_eq!(asked.subject, "P3 shop: writer moved to i-b (eu-west-1b) as asked");
    let next = |page: Page| page.text.lines().find(|line| line.starts_with("Next")).unwrap().to_owned();
    assert!(next(finished(moved().host("i-a", Host::Stopped))).contains(
        "i-a is started by itself after 300 s; sooner: aws ec2 start-instances --region eu-west-1 --instance-ids i-a"
    ));
    let by_hand = moved().but(|led| led.seen.policy.repair_after_s = 0);
    assert!(next(finished(by_hand)).contains("(repair_after_s is 0): aws ec2 start-instances --region eu-west-1"));
    assert!(next(finished(moved().host("i-a", Host::Terminated))).contains("i-a is gone for good"));
}

fn refused(led: Led) -> Page {
    let reason = led.leader().unwrap_err();
    refusal(&led, &reason)
}

#[test]
fn nobody_leads() {
    let page = refused(dead().waits("no-leader", NOW - 40_000));
    assert_eq!(page.subject, "P1 shop: no leader");
    for part in [
        "i-a (eu-west-1a): EC2 says running, PostgreSQL is silent",
        "Patroni on shop_b: replica, running, etcd last seen 0.4 s ago",
        "shop-etcd-1 (i-e1, eu-west-1a): EC2 says running",
        "no member accepts writes, and none is named leader, since 03:11:30.0Z",
        "Done    nothing: no server was touched, and no record moved",
        "aws ssm start-session --region eu-west-1 --target i-a",
        "sudo -u postgres patronictl -c /etc/understudy/postgresql/patroni.yml list",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let next = |led: Led| refused(led).text.lines().find(|line| line.starts_with("Next")).unwrap().to_owned();
    let off = |led: Led, ids: &[&str]| ids.iter().fold(led, |led, id| led.host(id, Host::Stopped));
    assert!(next(off(dead(), &["i-e1", "i-e2"])).contains(
        "only 1 of 3 hosts of etcd run, and Patroni elects nobody without most of them: \
         aws ec2 start-instances --region eu-west-1 --instance-ids i-e1 i-e2"
    ));
    assert!(next(off(dead(), &["i-e1", "i-b"])).contains("start the members that are off: aws ec2 start-instances"));
    let paused = dead().but(|led| {
        let Seen::Known(account) = &mut led.account else { panic!("no account") };
        account.paused = true;
    });
    assert!(next(paused).contains("Patroni is paused, and elects nobody until: aws lambda invoke"));
}

#[test]
fn two_write() {
    let two = well().sql("i-b", writer(5, "", &[]));
    let page = refused(two.clone());
    assert_eq!(page.subject, "P1 shop: TWO WRITERS");
    assert!(page.text.contains(
        "stop the one that it does not name: aws ec2 stop-instances --force --region eu-west-1 --instance-ids i-b"
    ));
    let unnamed = two.but(|led| led.account = Seen::Known(account(None)));
    assert!(refused(unnamed).text.contains("do not guess"));
}

#[test]
fn every_page_names_a_next_step_and_has_a_short_subject() {
    let leds = [
        dead(),
        dead().but(|led| led.account = Seen::Known(account(Some("i-a")))),
        moved().but(|led| led.account = Seen::Known(account(Some("i-c")))),
        moved().sql("i-c", crate::silent()).but(|led| led.account = Seen::Unavailable("the port refuses".into())),
        well().sql("i-b", writer(5, "", &[])),
    ];
    for led in leds {
        let page = refused(led);
        assert!(page.subject.len() <= 100, "{}", page.subject);
        let names: Vec<&str> = page.text.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["Seen", "Why", "Done", "Next"], "{}", page.text);
    }
}

//! What a person asks for.

use crate::kit::{Chain, account, dead, moved, silent, standby, well, writer};
use domain::{
    failover::{Lease, Seen},
    follow::{Led, explain, handover},
};
use std::time::Duration;

#[test]
fn a_handover_is_possible_or_refused_with_the_reason() {
    let table: Vec<(&str, Led, &str, Result<&str, &str>)> = vec![
        ("by name", well(), "shop_b", Ok("shop_b")),
        ("by id", well(), "i-b", Ok("shop_b")),
        ("to nobody", well(), "shop_x", Err("shop_x is no member; shop_a, shop_b, shop_c are")),
        ("to itself", well(), "shop_a", Err("shop_a leads already")),
        (
            "not synchronous",
            well(),
            "shop_c",
            Err("commits do not wait for shop_c, so that it could lack some; shop_b is allowed"),
        ),
        ("asynchronous", well().sql("i-a", writer(4, "", &["i-b", "i-c"])), "shop_c", Ok("shop_c")),
        (
            "does not stream",
            well().sql("i-a", writer(4, "shop_b", &["i-b"])),
            "shop_c",
            Err(
                "shop_c does not stream from shop_a: PostgreSQL on it is a standby at 0/384, heard 10.0.1.10 0.1 s ago",
            ),
        ),
        (
            "silent",
            well().sql("i-b", silent()),
            "shop_b",
            Err("shop_b does not stream from shop_a: PostgreSQL on it is silent (no answer within 600 ms)"),
        ),
        (
            "never to be promoted",
            well().but(|led| led.seen.members[1].card.never_promote = true),
            "shop_b",
            Err("shop_b may never be promoted, by the spec"),
        ),
        ("nobody leads", dead(), "shop_b", Err("no member accepts writes, and none is named leader")),
        (
            "a change is not followed yet",
            moved(),
            "shop_c",
            Err("the change of writer away from i-a is not finished yet"),
        ),
        (
            "another pass is at it",
            well().but(|led| led.seen.lease = Lease::Other(Duration::from_secs(1))),
            "shop_b",
            Err("another pass holds the lease, for 1.0 s at most"),
        ),
    ];
    for (what, led, to, expected) in table {
        let got = handover(&led, to).map(|handover| handover.to.name).map_err(|reason| reason.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{what}");
    }
}

#[test]
fn an_explanation_names_the_candidate_its_lag_and_the_time() {
    let told = explain(&well());
    assert_eq!(told.now, "nothing: Patroni and PostgreSQL agree on the leader, and nothing is left to do");
    assert_eq!(
        told.if_the_writer_failed,
        "Patroni would elect i-b (eu-west-1b), a synchronous standby, so nothing that was acknowledged is lost \
         (1 more could); about 33.0 s without writes, and the record at most 3.0 s later"
    );
    assert_eq!(told.seen.len(), 7, "{:?}", told.seen);
    assert!(told.seen[6].contains("shop-etcd-3 (i-e3, eu-west-1a): EC2 says running"), "{:?}", told.seen);

    let alone = explain(&well().sql("i-a", writer(4, "", &["i-c"])));
    assert!(alone.if_the_writer_failed.starts_with(
        "Patroni would elect i-c (eu-west-1c), which lacks 100 bytes now, since commits wait for nobody (nobody else could)"
    ), "{}", alone.if_the_writer_failed);
    let nobody = explain(&well().sql("i-b", silent()).sql("i-c", silent()));
    assert_eq!(nobody.if_the_writer_failed, "nothing: no standby streams that Patroni could elect");
    let paused = well().but(|led| {
        let Seen::Known(account) = &mut led.account else { panic!("no account") };
        account.paused = true;
    });
    assert_eq!(explain(&paused).if_the_writer_failed, "nothing: Patroni is paused, and elects nobody");
    let differ = explain(&moved().sql("i-a", standby("i-b")).but(|led| led.account = Seen::Known(account(None))));
    assert_eq!(differ.if_the_writer_failed, "not known: i-b accepts writes, and nobody is named leader");
}

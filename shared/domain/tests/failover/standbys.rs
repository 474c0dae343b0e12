//! I9: the set that commits wait for grows back, and covers what acknowledges.

use crate::{check, kit::*};
use domain::{
    failover::{Lease, Observed, Sql, StreamSeen},
    state::Synchronous,
};

/// `i-a` writes, waits for `setting`, and these stream; published is `published`.
fn cluster(published: &str, setting: &str, streams: &[&str]) -> Observed {
    healthy().with(|seen| {
        seen.lease = Lease::Mine;
        seen.state.synchronous = Synchronous::parse(published).unwrap_or_default();
        if let Sql::Writer(answer) = &mut seen.members[0].sql {
            answer.synchronous_setting = setting.to_owned();
            answer.streams = streams
                .iter()
                .map(|name| StreamSeen { name: (*name).to_owned(), streaming: true, flushed: None })
                .collect();
        }
    })
}

const B: &str = "ANY 1 (orders_b)";
const BC: &str = "ANY 1 (orders_b, orders_c)";
const PUBLISH_BC: &str = "publish [ANY 1 (\"orders_b\", \"orders_c\")]";
const APPLY_BC: &str = "apply [ANY 1 (\"orders_b\", \"orders_c\")]";

#[test]
fn i9_the_set_grows_by_standbys_that_stream() {
    let both = &["orders_b", "orders_c"][..];
    check(&[
        ("all as it should be", cluster(BC, BC, both), "steady"),
        ("more names are published before they acknowledge", cluster(B, B, both), PUBLISH_BC),
        ("then applied", cluster(BC, B, both), APPLY_BC),
        ("a standby that does not stream is not added", cluster(B, B, &["orders_b"]), "steady"),
        ("and none is taken away", cluster(BC, BC, &["orders_b"]), "steady"),
        ("from nothing it is applied first", cluster("", "", both), APPLY_BC),
        (
            "then published, above what was acknowledged without it",
            cluster("", BC, both),
            &format!("{PUBLISH_BC} above 0/384"),
        ),
        ("nothing streams, nothing is asked for", cluster("", "", &[]), "steady"),
        ("off by hand: first nothing is promised any more", cluster(BC, "", both), "publish []"),
        ("nor by one that is not understood", cluster(BC, "ANY 1 (*)", both), "publish []"),
        ("a setting that is not understood is a person's", cluster("", "ANY 1 (*)", both), "steady"),
        ("a setting by hand gives way", cluster(BC, B, &["orders_b"]), APPLY_BC),
        (
            "asynchronous by the spec: left alone",
            cluster("", "", both).with(|seen| seen.synchronous_required = 0),
            "steady",
        ),
    ]);
    let two = |seen: Observed| seen.with(|seen| seen.synchronous_required = 2);
    check(&[
        (
            "more acknowledgements are asked for before they are counted on",
            two(cluster(BC, BC, both)),
            "apply [ANY 2 (\"orders_b\", \"orders_c\")]",
        ),
        (
            "then published, above what fewer had acknowledged",
            two(cluster(BC, "ANY 2 (orders_b, orders_c)", both)),
            "publish [ANY 2 (\"orders_b\", \"orders_c\")] above 0/384",
        ),
        ("as many as there are", two(cluster(B, B, &["orders_b"])), "steady"),
    ]);
}

#[test]
fn commits_that_wait_are_told_only_when_watched_for() {
    let waiting = |seen: Observed| seen.with(|seen| seen.commits_wait = true);
    check(&[
        ("watch-clusters saw it, and so does this look", waiting(cluster(B, B, &[])), "refuse: commits-wait"),
        ("one look alone may be a standby that reconnects", cluster(B, B, &[]), "steady"),
        ("it is over", waiting(cluster(B, B, &["orders_b"])), "steady"),
    ]);
}

#[test]
fn i9_a_setting_by_hand_is_published_before_its_writer_is_replaced() {
    let dead = |published: &str, setting: &str| {
        writer_dead().last_lsn(900).with(|seen| {
            seen.lease = Lease::Mine;
            seen.state.synchronous = Synchronous::parse(published).unwrap_or_default();
            if let Some(suspicion) = &mut seen.suspicion {
                suspicion.synchronous_setting = Some(setting.to_owned());
            }
        })
    };
    let two = "ANY 2 (orders_b, orders_c)";
    check(&[
        ("as published: nothing to correct", dead(BC, BC), "begin 6, freeze i-b, freeze i-c"),
        ("a stricter one is covered", dead(BC, two), "begin 6, freeze i-b, freeze i-c"),
        ("a laxer one is published first", dead(two, BC), PUBLISH_BC),
        ("under the lease", dead(two, BC).with(|seen| seen.lease = Lease::Free), "hold 6"),
        (
            "another standby: what was acknowledged before may not be there",
            dead(B, "ANY 1 (orders_c)"),
            "publish [ANY 1 (\"orders_c\")] above 0/384",
        ),
        ("commits waited for nobody", dead(BC, ""), "publish []"),
        ("not while the writer may be alive", dead(two, BC).suspected(2, 2.0), "wait: not-suspected"),
    ]);
}

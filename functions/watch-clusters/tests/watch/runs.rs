//! What a run sees in time, and whom it tells.

use crate::fleet::{Script, Scripted, card, ms, run, secs, silent, standby, state, writer};
use domain::{failover::Sql, state::Holder};
use std::time::Duration;
use watch_clusters::Cards;

/// Far beyond any probe.
const NEVER: Duration = Duration::from_secs(86_400);

fn gaps(times: &[Duration]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_member_that_hangs_is_slow_or_refuses_delays_no_other() {
    let mut script = Script::well();
    script.cards = Box::new(|_| Ok(Cards { cards: vec![card("orders", 0), card("users", 1)], unreadable: vec![] }));
    script.member("i-orders-1", |_| (NEVER, Sql::NotAsked));
    script.member("i-orders-2", |_| (ms(890), Sql::Alive("57014".to_owned())));
    script.member("i-orders-3", |_| (Duration::ZERO, Sql::Refused));
    script.member("i-users-1", |_| silent());
    for well in ["i-users-2", "i-users-3"] {
        script.member(well, |_| (ms(5), standby(None)));
    }
    let (_, world) = script.run(secs(75)).await;

    for well in ["i-users-2", "i-users-3", "i-orders-2", "i-orders-3"] {
        let probes = world.probes(well);
        assert!(probes.len() >= 69, "{well} was probed {} times", probes.len());
        assert!(gaps(&probes).iter().all(|gap| *gap == secs(1)), "{well}: {:?}", gaps(&probes));
    }
    // A probe that never ends is given up and repeated, and counts as a failure.
    let probes = world.probes("i-orders-1");
    assert!(gaps(&probes).iter().all(|gap| *gap == ms(1_100)), "{:?}", gaps(&probes));
    assert_eq!(world.suspicions()[0], ms(3_300));
}

#[tokio::test(start_paused = true)]
async fn a_silent_writer_is_suspected_within_four_seconds_and_as_long_as_it_lasts() {
    let mut script = Script::well();
    // The worst moment: right after a probe.
    script.member("i-orders-1", |now| if now < ms(10_001) { (ms(5), writer()) } else { silent() });
    let (report, world) = script.run(secs(75)).await;

    let times = world.suspicions();
    assert_eq!(times[0], ms(13_900));
    assert!(gaps(&times).iter().all(|gap| *gap == secs(2)), "{times:?}");
    assert_eq!(report.raised, times.len() as u64);
    let event = world.notes.lock().unwrap().events[0].1.clone();
    let expected = serde_json::json!({
        "cluster": "orders", "member": "i-orders-1", "failures": 3, "silent_since_ms": 1_795_230_731_000_u64,
        "last_lsn": "0/900", "last_lsn_at_ms": 1_795_230_730_000_u64, "synchronous_setting": "",
        "problem": "no answer", "raised_at_ms": 1_795_230_733_900_u64,
    });
    assert_eq!(event["detail"], expected);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_refuses_is_suspected_at_once_and_a_silent_standby_never() {
    let mut script = Script::well();
    script.member("i-orders-1", |now| if now < secs(10) { (ms(5), writer()) } else { (ms(1), Sql::Refused) });
    script.member("i-orders-2", |_| silent());
    let (_, world) = script.run(secs(75)).await;
    assert_eq!(world.suspicions()[0], ms(12_001));
    let notes = world.notes.lock().unwrap();
    assert!(notes.events.iter().all(|(_, event)| event["detail"]["member"] == "i-orders-1"));
}

#[tokio::test(start_paused = true)]
async fn a_crowded_writer_is_alive() {
    let mut script = Script::well();
    let crowded = || (ms(5), Sql::Alive("SQLSTATE 53300".to_owned()));
    script.member("i-orders-1", move |now| if now.as_secs() % 3 == 2 { crowded() } else { silent() });
    let (report, _) = script.run(secs(75)).await;
    assert_eq!(report.raised, 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_overlaps_the_next_one_and_ends_before_lambda_ends_it() {
    let ended = async |timeout: u64| {
        let (_, world) = Script::well().run(secs(timeout)).await;
        world.now()
    };
    assert_eq!(ended(75).await, secs(70), "a minute and ten seconds");
    assert_eq!(ended(60).await, secs(57), "three seconds before its end");
    assert_eq!(ended(2).await, Duration::ZERO, "no time at all");
}

#[tokio::test(start_paused = true)]
async fn runs_that_follow_each_other_leave_no_hole() {
    let mut script = Script::well();
    // Dies as the first run's minute ends.
    script.member("i-orders-1", |now| if now < ms(59_500) { (ms(5), writer()) } else { silent() });
    let (first, world) = script.watcher();
    let second = watch_clusters::Watcher::new(world.clone(), "prod".to_owned());
    let later = async {
        // The schedule is 4 s late.
        tokio::time::sleep(secs(64)).await;
        run(&second, &world, secs(75)).await
    };
    let (first, second) = tokio::join!(run(&first, &world, secs(75)), later);
    assert!(first.unwrap().raised > 0 && second.unwrap().raised > 0);
    assert_eq!(world.suspicions()[0], ms(62_900), "found by the run that saw it alive");
    let probes = world.probes("i-orders-1");
    assert!(gaps(&probes).iter().all(|gap| *gap <= secs(1)), "{:?}", gaps(&probes));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_of_the_writer_is_told_while_postgresql_lives() {
    let mut script = Script::well();
    script.full_disk = Box::new(|now| now > secs(20));
    let (_, world) = script.run(secs(75)).await;
    let told = world.told("Understudy Disk Full");
    assert!(told.first().is_some_and(|first| *first > secs(20) && *first < secs(60)), "{told:?}");
    let (_, world) = Script::well().run(secs(75)).await;
    assert_eq!(world.told("Understudy Disk Full"), Vec::<Duration>::new());
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_change_is_told_as_soon_as_nobody_is_at_it() {
    let mut script = Script::well();
    let change = || {
        let told = serde_json::json!({
            "from": "i-orders-1", "seen": [], "silent_since_ms": 0, "woken_at_ms": 0, "woken_by": "", "began_at_ms": 0
        });
        serde_json::from_value(told).unwrap()
    };
    // Begun at 3 s; its holder's lease ends at 20 s; finished at 33 s.
    script.state = Box::new(move |now| {
        let holder = Holder { id: "pass".to_owned(), expires_at_ms: 1_795_230_720_000 + 20_000 };
        let mut state = state();
        if (secs(3)..secs(33)).contains(&now) {
            (state.change, state.holder) = (Some(change()), Some(holder));
        }
        Ok(Some(state))
    });
    let (_, world) = script.run(secs(75)).await;
    let told = world.told("Understudy Change Unfinished");
    assert!((secs(20)..secs(21)).contains(&told[0]), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(world.notes.lock().unwrap().events.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_standby_is_told_after_the_state_was_read_anew() {
    let mut script = Script::well();
    script.member("i-orders-3", |now| match now.as_secs() {
        0..10 => (ms(5), standby(Some([10, 0, 1, 10].into()))),
        _ => (ms(5), standby(None)),
    });
    let (_, world) = script.run(secs(75)).await;
    let told = world.told("Understudy Standby Frozen");
    assert!((secs(10)..secs(13)).contains(&told[0]), "{told:?}");
    assert_eq!(told.len(), 3, "again after 10 s and 20 s more: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_writer_is_told_within_two_seconds() {
    let mut script = Script::well();
    script.member("i-orders-2", |now| {
        if now < secs(10) { (ms(5), standby(Some([10, 0, 1, 10].into()))) } else { (ms(5), writer()) }
    });
    let (_, world) = script.run(secs(75)).await;
    let first = world.told("Understudy Two Writers")[0];
    assert!((secs(10)..ms(12_500)).contains(&first), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn metrics_every_ten_seconds_and_at_the_end() {
    let (report, world) = Script::well().run(secs(75)).await;
    let notes = world.notes.lock().unwrap();
    let of_cluster: Vec<_> = notes.documents.iter().filter(|document| document["Cluster"] == "orders").collect();
    assert_eq!(of_cluster.len(), 7, "{of_cluster:?}");
    for document in &of_cluster {
        assert_eq!((&document["WriterUp"], &document["MembersUp"]), (&1.into(), &3.into()));
        assert_eq!(document["ProbeMs"].as_array().map(Vec::len), Some(10), "{document}");
    }
    let of_fleet: Vec<_> = notes.documents.iter().filter(|document| document.get("Cluster").is_none()).collect();
    assert_eq!((of_fleet.len(), &of_fleet[0]["CardsUnreadable"]), (1, &0.into()));
    assert_eq!(report.probes, 3 * 70);
}

#[tokio::test(start_paused = true)]
async fn the_probes_of_a_fleet_are_spread_over_the_interval() {
    let (_, world) = spread().run(secs(10)).await;
    let notes = world.notes.lock().unwrap();
    let mut firsts: Vec<Duration> = notes.probes.values().map(|times| times[0]).collect();
    firsts.sort_unstable();
    assert_eq!((firsts.len(), firsts[0]), (6, Duration::ZERO));
    assert!(gaps(&firsts).iter().all(|gap| (ms(160)..ms(175)).contains(gap)), "{firsts:?}");
}

fn spread() -> Script {
    let mut script = Script::well();
    script.cards = Box::new(|_| Ok(Cards { cards: vec![card("orders", 0), card("users", 1)], unreadable: vec![] }));
    for member in ["i-users-1", "i-users-2", "i-users-3"] {
        script.member(member, |_| (ms(5), standby(None)));
    }
    script
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_that_hangs_delays_nothing() {
    let mut script = Script::well();
    script.member("i-orders-1", |_| silent());
    script.wake = Box::new(|_| (NEVER, Ok(())));
    let (_, world): (_, Scripted) = script.run(secs(75)).await;
    assert!(gaps(&world.suspicions()).iter().all(|gap| *gap == secs(2)));
    assert!(gaps(&world.probes("i-orders-2")).iter().all(|gap| *gap == secs(1)));
    assert_eq!(world.now(), secs(72), "the last calls get two seconds");
}

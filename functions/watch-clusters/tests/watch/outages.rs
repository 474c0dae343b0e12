//! What a run needs from AWS, when it does not get it.

use crate::fleet::{Script, card, down, ms, run, secs, silent, state, writer};
use std::time::Duration;
use watch_clusters::Cards;

#[tokio::test(start_paused = true)]
async fn an_unreadable_card_is_reported_and_hides_no_other() {
    let mut script = Script::well();
    let bad = || ("/understudy/prod/clusters/users".to_owned(), "missing field `members`".to_owned());
    script.cards = Box::new(move |_| Ok(Cards { cards: vec![card("orders", 0)], unreadable: vec![bad()] }));
    let (report, world) = script.run(secs(75)).await;
    assert_eq!(report.unreadable, ["/understudy/prod/clusters/users"]);
    assert_eq!((report.clusters, report.probes), (1, 210));
    let notes = world.notes.lock().unwrap();
    let counted = notes.documents.iter().filter(|document| document["CardsUnreadable"] == 1).count();
    assert_eq!(counted, 1);
}

#[tokio::test(start_paused = true)]
async fn without_cards_the_last_ones_are_used_and_without_those_it_is_an_error() {
    let mut script = Script::well();
    script.cards = Box::new(|now| match now < secs(60) {
        true => Ok(Cards { cards: vec![card("orders", 0)], unreadable: vec![] }),
        false => Err(down("ssm:GetParametersByPath")),
    });
    let (watcher, world) = script.watcher();
    run(&watcher, &world, secs(75)).await.unwrap();
    for _ in 0..2 {
        let report = run(&watcher, &world, secs(75)).await.unwrap();
        assert_eq!((report.clusters, report.probes), (1, 210));
    }
    let cold = watch_clusters::Watcher::new(world.clone(), "prod".to_owned());
    assert_eq!(run(&cold, &world, secs(75)).await.unwrap_err().story(), "ssm:GetParametersByPath failed for now: 503");
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_is_read_again_but_not_all_the_time() {
    let mut script = Script::well();
    // Changed at 30 s; for 25 s more, members know the new one and the secret has the old one.
    script.password = Box::new(|now| Ok(u32::from(now >= secs(30))));
    let (report, world) = script.run(secs(75)).await;
    let logins: Vec<Duration> = world.notes.lock().unwrap().logins.iter().map(|(at, _)| *at).collect();
    assert_eq!(logins.len(), 2, "{logins:?}");
    assert!((secs(30)..ms(30_700)).contains(&logins[1]), "at the first refusal: {logins:?}");
    assert_eq!(report.raised, 0, "a refused login is alive");
}

#[tokio::test(start_paused = true)]
async fn a_password_that_stays_wrong_is_read_every_ten_seconds() {
    let mut script = Script::well();
    let reads = std::sync::atomic::AtomicU32::new(0);
    // Never the one that the members know.
    script.password = Box::new(move |_| Ok(reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
    let (report, world) = script.run(secs(75)).await;
    let logins: Vec<Duration> = world.notes.lock().unwrap().logins.iter().map(|(at, _)| *at).collect();
    assert!(logins.windows(2).all(|pair| pair[1] - pair[0] >= secs(10)), "{logins:?}");
    assert_eq!((logins.len(), report.raised), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn without_its_secret_a_cluster_is_not_suspected_and_a_warm_run_goes_on_with_the_last_login() {
    let mut script = Script::well();
    script.password = Box::new(|now| match now < secs(60) {
        true => Ok(0),
        false => Err(down("secretsmanager:GetSecretValue")),
    });
    let (watcher, world) = script.watcher();
    run(&watcher, &world, secs(75)).await.unwrap();
    assert_eq!(run(&watcher, &world, secs(75)).await.unwrap().probes, 210);

    let cold = watch_clusters::Watcher::new(world.clone(), "prod".to_owned());
    let before = world.notes.lock().unwrap().documents.len();
    let report = run(&cold, &world, secs(75)).await.unwrap();
    assert_eq!((report.probes, report.raised), (0, 0));
    // No metric either: its alarm must ring.
    let notes = world.notes.lock().unwrap();
    assert!(notes.documents[before..].iter().all(|document| document.get("WriterUp").is_none()));
}

#[tokio::test(start_paused = true)]
async fn without_the_state_item_nobody_is_suspected_until_it_is_back() {
    let mut script = Script::well();
    script.member("i-orders-1", |_| silent());
    script.state = Box::new(|now| if now < secs(30) { Err(down("dynamodb:GetItem")) } else { Ok(Some(state())) });
    let (_, world) = script.run(secs(75)).await;
    let first = world.suspicions()[0];
    assert!((secs(30)..secs(36)).contains(&first), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_lost_later_is_remembered() {
    let mut script = Script::well();
    script.member("i-orders-1", |now| if now < secs(20) { (ms(5), writer()) } else { silent() });
    script.state = Box::new(|now| if now < secs(15) { Ok(Some(state())) } else { Err(down("dynamodb:GetItem")) });
    let (_, world) = script.run(secs(75)).await;
    assert!(world.suspicions()[0] < secs(24));
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_that_failed_is_repeated_with_the_next_suspicion() {
    let mut script = Script::well();
    script.member("i-orders-1", |_| silent());
    script.wake = Box::new(|_| (ms(10), Err(down("lambda:InvokeFunction"))));
    let (_, world) = script.run(secs(30)).await;
    let tried = world.suspicions();
    assert!(tried.len() > 10, "{tried:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_gone_is_forgotten() {
    let mut script = Script::well();
    script.cards = Box::new(|now| match now < secs(60) {
        true => Ok(Cards { cards: vec![card("orders", 0)], unreadable: vec![] }),
        false => Ok(Cards::default()),
    });
    let (watcher, world) = script.watcher();
    run(&watcher, &world, secs(75)).await.unwrap();
    let documents = world.notes.lock().unwrap().documents.len();
    let report = run(&watcher, &world, secs(75)).await.unwrap();
    assert_eq!((report.clusters, report.probes), (0, 0));
    let notes = world.notes.lock().unwrap();
    assert!(notes.documents[documents..].iter().all(|document| document.get("WriterUp").is_none()));
}

//! What a person asks of `promote-replica` where Patroni owns the cluster.

use domain::{failover::Seen, request::Request};
use promote_replica::{LedPass, Report, answer_led, explain_led, follow_leader, hand_over};
use reconcile::Waking;
use scenarios::world::{Trouble, World, writer};
use serde_json::json;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn led_pass(world: &World, waking: Waking) -> LedPass<World> {
    let turn = world.turn();
    LedPass::new(world.clone(), waking, turn.pass, std::sync::Arc::default(), turn.deadline_ms)
}

fn outcome(world: &World) -> &'static str {
    let mut cluster = led_pass(world, Waking::default());
    let ended = world.run(follow_leader(&mut cluster));
    ended.map_or("died", |ended| ended.map_or("failed", |report: Report| report.outcome))
}

#[test]
fn a_switchover_is_patronis_and_is_followed() {
    let world = World::led();
    let waking = Waking { switchover: Some("orders_b".to_owned()), by: "by a person".to_owned(), ..Waking::default() };
    let mut cluster = led_pass(&world, waking.clone());
    let report = world.run(hand_over(&mut cluster, "orders_b")).unwrap().unwrap();
    assert_eq!(report.outcome, "acted", "{report:?}");
    assert!(report.because.starts_with("orders_b leads, "), "{}", report.because);
    let inner = world.see();
    assert_eq!(inner.orders, ["switchover orders_a orders_b"]);
    assert_eq!((&inner.state.writer, inner.state.epoch), (&Some("i-b".to_owned()), 8));
    assert_eq!(inner.pages[0].subject, "P3 orders: writer moved to i-b (eu-west-1b) as asked");
    assert_eq!(inner.ledger.values().next().unwrap()["lossless"], json!(true));
    drop(inner);
    // To one that commits do not wait for, or that is no member: nothing is asked of Patroni.
    for (to, why) in [("orders_c", "commits do not wait for orders_c"), ("orders_x", "orders_x is no member")] {
        let world = World::led();
        world.see().sql.insert("i-a".to_owned(), writer(&["i-b", "i-c"]));
        let mut cluster = led_pass(&world, waking.clone());
        let report = world.run(hand_over(&mut cluster, to)).unwrap().unwrap();
        assert!(report.outcome == "refused" && report.because.starts_with(why), "{report:?}");
        assert!(world.see().orders.is_empty());
    }
}

#[test]
fn a_switchover_that_patroni_refuses_or_whose_answer_is_lost() {
    let world = World::led();
    let calm = World::led();
    let mut cluster = led_pass(&calm, Waking { switchover: Some("orders_b".into()), ..Waking::default() });
    calm.run(hand_over(&mut cluster, "orders_b"));
    let at = calm.see().calls.iter().position(|call| *call == "hand_over").unwrap() + 1;
    // It happened, and nobody said so: it is found and followed.
    world.see().trouble = Some(Trouble::LosesAnswer(at));
    let mut cluster = led_pass(&world, Waking { switchover: Some("orders_b".into()), ..Waking::default() });
    let report = world.run(hand_over(&mut cluster, "orders_b")).unwrap().unwrap();
    assert_eq!((report.outcome, world.see().state.writer.as_deref()), ("acted", Some("i-b")), "{report:?}");
    // It did not happen.
    let world = World::led();
    world.see().trouble = Some(Trouble::Fails(at));
    let mut cluster = led_pass(&world, Waking { switchover: Some("orders_b".into()), ..Waking::default() });
    let report = world.run(hand_over(&mut cluster, "orders_b")).unwrap().unwrap();
    assert_eq!((report.outcome, world.see().state.writer.as_deref()), ("refused", Some("i-a")), "{report:?}");
    assert!(report.because.starts_with("orders_b does not lead"), "{}", report.because);
}

#[test]
fn a_pause_is_patronis_and_ends_by_itself() {
    let world = World::led();
    let ask = |request: serde_json::Value| {
        let request = Request::read(&request).unwrap().unwrap();
        world.run(async { answer_led(&world, &request).await.unwrap().unwrap() }).unwrap()
    };
    let paused = || matches!(&world.see().account, Seen::Known(account) if account.paused);
    let report = ask(json!({"pause": {"cluster": "orders", "minutes": 30, "reason": "kernel"}}));
    assert!(report.outcome == "acted" && paused(), "{report:?}");
    assert_eq!(outcome(&world), "steady");
    world.later(MINUTE * 30);
    assert_eq!(outcome(&world), "acted");
    assert!(!paused());
    assert_eq!(outcome(&world), "steady");
    ask(json!({"pause": {"cluster": "orders", "minutes": 30}}));
    assert!(ask(json!({"resume": "orders"})).outcome == "acted" && !paused());
    let refused = ask(json!({"approve": {"cluster": "orders", "epoch": 7, "data_loss_bytes": 7}}));
    assert!(refused.outcome == "refused" && refused.because.contains("takes no approval"), "{refused:?}");
    assert_eq!(world.see().state.approval, None);
}

#[test]
fn an_explanation_does_nothing() {
    let world = World::led();
    let mut cluster = led_pass(&world, Waking::default());
    let report = world.run(explain_led(&mut cluster)).unwrap().unwrap();
    let told = report.explanation.unwrap().if_the_writer_failed;
    assert!(told.starts_with("Patroni would elect i-b (eu-west-1b), a synchronous standby"), "{told}");
    assert!(!world.see().calls.contains(&"begin"));
    assert!(world.see().orders.is_empty());
}

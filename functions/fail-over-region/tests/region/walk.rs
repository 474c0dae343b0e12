//! Every story cut at every call, in every way; the next minutes go on, and it ends as if nothing had been.

use crate::{
    takeover::{entries, failback, failover, phase, switchover, token},
    world::{HERE, Trouble, World},
};
use domain::{card::Topology, region::Request};

struct Story {
    name: &'static str,
    world: fn() -> World,
    asked: fn(&World) -> Option<Request>,
    /// The orders that AWS may see, in this order; each once.
    orders: &'static [&'static str],
    ends: &'static str,
    minutes: u32,
}

fn serving_rds() -> World {
    let world = World::well(Topology::RdsPostgres);
    world.ask(switchover());
    world.minutes(3);
    {
        let mut inner = world.see();
        inner.there.source = Some(HERE.to_owned());
        inner.there.cut = false;
        inner.orders.clear();
        inner.ledger.clear();
    }
    world.minutes(2);
    world
}

const STORIES: [Story; 5] = [
    Story {
        name: "switchover of RDS",
        world: || World::well(Topology::RdsPostgres),
        asked: |_| switchover(),
        orders: &["cut off There", "promote Here"],
        ends: "serving",
        minutes: 9,
    },
    Story {
        name: "failover of RDS",
        world: || World::lost(Topology::RdsPostgres),
        asked: |world| failover(Some(&token(world))),
        orders: &["promote Here"],
        ends: "serving",
        minutes: 9,
    },
    Story {
        name: "failover on EC2",
        world: || World::lost(Topology::Ec2Patroni),
        asked: |world| failover(Some(&token(world))),
        orders: &["promote Here"],
        ends: "serving",
        minutes: 9,
    },
    Story {
        name: "failover of Aurora",
        world: || World::lost(Topology::AuroraProvisioned),
        asked: |world| failover(Some(&token(world))),
        orders: &["failover arn:aws:rds:eu-central-1:111122223333:here"],
        ends: "serving",
        minutes: 9,
    },
    Story {
        name: "failback of RDS",
        world: serving_rds,
        asked: |_| failback(),
        orders: &["cut off Here", "promote There"],
        ends: "standby",
        minutes: 9,
    },
];

/// How many calls the story makes when nothing goes wrong, from its request on.
fn calls(story: &Story) -> (usize, usize) {
    let world = (story.world)();
    let asked = (story.asked)(&world);
    let before = world.see().calls.len();
    world.ask(asked);
    world.minutes(story.minutes);
    assert_eq!(phase(&world), story.ends, "{}", story.name);
    (before, world.see().calls.len())
}

/// Without a call, which could be the one in trouble.
fn ended(world: &World, story: &Story) -> bool {
    let inner = world.see();
    let phase = inner.kept.get("region").and_then(|item| item["phase"].as_str().map(str::to_owned));
    phase.as_deref() == Some(story.ends)
}

fn cut(story: &Story, trouble: Trouble) {
    let name = format!("{} with {trouble:?}", story.name);
    let world = (story.world)();
    let asked = (story.asked)(&world);
    let lossless = !story.name.starts_with("failover");
    world.see().trouble = Some(trouble);
    let first = world.pass(asked);
    // A person whose request died before it began asks again.
    let begun = |world: &World| world.see().kept.get("region").is_some_and(|item| item.get("change").is_some());
    if !begun(&world) && !ended(&world, story) {
        world.see().trouble = None;
        let asked = (story.asked)(&world);
        let again = world.pass(asked);
        assert!(matches!(&again, Some(Ok(report)) if report.outcome != "refused"), "{name}: {first:?} {again:?}");
    }
    world.minutes(story.minutes);
    world.see().trouble = None;
    assert_eq!(phase(&world), story.ends, "{name}: {first:?} {:?}", world.see().kept.get("region"));
    assert_eq!(entries(&world).len(), 1, "{name}");
    let inner = world.see();
    assert!(!inner.two_writers, "{name}");
    let mut orders = inner.orders.clone();
    orders.dedup();
    assert_eq!(orders, story.orders, "{name}");
    let promotions = inner.orders.iter().filter(|order| !order.starts_with("cut")).count();
    assert!(promotions <= 2, "{name}: {:?}", inner.orders);
    assert_eq!(inner.published.last(), Some(&(story.ends == "standby")), "{name}");
    if lossless {
        let (new, old) =
            if story.ends == "serving" { (&inner.here, &inner.there) } else { (&inner.there, &inner.here) };
        assert!(new.lsn >= old.lsn, "{name}: {} of {}", new.lsn, old.lsn);
    }
}

#[test]
fn every_call_of_every_story_can_be_where_a_pass_ends() {
    for story in &STORIES {
        let (from, to) = calls(story);
        assert!(to - from > 20, "{}: {}", story.name, to - from);
        for at in from + 1..=to {
            for trouble in
                [Trouble::DiesBefore(at), Trouble::DiesAfter(at), Trouble::Fails(at), Trouble::LosesAnswer(at)]
            {
                cut(story, trouble);
            }
        }
    }
}

#[test]
fn two_passes_at_once_give_one_order() {
    // The second begins with what it saw before the first one noted: its write comes too late.
    let world = World::lost(Topology::RdsPostgres);
    let token = token(&world);
    world.ask(failover(Some(&token)));
    let again = world.ask(failover(Some(&token)));
    assert_eq!(again.outcome, "refused");
    for _ in 0..5 {
        world.ask(None);
    }
    world.minutes(3);
    assert_eq!(world.see().orders, ["promote Here"]);
    assert_eq!(entries(&world).len(), 1);
}

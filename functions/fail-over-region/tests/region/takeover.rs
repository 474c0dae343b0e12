//! Whole stories: A24, A25, and what comes after.

use crate::world::{HERE, THERE, World};
use domain::{
    card::Topology,
    region::{Entry, Request},
};

pub fn switchover() -> Option<Request> {
    Some(Request::Switchover { cluster: "ledger".to_owned(), to: Some("eu-central-1".to_owned()) })
}

pub fn failover(approval: Option<&str>) -> Option<Request> {
    Some(Request::Failover {
        cluster: "ledger".to_owned(),
        to: Some("eu-central-1".to_owned()),
        approval: approval.map(str::to_owned),
    })
}

pub fn failback() -> Option<Request> {
    Some(Request::Failback { cluster: "ledger".to_owned(), to: Some("eu-west-1".to_owned()) })
}

/// The token that is offered, in the answer and in a page.
pub fn token(world: &World) -> String {
    let asked = world.ask(failover(None));
    assert_eq!(asked.outcome, "refused", "{}", asked.because);
    let token = asked.because.split(" with ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let told = world.see().pages.iter().any(|page| page.text.contains(&format!("\"token\":\"{token}\"")));
    assert!(told, "{token}");
    token
}

pub fn phase(world: &World) -> &'static str {
    world.status().status.unwrap().phase
}

pub fn entries(world: &World) -> Vec<Entry> {
    let inner = world.see();
    inner.ledger.values().map(|entry| serde_json::from_value(entry.clone()).unwrap()).collect()
}

#[test]
fn a_switchover_of_rds_loses_nothing_with_writes_running() {
    let world = World::well(Topology::RdsPostgres);
    let begun = world.ask(switchover());
    assert_eq!(begun.outcome, "waits", "{}", begun.because);
    world.minutes(3);
    assert_eq!(phase(&world), "serving");
    let entry = entries(&world).remove(0);
    assert!(entry.lossless);
    let inner = world.see();
    assert!(!inner.two_writers);
    assert!(inner.here.lsn >= inner.there.lsn, "{} of {}", inner.here.lsn, inner.there.lsn);
    assert_eq!(inner.orders, ["cut off There", "promote Here"]);
    assert_eq!((inner.backups, inner.rendered.len()), (30, 1));
    assert_eq!(inner.kept["roles"]["upstream"], "none");
    assert_eq!(inner.kept_there["region"]["serves"], false);
    assert_eq!(inner.state.as_ref().unwrap().writer.as_deref(), Some("prod-ledger-1"));
    assert_eq!(inner.published.last(), Some(&false));
    assert!(inner.pages.iter().any(|page| page.text.contains("nothing that was acknowledged")), "{:?}", inner.pages);
}

#[test]
fn a_lost_region_is_taken_over_on_approval_and_not_before() {
    for topology in [Topology::RdsPostgres, Topology::AuroraProvisioned, Topology::Ec2Patroni] {
        let world = World::lost(topology);
        world.minutes(10);
        assert_eq!(world.see().orders, [""; 0], "{topology}");
        let token = token(&world);
        let begun = world.ask(failover(Some(&token)));
        assert_eq!(begun.outcome, "waits", "{topology}: {}", begun.because);
        world.minutes(3);
        assert_eq!(phase(&world), "serving", "{topology}");
        let entry = entries(&world).remove(0);
        assert!(!entry.lossless && entry.rpo_bytes == Some(5) && entry.rpo_ms == Some(800), "{entry:?}");
        assert!(entry.evidence.contains(&token), "{}", entry.evidence);
        assert!(entry.rto_ms >= 90_000 && entry.promotion_ms.unwrap() >= 90_000, "{entry:?}");
        let inner = world.see();
        assert_eq!(inner.orders.len(), 1, "{topology}: {:?}", inner.orders);
        assert_eq!(inner.published.last(), Some(&false), "{topology}");
        // From the order on, and ever since.
        let first = inner.published.iter().position(|serves| !serves).unwrap();
        assert!(inner.published[first..].iter().all(|serves| !serves), "{topology}: {:?}", inner.published);
    }
}

#[test]
fn an_aurora_switchover_is_aurora_s_own_and_a_disaster_allows_loss() {
    let world = World::well(Topology::AuroraProvisioned);
    world.ask(switchover());
    world.minutes(3);
    assert_eq!(world.see().orders, [format!("switchover {HERE}")]);
    assert_eq!(phase(&world), "serving");

    let world = World::lost(Topology::AuroraProvisioned);
    let refused = world.ask(switchover());
    assert_eq!(refused.outcome, "refused");
    assert!(refused.because.contains("failover"), "{}", refused.because);
    let token = token(&world);
    world.ask(failover(Some(&token)));
    world.minutes(3);
    assert_eq!(world.see().orders, [format!("failover {HERE}")]);
}

#[test]
fn when_the_old_region_heals_nothing_moves_back_and_its_writer_is_cut_off() {
    let world = World::lost(Topology::RdsPostgres);
    let token = token(&world);
    world.ask(failover(Some(&token)));
    world.minutes(3);
    world.see().there.alive = true;
    world.minutes(1);
    {
        let inner = world.see();
        assert!(inner.there.cut);
        assert_eq!(inner.kept_there["region"]["serves"], false);
        assert_eq!(inner.kept_there["region"]["serving"], "eu-central-1");
    }
    world.minutes(60);
    assert_eq!(phase(&world), "serving");
    let inner = world.see();
    assert_eq!(inner.orders, ["promote Here", "cut off There"]);
    assert!(inner.published.iter().rev().take(60).all(|serves| !serves));
    let told: Vec<_> = inner.pages.iter().filter(|page| page.subject.contains("answers again")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].subject.contains("takes no writes"), "{}", told[0].subject);
}

#[test]
fn an_old_aurora_cluster_that_is_no_second_side_is_told_of() {
    let world = World::lost(Topology::AuroraProvisioned);
    let token = token(&world);
    world.ask(failover(Some(&token)));
    world.minutes(3);
    {
        let mut inner = world.see();
        inner.global.members.retain(|member| member == HERE);
        inner.there.alive = true;
    }
    world.minutes(2);
    let pages = world.see().pages.clone();
    let told = pages.last().unwrap();
    assert!(told.subject.starts_with("P1") && told.text.contains("modify-db-cluster"), "{told:?}");
    // Aurora takes it in again: told once more, and that it is well.
    world.see().global.members.push(THERE.to_owned());
    world.minutes(2);
    let pages = world.see().pages.clone();
    assert!(pages.last().unwrap().subject.starts_with("P3"), "{:?}", pages.last());
}

#[test]
fn a_failback_is_a_request_of_its_own_after_the_old_region_was_rebuilt() {
    let world = World::well(Topology::RdsPostgres);
    world.ask(switchover());
    world.minutes(3);
    let early = world.ask(failback());
    assert_eq!(early.outcome, "refused");
    assert!(early.because.contains("follows nobody"), "{}", early.because);
    // Rebuilt: its stack makes a replica of this side.
    let rebuilt = world.ask(Some(Request::Rebuild { cluster: "ledger".to_owned() }));
    assert_ne!(rebuilt.outcome, "refused", "{}", rebuilt.because);
    {
        let mut inner = world.see();
        assert_eq!(inner.kept_there["roles"]["upstream"], HERE);
        assert_eq!(inner.kept_there["roles"]["generations"]["1"], 2);
        inner.there.source = Some(HERE.to_owned());
        inner.there.cut = false;
    }
    world.minutes(5);
    assert_eq!(phase(&world), "serving");
    let back = world.ask(failback());
    assert_eq!(back.outcome, "waits", "{}", back.because);
    world.minutes(4);
    assert_eq!(phase(&world), "standby");
    let inner = world.see();
    assert!(!inner.two_writers);
    assert!(inner.there.lsn >= inner.here.lsn);
    assert_eq!(inner.kept_there["region"]["serves"], true);
    assert_eq!(inner.kept["region"]["serves"], false);
    assert_eq!(inner.published.last(), Some(&true));
    assert_eq!(inner.kept["roles"]["generations"]["1"], 2);
    assert_eq!(inner.kept["roles"]["upstream"], THERE);
    drop(inner);
    let kinds: Vec<String> = entries(&world).iter().map(|entry| entry.kind.to_string()).collect();
    assert_eq!(kinds, ["switchover", "failback"]);
}

#[test]
fn an_aurora_failback_moves_the_global_writer_back() {
    let world = World::well(Topology::AuroraServerless);
    world.ask(switchover());
    world.minutes(3);
    world.ask(failback());
    world.minutes(3);
    assert_eq!(phase(&world), "standby");
    assert_eq!(world.see().orders, [format!("switchover {HERE}"), format!("switchover {THERE}")]);
    assert_eq!(world.see().published.last(), Some(&true));
}

#[test]
fn a_promotion_that_never_ends_is_told_of_again_and_again() {
    let world = World::lost(Topology::RdsPostgres);
    world.see().stuck = true;
    let token = token(&world);
    world.ask(failover(Some(&token)));
    world.minutes(14);
    let before = world.see().pages.len();
    world.minutes(32);
    let pages: Vec<_> = world.see().pages[before..].to_vec();
    assert!((2..=4).contains(&pages.len()), "{}: {pages:?}", pages.len());
    assert!(pages[0].text.contains("modifying"), "{:?}", pages[0]);
    assert_eq!(world.see().orders, ["promote Here"]);
    world.see().stuck = false;
    world.minutes(2);
    assert_eq!(phase(&world), "serving");
}

#[test]
fn a_switchover_whose_fence_does_not_close_is_undone() {
    let world = World::well(Topology::RdsPostgres);
    world.see().there.status = "available".to_owned();
    world.ask(switchover());
    // Before the order: the fence is there, the copy is not, since nothing is replicated any more.
    let world = World::well(Topology::RdsPostgres);
    world.see().here.source = Some("arn:aws:rds:eu-west-1:111122223333:broken".to_owned());
    world.ask(switchover());
    world.minutes(8);
    assert_eq!(phase(&world), "standby");
    let inner = world.see();
    assert!(!inner.there.cut, "clients are let in again");
    assert_eq!(inner.kept_there["region"]["serves"], true);
    assert_eq!(inner.orders, ["cut off There", "let in There"]);
    assert!(inner.published.iter().all(|serves| *serves));
    assert!(inner.pages.iter().any(|page| page.subject.contains("given up")), "{:?}", inner.pages);
}

#[test]
fn without_asking_only_on_proof_that_lasts_and_only_where_the_owner_allows_it() {
    for (world, expected) in
        [(World::by_itself(Topology::RdsPostgres), "serving"), (World::well(Topology::RdsPostgres), "standby")]
    {
        world.see().there.status = "stopped".to_owned();
        world.minutes(2);
        assert_eq!(phase(&world), "standby", "not before it has lasted");
        world.minutes(6);
        assert_eq!(phase(&world), expected);
    }
    // Silence proves nothing, however long.
    let world = World::by_itself(Topology::RdsPostgres);
    world.see().there.alive = false;
    world.minutes(60);
    assert_eq!((phase(&world), world.see().orders.len()), ("standby", 0));
    // A pause holds it.
    let world = World::by_itself(Topology::RdsPostgres);
    world.see().there.status = "stopped".to_owned();
    world.see().kept.insert("paused".to_owned(), true.into());
    world.minutes(10);
    assert_eq!(phase(&world), "standby");
}

#[test]
fn a_pass_that_stays_is_there_when_aws_is_done() {
    let world = World::well(Topology::RdsPostgres);
    world.see().stays = std::time::Duration::from_secs(40);
    assert_eq!(world.ask(switchover()).outcome, "waits");
    world.later(20_000);
    world.ask(None);
    world.later(20_000);
    world.ask(None);
    assert_eq!(phase(&world), "serving");
    let entry = entries(&world).remove(0);
    // The promotion takes 90 s; the rest of the outage is a few looks.
    assert!((90_000..110_000).contains(&entry.rto_ms), "{entry:?}");
    assert_eq!(world.see().orders, ["cut off There", "promote Here"]);
}

//! `promote-replica` against a cluster that changes as it is told, cut short
//! everywhere.

mod model;

use domain::failover::Host;
use model::{Cut, Model, address};
use promote_replica::change_writer;

/// What must hold when a failover from `i-a` to `i-b` is over, however it came about.
fn assert_taken_over(world: &Model, how: &str) {
    let story = || format!("{how}: {:#?}", world.done);
    assert_eq!(world.writers(), ["i-b"], "{}", story());
    assert_eq!((world.records.writer.as_slice(), world.records.epoch), (&[address("i-b")][..], Some(7)), "{}", story());
    assert_eq!(world.records.reader, [address("i-c")], "{}", story());
    let (b, c) = (&world.nodes["i-b"], &world.nodes["i-c"]);
    assert_eq!((c.upstream, c.writes), (Some(address("i-b")), false), "{}", story());
    assert_eq!(b.timeline, 2, "{}", story());
    assert_eq!(b.synchronous.setting(), "ANY 1 (\"orders_c\")", "{}", story());
    assert_eq!(world.state.synchronous, b.synchronous, "{}", story());
    assert!(b.slots.contains("orders_c"), "{}", story());
    assert_eq!((world.state.epoch, world.state.writer.as_deref()), (7, Some("i-b")), "{}", story());
    assert!(world.state.change.is_none() && world.state.holder.is_none(), "{}", story());
    assert_eq!(world.ledger.len(), 1, "{}", story());
    assert!(matches!(world.nodes["i-a"].host, Host::Stopping | Host::Stopped), "{}", story());
}

#[tokio::test]
async fn a_dead_writer_is_replaced_in_the_right_order() {
    let mut world = Model::without_writer(Host::Running);
    let report = change_writer(&mut world).await.unwrap();
    assert_eq!(report.outcome, "acted", "{report:?}");
    assert_taken_over(&world, "no cut");
    assert_eq!(world.pages.len(), 1);
    let order = [
        "take the lease",
        "freeze i-b",
        "freeze i-c",
        "note whom: i-b",
        "promote i-b",
        "note promotion",
        "let commits on i-b wait",
        "publish the set",
        "create slots orders_c",
        "move the writer record",
        "note the move",
        "let i-c follow",
        "stop instance i-a",
        "let the reader record",
        "write the ledger",
        "send the page",
        "write the ledger, send the page, name i-b",
    ];
    assert_eq!(world.done.len(), order.len(), "{:#?}", world.done);
    for (done, expected) in world.done.iter().zip(order) {
        assert!(done.starts_with(expected), "{done:?} is not {expected:?}");
    }
}

#[tokio::test]
async fn a_second_wake_up_changes_nothing() {
    let mut world = Model::without_writer(Host::Running);
    change_writer(&mut world).await.unwrap();
    let steps = world.done.len();
    for again in 0..3 {
        world.next_pass(&format!("again-{again}"), Cut::Never);
        let report = change_writer(&mut world).await.unwrap();
        assert_eq!((report.outcome, world.done.len()), ("steady", steps), "{report:?}");
    }
    assert_eq!(world.pages.len(), 1);
}

/// Every call of a failover cut before or after its effect, the next pass cut
/// at every call again, and a third that lives.
#[tokio::test]
async fn a_failover_cut_short_anywhere_is_finished_by_the_next_pass() {
    let mut walked = 0;
    for host in [Host::Running, Host::Stopped] {
        for first in cuts() {
            for second in cuts().chain([Cut::Never]) {
                let mut world = Model::without_writer(host.clone());
                let how = format!("{host:?}, {first:?}, {second:?}");
                world.cut = first;
                let one = change_writer(&mut world).await;
                world.next_pass("pass-2", second);
                let two = change_writer(&mut world).await;
                world.next_pass("pass-3", Cut::Never);
                change_writer(&mut world).await.unwrap_or_else(|failure| panic!("{how}: {failure}"));
                assert_taken_over(&world, &how);
                let page_calls = world.done.iter().filter(|step| *step == "send the page").count();
                assert_eq!(world.pages.len(), page_calls, "{how}");
                // Only a pass that dies between page and phase tells a failover again.
                let died_telling = [&one, &two].iter().filter(|ended| ended.is_err()).count();
                assert!((1..=1 + died_telling).contains(&page_calls), "{how}: {page_calls} pages");
                walked += 1;
            }
        }
    }
    assert!(walked > 1_000, "{walked} walks");
}

fn cuts() -> impl Iterator<Item = Cut> {
    (0..18).flat_map(|call| [Cut::Before(call), Cut::After(call)])
}

#[tokio::test]
async fn two_passes_at_once_change_the_writer_once() {
    let mut world = Model::without_writer(Host::Running);
    world.cut = Cut::After(2);
    let dead = change_writer(&mut world).await;
    assert!(dead.is_err());
    // The first still holds the lease as far as anyone can know.
    world.next_pass("pass-2", Cut::Never);
    world.now_ms -= 60_000;
    let report = change_writer(&mut world).await.unwrap();
    assert_eq!(report.outcome, "waits", "{report:?}");
    assert!(report.because.contains("holds the lease"), "{report:?}");
}

#[tokio::test]
async fn the_quorum_missing_nothing_is_touched_and_a_person_is_told_once() {
    let mut world = Model::without_writer(Host::Running);
    world.node("i-c").up = false;
    for pass in ["one", "two", "three"] {
        world.next_pass(pass, Cut::Never);
        let report = change_writer(&mut world).await.unwrap();
        assert_eq!(report.outcome, "refused", "{report:?}");
    }
    assert_eq!(world.done, Vec::<String>::new(), "nothing was touched");
    assert_eq!(world.pages.len(), 1);
    assert_eq!(world.pages[0].subject, "P1 orders: not acting: quorum-missing");
}

#[tokio::test]
async fn a_writer_that_comes_back_gets_its_standbys_back() {
    let mut world = Model::without_writer(Host::Running);
    world.cut = Cut::After(2);
    assert!(change_writer(&mut world).await.is_err(), "cut with both standbys frozen");
    assert_eq!((world.nodes["i-b"].upstream, world.nodes["i-c"].upstream), (None, None));
    world.node("i-a").up = true;
    world.next_pass("pass-2", Cut::Never);
    let report = change_writer(&mut world).await.unwrap();
    assert_eq!(report.outcome, "refused", "{report:?}");
    assert_eq!(world.writers(), ["i-a"]);
    let back = Some(address("i-a"));
    assert_eq!((world.nodes["i-b"].upstream, world.nodes["i-c"].upstream), (back, back));
    assert!(world.state.change.is_none() && world.state.holder.is_none());
    assert!(world.pages[0].text.contains("i-a answers again"), "{}", world.pages[0].text);
}

#[tokio::test]
async fn asynchronous_waits_for_the_old_writer_to_be_off() {
    let mut world = Model::without_writer(Host::Running);
    world.state.synchronous = Default::default();
    for node in world.nodes.values_mut() {
        node.synchronous = Default::default();
    }
    let report = change_writer(&mut world).await.unwrap();
    assert_eq!(report.outcome, "waits", "{report:?}");
    assert!(!world.nodes["i-b"].writes, "`stopping` is no proof");
    world.node("i-a").host = Host::Stopped;
    world.next_pass("pass-2", Cut::Never);
    let report = change_writer(&mut world).await.unwrap();
    assert_eq!(report.outcome, "acted", "{report:?}");
    assert_eq!(world.writers(), ["i-b"]);
    assert!(world.pages[0].text.contains("Lost    nothing up to the last position"), "{}", world.pages[0].text);
}

#[tokio::test]
async fn a_healthy_cluster_is_left_alone() {
    let mut world = Model::healthy();
    let report = change_writer(&mut world).await.unwrap();
    assert_eq!(report.outcome, "steady");
    assert!(world.done.is_empty() && world.pages.is_empty());
}

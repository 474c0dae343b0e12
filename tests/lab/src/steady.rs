//! Whether a cluster is as a run must find it; and what a person does to get it there: power on what is off.

use crate::{
    clock::Moment,
    cluster::{self, Cluster, Now},
    control,
    error::{Error, cannot},
    inside::Inside,
    lab::Lab,
    order,
    progress::Step,
    setup,
    sql::Member,
    watching,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time for an old writer to be a standby again, by itself once its host runs. Deploying a cluster anew takes 20 s.
const PATIENCE: Duration = Duration::from_secs(45);
/// The same where Patroni leads: what a dead host held in etcd passes with its `ttl`, and deploying takes a minute.
const PATIENCE_PATRONI: Duration = Duration::from_secs(120);

/// A cluster, as far as it can be in disorder.
#[derive(Debug, Clone)]
struct Seen {
    now: Now,
    /// Name, instance id, address and what it answered.
    members: Vec<(String, String, String, Member)>,
    /// The names that stream from the writer.
    streaming: Vec<String>,
    /// The writer's `synchronous_standby_names`.
    setting: String,
    /// The instance ids whose guard noted a full disk, and has not noted yet that it has room.
    full: Vec<String>,
}

/// What keeps the cluster from being as new, in a sentence each; empty when it is.
pub async fn disorder(lab: &Lab, cluster: &Cluster) -> Result<Vec<String>, Error> {
    if let Some(card) = &cluster.card.patroni {
        return order::disorder(lab, cluster, card).await;
    }
    let now = cluster.now(&lab.owner, &lab.zone).await?;
    let inside = Inside::of(&lab.place, cluster)?;
    let members = &cluster.card.members;
    let full = cluster.full_disks(&lab.owner).await?;
    let mut seen = Seen { now, members: Vec::new(), streaming: Vec::new(), setting: String::new(), full };
    for member in members {
        let answer = cluster.database.ask(member.address).await;
        seen.members.push((member.name.clone(), member.id.clone(), member.address.to_string(), answer));
    }
    if let Some(writer) = &seen.now.writer {
        seen.streaming = inside.streaming(writer).await.unwrap_or_default();
        let setting = inside.query(writer, "postgres", &["SHOW synchronous_standby_names"]).await;
        seen.setting = setting.unwrap_or_default().join("");
    }
    Ok(judge(&seen))
}

fn judge(seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut demand = |kept: bool, what: String| {
        if !kept {
            wrong.push(what);
        }
    };
    demand(seen.now.steady, "a change of writer is open".to_owned());
    for (name, id, address, answer) in &seen.members {
        demand(!seen.full.contains(id), format!("the guard of {name} says that its disk is full"));
        if Some(id) == seen.now.writer.as_ref() {
            demand(matches!(answer, Member::Writable(_)), format!("the writer {name} answers {answer:?}"));
            let record = seen.now.record.as_deref().unwrap_or("nothing");
            demand(record == address, format!("the writer record points at {record}, the writer is {address}"));
            continue;
        }
        demand(*answer == Member::Standby, format!("{name} answers {answer:?}"));
        demand(seen.streaming.contains(name), format!("{name} does not stream from the writer"));
        if seen.now.synchronous {
            let counted = seen.now.names.contains(name) && seen.setting.contains(&format!("\"{name}\""));
            demand(counted, format!("commits do not wait for {name}"));
        }
    }
    let writers = seen.members.iter().filter(|(_, id, _, _)| Some(id) == seen.now.writer.as_ref()).count();
    demand(writers == 1, "the state item names no member as writer".to_owned());
    wrong
}

/// The cluster of that name, probed by `watch-clusters` and as new: the one that is there, when it can be made so, or
/// one deployed by this spec.
pub async fn take(lab: &Lab, name: &str, spec: &str, step: &Step) -> Result<Cluster, Error> {
    let wanted: Value = serde_json::from_str(spec).map_err(cannot(format!("read the spec of {name}")))?;
    if wanted["topology"] == "ec2-patroni" || !wanted["backups"].is_null() {
        setup::cluster_tools(&lab.place, step).await?;
    }
    if let Some(cluster) = cluster::find(&lab.owner, name).await? {
        let Some(why) = restore(lab, &cluster, step).await? else {
            watching::wait(lab, name, Moment::default(), step).await?;
            return Ok(cluster);
        };
        eprintln!("  {name} is deployed anew, since {why}");
        cluster::remove(&lab.owner, &lab.fleet, name, step).await?;
    }
    let cluster = cluster::deploy(&lab.owner, name, spec, step).await?;
    watching::wait(lab, name, Moment::now(), step).await?;
    if cluster.card.patroni.is_some()
        && let Some(why) = restore(lab, &cluster, step).await?
    {
        return Err(cannot(format!("begin with {name}"))(why));
    }
    Ok(cluster)
}

/// Undoes every fault, powers on what is off, and waits until the cluster is as new. `Some` says why it is not.
pub async fn restore(lab: &Lab, cluster: &Cluster, step: &Step) -> Result<Option<String>, Error> {
    heal(cluster).await?;
    let patience = if cluster.card.patroni.is_some() { PATIENCE_PATRONI } else { PATIENCE };
    let until = Instant::now() + patience;
    loop {
        let off = power_on(lab, cluster).await?;
        let wrong =
            if off > 0 { vec![format!("{off} hosts are not running yet")] } else { disorder(lab, cluster).await? };
        let Some(first) = wrong.first() else {
            cluster.age(&lab.owner).await?;
            return Ok(None);
        };
        step.tell(format!("waiting until the cluster is as new: {first}"));
        if Instant::now() > until {
            return Ok(Some(wrong.join("; ")));
        }
        sleep(Duration::from_millis(400)).await;
    }
}

/// Undoes cuts, hangs and full disks. Dead hardware stays dead.
pub async fn heal(cluster: &Cluster) -> Result<(), Error> {
    control::clear_rules().await?;
    for host in of(cluster).await? {
        if !host.dead {
            control::fault(&host.instance_id, "heal").await?;
            control::fault(&host.instance_id, "resume").await?;
            // 501 where the machine has no disks to fill.
            control::fault(&host.instance_id, "grow-disk").await?;
        }
    }
    Ok(())
}

/// The cluster's hosts: its members, and those of etcd.
async fn of(cluster: &Cluster) -> Result<Vec<control::Host>, Error> {
    let hosts = control::hosts().await?;
    let ids = ids(cluster);
    Ok(hosts.into_iter().filter(|host| ids.contains(&host.instance_id)).collect())
}

fn ids(cluster: &Cluster) -> Vec<String> {
    let etcd = cluster.card.patroni.iter().flat_map(|card| &card.etcd).map(|host| host.id.clone());
    cluster.card.members.iter().map(|member| member.id.clone()).chain(etcd).collect()
}

/// Starts what is stopped and stops what is dead, as a person does; how many hosts do not run yet.
pub async fn power_on(lab: &Lab, cluster: &Cluster) -> Result<usize, Error> {
    let hosts = of(cluster).await?;
    let all = ids(cluster).len();
    if hosts.len() != all {
        return Err(cannot("power members on")(format!("{} of {all} are there", hosts.len())));
    }
    let mut off = 0;
    for host in hosts {
        let call = match (host.state.as_str(), host.dead) {
            ("running", false) => continue,
            ("running", true) => Some("stop_instances"),
            ("stopped", _) => Some("start_instances"),
            _ => None,
        };
        off += 1;
        if let Some(call) = call {
            lab.owner.call("ec2", call, json!({"InstanceIds": [host.instance_id]})).await?;
        }
    }
    Ok(off)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean() -> Seen {
        let member = |number: u8, answer| {
            (format!("orders_{number}"), format!("i-{number}"), format!("127.0.1{number}.10"), answer)
        };
        Seen {
            now: Now {
                writer: Some("i-2".to_owned()),
                state_epoch: Some(2),
                steady: true,
                synchronous: true,
                names: vec!["orders_1".to_owned(), "orders_3".to_owned()],
                record: Some("127.0.12.10".to_owned()),
                epoch: Some(2),
            },
            members: vec![member(1, Member::Standby), member(2, Member::Writable(2)), member(3, Member::Standby)],
            streaming: vec!["orders_1".to_owned(), "orders_3".to_owned()],
            setting: "ANY 1 (\"orders_1\", \"orders_3\")".to_owned(),
            full: Vec::new(),
        }
    }

    #[test]
    fn a_cluster_as_new_has_nothing_wrong() {
        assert_eq!(judge(&clean()), Vec::<String>::new());
        let mut asynchronous = clean();
        asynchronous.now.synchronous = false;
        asynchronous.now.names.clear();
        asynchronous.setting.clear();
        assert_eq!(judge(&asynchronous), Vec::<String>::new());
    }

    #[test]
    fn every_disorder_is_told() {
        type Damage = fn(&mut Seen);
        let table: [(&str, Damage); 10] = [
            ("the guard of orders_1 says that its disk is full", |seen| seen.full.push("i-1".to_owned())),
            ("a change of writer is open", |seen| seen.now.steady = false),
            ("orders_3 answers Silent(\"no answer\")", |seen| {
                seen.members[2].3 = Member::Silent("no answer".to_owned())
            }),
            ("orders_1 answers Writable(1)", |seen| seen.members[0].3 = Member::Writable(1)),
            ("the writer orders_2 answers Waiting(2)", |seen| seen.members[1].3 = Member::Waiting(2)),
            ("orders_1 does not stream from the writer", |seen| drop(seen.streaming.remove(0))),
            ("commits do not wait for orders_3", |seen| drop(seen.now.names.pop())),
            ("commits do not wait for orders_3", |seen| seen.setting = "ANY 1 (\"orders_1\")".to_owned()),
            ("the writer record points at nothing, the writer is 127.0.12.10", |seen| seen.now.record = None),
            ("the writer record points at 127.0.13.10, the writer is 127.0.12.10", |seen| {
                seen.now.record = Some("127.0.13.10".to_owned());
            }),
        ];
        for (expected, damage) in table {
            let mut seen = clean();
            damage(&mut seen);
            assert_eq!(judge(&seen), [expected]);
        }
        let mut nobody = clean();
        nobody.now.writer = None;
        assert!(judge(&nobody).contains(&"the state item names no member as writer".to_owned()));
    }
}

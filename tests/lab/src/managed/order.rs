//! Whether a managed cluster is as a run must find it, and what brings it there.

use super::{Managed, Server, find, has_two_regions};
use crate::{
    clock::Moment,
    cluster::{self, Now},
    control,
    error::{Error, cannot},
    lab::Lab,
    owner::Owner,
    progress::{Progress, Step},
    sql::Member,
    watching,
};
use domain::card::Topology;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time for everything to be as new: replicas are made anew by a stack update, and each is copied whole.
const PATIENCE: Duration = Duration::from_secs(240);

/// The cluster of that name in the primary Region: the one that is there, or one deployed by this spec; with its side
/// in the second Region, when the spec has one.
pub async fn take(lab: &Lab, name: &str, spec: &str, progress: Progress) -> Result<Managed, Error> {
    let step = progress.step("cluster");
    let mut cluster = deployed(lab, &lab.owner, name, spec, &step).await?;
    step.done(&format!("{name} is there: {}", cluster.card.topology));
    if has_two_regions(spec) {
        let second = lab.second(progress).await?;
        let step = progress.step("second Region");
        let side = deployed(lab, &second.owner, name, spec, &step).await?;
        step.done(&format!("{} is there in {}", name, side.card.region));
        // The first side learns of the second one's names.
        cluster = found(lab, &lab.owner, name).await?;
    }
    let step = progress.step("order");
    if let Some(why) = restore(lab, &lab.owner, &cluster, &step).await? {
        return Err(cannot(format!("begin with {name}"))(why));
    }
    watching::wait(lab, name, Moment::default(), &step).await?;
    step.done("as new");
    Ok(cluster)
}

async fn found(lab: &Lab, owner: &Owner, name: &str) -> Result<Managed, Error> {
    find(&lab.place, owner, name).await?.ok_or_else(|| cannot("find the cluster")(format!("{name} has no card")))
}

async fn deployed(lab: &Lab, owner: &Owner, name: &str, spec: &str, step: &Step) -> Result<Managed, Error> {
    if let Some(cluster) = find(&lab.place, owner, name).await? {
        return Ok(cluster);
    }
    cluster::until_ready(owner, name, spec, step).await?;
    found(lab, owner, name).await
}

/// Undoes every fault, and waits until the cluster is as new. `Some` says why it is not.
pub async fn restore(lab: &Lab, owner: &Owner, cluster: &Managed, step: &Step) -> Result<Option<String>, Error> {
    control::clear_rules().await?;
    let until = Instant::now() + PATIENCE;
    loop {
        let servers = cluster.servers().await?;
        for server in &servers {
            control::fault(&server.id, "heal").await?;
            control::fault(&server.id, "resume").await?;
        }
        let now = cluster.now(owner, &lab.zone).await?;
        let wrong = judge(cluster.card.topology, cluster.card.instances.len(), &now, &servers);
        let Some(first) = wrong.first() else {
            cluster::age(owner, &cluster.card.cluster).await?;
            return Ok(None);
        };
        step.tell(format!("waiting until the cluster is as new: {first}"));
        if Instant::now() > until {
            return Ok(Some(wrong.join("; ")));
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// What keeps a cluster from being as new, in a sentence each.
fn judge(topology: Topology, instances: usize, now: &Now, servers: &[Server]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut demand = |kept: bool, what: String| {
        if !kept {
            wrong.push(what);
        }
    };
    demand(now.steady, "a change of writer is open".to_owned());
    demand(now.record.is_some(), "there is no writer record".to_owned());
    let writer = now.writer.clone().unwrap_or_default();
    demand(servers.iter().any(|server| server.id == writer), format!("the writer on record, {writer:?}, is not there"));
    let well: Vec<&Server> = servers.iter().filter(|server| server.status == "available" && !server.dead).collect();
    demand(well.len() >= instances, format!("{} of {instances} instances are available", well.len()));
    for server in well {
        let is_writer = server.id == writer;
        let as_it_should = match &server.answer {
            Member::Writable(_) => is_writer,
            Member::Standby => !is_writer,
            // An old writer that was cut off and kept.
            Member::Silent(_) => !is_writer && topology == Topology::RdsPostgres,
            Member::Waiting(_) => false,
        };
        demand(as_it_should, format!("{} answers {:?}", server.id, server.answer));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u8, answer: Member) -> Server {
        Server { id: format!("lab-carts-{number}"), status: "available".to_owned(), dead: false, answer }
    }

    fn well() -> (Now, Vec<Server>) {
        let now = Now {
            writer: Some("lab-carts-1".to_owned()),
            steady: true,
            record: Some("lab-carts.cluster-lab.eu-west-1.rds.amazonaws.com".to_owned()),
            ..Now::default()
        };
        (now, vec![server(1, Member::Writable(1)), server(2, Member::Standby)])
    }

    #[test]
    fn every_disorder_is_told() {
        let (now, servers) = well();
        assert_eq!(judge(Topology::AuroraProvisioned, 2, &now, &servers), Vec::<String>::new());
        type Damage = fn(&mut Now, &mut Vec<Server>);
        let table: [(&str, Damage); 6] = [
            ("a change of writer is open", |now, _| now.steady = false),
            ("there is no writer record", |now, _| now.record = None),
            ("1 of 2 instances are available", |_, servers| servers[1].status = "modifying".to_owned()),
            ("1 of 2 instances are available", |_, servers| servers[1].dead = true),
            ("lab-carts-2 answers Writable(2)", |_, servers| servers[1].answer = Member::Writable(2)),
            ("lab-carts-2 answers Silent(\"cut\")", |_, servers| servers[1].answer = Member::Silent("cut".to_owned())),
        ];
        for (expected, damage) in table {
            let (mut now, mut servers) = well();
            damage(&mut now, &mut servers);
            assert_eq!(judge(Topology::AuroraProvisioned, 2, &now, &servers), [expected]);
        }
    }
}

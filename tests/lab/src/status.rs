//! What runs now.

use crate::{
    cluster, control,
    error::Error,
    fleet::Fleet,
    lab,
    lock::{Lock, Try},
    managed,
    names::Zone,
    owner::Owner,
    place::Place,
    processes,
    sql::Member,
};
use domain::card::Registered;
use serde::Serialize;

/// The lab, as it is now.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Whether `lab up` was said and the local AWS runs.
    up: bool,
    /// The lab command that runs now, by its process id.
    running: Option<i32>,
    /// How many processes the lab has on this machine.
    processes: usize,
    /// Where its files are.
    folder: String,
    /// Its clusters.
    clusters: Vec<ClusterStatus>,
}

#[derive(Debug, Serialize)]
struct ClusterStatus {
    name: String,
    writer: Option<String>,
    epoch: Option<u64>,
    steady: bool,
    record: Option<String>,
    members: Vec<MemberStatus>,
    /// Where there is a load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    balancer: Option<BalancerStatus>,
}

#[derive(Debug, Serialize)]
struct BalancerStatus {
    name: String,
    address: String,
    /// The healthy targets of the two ports, by instance id.
    writers: Vec<String>,
    readers: Vec<String>,
}

#[derive(Debug, Serialize)]
struct MemberStatus {
    id: String,
    name: String,
    address: String,
    postgresql: String,
}

/// Looks.
pub async fn look(place: &Place) -> Result<Status, Error> {
    let running = match Lock::attempt(place)? {
        Try::Ours(_) => None,
        Try::Theirs(pid) => Some(pid),
    };
    let mut status = Status {
        up: lab::stays(place),
        running,
        processes: processes::below(&place.dir).len(),
        folder: place.dir.display().to_string(),
        clusters: Vec::new(),
    };
    let Some(fleet) = Fleet::find(place, crate::place::REGION)?.filter(|_| status.up) else { return Ok(status) };
    let owner = Owner::start(place)?;
    let zone = Zone::new(Owner::start(place)?, fleet.zone);
    for name in cluster::all(&owner).await? {
        // One that is being removed has no card any more by now.
        match managed::registered(&owner, &name).await? {
            Some(Registered::Managed(_)) => status.clusters.extend(managed(place, &owner, &zone, &name).await?),
            Some(Registered::Ec2(_)) => {
                if let Some(cluster) = cluster::find(&owner, &name).await? {
                    status.clusters.push(of(&cluster, cluster.now(&owner, &zone).await?).await);
                }
            }
            None => {}
        }
    }
    Ok(status)
}

async fn managed(place: &Place, owner: &Owner, zone: &Zone, name: &str) -> Result<Option<ClusterStatus>, Error> {
    let Some(cluster) = managed::find(place, owner, name).await? else { return Ok(None) };
    let now = cluster.now(owner, zone).await?;
    let servers = cluster.servers().await?;
    let members = servers.into_iter().map(|server| {
        let postgresql = said(server.answer);
        MemberStatus { name: server.status, address: String::new(), postgresql, id: server.id }
    });
    Ok(Some(ClusterStatus {
        name: name.to_owned(),
        writer: now.writer,
        epoch: now.epoch,
        steady: now.steady,
        record: now.record,
        members: members.collect(),
        balancer: None,
    }))
}

fn said(answer: Member) -> String {
    match answer {
        Member::Writable(timeline) => format!("writer, timeline {timeline}"),
        Member::Waiting(timeline) => format!("writer, timeline {timeline}; its commits wait for standbys"),
        Member::Standby => "standby".to_owned(),
        Member::Silent(why) => format!("does not answer: {why}"),
    }
}

async fn of(cluster: &cluster::Cluster, now: cluster::Now) -> ClusterStatus {
    let mut members = Vec::new();
    for member in &cluster.card.members {
        let postgresql = said(cluster.database.ask(member.address).await);
        let (id, name, address) = (member.id.clone(), member.name.clone(), member.address.to_string());
        members.push(MemberStatus { id, name, address, postgresql });
    }
    ClusterStatus {
        name: cluster.card.cluster.clone(),
        writer: now.writer,
        epoch: now.epoch,
        steady: now.steady,
        record: now.record,
        members,
        balancer: balancer(cluster).await,
    }
}

/// The front of a cluster's load balancer, if it has one that listens.
async fn balancer(cluster: &cluster::Cluster) -> Option<BalancerStatus> {
    let name = &cluster.card.patroni.as_ref()?.balancer;
    let front = control::fronts().await.ok()?.into_iter().find(|front| front.dns_name == *name)?;
    let healthy = |port| front.healthy(port).into_iter().map(|(id, _)| id).collect();
    let (writers, readers) = (healthy(cluster::WRITER_PORT), healthy(cluster::READER_PORT));
    Some(BalancerStatus { name: name.clone(), address: front.address.to_string(), writers, readers })
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.up, self.running) {
            (true, _) => writeln!(f, "The lab is up: {} processes, files in {}", self.processes, self.folder)?,
            (false, Some(pid)) => writeln!(f, "A lab command runs: process {pid}, files in {}", self.folder)?,
            (false, None) if self.processes > 0 => {
                writeln!(f, "The lab is down and left {} processes; `lab down` ends them", self.processes)?;
            }
            (false, None) => writeln!(f, "The lab is down")?,
        }
        for cluster in &self.clusters {
            let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
            writeln!(
                f,
                "\n{}: {}, epoch {}; the writer record points at {}",
                cluster.name,
                if cluster.steady { "steady" } else { "changing its writer" },
                cluster.epoch.map_or_else(|| "not known".to_owned(), |epoch| epoch.to_string()),
                word(&cluster.record),
            )?;
            for member in &cluster.members {
                let (name, id, address) = (&member.name, &member.id, &member.address);
                writeln!(f, "  {name:12} {id:20} {address:14} {}", member.postgresql)?;
            }
            if let Some(balancer) = &cluster.balancer {
                let list = |ids: &[String]| if ids.is_empty() { "nobody".to_owned() } else { ids.join(", ") };
                let (writers, readers) = (list(&balancer.writers), list(&balancer.readers));
                writeln!(f, "  load balancer at {}: writers to {writers}, readers to {readers}", balancer.address)?;
            }
        }
        Ok(())
    }
}

//! What a repair is told by: the ledger item and the pages.

use super::{Act, Ailment, Given, HostSeen, Incident, Ward};
use crate::{
    failover::Page,
    time::{clock, seconds, stamp},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One incident as the ledger keeps it. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// `repair`.
    pub kind: String,
    /// The cluster.
    pub cluster: String,
    /// Its epoch.
    pub epoch: u64,
    /// Instance id.
    pub host: String,
    /// `shop_2`, `shop-etcd-1`.
    pub name: String,
    /// What ailed it last.
    pub ailment: Ailment,
    /// Since when anything did.
    pub began_ms: u64,
    /// What was ordered.
    pub orders: Vec<Given>,
    /// When it was well again, or given up.
    pub ended_ms: u64,
    /// Whether it was well again.
    pub well: bool,
}

impl Ledger {
    pub(super) fn of(ward: &Ward, host: &HostSeen, incident: &Incident, well: bool) -> Self {
        let seen = &ward.led.seen;
        Ledger {
            kind: "repair".to_owned(),
            cluster: seen.cluster.clone(),
            epoch: seen.state.epoch,
            host: host.id.clone(),
            name: host.name.clone(),
            ailment: incident.ailment,
            began_ms: incident.began_ms,
            orders: incident.orders.clone(),
            ended_ms: seen.looked_at_ms,
            well,
        }
    }

    /// The item's name: the same for every pass that ends the same incident the same way.
    #[must_use]
    pub fn item(&self) -> String {
        let how = if self.well { "well" } else { "given-up" };
        format!("ledger#{}#repair#{}#{how}", stamp(self.began_ms), self.host)
    }
}

/// An order was given.
pub(super) fn ordered(ward: &Ward, host: &HostSeen, incident: &Incident, act: Act) -> Page {
    let done = match act {
        Act::Start => "started",
        Act::Reboot => "rebooted",
        Act::Remake => "is made a standby anew by repair.sh",
    };
    let next = match act {
        Act::Start | Act::Reboot => "nothing; a page tells when it is back, or that it is not in 10 min".to_owned(),
        Act::Remake => format!("nothing; how far it is: journalctl -t understudy on {}", host.id),
    };
    Page::about(&format!("P2 {}: {} {}, {done}", ward.led.seen.cluster, place(host), incident.ailment))
        .line("Seen", &seen(ward, host, incident))
        .line("Done", &format!("{} {done} once", host.id))
        .line("Now", &now(ward))
        .line("Next", &next)
}

/// It is well again.
pub(super) fn well_again(ward: &Ward, host: &HostSeen, incident: &Incident) -> Page {
    let lasted = span(ward.led.seen.looked_at_ms, incident.began_ms);
    Page::about(&format!("P3 {}: {} is back, after {lasted}", ward.led.seen.cluster, place(host)))
        .line("Seen", &format!("{} since {}: it {}", host.id, clock(incident.began_ms), incident.ailment))
        .line("Done", &orders(incident))
        .line("Now", &now(ward))
        .line("Next", "nothing")
}

/// Nothing more is done.
pub(super) fn given_up(ward: &Ward, host: &HostSeen, incident: &Incident) -> Page {
    let cluster = &ward.led.seen.cluster;
    let what = match incident.ailment {
        Ailment::Gone => "is gone, and must be made anew".to_owned(),
        ailment => format!("{ailment}, and could not be repaired"),
    };
    Page::about(&format!("P2 {cluster}: {} {what}", place(host)))
        .line("Seen", &seen(ward, host, incident))
        .line("Done", &orders(incident))
        .line("Now", &now(ward))
        .line("Next", &next(ward, host, incident))
}

/// The next safe command.
fn next(ward: &Ward, host: &HostSeen, incident: &Incident) -> String {
    let (id, region) = (&host.id, region(host));
    let seen = &ward.led.seen;
    match incident.ailment {
        Ailment::Gone => format!(
            "stack understudy-{}-{} has it as {} and does not know that it is gone: aws cloudformation \
             detect-stack-drift{region} --stack-name understudy-{}-{}; its network interface and volumes are \
             kept there",
            seen.fleet, seen.cluster, host.resource, seen.fleet, seen.cluster
        ),
        Ailment::Off => format!(
            "look why it does not stay up: aws ec2 describe-instances{region} --instance-ids {id} \
             --query 'Reservations[].Instances[].StateReason'; then: aws ec2 start-instances{region} \
             --instance-ids {id}"
        ),
        // Only a stop and a start move it to other hardware.
        Ailment::Impaired | Ailment::Silent => format!(
            "move it to other hardware: aws ec2 stop-instances --force{region} --instance-ids {id}; it is started \
             by itself then, or: aws ec2 start-instances{region} --instance-ids {id}"
        ),
        Ailment::Down | Ailment::Failed | Ailment::Astray => format!(
            "look at it: aws ssm start-session{region} --target {id}, then on it: journalctl -t understudy -n 100; \
             to try again: sudo bash /opt/understudy/repair.sh"
        ),
    }
}

fn seen(ward: &Ward, host: &HostSeen, incident: &Incident) -> String {
    let lasted = span(ward.led.seen.looked_at_ms, incident.since_ms);
    let sql = host.sql.as_ref().map_or_else(String::new, |sql| format!(", PostgreSQL {sql}"));
    let role =
        host.role.as_ref().map_or_else(String::new, |role| format!(", Patroni says {}, {}", role.role, role.state));
    let check = host.impaired.as_ref().map_or_else(String::new, |check| format!(", {check}"));
    let (name, ailment) = (&host.name, incident.ailment);
    format!("{name} {ailment} since {} ({lasted}); EC2 says {}{check}{sql}{role}", clock(incident.since_ms), host.host)
}

fn orders(incident: &Incident) -> String {
    if incident.orders.is_empty() {
        return "nothing: there is nothing that could be done from here".to_owned();
    }
    let told = |given: &Given| {
        let said = given.ended.as_ref().map_or_else(String::new, |ended| format!(" ({})", ended.said));
        let what = match given.act {
            Act::Start => "started",
            Act::Reboot => "rebooted",
            Act::Remake => "repair.sh",
        };
        format!("{what} {}{said}", clock(given.at_ms))
    };
    incident.orders.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// Who writes, and how many hosts of etcd run.
fn now(ward: &Ward) -> String {
    let leads = match ward.led.settled() {
        Ok(leader) => {
            let streams = leader.answer.streams.iter().filter(|stream| stream.streaming).count();
            format!("{} writes, {streams} standbys stream", leader.member.card.name)
        }
        Err(reason) => reason.to_string(),
    };
    let store = || ward.hosts.iter().filter(|host| host.sql.is_none());
    let up = store().filter(|host| host.host == crate::failover::Host::Running).count();
    format!("{leads}; {up} of {} hosts of etcd run", store().count())
}

fn place(host: &HostSeen) -> String {
    format!("{} ({}, {})", host.name, host.id, host.zone)
}

fn region(host: &HostSeen) -> String {
    let region = host.zone.trim_end_matches(char::is_alphabetic);
    if region.is_empty() { String::new() } else { format!(" --region {region}") }
}

fn span(now_ms: u64, since_ms: u64) -> String {
    seconds(Duration::from_millis(now_ms.saturating_sub(since_ms)))
}

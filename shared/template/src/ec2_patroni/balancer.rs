//! The Network Load Balancer: it asks Patroni on every member who that member is, and leads clients accordingly.
//!
//! With no healthy target at all a Network Load Balancer leads to every target, and nothing turns that off (Elastic
//! Load Balancing user guide, "Health checks for Network Load Balancer target groups"). So while nobody leads, a
//! client may reach a standby: `target_session_attrs=read-write` is what refuses it.

use super::{PATRONI, POOLER, groups::Groups};
use crate::{
    Handle, Template,
    hosts::Host,
    network::Network,
    resource::{Attribute, Listener, ListenerAction, LoadBalancer, Matcher, Target, TargetGroup},
    site::Site,
};

/// Port of PostgreSQL on the writer.
pub(super) const WRITER: u16 = 5432;
/// Port of PostgreSQL on the standbys.
pub(super) const READER: u16 = 5433;
/// Port of PgBouncer on the writer.
pub(super) const POOLED_WRITER: u16 = 6432;
/// Port of PgBouncer on the standbys.
pub(super) const POOLED_READER: u16 = 6433;

/// Seconds that Patroni's answer may take: it answers from memory in milliseconds. Less than the shortest interval.
const TIMEOUT_S: u32 = 4;

/// Seconds for which connections to a member that is taken out go on: those are ended anyway.
const DEREGISTRATION_S: u32 = 5;

/// The load balancer, and the targets whose health says that there is a writer.
pub(super) struct Balancer {
    pub(super) balancer: Handle<LoadBalancer>,
    pub(super) writer: Handle<TargetGroup>,
}

pub(super) fn add(
    template: &mut Template,
    site: &Site<'_>,
    network: &Network,
    groups: &Groups,
    members: &[Host],
) -> Balancer {
    let balancer = template.add("Balancer", load_balancer(site, network, groups));
    let postgresql = site.spec.postgresql.port;
    let mut target = |what: &str, port, path| {
        let group = target_group(site, network, members, port, path);
        template.add(format!("{what}TargetGroup"), group)
    };
    let writer = target("Writer", postgresql, "/primary");
    let reader = target("Reader", postgresql, "/replica");
    let pooled_writer = target("PooledWriter", POOLER, "/primary");
    let pooled_reader = target("PooledReader", POOLER, "/replica");
    let listeners = [
        ("Writer", WRITER, &writer),
        ("Reader", READER, &reader),
        ("PooledWriter", POOLED_WRITER, &pooled_writer),
        ("PooledReader", POOLED_READER, &pooled_reader),
    ];
    for (what, port, group) in listeners {
        let listener = Listener {
            load_balancer_arn: balancer.arn(),
            protocol: "TCP",
            port,
            default_actions: vec![ListenerAction { r#type: "forward", target_group_arn: group.arn() }],
        };
        template.add(format!("{what}Listener"), listener);
    }
    Balancer { balancer, writer }
}

fn load_balancer(site: &Site<'_>, network: &Network, groups: &Groups) -> LoadBalancer {
    let mut zones = Vec::new();
    let mut subnets = Vec::new();
    for subnet in &network.private {
        // One a zone is what it takes.
        if !zones.contains(&&subnet.zone) {
            zones.push(&subnet.zone);
            subnets.push(subnet.id.clone());
        }
    }
    LoadBalancer {
        scheme: "internal",
        r#type: "network",
        subnets,
        security_groups: vec![groups.balancer.group_id()],
        load_balancer_attributes: vec![
            // A writer in one zone serves clients of all.
            Attribute::new("load_balancing.cross_zone.enabled", true),
            // The stack's termination protection is what guards it, and it holds no data: with a protection of its
            // own, CloudFormation could neither roll back a creation that failed nor delete the stack.
            Attribute::new("deletion_protection.enabled", false),
        ],
        tags: site.named(&site.stack()),
    }
}

/// All members, on one port, of which those count that answer 200 to one path.
fn target_group(
    site: &Site<'_>,
    network: &Network,
    members: &[Host],
    port: u16,
    health_check_path: &'static str,
) -> TargetGroup {
    let wanted = site.spec.balancer.clone().unwrap_or_default();
    TargetGroup {
        vpc_id: network.vpc_id.clone(),
        target_type: "instance",
        protocol: "TCP",
        port,
        targets: members.iter().map(|member| Target { id: member.instance.id() }).collect(),
        health_check_protocol: "HTTPS",
        health_check_port: PATRONI.to_string(),
        health_check_path: Some(health_check_path),
        health_check_interval_seconds: wanted.interval_s,
        health_check_timeout_seconds: TIMEOUT_S,
        healthy_threshold_count: wanted.healthy,
        unhealthy_threshold_count: wanted.unhealthy,
        matcher: Some(Matcher { http_code: "200" }),
        target_group_attributes: vec![
            Attribute::new("deregistration_delay.timeout_seconds", DEREGISTRATION_S),
            Attribute::new("deregistration_delay.connection_termination.enabled", true),
            // Whoever was connected to a writer that is none any more, or to a dead host, learns of it.
            Attribute::new("target_health_state.unhealthy.connection_termination.enabled", true),
            // A member that connects through the load balancer could be led to itself, which fails when it is
            // answered by the very address that asked.
            Attribute::new("preserve_client_ip.enabled", false),
        ],
        tags: site.named(&site.stack()),
    }
}

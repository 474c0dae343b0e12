//! What the stack of the first Region shows beside what every topology's does.

use super::{PATRONI, balancer, balancer::Balancer, groups::Groups};
use crate::{Handle, Template, Value, hosts::Host, resource::Eip, site::Site};
use domain::spec::Os;

pub(super) fn add(template: &mut Template, balancer: &Balancer, groups: &Groups, members: &[Host]) {
    let name = balancer.balancer.dns_name();
    let mut output = |name: &str, description: &str, value: Value| template.output(name, description, value);
    output(
        "NlbDnsName",
        "The load balancer. With target_session_attrs=read-write: while nobody leads, it leads to every member",
        name,
    );
    let ports: [(&str, &str, u16); 4] = [
        ("BalancerWriterPort", "PostgreSQL on the writer", balancer::WRITER),
        ("BalancerReaderPort", "PostgreSQL on the standbys", balancer::READER),
        ("BalancerPooledWriterPort", "PgBouncer on the writer", balancer::POOLED_WRITER),
        ("BalancerPooledReaderPort", "PgBouncer on the standbys", balancer::POOLED_READER),
    ];
    for (name, what, port) in ports {
        output(name, &format!("Port of the load balancer for {what}"), port.to_string().into());
    }
    let mut urls = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let space = if at == 0 { "" } else { " " };
        urls.extend([format!("{space}https://").into(), member.place.interface.address()]);
        urls.push(format!(":{PATRONI}").into());
    }
    output("PatroniApiUrls", "Patroni's API on each member", Value::join(urls));
    let ids = [("Member", &groups.member), ("Etcd", &groups.etcd), ("Balancer", &groups.balancer)];
    for (what, group) in ids {
        let (name, description) = (format!("{what}SecurityGroupId"), format!("Security group: {what}"));
        output(&name, &description, group.group_id());
    }
}

/// The command with which an administrator logs in to the first member.
pub(super) fn ssh_via_bastion(template: &mut Template, site: &Site<'_>, address: &Handle<Eip>, members: &[Host]) {
    let Some(first) = members.first() else { return };
    let user = match site.spec.image.os {
        Os::Debian12 => "admin",
        Os::Ubuntu2204 | Os::Ubuntu2404 => "ubuntu",
    };
    let command = Value::join([
        format!("ssh -J {user}@").into(),
        address.address(),
        format!(" {user}@").into(),
        first.place.interface.address(),
    ]);
    template.output("SshViaBastion", "How administrators log in to the first member", command);
}

//! The first Region: members, etcd, the load balancer, and what the spec adds to them.

use super::{
    alarms as own_alarms,
    balancer::{self, Balancer},
    groups::{self, Groups},
    outputs as own_outputs,
    placed::Placed,
    secrets::{self, Secrets},
    settings,
};
use crate::{
    After, Handle, Template, Value, alarms,
    backups::{self, Repository},
    card,
    hosts::{self, Host, HostRole, Place},
    logs,
    network::{self, Network},
    outputs,
    resource::{Eip, LogGroup, StringParameter},
    roles,
    settings::Lines,
    site::Site,
};
use domain::card::PatroniCard;

/// What is there before the first instance.
struct Ground<'a> {
    site: &'a Site<'a>,
    image: Value,
    network: Network,
    secrets: Secrets,
    logs: Option<Handle<LogGroup>>,
    backups: Option<Repository<'a>>,
    groups: Groups,
}

/// What runs.
struct Running {
    members: Vec<Host>,
    /// All others.
    others: Vec<Host>,
    etcd: usize,
    bastion: Option<Handle<Eip>>,
}

pub(super) fn render(site: &Site<'_>) -> Template {
    let mut made = site.template();
    let template = &mut made;
    let network = network::add(template, site, &site.spec.network);
    let groups = groups::add(template, site, &network);
    let ground = Ground {
        site,
        image: hosts::image(template, site),
        secrets: Secrets::add(template, site),
        logs: logs::add(template, site),
        backups: backups::add(template, site),
        network,
        groups,
    };
    let placed = Placed::add(template, site, &ground.network, &ground.groups);
    placed.connect(template, site, &ground.groups);
    ground.route_to_dr(template);
    let running = ground.launch(template, placed);
    let balancer = balancer::add(template, site, &ground.network, &ground.groups, &running.members);
    if site.spec.dr.is_some() {
        let members: Vec<&Place> = running.members.iter().map(|member| &member.place).collect();
        secrets::source(template, site, &members, balancer.balancer.dns_name());
    }
    let card = ground.card(template, &running, &balancer);
    ground.alarms(template, &running, &balancer, &card);
    ground.outputs(template, &running, &balancer);
    made
}

impl Ground<'_> {
    fn settings(&self, template: &mut Template, placed: &Placed<'_>) -> Handle<StringParameter> {
        let site = self.site;
        let mut lines = Lines::of(site, self.logs.as_ref());
        lines.text("TLS_SECRET", &site.tls.secret_arn);
        self.secrets.settings(&mut lines);
        placed.settings(&mut lines);
        settings::patroni(&mut lines, site, &self.network);
        if let Some(backups) = &self.backups {
            backups.settings(&mut lines, site);
        }
        if let Some(dr) = &site.spec.dr {
            settings::dr(&mut lines, site, dr);
        }
        lines.add(template, site)
    }

    /// The way to the second Region, once its side has made the peering connection.
    fn route_to_dr(&self, template: &mut Template) {
        let Some(dr) = &self.site.spec.dr else { return };
        if let Some(peering) = &dr.peering_connection_id {
            self.network.route(template, std::slice::from_ref(&dr.cidr), &peering.into());
        }
    }

    /// All hosts at once: members and etcd wait for each other.
    fn launch(&self, template: &mut Template, placed: Placed<'_>) -> Running {
        let (site, image, logs) = (self.site, &self.image, self.logs.as_ref());
        let settings = self.settings(template, &placed);
        let mut after = self.network.ways_out.clone();
        after.push(After::from(&settings));
        after.extend(logs.map(After::from));
        let certificate = || Value::from(&site.tls.secret_arn);

        let mut own = vec![roles::own_items(site)];
        let mut read = self.secrets.arns();
        read.push(certificate());
        own.extend(roles::secrets(site, read));
        own.extend(self.backups.iter().flat_map(|backups| backups.statements(site)));
        let (_, member) = roles::add(template, site, HostRole::Member, logs, own);
        // Of all secrets, what proves who a host is.
        let mut own = vec![roles::own_mark(site)];
        own.extend(roles::secrets(site, vec![certificate()]));
        let (_, etcd) = roles::add(template, site, HostRole::Etcd, logs, own);

        let mut launch = |place, profile| hosts::launch(template, site, image, place, profile, &after);
        let members = placed.members.into_iter().map(|place| launch(place, &member)).collect();
        let mut others: Vec<Host> = placed.etcd.into_iter().map(|place| launch(place, &etcd)).collect();
        let count = others.len();
        if let Some(monitoring) = placed.monitoring {
            others.push(monitoring.launch(template, site, image, logs, vec![certificate()], &after));
        }
        let bastion = placed.bastion.map(|bastion| {
            let (host, address) = bastion.launch(template, site, image, logs, after);
            others.push(host);
            address
        });
        Running { members, others, etcd: count, bastion }
    }

    fn card(&self, template: &mut Template, running: &Running, balancer: &Balancer) -> Handle<StringParameter> {
        let site = self.site;
        let patroni = site.spec.patroni.clone().unwrap_or_default();
        let mut stands = card::Stands::new();
        let own = PatroniCard {
            port: super::PATRONI,
            api_secret: card::stand_in(&mut stands, "api secret", self.secrets.patroni.arn()),
            peer_authority: site.tls.peer_authority.clone().unwrap_or_default(),
            ttl_s: patroni.ttl,
            loop_wait_s: patroni.loop_wait,
            balancer: card::stand_in(&mut stands, "balancer", balancer.balancer.dns_name()),
            etcd: running.others.iter().take(running.etcd).map(|host| card::host(&mut stands, host)).collect(),
        };
        let operator = self.secrets.common.operator.arn();
        card::add(template, site, &running.members, operator, Some(own), stands)
    }

    fn alarms(&self, template: &mut Template, running: &Running, balancer: &Balancer, card: &Handle<StringParameter>) {
        let site = self.site;
        alarms::writer_silent(template, site, card);
        own_alarms::no_healthy_writer(template, site, balancer);
        for host in running.members.iter().chain(&running.others) {
            alarms::of_host(template, site, host);
        }
        if let Some(backups) = &self.backups {
            let after: Vec<After> = running.members.iter().map(|member| After::from(&member.instance)).collect();
            backups.alarms(template, site, &after);
        }
    }

    fn outputs(&self, template: &mut Template, running: &Running, balancer: &Balancer) {
        let site = self.site;
        let all: Vec<&Host> = running.members.iter().chain(&running.others).collect();
        let application = self.secrets.common.application.arn();
        outputs::add(template, site, &self.network, application, &all, &replication(site));
        own_outputs::add(template, balancer, &self.groups, &running.members);
        if let Some(address) = &running.bastion {
            outputs::bastion(template, address);
            own_outputs::ssh_via_bastion(template, site, address, &running.members);
        }
        if let Some(backups) = &self.backups {
            backups.output(template);
        }
    }
}

/// What a commit waits for, in words.
fn replication(site: &Site<'_>) -> String {
    let strict = site.spec.patroni.as_ref().is_some_and(|patroni| patroni.synchronous_mode_strict);
    match site.spec.synchronous.required {
        0 => "asynchronous: commits wait for no standby".into(),
        required if strict => {
            format!("synchronous: commits wait for {required} of the standbys, also when none is left")
        }
        required => format!("synchronous: commits wait for {required} of the standbys, as long as one is left"),
    }
}

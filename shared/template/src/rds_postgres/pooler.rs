//! PgBouncer on hosts of its own, one in each zone, behind an internal load balancer.
//!
//! Each follows the writer's record: nothing here knows who writes. See `infra/nodes/pooler-tier.sh`.

use super::Ground;
use crate::{
    After, Handle, Part, Template, Value,
    alarms::{self, Rule},
    groups::{self, NODE_EXPORTER, from_networks, let_in, people_and_exporters},
    hosts::{self, Host, HostRole, Place, Wanted},
    logs,
    managed::logs::dimension,
    network::Network,
    resource::{Attribute, Listener, ListenerAction, LoadBalancer, LogGroup, SecurityGroup, Target, TargetGroup},
    roles,
    settings::Lines,
    site::Site,
};
use domain::spec::{PoolMode, PoolerTier};

/// Port of PgBouncer, on its hosts and on the load balancer.
const PORT: u16 = 6432;
/// Port of the exporter of what PgBouncer knows.
const EXPORTER: u16 = 9127;
/// Size of a host's volume in GiB: the operating system and logs.
const ROOT_GIB: u32 = 20;
/// Seconds that a connection to a host may take to be made: less than the shortest interval.
const TIMEOUT_S: u32 = 4;
/// Seconds for which connections to a host that is taken out go on.
const DEREGISTRATION_S: u32 = 30;

/// The tier.
pub(super) struct Pooler {
    pub(super) balancer: Handle<LoadBalancer>,
    targets: Handle<TargetGroup>,
    hosts: Vec<Host>,
}

/// Whether this part has one: only the first Region's.
pub(super) fn is_wanted(site: &Site<'_>) -> bool {
    site.part == Part::Primary && site.spec.rds().pooler.is_some()
}

/// The tier, if this part has one.
pub(super) fn add(template: &mut Template, ground: &Ground<'_>) -> Option<Pooler> {
    let site = ground.site;
    let wanted = site.spec.rds().pooler.filter(|_| is_wanted(site))?;
    let network = &ground.placed.network;
    let image = hosts::image(template, site);
    let logs = logs::add(template, site);
    let balancer_group = balancer_group(template, site, network);
    let group = group(template, ground, &balancer_group);
    let places = places(template, site, network, &group, &wanted);
    let tier =
        Tier { site, network, wanted: &wanted, image, logs: logs.as_ref(), application: &ground.secrets.application };
    let hosts = tier.launch(template, places);
    let balancer = template.add("Balancer", load_balancer(site, network, &balancer_group));
    let targets = template.add("PoolerTargetGroup", target_group(site, network, &hosts));
    let listener = Listener {
        load_balancer_arn: balancer.arn(),
        protocol: "TCP",
        port: PORT,
        default_actions: vec![ListenerAction { r#type: "forward", target_group_arn: targets.arn() }],
    };
    template.add("PoolerListener", listener);
    Some(Pooler { balancer, targets, hosts })
}

/// Clients come by the load balancer only, PgBouncer goes to the databases.
fn group(template: &mut Template, ground: &Ground<'_>, balancer: &Handle<SecurityGroup>) -> Handle<SecurityGroup> {
    let (site, placed) = (ground.site, &ground.placed);
    let ingress = people_and_exporters(site, &[NODE_EXPORTER, EXPORTER]);
    let group = groups::add(template, site, &placed.network, "PoolerSecurityGroup", "PgBouncer", ingress);
    let why = "The load balancer, and its health checks";
    let_in(template, "PoolerFromBalancer", &group, PORT, balancer.group_id(), why);
    let (from, to) = (("Pooler", &group), ("Database", &placed.group));
    groups::connect(template, from, to, site.spec.postgresql.port, "Postgresql", "PgBouncer to the databases");
    group
}

/// It calls nobody but the hosts.
fn balancer_group(template: &mut Template, site: &Site<'_>, network: &Network) -> Handle<SecurityGroup> {
    let group = SecurityGroup {
        group_description: format!("Load balancer of PostgreSQL cluster {}", site.spec.name),
        vpc_id: network.vpc_id.clone(),
        security_group_ingress: from_networks(PORT, site.client_cidrs(), "Clients"),
        security_group_egress: from_networks(PORT, &network.cidrs, "PgBouncer"),
        tags: site.named(&format!("{} balancer", site.stack())),
    };
    template.add("BalancerSecurityGroup", group)
}

/// The hosts before their instances, each in the next zone.
fn places(
    template: &mut Template,
    site: &Site<'_>,
    network: &Network,
    group: &Handle<SecurityGroup>,
    tier: &PoolerTier,
) -> Vec<Place> {
    let place = |number| {
        let wanted = Wanted {
            role: HostRole::Pooler,
            number,
            instance_type: &tier.instance_type,
            root_gib: ROOT_GIB,
            data: None,
            wal: None,
            backup: None,
        };
        hosts::place(template, site, network.private(number), &[group], &wanted)
    };
    (1..=tier.count).map(place).collect()
}

/// What the hosts are launched with.
struct Tier<'a> {
    site: &'a Site<'a>,
    network: &'a Network,
    wanted: &'a PoolerTier,
    image: Value,
    logs: Option<&'a Handle<LogGroup>>,
    /// The secret with the application's password, which PgBouncer must know.
    application: &'a Value,
}

impl Tier<'_> {
    fn launch(&self, template: &mut Template, places: Vec<Place>) -> Vec<Host> {
        let site = self.site;
        let settings = self.settings().add(template, site);
        let mut after = self.network.ways_out.clone();
        after.push(After::from(&settings));
        after.extend(self.logs.map(After::from));
        let mut own = vec![roles::setup_item(site)];
        own.extend(roles::secrets(site, vec![self.application.clone(), (&site.tls.secret_arn).into()]));
        let (_, profile) = roles::add(template, site, HostRole::Pooler, self.logs, own);
        let launch = |place| hosts::launch(template, site, &self.image, place, &profile, &after);
        places.into_iter().map(launch).collect()
    }

    fn settings(&self) -> Lines {
        let (site, wanted) = (self.site, self.wanted);
        let mut lines = Lines::of(site, self.logs);
        lines.text("TLS_SECRET", &site.tls.secret_arn);
        lines.value("APPLICATION_SECRET", self.application.clone());
        let mode = match wanted.pool_mode {
            PoolMode::Transaction => "transaction",
            PoolMode::Session => "session",
        };
        lines.text("POOL_MODE", mode);
        for (name, value) in [
            ("POOL_MAX_CLIENT_CONN", wanted.max_client_conn),
            ("POOL_SIZE", wanted.default_pool_size),
            ("POOL_MIN", wanted.min_pool_size),
            ("POOL_RESERVE", wanted.reserve_pool_size),
            ("POOL_RESERVE_TIMEOUT", wanted.reserve_pool_timeout),
            ("POOL_QUERY_TIMEOUT", wanted.query_timeout),
            // Of a client, and of a connection to the server, in PgBouncer's own words.
            ("POOL_CLIENT_IDLE_TIMEOUT", wanted.idle_timeout),
            ("POOL_IDLE_TIMEOUT", wanted.idle_timeout),
            ("POOL_LIFETIME", wanted.server_lifetime),
        ] {
            lines.number(name, value);
        }
        // The load balancer connects from addresses of its own in the subnets, which of the fleet's VPC are not known.
        lines.words("CLUSTER_CIDRS", &self.network.cidrs);
        lines
    }
}

fn load_balancer(site: &Site<'_>, network: &Network, group: &Handle<SecurityGroup>) -> LoadBalancer {
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
        security_groups: vec![group.group_id()],
        load_balancer_attributes: vec![
            // A zone whose host is gone is served by those of the others.
            Attribute::new("load_balancing.cross_zone.enabled", true),
            // As of every load balancer here: the stack's termination protection is what guards it.
            Attribute::new("deletion_protection.enabled", false),
        ],
        tags: site.named(&site.stack()),
    }
}

/// All hosts, of which those count whose PgBouncer accepts connections: whether the writer answers is not their fault,
/// and a load balancer without healthy targets would lead to all of them anyway.
fn target_group(site: &Site<'_>, network: &Network, hosts: &[Host]) -> TargetGroup {
    let wanted = site.spec.balancer.clone().unwrap_or_default();
    TargetGroup {
        vpc_id: network.vpc_id.clone(),
        target_type: "instance",
        protocol: "TCP",
        port: PORT,
        targets: hosts.iter().map(|host| Target { id: host.instance.id() }).collect(),
        health_check_protocol: "TCP",
        health_check_port: PORT.to_string(),
        health_check_path: None,
        health_check_interval_seconds: wanted.interval_s,
        health_check_timeout_seconds: TIMEOUT_S,
        healthy_threshold_count: wanted.healthy,
        unhealthy_threshold_count: wanted.unhealthy,
        matcher: None,
        target_group_attributes: vec![
            Attribute::new("deregistration_delay.timeout_seconds", DEREGISTRATION_S),
            Attribute::new("deregistration_delay.connection_termination.enabled", true),
            Attribute::new("target_health_state.unhealthy.connection_termination.enabled", true),
            // So that the hosts need to know the load balancer's group alone.
            Attribute::new("preserve_client_ip.enabled", false),
        ],
        tags: site.named(&site.stack()),
    }
}

impl Pooler {
    /// Of each host, and one when not all of them serve.
    pub(super) fn alarms(&self, template: &mut Template, site: &Site<'_>) {
        for host in &self.hosts {
            alarms::of_host(template, site, host);
        }
        let count = self.hosts.len();
        let rule = Rule {
            ending: "poolers".into(),
            description: format!(
                "For three minutes not all {count} hosts of PgBouncer of {} have accepted connections. On the host: \
                 journalctl -u understudy-pooler",
                site.spec.name
            ),
            namespace: "AWS/NetworkELB".into(),
            metric: "HealthyHostCount",
            dimensions: vec![
                dimension("LoadBalancer", self.balancer.full_name()),
                dimension("TargetGroup", self.targets.full_name()),
            ],
            // Of what its parts in several zones say: one that sees all of them is enough.
            statistic: "Maximum",
            period: 60,
            periods: 3,
            comparison: "LessThanThreshold",
            threshold: count.into(),
            // A new load balancer has said nothing yet.
            missing: "missing",
        };
        alarms::add(template, site, "PoolersAlarm", rule);
    }

    pub(super) fn outputs(&self, template: &mut Template) {
        template.output("PoolerEndpoint", "PgBouncer: where applications connect", self.balancer.dns_name());
        template.output("PoolerPort", "Port of PgBouncer", PORT.to_string().into());
        for host in &self.hosts {
            let (name, id) = (&host.place.name, host.place.id.strip_suffix("Instance").unwrap_or(&host.place.id));
            template.output(&format!("{id}Instance"), &format!("Instance of {name}"), host.instance.id());
            template.output(
                &format!("{id}Address"),
                &format!("Private address of {name}"),
                host.place.interface.address(),
            );
        }
    }
}

//! Prometheus, Alertmanager and Grafana on an instance of the cluster's own.

use crate::{
    After, Handle, Template, Value,
    groups::{self, End},
    hosts::{self, Host, HostRole, Place, Wanted},
    network::Network,
    resource::{LogGroup, PolicyDocument, Secret, SecurityGroup, Statement, Topic, TopicPolicy},
    roles, secrets,
    settings::Lines,
    site::Site,
};
use domain::spec::{self, DataVolume};

/// Port of Grafana.
const GRAFANA: u16 = 3000;
/// Port of Prometheus.
const PROMETHEUS: u16 = 9090;
/// Port of Alertmanager.
const ALERTMANAGER: u16 = 9093;

/// Size of its root volume in GiB: the operating system and the programs. What they keep is on the data volume.
const ROOT_GIB: u32 = 20;

/// The monitoring host without its instance.
pub(crate) struct Monitoring<'a> {
    pub(crate) place: Place,
    wanted: &'a spec::Monitoring,
    group: Handle<SecurityGroup>,
    topic: Handle<Topic>,
    grafana: Option<Handle<Secret>>,
}

/// Adds everything but the instance; `None` when the spec wants no monitoring. `number`: of the subnet it is in.
pub(crate) fn place<'a>(
    template: &mut Template,
    site: &Site<'a>,
    network: &Network,
    number: u32,
) -> Option<Monitoring<'a>> {
    let wanted = site.spec.monitoring.as_ref()?;
    let mut ingress = groups::people_and_exporters(site, &[]);
    for port in ports(wanted) {
        ingress.extend(groups::from_networks(port.0, &site.spec.access.management_cidrs, "Management"));
    }
    let group = groups::add(template, site, network, "MonitoringSecurityGroup", "Monitoring", ingress);
    let instance_type = site.spec.small_instance_type(wanted.instance_type.as_ref(), "small");
    let volume = DataVolume { size_gib: wanted.volume_gib, ..DataVolume::default() };
    let host = Wanted {
        role: HostRole::Monitoring,
        number: 0,
        instance_type: &instance_type,
        root_gib: ROOT_GIB,
        data: Some(&volume),
        wal: None,
        backup: None,
    };
    let place = hosts::place(template, site, network.private(number), &[&group], &host);
    let topic = template.add("AlertsTopic", Topic { topic_name: topic_name(site), tags: site.tags() });
    let grafana = wanted
        .grafana
        .then(|| secrets::password(template, site, "GrafanaSecret", "grafana", "admin", "Grafana's administrator"));
    Some(Monitoring { place, wanted, group, topic, grafana })
}

/// The cluster's own topic: all alerts, for whoever subscribes. Those that must wake somebody go to the fleet's pages
/// as well, so that neither a warning wakes anybody nor a topic that nobody has subscribed to is all there is.
fn topic_name(site: &Site<'_>) -> String {
    format!("{}-{}-alerts", site.fleet.name, site.spec.name)
}

/// Where people look at it.
fn ports(wanted: &spec::Monitoring) -> Vec<(u16, &'static str)> {
    let mut ports = vec![(PROMETHEUS, "Prometheus"), (ALERTMANAGER, "Alertmanager")];
    if wanted.grafana {
        ports.push((GRAFANA, "Grafana"));
    }
    ports
}

impl Monitoring<'_> {
    /// Its group, and how logical ids name it.
    pub(crate) fn end(&self) -> End<'_> {
        ("Monitoring", &self.group)
    }

    /// Where people look at it, by name: for the bastion.
    pub(crate) fn ports(&self) -> Vec<(u16, &'static str)> {
        ports(self.wanted)
    }

    /// Lets it read what hosts say of themselves.
    pub(crate) fn reads(&self, template: &mut Template, of: End<'_>, ports: &[(u16, &str)]) {
        for &(port, what) in ports {
            groups::connect(template, self.end(), of, port, what, "Metrics");
        }
    }

    /// What it is told.
    pub(crate) fn settings(&self, lines: &mut Lines) {
        lines.number("MONITORING_RETENTION_DAYS", self.wanted.retention_days);
        lines.number("MONITORING_SCRAPE_SECONDS", self.wanted.scrape_s);
        lines.number("MONITORING_GRAFANA", u8::from(self.wanted.grafana));
        lines.value("MONITORING_TOPIC", self.topic.arn());
        if let Some(grafana) = &self.grafana {
            lines.value("GRAFANA_SECRET", grafana.arn());
        }
    }

    /// Adds its instance, once the settings of the hosts are there. It reads `more_secrets` beside its own.
    pub(crate) fn launch(
        self,
        template: &mut Template,
        site: &Site<'_>,
        image: &Value,
        logs: Option<&Handle<LogGroup>>,
        more_secrets: Vec<Value>,
        after: &[After],
    ) -> Host {
        let pages = site.fleet.pages_topic_arn.as_str().into();
        let mut own = vec![roles::setup_item(site), Statement::allow(&["sns:Publish"], vec![self.topic.arn(), pages])];
        let mut arns = more_secrets;
        arns.extend(self.grafana.as_ref().map(Handle::<Secret>::arn));
        if !arns.is_empty() {
            own.extend(roles::secrets(site, arns));
        }
        let (role, profile) = roles::add(template, site, HostRole::Monitoring, logs, own);
        let statements = vec![
            Statement::allow(&["sns:Publish"], vec![self.topic.arn()]).to("AWS", role.arn()),
            Statement::deny_all(&["sns:Publish"], vec![self.topic.arn()]).named("DenyInsecureTransport").when(
                "Bool",
                "aws:SecureTransport",
                vec!["false".into()],
            ),
        ];
        let policy = TopicPolicy { topics: vec![self.topic.arn()], policy_document: PolicyDocument::new(statements) };
        template.add("AlertsTopicPolicy", policy);
        template.output(
            "AlertsTopic",
            "Topic of all alerts: subscribe to it what shall not wake anybody",
            self.topic.arn(),
        );
        hosts::launch(template, site, image, self.place, &profile, after)
    }
}

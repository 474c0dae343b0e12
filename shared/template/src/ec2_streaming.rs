//! Topology `ec2-streaming`: a writer and its streaming standbys on EC2.
//!
//! Members are symmetric, and nothing here says who writes: a stack update can
//! never move traffic. The records are not in the stack for the same reason.

use crate::{
    After, Handle, Template, Value, alarms,
    backups::{self, Repository},
    bastion::{self, Bastion},
    card, groups,
    hosts::{self, Host, HostRole, Place, Wanted},
    logs,
    monitoring::{self, Monitoring},
    network::{self, Network},
    outputs,
    resource::{LogGroup, SecurityGroup},
    roles,
    secrets::{self, Secrets},
    settings::Lines,
    site::Site,
};

/// The template of one cluster.
pub(crate) fn render(site: &Site<'_>) -> Template {
    let mut template = site.template();
    Cluster::begin(&mut template, site).launch(&mut template, site);
    template
}

/// A cluster without its instances.
struct Cluster<'a> {
    network: Network,
    logs: Option<Handle<LogGroup>>,
    secrets: Secrets,
    repository: Option<Repository<'a>>,
    members: Vec<Place>,
    bastion: Option<Bastion>,
    monitoring: Option<Monitoring<'a>>,
}

impl<'a> Cluster<'a> {
    /// Everything that instances need and are not: so that all can be told the addresses of all.
    fn begin(template: &mut Template, site: &Site<'a>) -> Self {
        let network = network::add(template, site, &site.spec.network);
        let group = groups::members(template, site, &network);
        let members = members(template, site, &network, &group);
        let bastion = bastion::place(template, site, &network);
        let monitoring = monitoring::place(template, site, &network, 1);
        let port = site.spec.postgresql.port;
        if let Some(bastion) = &bastion {
            bastion.reaches(template, ("Member", &group), &[(port, "Postgresql")]);
        }
        if let Some(monitoring) = &monitoring {
            let exporters = [(groups::NODE_EXPORTER, "NodeExporter"), (groups::POSTGRES_EXPORTER, "PostgresExporter")];
            monitoring.reads(template, ("Member", &group), &exporters);
        }
        if let (Some(bastion), Some(monitoring)) = (&bastion, &monitoring) {
            bastion.reaches(template, monitoring.end(), &monitoring.ports());
        }
        Cluster {
            logs: logs::add(template, site),
            secrets: secrets::add(template, site),
            repository: backups::add(template, site),
            network,
            members,
            bastion,
            monitoring,
        }
    }

    /// What all hosts are told.
    fn settings(&self, site: &Site<'_>) -> Lines {
        let mut lines = Lines::of(site, self.logs.as_ref());
        lines.text("TLS_SECRET", &site.tls.secret_arn);
        lines.value("OPERATOR_SECRET", self.secrets.operator.arn());
        lines.value("REPLICATION_SECRET", self.secrets.replication.arn());
        lines.value("APPLICATION_SECRET", self.secrets.application.arn());
        lines.hosts("MEMBERS", &self.members);
        lines.address("BASTION", self.bastion.as_ref().map(|bastion| &bastion.place));
        lines.address("MONITORING", self.monitoring.as_ref().map(|monitoring| &monitoring.place));
        if let Some(repository) = &self.repository {
            repository.settings(&mut lines, site);
        }
        if let Some(monitoring) = &self.monitoring {
            monitoring.settings(&mut lines);
        }
        lines
    }

    /// What only members may do: their cluster's items, the logins of its roles, the certificate, the backups.
    fn rights(&self, site: &Site<'_>) -> Vec<crate::resource::Statement> {
        let own_secrets = vec![
            self.secrets.operator.arn(),
            self.secrets.replication.arn(),
            self.secrets.application.arn(),
            site.tls.secret_arn.as_str().into(),
        ];
        let mut rights = vec![roles::own_items(site)];
        rights.extend(roles::secrets(site, own_secrets));
        rights.extend(self.repository.iter().flat_map(|repository| repository.statements(site)));
        rights
    }

    /// Adds the instances, and what is about them.
    fn launch(self, template: &mut Template, site: &Site<'_>) {
        let image = &hosts::image(template, site);
        let logs = self.logs.as_ref();
        let mut after = self.network.ways_out.clone();
        after.push(After::from(&self.settings(site).add(template, site)));
        after.extend(logs.map(After::from));

        let (_, profile) = roles::add(template, site, HostRole::Member, logs, self.rights(site));
        let members = self.members.into_iter();
        let mut hosts: Vec<Host> =
            members.map(|place| hosts::launch(template, site, image, place, &profile, &after)).collect();
        let card = card::add(template, site, &hosts, self.secrets.operator.arn(), None, Vec::new());
        alarms::writer_silent(template, site, &card);
        if let Some(repository) = &self.repository {
            let members: Vec<After> = hosts.iter().map(|host| After::from(&host.instance)).collect();
            repository.alarms(template, site, &members);
            repository.output(template);
        }
        if let Some(monitoring) = self.monitoring {
            hosts.push(monitoring.launch(template, site, image, logs, Vec::new(), &after));
        }
        if let Some(bastion) = self.bastion {
            let (host, address) = bastion.launch(template, site, image, logs, after);
            outputs::bastion(template, &address);
            hosts.push(host);
        }
        for host in &hosts {
            alarms::of_host(template, site, host);
        }
        let hosts: Vec<&Host> = hosts.iter().collect();
        let application_secret: Value = self.secrets.application.arn();
        outputs::add(template, site, &self.network, application_secret, &hosts, &replication(site));
    }
}

/// The members, up to their instances.
fn members(template: &mut Template, site: &Site<'_>, network: &Network, group: &Handle<SecurityGroup>) -> Vec<Place> {
    let members = &site.spec.members;
    let place = |number| {
        let wanted = Wanted {
            role: HostRole::Member,
            number,
            instance_type: &members.instance_type,
            root_gib: members.root_volume_gib,
            data: Some(&members.data_volume),
            wal: members.wal_volume.as_ref(),
            backup: members.backup_volume.as_ref(),
        };
        hosts::place(template, site, network.private(number), &[group], &wanted)
    };
    (1..=members.count).map(place).collect()
}

/// What a commit waits for, in words.
fn replication(site: &Site<'_>) -> String {
    match (site.spec.synchronous.required, site.spec.members.count.saturating_sub(1)) {
        (0, _) => "asynchronous: commits wait for no standby".into(),
        (required, standbys) => format!("synchronous: commits wait for {required} of {standbys} standbys"),
    }
}

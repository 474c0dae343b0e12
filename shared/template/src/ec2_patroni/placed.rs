//! The hosts of the first Region before their instances, and who of them reaches whom.

use super::{ETCD_CLIENT, PATRONI, POOLER, POOLER_EXPORTER, groups::Groups};
use crate::{
    Template,
    bastion::{self, Bastion},
    groups::{NODE_EXPORTER, POSTGRES_EXPORTER},
    hosts::{self, HostRole, Place, Wanted},
    monitoring::{self, Monitoring},
    network::Network,
    settings::Lines,
    site::Site,
};
use domain::spec::DataVolume;

/// Size of the volume with etcd's data in GiB: its database is at most 8 GiB. A volume of its own, so that a host that
/// is made anew comes back as the member it was.
const ETCD_DATA_GIB: u32 = 10;

pub(super) struct Placed<'a> {
    pub(super) members: Vec<Place>,
    pub(super) etcd: Vec<Place>,
    pub(super) bastion: Option<Bastion>,
    pub(super) monitoring: Option<Monitoring<'a>>,
}

impl<'a> Placed<'a> {
    pub(super) fn add(template: &mut Template, site: &Site<'a>, network: &Network, groups: &Groups) -> Self {
        Placed {
            members: members(template, site, network, groups),
            etcd: etcd(template, site, network, groups),
            bastion: bastion::place(template, site, network),
            monitoring: monitoring::place(template, site, network, 1),
        }
    }

    /// Where the hosts are.
    pub(super) fn settings(&self, lines: &mut Lines) {
        lines.hosts("MEMBERS", &self.members);
        lines.hosts("ETCD", &self.etcd);
        lines.address("BASTION", self.bastion.as_ref().map(|bastion| &bastion.place));
        lines.address("MONITORING", self.monitoring.as_ref().map(|monitoring| &monitoring.place));
        if let Some(monitoring) = &self.monitoring {
            monitoring.settings(lines);
        }
    }

    /// People by way of the bastion, Prometheus for what hosts say of themselves.
    pub(super) fn connect(&self, template: &mut Template, site: &Site<'_>, groups: &Groups) {
        let (member, etcd) = (("Member", &groups.member), ("Etcd", &groups.etcd));
        if let Some(bastion) = &self.bastion {
            let port = site.spec.postgresql.port;
            bastion.reaches(template, member, &[(port, "Postgresql"), (POOLER, "Pooler"), (PATRONI, "Patroni")]);
            bastion.reaches(template, etcd, &[]);
        }
        let Some(monitoring) = &self.monitoring else { return };
        let exporters = [
            (NODE_EXPORTER, "NodeExporter"),
            (POSTGRES_EXPORTER, "PostgresExporter"),
            (POOLER_EXPORTER, "PoolerExporter"),
            (PATRONI, "Patroni"),
        ];
        monitoring.reads(template, member, &exporters);
        monitoring.reads(template, etcd, &[(NODE_EXPORTER, "NodeExporter"), (ETCD_CLIENT, "Client")]);
        if let Some(bastion) = &self.bastion {
            bastion.reaches(template, monitoring.end(), &monitoring.ports());
        }
    }
}

fn members(template: &mut Template, site: &Site<'_>, network: &Network, groups: &Groups) -> Vec<Place> {
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
        hosts::place(template, site, network.private(number), &[&groups.member], &wanted)
    };
    (1..=members.count).map(place).collect()
}

/// Spread over the zones as the members are: with three zones the loss of one leaves two of three.
fn etcd(template: &mut Template, site: &Site<'_>, network: &Network, groups: &Groups) -> Vec<Place> {
    let etcd = site.spec.etcd.clone().unwrap_or_default();
    let instance_type = site.spec.small_instance_type(etcd.instance_type.as_ref(), "small");
    let volume = DataVolume { size_gib: ETCD_DATA_GIB, ..DataVolume::default() };
    let place = |number| {
        let wanted = Wanted {
            role: HostRole::Etcd,
            number,
            instance_type: &instance_type,
            root_gib: etcd.root_volume_gib,
            data: Some(&volume),
            wal: None,
            backup: None,
        };
        hosts::place(template, site, network.private(number), &[&groups.etcd], &wanted)
    };
    (1..=etcd.count).map(place).collect()
}

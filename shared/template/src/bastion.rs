//! The host that people log in to first.

use crate::{
    After, Handle, Template,
    groups::{self, End},
    hosts::{self, HostRole, Place, Wanted},
    network::Network,
    resource::{Eip, EipAssociation, LogGroup, SecurityGroup},
    roles,
    site::Site,
};

/// Size of its volume in GiB: the operating system and `psql`.
const ROOT_GIB: u32 = 20;

/// A bastion without its instance.
pub(crate) struct Bastion {
    pub(crate) place: Place,
    pub(crate) address: Handle<Eip>,
    group: Handle<SecurityGroup>,
    reachable: After,
}

/// Adds the bastion up to its instance; none when the spec has none: then there is Session Manager.
pub(crate) fn place(template: &mut Template, site: &Site<'_>, network: &Network) -> Option<Bastion> {
    let wanted = site.spec.access.bastion.as_ref()?;
    // The spec's check refuses a bastion that has no public subnet.
    let subnet = network.public.first()?;
    let ingress = groups::from_networks(groups::SSH, &wanted.admin_cidrs, "Administrators");
    let group = groups::add(template, site, network, "BastionSecurityGroup", "Bastion", ingress);
    let instance_type = site.spec.small_instance_type(wanted.instance_type.as_ref(), "micro");
    let wanted = Wanted {
        role: HostRole::Bastion,
        number: 0,
        instance_type: &instance_type,
        root_gib: ROOT_GIB,
        data: None,
        wal: None,
        backup: None,
    };
    let place = hosts::place(template, site, subnet, &[&group], &wanted);
    let address = template.add("BastionAddress", Eip { domain: "vpc", tags: site.named(&place.name) });
    template.create_after_all(&address, &network.internet);
    let association =
        EipAssociation { allocation_id: address.allocation_id(), network_interface_id: place.interface.id() };
    let association = template.add("BastionAddressAssociation", association);
    Some(Bastion { place, address, group, reachable: (&association).into() })
}

impl Bastion {
    /// Lets people go on from the bastion to hosts: SSH, and other ports by name.
    pub(crate) fn reaches(&self, template: &mut Template, to: End<'_>, ports: &[(u16, &str)]) {
        let from = ("Bastion", &self.group);
        groups::connect(template, from, to, groups::SSH, "Ssh", "Administrators by way of the bastion");
        for &(port, what) in ports {
            groups::connect(template, from, to, port, what, "Administrators by way of the bastion");
        }
    }

    /// Adds its instance, once the settings of the hosts are there.
    pub(crate) fn launch(
        self,
        template: &mut Template,
        site: &Site<'_>,
        image: &crate::Value,
        logs: Option<&Handle<LogGroup>>,
        mut after: Vec<After>,
    ) -> (hosts::Host, Handle<Eip>) {
        let (_, profile) = roles::add(template, site, HostRole::Bastion, logs, vec![roles::setup_item(site)]);
        after.push(self.reachable);
        (hosts::launch(template, site, image, self.place, &profile, &after), self.address)
    }
}

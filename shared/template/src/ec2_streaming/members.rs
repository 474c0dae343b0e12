//! The members: each a network interface, a data volume and an instance.

use super::{Secrets, Site, user_data};
use crate::{
    Handle, Template, Value,
    resource::{
        AttachedInterface, AttachedVolume, BlockDevice, Ebs, Instance, InstanceProfile, MetadataOptions,
        NetworkInterface, SecurityGroup, Volume,
    },
};

/// Minutes that a member has from its launch until it serves.
const SETUP_MINUTES: u32 = 20;

/// Size of the volume with the operating system, in GiB: no data is on it.
const ROOT_GIB: u32 = 20;

/// A member of the cluster.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) interface: Handle<NetworkInterface>,
    pub(super) instance: Handle<Instance>,
}

pub(super) fn add(
    template: &mut Template,
    site: &Site<'_>,
    image: &Value,
    profile: &Handle<InstanceProfile>,
    group: &Handle<SecurityGroup>,
    secrets: &Secrets,
) -> Vec<Member> {
    // Interfaces first, for all: each member knows the addresses of the others.
    let places: Vec<Place> = (1..=site.spec.members.count).map(|number| place(template, site, group, number)).collect();
    let shared = user_data::Shared::add(template, site, &places, secrets);
    let mut members = Vec::new();
    for place in places {
        let id = format!("Member{}", place.number);
        let instance = Instance {
            image_id: image.clone(),
            instance_type: site.spec.members.instance_type.clone(),
            iam_instance_profile: profile.name(),
            network_interfaces: vec![AttachedInterface {
                device_index: "0",
                network_interface_id: place.interface.id(),
            }],
            block_device_mappings: vec![BlockDevice {
                device_name: "/dev/xvda",
                ebs: Ebs { volume_size: ROOT_GIB, volume_type: "gp3", encrypted: true, delete_on_termination: true },
            }],
            volumes: vec![AttachedVolume { device: "/dev/sdf", volume_id: place.volume.id() }],
            metadata_options: MetadataOptions { http_tokens: "required", http_put_response_hop_limit: 1 },
            propagate_tags_to_volume_on_creation: true,
            user_data: shared.user_data(&place, &id).base64(),
            tags: site.named(&place.name),
        };
        let instance = template.add(id, instance);
        template.wait_for_signal(&instance, SETUP_MINUTES);
        members.push(Member { name: place.name, zone: place.zone, interface: place.interface, instance });
    }
    members
}

/// Where a member will be: what exists before its instance.
pub(super) struct Place {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) interface: Handle<NetworkInterface>,
    pub(super) volume: Handle<Volume>,
}

fn place(template: &mut Template, site: &Site<'_>, group: &Handle<SecurityGroup>, number: u32) -> Place {
    let name = site.spec.member(number);
    let subnet = &site.fleet.subnets[(number as usize - 1) % site.fleet.subnets.len()];
    let interface = template.add(
        format!("Member{number}Interface"),
        NetworkInterface {
            description: format!("Member {name}"),
            subnet_id: subnet.id.as_str().into(),
            group_set: vec![group.group_id()],
            tags: site.named(&name),
        },
    );
    let wanted = &site.spec.members.data_volume;
    let volume = template.add(
        format!("Member{number}Data"),
        Volume {
            availability_zone: subnet.zone.clone(),
            size: wanted.size_gib,
            volume_type: wanted.kind.to_string(),
            iops: wanted.provisioned_iops(),
            throughput: wanted.provisioned_throughput(),
            encrypted: true,
            tags: site.named(&name),
        },
    );
    template.snapshot_before_delete(&volume);
    Place { number, name, zone: subnet.zone.clone(), interface, volume }
}

//! The hosts of a cluster, of whatever role: each a network interface, volumes and an instance.
//!
//! In two steps, since the settings that all hosts read hold the addresses of all.

use crate::{
    After, Handle, Template, Value,
    network::SubnetAt,
    resource::{
        AttachedInterface, AttachedVolume, BlockDevice, Ebs, Instance, InstanceProfile, MetadataOptions,
        NetworkInterface, SecurityGroup, Volume,
    },
    site::Site,
    user_data,
};
use domain::spec::{DataVolume, Os};

/// The template's parameter for the machine image, given once and kept: a newer
/// image at the next update would replace every host.
pub const IMAGE_PARAMETER: &str = "ImageId";

/// Minutes that a host has from its launch until it serves.
const SETUP_MINUTES: u32 = 20;

/// What a host is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostRole {
    Member,
    Etcd,
    Bastion,
    Monitoring,
    Dr,
    Pooler,
}

impl HostRole {
    /// As logical ids begin.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            HostRole::Member => "Member",
            HostRole::Etcd => "Etcd",
            HostRole::Bastion => "Bastion",
            HostRole::Monitoring => "Monitoring",
            HostRole::Dr => "Dr",
            HostRole::Pooler => "Pooler",
        }
    }

    /// As the host is told.
    pub(crate) fn word(self) -> &'static str {
        match self {
            HostRole::Member => "member",
            HostRole::Etcd => "etcd",
            HostRole::Bastion => "bastion",
            HostRole::Monitoring => "monitoring",
            HostRole::Dr => "dr",
            HostRole::Pooler => "pooler",
        }
    }
}

/// What a host shall be.
pub(crate) struct Wanted<'a> {
    pub(crate) role: HostRole,
    /// Counted from 1; 0 where there is only one of the role.
    pub(crate) number: u32,
    pub(crate) instance_type: &'a str,
    pub(crate) root_gib: u32,
    pub(crate) data: Option<&'a DataVolume>,
    pub(crate) wal: Option<&'a DataVolume>,
    pub(crate) backup: Option<&'a DataVolume>,
}

/// Where a host will be: what exists before its instance.
pub(crate) struct Place {
    /// Logical id of the instance.
    pub(crate) id: String,
    /// `orders_1`, `shop-etcd-1`, `shop-bastion`.
    pub(crate) name: String,
    pub(crate) role: HostRole,
    pub(crate) zone: Value,
    pub(crate) interface: Handle<NetworkInterface>,
    pub(crate) data: Option<Handle<Volume>>,
    pub(crate) wal: Option<Handle<Volume>>,
    pub(crate) backup: Option<Handle<Volume>>,
    instance_type: String,
    root_gib: u32,
}

/// A host, whole.
pub(crate) struct Host {
    pub(crate) place: Place,
    pub(crate) instance: Handle<Instance>,
}

/// Adds the interface and the volumes of a host.
pub(crate) fn place(
    template: &mut Template,
    site: &Site<'_>,
    subnet: &SubnetAt,
    groups: &[&Handle<SecurityGroup>],
    wanted: &Wanted<'_>,
) -> Place {
    let role = wanted.role;
    let prefix = match wanted.number {
        0 => role.prefix().to_owned(),
        number => format!("{}{number}", role.prefix()),
    };
    let name = match (role, wanted.number) {
        (HostRole::Member, number) => site.spec.member(number),
        (_, 0) => format!("{}-{}", site.spec.name, role.word()),
        (_, number) => format!("{}-{}-{number}", site.spec.name, role.word()),
    };
    let interface = NetworkInterface {
        description: format!("{} {name}", role.prefix()),
        subnet_id: subnet.id.clone(),
        group_set: groups.iter().map(|group| group.group_id()).collect(),
        tags: site.named(&name),
    };
    let interface = template.add(format!("{prefix}Interface"), interface);
    let mut volume = |what: &str, wanted: Option<&DataVolume>| {
        wanted.map(|wanted| volume(template, site, format!("{prefix}{what}"), &name, &subnet.zone, wanted))
    };
    Place {
        id: if role == HostRole::Member { prefix.clone() } else { format!("{prefix}Instance") },
        data: volume("Data", wanted.data),
        wal: volume("Wal", wanted.wal),
        backup: volume("Backup", wanted.backup),
        name: name.clone(),
        role,
        zone: subnet.zone.clone(),
        interface,
        instance_type: wanted.instance_type.to_owned(),
        root_gib: wanted.root_gib,
    }
}

fn volume(
    template: &mut Template,
    site: &Site<'_>,
    id: String,
    name: &str,
    zone: &Value,
    wanted: &DataVolume,
) -> Handle<Volume> {
    let volume = Volume {
        availability_zone: zone.clone(),
        size: wanted.size_gib,
        volume_type: wanted.kind.to_string(),
        iops: wanted.provisioned_iops(),
        throughput: wanted.provisioned_throughput(),
        encrypted: true,
        kms_key_id: site.kms_key(),
        tags: site.named(name),
    };
    let volume = template.add(id, volume);
    template.snapshot_before_delete(&volume);
    volume
}

/// Adds the instance of a host. `after`: what it needs and does not name.
///
/// Nothing here protects the instance itself from being terminated: with that, CloudFormation could not roll a failed
/// creation back. What must last is on volumes that outlive the instance.
pub(crate) fn launch(
    template: &mut Template,
    site: &Site<'_>,
    image: &Value,
    place: Place,
    profile: &Handle<InstanceProfile>,
    after: &[After],
) -> Host {
    let attached = [("/dev/sdf", &place.data), ("/dev/sdg", &place.wal), ("/dev/sdh", &place.backup)];
    let attached = attached.into_iter().filter_map(|(device, volume)| Some((device, volume.as_ref()?)));
    let instance = Instance {
        image_id: image.clone(),
        instance_type: place.instance_type.clone(),
        iam_instance_profile: profile.name(),
        key_name: site.spec.access.key_name.clone(),
        network_interfaces: vec![AttachedInterface { device_index: "0", network_interface_id: place.interface.id() }],
        block_device_mappings: vec![BlockDevice {
            device_name: root_device(site.spec.image.os),
            ebs: Ebs {
                volume_size: place.root_gib,
                volume_type: "gp3",
                encrypted: true,
                kms_key_id: site.kms_key(),
                delete_on_termination: true,
            },
        }],
        volumes: attached.map(|(device, volume)| AttachedVolume { device, volume_id: volume.id() }).collect(),
        metadata_options: MetadataOptions { http_tokens: "required", http_put_response_hop_limit: 1 },
        propagate_tags_to_volume_on_creation: true,
        user_data: user_data::of(template, site, &place).base64(),
        tags: site.named(&place.name),
    };
    let instance = template.add(place.id.clone(), instance);
    template.wait_for_signal(&instance, SETUP_MINUTES);
    template.create_after_all(&instance, after);
    Host { place, instance }
}

/// The image of all hosts: that of the spec, which is of the first Region, or the one that the deployment gives.
pub(crate) fn image(template: &mut Template, site: &Site<'_>) -> Value {
    match &site.spec.image.ami {
        Some(id) if site.part == crate::Part::Primary => id.into(),
        _ => template.parameter(
            IMAGE_PARAMETER,
            "AWS::EC2::Image::Id",
            "Debian or Ubuntu; chosen when the cluster is created and kept for its life",
        ),
    }
}

/// The image's name of the volume it boots from. Another name would add a volume and leave that one as it is.
fn root_device(os: Os) -> &'static str {
    match os {
        Os::Debian12 => "/dev/xvda",
        Os::Ubuntu2204 | Os::Ubuntu2404 => "/dev/sda1",
    }
}

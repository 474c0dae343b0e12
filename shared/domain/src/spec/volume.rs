//! The data volume of a member, and what EBS allows of it.

use super::Finding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An encrypted EBS volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataVolume {
    /// Size in GiB.
    #[schemars(title = "Size in GiB", range(min = 10, max = 65_536))]
    pub size_gib: u32,
    /// Volume type.
    #[serde(rename = "type")]
    #[schemars(title = "Type")]
    pub kind: VolumeType,
    /// I/O operations per second; none given: 3000 for gp3. io1 and io2 have no default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "IOPS", with = "u32", range(min = 100, max = 256_000))]
    pub iops: Option<u32>,
    /// Throughput in MiB/s; none given: 125. Only for gp3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Throughput in MiB/s", with = "u32", range(min = 125, max = 2_000))]
    pub throughput_mibps: Option<u32>,
}

impl Default for DataVolume {
    fn default() -> Self {
        DataVolume { size_gib: 100, kind: VolumeType::Gp3, iops: None, throughput_mibps: None }
    }
}

/// A type of EBS volume fit for a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VolumeType {
    /// General purpose.
    Gp3,
    /// Provisioned IOPS, the older kind.
    Io1,
    /// Provisioned IOPS.
    Io2,
}

impl std::fmt::Display for VolumeType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            VolumeType::Gp3 => "gp3",
            VolumeType::Io1 => "io1",
            VolumeType::Io2 => "io2",
        })
    }
}

/// What every gp3 volume has without extra cost.
const GP3_IOPS: u32 = 3_000;
/// The same for throughput, in MiB/s.
const GP3_THROUGHPUT: u32 = 125;

/// JSON pointers of a volume's fields.
struct Fields {
    size: String,
    kind: String,
    iops: String,
    throughput: String,
}

impl DataVolume {
    /// Provisioned I/O operations per second.
    #[must_use]
    pub fn provisioned_iops(&self) -> u32 {
        self.iops.unwrap_or(GP3_IOPS)
    }

    /// Provisioned throughput in MiB/s; io1 and io2 have none to provision.
    #[must_use]
    pub fn provisioned_throughput(&self) -> Option<u32> {
        (self.kind == VolumeType::Gp3).then(|| self.throughput_mibps.unwrap_or(GP3_THROUGHPUT))
    }

    /// What EBS would refuse.
    ///
    /// Source: EBS user guide, "Amazon EBS volume types", limits of gp3 since
    /// September 2025, of io1, and of io2 Block Express.
    pub(super) fn check(&self, path: &str) -> Vec<Finding> {
        let field = |name: &str| format!("{path}/{name}");
        let fields = Fields {
            size: field("size_gib"),
            kind: field("type"),
            iops: field("iops"),
            throughput: field("throughput_mibps"),
        };
        match self.kind {
            VolumeType::Gp3 => self.check_gp3(&fields),
            VolumeType::Io1 => self.check_io(&fields, 50, 64_000),
            VolumeType::Io2 => self.check_io(&fields, 1_000, 256_000),
        }
    }

    fn check_gp3(&self, fields: &Fields) -> Vec<Finding> {
        let mut found = Vec::new();
        let iops = self.provisioned_iops();
        // Below 6 GiB the free 3000 IOPS exceed the ratio and are allowed all
        // the same; the smallest size here is 10 GiB.
        let most = (self.size_gib.saturating_mul(500)).min(80_000);
        if iops < GP3_IOPS || iops > most {
            found.push(Finding::new(
                &[&fields.iops, &fields.size, &fields.kind],
                iops.to_string(),
                format!("{GP3_IOPS} to {most} for a gp3 volume of {} GiB (500 per GiB, at most 80000)", self.size_gib),
            ));
        }
        let most = (iops / 4).min(2_000);
        if let Some(throughput) = self.throughput_mibps.filter(|&throughput| throughput > most) {
            found.push(Finding::new(
                &[&fields.throughput, &fields.iops, &fields.kind],
                throughput.to_string(),
                format!("{GP3_THROUGHPUT} to {most} MiB/s for a gp3 volume of {iops} IOPS (a quarter MiB/s per IOPS, at most 2000)"),
            ));
        }
        found
    }

    /// `ratio` IOPS per GiB, `top` at most.
    fn check_io(&self, fields: &Fields, ratio: u32, top: u32) -> Vec<Finding> {
        let mut found = Vec::new();
        let (kind, most) = (self.kind, self.size_gib.saturating_mul(ratio).min(top));
        let allowed =
            || format!("100 to {most} for an {kind} volume of {} GiB ({ratio} per GiB, at most {top})", self.size_gib);
        let rests_on = [fields.iops.as_str(), &fields.size, &fields.kind];
        match self.iops {
            None => found.push(Finding::new(&rests_on, "nothing", allowed())),
            Some(iops) if !(100..=most).contains(&iops) => {
                found.push(Finding::new(&rests_on, iops.to_string(), allowed()));
            }
            Some(_) => {}
        }
        if let Some(throughput) = self.throughput_mibps {
            found.push(Finding::new(
                &[&fields.throughput, &fields.kind],
                throughput.to_string(),
                format!("nothing for an {kind} volume: its throughput follows from its IOPS"),
            ));
        }
        found
    }
}

//! What the hosts run on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An operating system that members can run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Os {
    /// Debian 12.
    #[default]
    #[serde(rename = "debian-12")]
    Debian12,
    /// Ubuntu 22.04 LTS.
    #[serde(rename = "ubuntu-22.04")]
    Ubuntu2204,
    /// Ubuntu 24.04 LTS.
    #[serde(rename = "ubuntu-24.04")]
    Ubuntu2404,
}

/// The machine image of the members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Image {
    /// The operating system, which also says which public image is taken.
    #[schemars(title = "Operating system")]
    pub os: Os,
    /// An image of that operating system; none given: the newest when the cluster is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Image id", with = "String", regex(pattern = "^ami-[0-9a-f]{8,17}$"), extend("x-allowed" = "an image id, such as ami-0123456789abcdef0"))]
    pub ami: Option<String>,
    /// What the image is built for; none given: what the instance type needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Architecture", with = "Architecture")]
    pub architecture: Option<Architecture>,
}

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// AWS Graviton.
    Arm64,
    /// Intel and AMD.
    #[serde(rename = "x86_64")]
    X86,
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Architecture::Arm64 => "arm64",
            Architecture::X86 => "x86_64",
        })
    }
}

impl Architecture {
    /// What an EC2 instance type needs.
    ///
    /// After the generation's number, `g` marks a Graviton processor (`m7g`,
    /// `c7gn`); before it, a graphics card (`g5`). `a1` is the one exception.
    ///
    /// Source: EC2 user guide, "Amazon EC2 instance type naming conventions".
    #[must_use]
    pub fn of_instance_type(name: &str) -> Self {
        let family = name.split(['.', '-']).next().unwrap_or_default();
        let attributes = family
            .trim_start_matches(|c: char| c.is_ascii_lowercase())
            .trim_start_matches(|c: char| c.is_ascii_digit());
        if family == "a1" || attributes.contains('g') { Architecture::Arm64 } else { Architecture::X86 }
    }
}

impl Os {
    /// The public SSM parameter that holds the id of the newest image.
    ///
    /// Sources: Debian wiki, "Cloud/AmazonEC2Image/Bookworm"; Ubuntu on AWS documentation, "Find Ubuntu images with SSM".
    #[must_use]
    pub fn image_parameter(self, architecture: Architecture) -> String {
        let name = match architecture {
            Architecture::Arm64 => "arm64",
            Architecture::X86 => "amd64",
        };
        let ubuntu = |release: &str, volume: &str| {
            format!("/aws/service/canonical/ubuntu/server/{release}/stable/current/{name}/hvm/{volume}/ami-id")
        };
        match self {
            Os::Debian12 => format!("/aws/service/debian/release/12/latest/{name}"),
            Os::Ubuntu2204 => ubuntu("22.04", "ebs-gp2"),
            Os::Ubuntu2404 => ubuntu("24.04", "ebs-gp3"),
        }
    }
}

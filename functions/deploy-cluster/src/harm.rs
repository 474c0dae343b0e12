//! What a change set may not do: to what holds data, an address or a quorum.

use crate::outside::Change;

/// What holds data, an address that others know, or the network of all of it.
const PROTECTED: [&str; 9] = [
    "AWS::EC2::Instance",
    "AWS::EC2::NetworkInterface",
    "AWS::EC2::Subnet",
    "AWS::EC2::VPC",
    "AWS::EC2::Volume",
    "AWS::EC2::VolumeAttachment",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
];

/// Beginnings of the logical ids of hosts without which a cluster serves. Their
/// volumes leave a snapshot.
const BESIDE: [&str; 2] = ["Bastion", "Monitoring"];

/// What a change would do that it must not; `None` when it is harmless.
///
/// An instance may change in its tags only: any other change stops it, all
/// members at the same time, or replaces it.
pub(crate) fn harm(change: &Change) -> Option<String> {
    let Change { action, logical_id, kind, replacement, targets } = change;
    if !PROTECTED.contains(&kind.as_str()) || (BESIDE.iter().any(|host| logical_id.starts_with(host)) && is_host(kind))
    {
        return None;
    }
    let of = format!("{logical_id} ({kind})");
    let because = if targets.is_empty() { String::new() } else { format!(" because of {}", targets.join(", ")) };
    match (action.as_str(), replacement.as_deref()) {
        ("Add", _) => None,
        ("Modify", Some("False")) if stays(kind, targets) => None,
        ("Modify", Some("False")) if kind == "AWS::SecretsManager::Secret" => {
            Some(format!("make another password of {of}{because}"))
        }
        ("Modify", Some("False")) => Some(format!("stop {of}{because}")),
        ("Modify", Some("Conditional")) if kind == "AWS::EC2::Instance" => {
            Some(format!("stop or replace {of}{because}"))
        }
        ("Modify", Some("Conditional")) => Some(format!("perhaps replace {of}{because}")),
        ("Modify", _) => Some(format!("replace {of}{because}")),
        ("Remove", _) => Some(format!("delete {of}")),
        (other, _) => Some(format!("{} {of}{because}", other.to_lowercase())),
    }
}

/// What belongs to one host, and to nobody else.
fn is_host(kind: &str) -> bool {
    matches!(
        kind,
        "AWS::EC2::Instance" | "AWS::EC2::NetworkInterface" | "AWS::EC2::Volume" | "AWS::EC2::VolumeAttachment"
    )
}

/// Whether a change in place leaves a resource to what it does.
fn stays(kind: &str, targets: &[String]) -> bool {
    match kind {
        "AWS::EC2::Instance" => targets.iter().all(|target| target == "Tags"),
        // CloudFormation generates anew when the rules of generating change.
        "AWS::SecretsManager::Secret" => {
            !targets.iter().any(|target| target == "GenerateSecretString" || target == "Name")
        }
        _ => true,
    }
}

/// What a person can do instead of what was refused, where that is known.
pub(crate) fn instead(changes: &[Change]) -> &'static str {
    let leaves = |change: &Change| {
        change.action == "Remove" && ["Member", "Etcd"].iter().any(|host| change.logical_id.starts_with(host))
    };
    if changes.iter().any(leaves) {
        return "; a host leaves only with its cluster: keep members.count and etcd.count at least as they are";
    }
    ""
}

//! What a change set may not do: to what holds data, an address or a quorum.

mod databases;
mod really;

pub(crate) use databases::Today;
pub(crate) use really::Templates;

use crate::outside::Change;
use databases::is_planned;
use really::really;

/// What holds data, an address that others know, or the network of all of it.
const PROTECTED: [&str; 15] = [
    "AWS::EC2::Instance",
    "AWS::EC2::NetworkInterface",
    "AWS::EC2::Subnet",
    "AWS::EC2::VPC",
    "AWS::EC2::Volume",
    "AWS::EC2::VolumeAttachment",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::KMS::Key",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::RDS::DBProxy",
    "AWS::RDS::DBSubnetGroup",
    "AWS::RDS::GlobalCluster",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
];

/// Beginnings of the logical ids of hosts without which a cluster serves. Their
/// volumes leave a snapshot; one host of PgBouncer is as good as another.
const BESIDE: [&str; 3] = ["Bastion", "Monitoring", "Pooler"];

/// What is found of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The change as far as it will really happen; `None` when nothing of it is left.
    pub(crate) real: Option<Change>,
    /// What it would do that it must not.
    pub(crate) harm: Option<String>,
}

/// Judges every change, by both templates where they are at hand, and by the roles of today where the stack has roles.
pub(crate) fn verdicts(changes: &[Change], templates: Option<Templates<'_>>, today: Option<&Today>) -> Vec<Verdict> {
    let real = match templates {
        Some(templates) => really(changes, templates),
        None => changes.iter().cloned().map(Some).collect(),
    };
    let verdict = |real: Option<Change>| {
        let planned = |change: &&Change| match (templates, today) {
            (Some(templates), Some(today)) => is_planned(change, templates, today),
            _ => false,
        };
        let harm = real.as_ref().filter(|change| !planned(change)).and_then(harm);
        Verdict { real, harm }
    };
    real.into_iter().map(verdict).collect()
}

/// What a change would do that it must not; `None` when it is harmless.
///
/// An instance of EC2 may change in its tags only: any other change stops it, all
/// members at the same time, or replaces it.
fn harm(change: &Change) -> Option<String> {
    let Change { action, logical_id, kind, replacement, targets, .. } = change;
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
    let leaves = |kinds: &[&str], change: &Change| change.action == "Remove" && kinds.contains(&change.kind.as_str());
    let is_member = |change: &Change| ["Member", "Etcd"].iter().any(|host| change.logical_id.starts_with(host));
    let goes = |change: &Change| matches!(change.replacement.as_deref(), Some("True" | "Conditional"));
    let of_rds = |change: &Change| change.kind.starts_with("AWS::RDS::");
    if changes.iter().any(|change| change.action == "Remove" && is_member(change)) {
        return "; a host leaves only with its cluster: keep members.count and etcd.count at least as they are";
    }
    if changes.iter().any(|change| leaves(&["AWS::RDS::DBInstance"], change)) {
        return "; an instance leaves only with its cluster: keep aurora.readers, aurora.dr_readers and rds.replicas at \
                least as they are";
    }
    if changes.iter().any(|change| of_rds(change) && goes(change)) {
        return "; what only a new database can have needs a new cluster, or a blue/green deployment: \
                {\"blue_green\": {\"cluster\": ..., \"action\": \"create\"}}";
    }
    ""
}

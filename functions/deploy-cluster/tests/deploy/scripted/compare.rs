//! How CloudFormation compares two templates: a property that differs will change, and one that refers to a resource
//! which is changed in any way may change, since nobody knows what the reference will yield.
//!
//! Source: AWS CloudFormation User Guide, "Update behaviors of stack resources"; the properties below are those of
//! this project's templates whose change replaces, after the schemas of the resource types.

use deploy_cluster::outside::{Change, Detail};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Properties that cannot be changed.
const ALWAYS: [&str; 19] = [
    "DBClusterIdentifier",
    "DBInstanceIdentifier",
    "DBName",
    "DBSubnetGroupName",
    "EngineMode",
    "GlobalClusterIdentifier",
    "GroupDescription",
    "GroupId",
    "GroupName",
    "IpProtocol",
    "KmsKeyId",
    "LogGroupName",
    "MasterUsername",
    "NetworkInterfaces",
    "Port",
    "StorageEncrypted",
    "SubnetId",
    "VolumeId",
    "VpcId",
];

/// Properties whose change replaces under conditions.
const CONDITIONALLY: [&str; 9] = [
    "AutoMinorVersionUpgrade",
    "AvailabilityZone",
    "BackupRetentionPeriod",
    "DBParameterGroupName",
    "GroupSet",
    "MultiAZ",
    "SourceDBInstanceIdentifier",
    "SourceRegion",
    "UserData",
];

fn recreation(property: &str) -> &'static str {
    match property {
        property if ALWAYS.contains(&property) => "Always",
        property if CONDITIONALLY.contains(&property) => "Conditionally",
        _ => "Never",
    }
}

/// The changes of a change set.
pub fn compare(live: &Value, wanted: &Value) -> Vec<Change> {
    let none = Map::new();
    let (before, after) =
        (live["Resources"].as_object().unwrap_or(&none), wanted["Resources"].as_object().unwrap_or(&none));
    let mut changed = BTreeSet::new();
    loop {
        let told: Vec<Change> =
            after.iter().filter_map(|(name, resource)| told(name, before.get(name), resource, &changed)).collect();
        let names: BTreeSet<String> = told.iter().map(|change| change.logical_id.clone()).collect();
        if names == changed {
            let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
            return told.into_iter().chain(gone.map(|(name, old)| plain("Remove", name, old))).collect();
        }
        changed = names;
    }
}

fn plain(action: &str, name: &str, resource: &Value) -> Change {
    Change {
        action: action.into(),
        logical_id: name.into(),
        kind: resource["Type"].as_str().unwrap().into(),
        replacement: None,
        targets: vec![],
        details: vec![],
    }
}

fn told(name: &str, before: Option<&Value>, after: &Value, changed: &BTreeSet<String>) -> Option<Change> {
    let Some(before) = before else { return Some(plain("Add", name, after)) };
    let none = Map::new();
    let properties = |resource: &'_ Value| resource["Properties"].as_object().cloned().unwrap_or(none.clone());
    let (old, new) = (properties(before), properties(after));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let detail = |key: &&String| {
        let (is, was) = (new.get(*key), old.get(*key));
        let differs = is != was;
        let refers = is.is_some_and(|value| refers(value, changed));
        (differs || refers).then(|| Detail {
            target: (*key).clone(),
            recreation: Some(recreation(key).into()),
            is_sure: differs && !refers,
            source: Some(if differs { "DirectModification" } else { "ResourceAttribute" }.into()),
        })
    };
    let details: Vec<Detail> = keys.iter().filter_map(detail).collect();
    if details.is_empty() {
        return None;
    }
    let has = |word: &str, sure: bool| {
        details.iter().any(|detail| detail.recreation.as_deref() == Some(word) && (detail.is_sure || !sure))
    };
    let replacement = match () {
        () if has("Always", true) => "True",
        () if has("Always", false) || has("Conditionally", false) => "Conditional",
        () => "False",
    };
    Some(Change {
        action: "Modify".into(),
        replacement: Some(replacement.into()),
        targets: details.iter().map(|detail| detail.target.clone()).collect(),
        details,
        ..plain("Modify", name, after)
    })
}

/// Whether a value refers to a resource that is changed in any way.
fn refers(value: &Value, changed: &BTreeSet<String>) -> bool {
    let text = value.to_string();
    changed.iter().any(|name| {
        text.contains(&format!("{{\"Ref\":\"{name}\"}}"))
            || text.contains(&format!("\"Fn::GetAtt\":[\"{name}\""))
            || text.contains(&format!("${{{name}}}"))
            || text.contains(&format!("${{{name}."))
    })
}

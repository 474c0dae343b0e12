//! What of a change set will really change: CloudFormation counts every property that refers to a changed resource as
//! one that may change, and cannot say before it has worked that a group's id or an interface's stays what it is.
//!
//! A property is left as it is when its definition is the same in both templates, and nothing that it refers to is
//! really replaced. From that follows which resources are really replaced, until nothing more follows.

use crate::outside::{Change, Detail};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The template that a stack has, and the one that it is to have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Templates<'a> {
    pub(crate) live: &'a Value,
    pub(crate) wanted: &'a Value,
}

/// Attributes that change while their resource stays: who takes their value changes with it.
///
/// Source: "Return values" of `AWS::EC2::LaunchTemplate`, `AWS::SSM::Parameter` and `AWS::RDS::*` in the AWS
/// CloudFormation User Guide.
const CHANGE_IN_PLACE: [&str; 6] =
    ["DefaultVersionNumber", "LatestVersionNumber", "Value", "Endpoint.Port", "ReadEndpoint.Port", "PublicIp"];

/// Every change as far as it will really happen; `None` for one of which nothing is left.
pub(crate) fn really(changes: &[Change], templates: Templates<'_>) -> Vec<Option<Change>> {
    let mut replaced = BTreeSet::new();
    loop {
        let real: Vec<Option<Change>> = changes.iter().map(|change| reduced(change, templates, &replaced)).collect();
        let more: BTreeSet<String> =
            real.iter().flatten().filter(|change| goes(change)).map(|change| change.logical_id.clone()).collect();
        if more == replaced {
            return real;
        }
        // It only grows: what is replaced stays replaced when more is.
        replaced = more;
    }
}

/// Whether a resource is another one afterwards, or perhaps.
fn goes(change: &Change) -> bool {
    change.action == "Remove" || matches!(change.replacement.as_deref(), Some("True" | "Conditional"))
}

fn reduced(change: &Change, templates: Templates<'_>, replaced: &BTreeSet<String>) -> Option<Change> {
    // Of one without a reason nothing can be said.
    if change.action != "Modify" || change.targets.is_empty() {
        return Some(change.clone());
    }
    let resource = |template: &Value| template["Resources"].get(&change.logical_id).cloned();
    let (Some(live), Some(wanted)) = (resource(templates.live), resource(templates.wanted)) else {
        return Some(change.clone());
    };
    if live["Type"] != wanted["Type"] {
        return Some(change.clone());
    }
    let before = |property: &str| inlined(&live["Properties"][property], &templates.live["Mappings"]);
    let after = |property: &str| inlined(&wanted["Properties"][property], &templates.wanted["Mappings"]);
    let stays = |detail: &Detail| {
        let value = after(&detail.target);
        let is_told_so = detail.source.as_deref().is_none_or(|source| source.starts_with("Resource"));
        // `Tags` of the whole stack reach a resource that has none of its own: there is no such property, and no harm.
        !value.is_null()
            && is_told_so
            && before(&detail.target) == value
            && !refers_to(&value, &|name, attribute| changes_for(name, attribute, templates, replaced))
    };
    let details: Vec<Detail> = details(change).into_iter().filter(|detail| !stays(detail)).collect();
    if details.is_empty() {
        return None;
    }
    let replacement = replacement(change, &details);
    let mut targets: Vec<String> = details.iter().map(|detail| detail.target.clone()).collect();
    targets.sort_unstable();
    targets.dedup();
    Some(Change { replacement: replacement.map(str::to_owned), targets, details, ..change.clone() })
}

/// Whether what is left replaces the resource.
fn replacement<'a>(change: &'a Change, details: &[Detail]) -> Option<&'a str> {
    let has = |word: &str| details.iter().any(|detail| detail.recreation.as_deref() == Some(word));
    let is_sure = details.iter().any(|detail| detail.is_sure && detail.recreation.as_deref() == Some("Always"));
    let told = change.replacement.as_deref();
    match () {
        () if is_sure => Some("True"),
        () if has("Always") => Some(if told == Some("True") { "True" } else { "Conditional" }),
        () if has("Conditionally") => Some("Conditional"),
        // Not told of every property: what the whole change is told to be.
        () if details.iter().any(|detail| detail.recreation.is_none()) => told,
        () => Some("False"),
    }
}

/// The details, or what the targets alone say.
fn details(change: &Change) -> Vec<Detail> {
    if !change.details.is_empty() {
        return change.details.clone();
    }
    let detail = |target: &String| Detail { target: target.clone(), recreation: None, is_sure: false, source: None };
    change.targets.iter().map(detail).collect()
}

/// Whether a reference to this resource, or to this attribute of it, yields something else afterwards.
fn changes_for(name: &str, attribute: Option<&str>, templates: Templates<'_>, replaced: &BTreeSet<String>) -> bool {
    if replaced.contains(name) {
        return true;
    }
    let properties = |template: &Value| inlined(&template["Resources"][name]["Properties"], &template["Mappings"]);
    attribute.is_some_and(|attribute| CHANGE_IN_PLACE.contains(&attribute))
        && properties(templates.live) != properties(templates.wanted)
}

/// A value with what it takes from the template's own tables, so that a changed table is a changed value.
fn inlined(value: &Value, mappings: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            if let Some([mapping, first, second]) =
                fields.get("Fn::FindInMap").and_then(Value::as_array).map(Vec::as_slice)
            {
                let text = |key: &Value| key.as_str().unwrap_or_default().to_owned();
                return mappings[text(mapping)][text(first)][text(second)].clone();
            }
            let inline = |(key, value): (&String, &Value)| (key.clone(), inlined(value, mappings));
            Value::Object(fields.iter().map(inline).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(|item| inlined(item, mappings)).collect(),
        other => other.clone(),
    }
}

/// Whether one of the references in a value is such a one: by resource, and attribute where there is one.
fn refers_to(value: &Value, is_such: &impl Fn(&str, Option<&str>) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| refers_to(item, is_such)),
        Value::Object(fields) => fields.iter().any(|(key, value)| match (key.as_str(), value) {
            ("Ref", Value::String(name)) => is_such(name, None),
            ("Fn::GetAtt", Value::String(path)) => dotted(path, is_such),
            ("Fn::GetAtt", Value::Array(path)) => {
                let path: Vec<&str> = path.iter().filter_map(Value::as_str).collect();
                dotted(&path.join("."), is_such)
            }
            ("Fn::Sub", Value::String(text)) => in_text(text, is_such),
            ("Fn::Sub", Value::Array(items)) => {
                items.first().and_then(Value::as_str).is_some_and(|text| in_text(text, is_such))
                    || items.iter().skip(1).any(|item| refers_to(item, is_such))
            }
            (_, value) => refers_to(value, is_such),
        }),
        _ => false,
    }
}

fn dotted(path: &str, is_such: &impl Fn(&str, Option<&str>) -> bool) -> bool {
    match path.split_once('.') {
        Some((name, attribute)) => is_such(name, Some(attribute)),
        None => is_such(path, None),
    }
}

/// `${Name}` and `${Name.Attribute}` of `Fn::Sub`.
fn in_text(text: &str, is_such: &impl Fn(&str, Option<&str>) -> bool) -> bool {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).any(|(path, _)| dotted(path, is_such))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn detail(target: &str, recreation: &str, source: &str) -> Detail {
        let is_sure = source == "DirectModification";
        Detail { target: target.into(), recreation: Some(recreation.into()), is_sure, source: Some(source.into()) }
    }

    fn modified(logical_id: &str, kind: &str, replacement: &str, details: Vec<Detail>) -> Change {
        Change {
            action: "Modify".into(),
            logical_id: logical_id.into(),
            kind: kind.into(),
            replacement: Some(replacement.into()),
            targets: details.iter().map(|detail| detail.target.clone()).collect(),
            details,
        }
    }

    /// A group, an interface in it, and an instance with that.
    fn chain(cidr: &str, description: &str) -> Value {
        json!({
            "Mappings": { "Words": { "hosts": { "Text": "a" } } },
            "Resources": {
                "Clients": { "Type": "AWS::EC2::SecurityGroup", "Properties": {
                    "GroupDescription": description, "SecurityGroupIngress": [{ "CidrIp": cidr }],
                }},
                "Interface": { "Type": "AWS::EC2::NetworkInterface", "Properties": {
                    "GroupSet": [{ "Fn::GetAtt": ["Clients", "GroupId"] }], "SubnetId": "subnet-1",
                }},
                "Member": { "Type": "AWS::EC2::Instance", "Properties": {
                    "NetworkInterfaces": [{ "NetworkInterfaceId": { "Ref": "Interface" }, "DeviceIndex": "0" }],
                    "UserData": { "Fn::Sub": ["${Interface.PrimaryPrivateIpAddress} ${word}", {
                        "word": { "Fn::FindInMap": ["Words", "hosts", "Text"] } }] },
                }},
            },
        })
    }

    /// As CloudFormation tells such a change: what refers may be replaced.
    fn told(of_the_group: Detail, replacement: &str) -> Vec<Change> {
        let interface = detail("GroupSet", "Conditionally", "ResourceAttribute");
        let member = [
            detail("NetworkInterfaces", "Always", "ResourceReference"),
            detail("UserData", "Conditionally", "ResourceAttribute"),
        ];
        vec![
            modified("Clients", "AWS::EC2::SecurityGroup", replacement, vec![of_the_group]),
            modified("Interface", "AWS::EC2::NetworkInterface", "Conditional", vec![interface]),
            modified("Member", "AWS::EC2::Instance", "Conditional", member.to_vec()),
        ]
    }

    fn of(changes: &[Change], live: &Value, wanted: &Value) -> Vec<Option<(String, Option<String>)>> {
        let templates = Templates { live, wanted };
        let words = |change: Change| (change.targets.join(","), change.replacement);
        really(changes, templates).into_iter().map(|change| change.map(words)).collect()
    }

    fn is(targets: &str, replacement: &str) -> Option<(String, Option<String>)> {
        Some((targets.to_owned(), Some(replacement.to_owned())))
    }

    #[test]
    fn what_refers_to_a_resource_that_stays_stays() {
        let (live, wanted) = (chain("10.0.0.0/16", "clients"), chain("10.9.0.0/16", "clients"));
        let changes = told(detail("SecurityGroupIngress", "Never", "DirectModification"), "False");
        assert_eq!(of(&changes, &live, &wanted), [is("SecurityGroupIngress", "False"), None, None]);
    }

    #[test]
    fn what_refers_to_a_resource_that_is_replaced_goes_with_it_at_any_distance() {
        let (live, wanted) = (chain("10.0.0.0/16", "clients"), chain("10.0.0.0/16", "other"));
        let changes = told(detail("GroupDescription", "Always", "DirectModification"), "True");
        let expected = [
            is("GroupDescription", "True"),
            is("GroupSet", "Conditional"),
            is("NetworkInterfaces,UserData", "Conditional"),
        ];
        assert_eq!(of(&changes, &live, &wanted), expected);
    }

    #[test]
    fn a_changed_table_a_changed_parameter_and_an_own_change_are_changes() {
        let live = chain("10.0.0.0/16", "clients");
        let user_data = |source: &str| {
            let details = vec![detail("UserData", "Conditionally", source)];
            vec![modified("Member", "AWS::EC2::Instance", "Conditional", details)]
        };
        let mut table = live.clone();
        table["Mappings"]["Words"]["hosts"]["Text"] = "b".into();
        assert_eq!(of(&user_data("ResourceReference"), &live, &table), [is("UserData", "Conditional")]);
        assert_eq!(of(&user_data("ParameterReference"), &live, &live), [is("UserData", "Conditional")]);
        assert_eq!(of(&user_data("DirectModification"), &live, &live), [is("UserData", "Conditional")]);
        assert_eq!(of(&user_data("Automatic"), &live, &live), [is("UserData", "Conditional")]);
        assert_eq!(of(&user_data("ResourceReference"), &live, &live), [None]);
    }

    #[test]
    fn an_attribute_that_changes_in_place_takes_what_refers_to_it_along() {
        let template = |port: u32, attribute: &str| {
            json!({ "Resources": {
                "Db": { "Type": "AWS::RDS::DBCluster", "Properties": { "Port": port } },
                "Proxy": { "Type": "AWS::RDS::DBProxy", "Properties": { "Name": { "Fn::GetAtt": ["Db", attribute] } } },
            }})
        };
        let changes = vec![modified(
            "Proxy",
            "AWS::RDS::DBProxy",
            "Conditional",
            vec![detail("Name", "Always", "ResourceAttribute")],
        )];
        let judged = |attribute| of(&changes, &template(5432, attribute), &template(6432, attribute));
        assert_eq!(judged("Endpoint.Port"), [is("Name", "Conditional")]);
        assert_eq!(judged("DBClusterArn"), [None]);
    }

    #[test]
    fn tags_of_the_stack_and_changes_without_details_are_taken_as_they_are_told() {
        let live = chain("10.0.0.0/16", "clients");
        let changes = vec![
            modified("Member", "AWS::EC2::Instance", "False", vec![detail("Tags", "Never", "DirectModification")]),
            Change { details: vec![], ..modified("Interface", "AWS::EC2::NetworkInterface", "True", vec![]) },
        ];
        assert_eq!(of(&changes, &live, &live), [is("Tags", "False"), is("", "True")]);
        let told = Change { targets: vec!["SubnetId".into()], ..changes[1].clone() };
        let mut moved = live.clone();
        moved["Resources"]["Interface"]["Properties"]["SubnetId"] = "subnet-2".into();
        assert_eq!(of(std::slice::from_ref(&told), &live, &moved), [is("SubnetId", "True")]);
        let removed = Change { action: "Remove".into(), replacement: None, ..told };
        assert_eq!(of(&[removed], &live, &moved).len(), 1);
    }
}

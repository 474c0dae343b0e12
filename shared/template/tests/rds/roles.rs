//! Who is what today: rendering anew after a change of writer undoes nothing and promotes nothing.

use crate::kit::{card, of, properties, render, template, today};
use domain::{managed::Roles, spec::Spec};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use template::Part;

fn three() -> Spec {
    of(json!({ "replicas": 2 }))
}

fn at(spec: &Spec, roles: &Roles) -> Value {
    today(spec, Part::Primary, roles)
}

/// Identifier and source of each place.
fn sources(template: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let place = |number: u32| {
        let instance = properties(template, &format!("Instance{number}"));
        (text(&instance["DBInstanceIdentifier"]), text(&instance["SourceDBInstanceIdentifier"]))
    };
    (1..=3).filter(|number| template["Resources"][format!("Instance{number}")].is_object()).map(place).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, source)| ((*id).to_owned(), (*source).to_owned())).collect()
}

/// Names of properties that differ.
fn changed(before: &Value, after: &Value, name: &str) -> BTreeSet<String> {
    let (before, after) = (properties(before, name), properties(after, name));
    let names = before.as_object().unwrap().keys().chain(after.as_object().unwrap().keys());
    names.filter(|name| before[name.as_str()] != after[name.as_str()]).cloned().collect()
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn as_the_spec_has_them() {
    let expected = pairs(&[("prod-leads-1", "-"), ("prod-leads-2", "prod-leads-1"), ("prod-leads-3", "prod-leads-1")]);
    assert_eq!(sources(&render(&three())), expected);
}

/// The new writer keeps the source it was made with: without one, CloudFormation would promote it again.
#[test]
fn after_a_promotion_the_others_follow_the_new_writer_under_new_names() {
    let after = at(&three(), &Roles::default().promoted(2, 3));
    let expected = pairs(&[
        ("prod-leads-1-g2", "prod-leads-2"),
        ("prod-leads-2", "prod-leads-1"),
        ("prod-leads-3-g2", "prod-leads-2"),
    ]);
    assert_eq!(sources(&after), expected);
    assert_eq!(after["Resources"]["Instance1"]["DependsOn"].as_array().unwrap().last().unwrap(), "Instance2");
}

#[test]
fn and_after_one_back() {
    let roles = Roles::default().promoted(2, 3).promoted(1, 3);
    let expected = pairs(&[
        ("prod-leads-1-g2", "prod-leads-2"),
        ("prod-leads-2-g2", "prod-leads-1-g2"),
        ("prod-leads-3-g3", "prod-leads-1-g2"),
    ]);
    assert_eq!(sources(&at(&three(), &roles)), expected);
}

/// What CloudFormation could only do by a new instance is never asked of the one that writes.
#[test]
fn the_new_writers_resource_changes_in_nothing_that_replaces_or_promotes_it() {
    let after = Roles::default().promoted(2, 2);
    let expected = [
        ("none", names(&["BackupRetentionPeriod", "PreferredBackupWindow"])),
        ("instance", names(&["AvailabilityZone", "BackupRetentionPeriod", "MultiAZ", "PreferredBackupWindow"])),
    ];
    for (multi_az, expected) in expected {
        let spec = of(json!({ "multi_az": multi_az }));
        let (before, after) = (render(&spec), at(&spec, &after));
        assert_eq!(changed(&before, &after, "Instance2"), expected, "{multi_az}");
        assert_eq!(properties(&after, "Instance2")["MultiAZ"], multi_az == "instance");
        assert_eq!(properties(&after, "Instance2")["BackupRetentionPeriod"], 30);
    }
}

/// Nothing else of the stack changes but what is called after the instances.
#[test]
fn nothing_else_changes() {
    let spec = of(json!({ "multi_az": "none", "pooler": {} }));
    let (before, after) = (render(&spec), at(&spec, &Roles::default().promoted(2, 2)));
    let resources =
        |template: &Value| template["Resources"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let lag = |mut names: BTreeSet<String>| {
        // The first place has a replica now, so an alarm on its lag.
        names.remove("Instance1LagAlarm");
        names
    };
    assert_eq!(lag(resources(&before)), lag(resources(&after)));
    let differ: BTreeSet<String> = resources(&before)
        .into_iter()
        .filter(|name| before["Resources"][name]["Properties"] != after["Resources"][name]["Properties"])
        .collect();
    assert_eq!(differ, names(&["Instance1", "Instance1Logs", "Instance2", "WriterTransactionIdsAlarm"]));
}

#[test]
fn no_instance_with_data_is_deleted_by_rendering_anew() {
    let policies = |template: &Value, name: &str| {
        let policy = |what: &str| template["Resources"][name][what].as_str().unwrap().to_owned();
        (policy("DeletionPolicy"), policy("UpdateReplacePolicy"))
    };
    let pair = |delete: &str| (delete.to_owned(), "Retain".to_owned());
    let before = render(&three());
    assert_eq!(policies(&before, "Instance1"), pair("Snapshot"));
    assert_eq!(policies(&before, "Instance2"), pair("Delete"), "it holds what its source holds");
    let after = at(&three(), &Roles::default().promoted(2, 3));
    // CloudFormation leaves no last snapshot of what it takes for a replica.
    assert_eq!(policies(&after, "Instance2"), pair("Retain"));
    assert_eq!(policies(&after, "Instance1"), pair("Delete"));
    assert_eq!(policies(&after, "Instance1Logs"), pair("Delete"), "an old log stays when its instance is made anew");
    assert!(after["Outputs"]["LeftBehind"]["Description"].as_str().unwrap().contains("delete-db-instance"));
}

#[test]
fn the_card_names_todays_instances_in_the_order_of_places() {
    let card = card(&at(&three(), &Roles::default().promoted(2, 3)));
    let instances: Vec<(u32, &str)> = card.instances.iter().map(|one| (one.place, one.id.as_str())).collect();
    assert_eq!(instances, [(1, "prod-leads-1-g2"), (2, "prod-leads-2"), (3, "prod-leads-3-g2")]);
}

#[test]
fn a_template_says_which_roles_it_was_made_from() {
    let roles = Roles::default().promoted(2, 3);
    let noted = at(&three(), &roles)["Metadata"]["Understudy"]["Roles"].clone();
    assert_eq!(serde_json::from_value::<Roles>(noted).unwrap(), roles);
    let again = template(&three(), Part::Primary, &roles).body().unwrap();
    assert_eq!(again, template(&three(), Part::Primary, &roles).body().unwrap());
}

#[test]
fn a_proxy_leads_to_todays_writer() {
    let spec = crate::kit::spec(&json!({ "managed": { "proxy": {} } }));
    let behind = |template: &Value| properties(template, "ProxyTargets")["DBInstanceIdentifiers"].clone();
    assert_eq!(behind(&render(&spec)), json!([{ "Ref": "Instance1" }]));
    assert_eq!(behind(&at(&spec, &Roles::default().promoted(2, 2))), json!([{ "Ref": "Instance2" }]));
}

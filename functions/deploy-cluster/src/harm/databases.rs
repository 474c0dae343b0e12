//! Where a stack must know roles: which databases may go, since a change of writer has made them superfluous.

use super::Templates;
use crate::outside::Change;
use domain::managed::Roles;
use serde_json::Value;

/// Who is what in a cluster of RDS today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Today {
    pub(crate) fleet: String,
    pub(crate) cluster: String,
    pub(crate) roles: Roles,
    /// The writer on record.
    pub(crate) writer: Option<String>,
}

const INSTANCE: &str = "AWS::RDS::DBInstance";

/// Properties in which a promoted replica is rendered as what it is. CloudFormation calls a change of each one that may
/// replace; it does so where the instance is made by it (a source, a snapshot), and this one exists.
const OF_A_PROMOTION: [&str; 5] =
    ["AvailabilityZone", "BackupRetentionPeriod", "MultiAZ", "SourceDBInstanceIdentifier", "SourceRegion"];

/// Whether a change is one that a change of writer asks for: the old writer's place, or that of a replica which
/// follows it, is made anew; the new writer is no replica any more.
pub(crate) fn is_planned(change: &Change, templates: Templates<'_>, today: &Today) -> bool {
    if change.kind != INSTANCE {
        return false;
    }
    let live = &templates.live["Resources"][&change.logical_id];
    let wanted = &templates.wanted["Resources"][&change.logical_id];
    let Some(id) = live["Properties"]["DBInstanceIdentifier"].as_str() else { return false };
    match change.action.as_str() {
        "Remove" => today.is_over(id) && stays(live, "DeletionPolicy"),
        // The policy in both: AWS's manual does not say by which template the old one goes.
        "Modify" if today.is_over(id) => {
            [live, wanted].into_iter().all(|resource| stays(resource, "UpdateReplacePolicy"))
        }
        "Modify" => today.writes(id) && was_promoted(change),
        _ => false,
    }
}

impl Today {
    fn writes(&self, id: &str) -> bool {
        let by_roles = self.roles.instance_id(&self.fleet, &self.cluster, self.roles.writer);
        id == by_roles && self.writer.as_deref().is_none_or(|writer| writer == id)
    }

    /// Whether an instance is of an older generation than its place has today, and writes nothing.
    fn is_over(&self, id: &str) -> bool {
        let beginning = format!("{}-{}-", self.fleet, self.cluster);
        let Some(rest) = id.strip_prefix(&beginning) else { return false };
        let (place, generation) = match rest.split_once("-g") {
            Some((place, generation)) => (place.parse::<u32>(), generation.parse::<u32>()),
            None => (rest.parse(), Ok(1)),
        };
        let (Ok(place), Ok(generation)) = (place, generation) else { return false };
        generation < self.roles.generation(place) && self.writer.as_deref().is_some_and(|writer| writer != id)
    }
}

/// Whether an instance stays, or leaves a snapshot, when the stack lets it go.
fn stays(resource: &Value, policy: &str) -> bool {
    matches!(resource[policy].as_str(), Some("Retain" | "Snapshot" | "RetainExceptOnCreate"))
}

/// Whether all that might replace an instance is that it writes now: RDS has made it so already. What surely replaces
/// is never among it.
fn was_promoted(change: &Change) -> bool {
    let of_promotion = |target: &String| OF_A_PROMOTION.contains(&target.as_str());
    let replaces = |target: &String| {
        let mut told = change.details.iter().filter(|detail| detail.target == *target);
        change.details.is_empty() || told.any(|detail| detail.recreation.as_deref() != Some("Never"))
    };
    change.replacement.as_deref() != Some("True")
        && change.targets.iter().filter(|target| replaces(target)).all(of_promotion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{harm::verdicts, outside::Detail};
    use serde_json::json;

    fn today(writer: &str, generations: &[(u32, u32)]) -> Today {
        let place = writer.rsplit('-').next().and_then(|place| place.parse().ok()).unwrap_or(1);
        let roles = Roles { writer: place, generations: generations.iter().copied().collect(), ..Roles::default() };
        Today { fleet: "prod".into(), cluster: "leads".into(), roles, writer: Some(writer.to_owned()) }
    }

    fn instance(id: &str, source: Option<&str>, policy: &str) -> Value {
        let mut instance = json!({
            "Type": INSTANCE, "DeletionPolicy": policy, "UpdateReplacePolicy": policy,
            "Properties": { "DBInstanceIdentifier": id, "DBInstanceClass": "db.r6i.xlarge" },
        });
        if let Some(source) = source {
            instance["Properties"]["SourceDBInstanceIdentifier"] = source.into();
        }
        instance
    }

    fn change(action: &str, logical_id: &str, targets: &[(&str, &str)]) -> Change {
        let details = targets.iter().map(|(target, recreation)| Detail {
            target: (*target).into(),
            recreation: Some((*recreation).into()),
            is_sure: true,
            source: Some("DirectModification".into()),
        });
        Change {
            action: action.into(),
            logical_id: logical_id.into(),
            kind: INSTANCE.into(),
            replacement: (action == "Modify").then(|| "Conditional".into()),
            targets: targets.iter().map(|(target, _)| (*target).to_owned()).collect(),
            details: details.collect(),
        }
    }

    fn harm(change: &Change, live: Value, wanted: Value, today: &Today) -> Option<String> {
        let template = |instance: Value| json!({ "Resources": { "Instance1": instance } });
        let (live, wanted) = (template(live), template(wanted));
        let templates = Templates { live: &live, wanted: &wanted };
        verdicts(std::slice::from_ref(change), Some(templates), Some(today)).remove(0).harm
    }

    #[test]
    fn the_old_writers_place_is_made_anew_when_nothing_is_lost_by_it() {
        let after = today("prod-leads-2", &[(1, 2)]);
        let renamed = change(
            "Modify",
            "Instance1",
            &[("DBInstanceIdentifier", "Always"), ("SourceDBInstanceIdentifier", "Conditionally")],
        );
        let old = |policy| instance("prod-leads-1", None, policy);
        let anew = |policy| instance("prod-leads-1-g2", Some("prod-leads-2"), policy);
        assert_eq!(harm(&renamed, old("Retain"), anew("Retain"), &after), None);
        assert_eq!(harm(&renamed, old("Snapshot"), anew("Snapshot"), &after), None);
        let removed = change("Remove", "Instance1", &[]);
        assert_eq!(harm(&removed, old("Snapshot"), Value::Null, &after), None);

        let refused = |why: &str, change: &Change, live: Value, wanted: Value, today: &Today| {
            assert!(harm(change, live, wanted, today).is_some(), "{why}");
        };
        refused("its data goes with it", &renamed, old("Delete"), anew("Retain"), &after);
        refused("its data goes with it", &renamed, old("Retain"), anew("Delete"), &after);
        refused("its data goes with it", &removed, old("Delete"), Value::Null, &after);
        let before = today("prod-leads-1", &[]);
        refused("it writes", &renamed, old("Retain"), anew("Retain"), &before);
        refused("it writes", &removed, old("Snapshot"), Value::Null, &before);
        let unknown = Today { writer: None, ..after.clone() };
        refused("nobody knows who writes", &renamed, old("Retain"), anew("Retain"), &unknown);
        let torn = today("prod-leads-1", &[(1, 2)]);
        refused("the state says that it writes", &renamed, old("Retain"), anew("Retain"), &torn);
        let other = instance("prod-ledger-1", None, "Retain");
        refused("another cluster's", &renamed, other, anew("Retain"), &after);
    }

    #[test]
    fn a_replica_of_the_old_writer_is_made_anew_too() {
        let after = today("prod-leads-2", &[(1, 2), (3, 2)]);
        let renamed = change("Modify", "Instance1", &[("DBInstanceIdentifier", "Always")]);
        let old = instance("prod-leads-3", Some("prod-leads-1"), "Retain");
        let anew = instance("prod-leads-3-g2", Some("prod-leads-2"), "Retain");
        assert_eq!(harm(&renamed, old.clone(), anew.clone(), &after), None);
        let same = today("prod-leads-2", &[(1, 2)]);
        assert!(harm(&renamed, old, anew, &same).is_some(), "nobody made it superfluous");
    }

    #[test]
    fn the_new_writer_changes_in_nothing_that_surely_replaces_it() {
        let after = today("prod-leads-2", &[(1, 2)]);
        let live = || instance("prod-leads-2", Some("prod-leads-1"), "Retain");
        let promoted = [
            ("SourceDBInstanceIdentifier", "Conditionally"),
            ("MultiAZ", "Conditionally"),
            ("DBInstanceClass", "Never"),
        ];
        assert_eq!(harm(&change("Modify", "Instance1", &promoted), live(), wanted(), &after), None);
        let renamed = [("SourceDBInstanceIdentifier", "Conditionally"), ("MasterUsername", "Always")];
        let expected = "replace Instance1 (AWS::RDS::DBInstance) because of MasterUsername, SourceDBInstanceIdentifier";
        assert_eq!(harm(&change("Modify", "Instance1", &renamed), live(), wanted(), &after).as_deref(), Some(expected));
        let zone = [("Engine", "Conditionally")];
        assert!(harm(&change("Modify", "Instance1", &zone), live(), wanted(), &after).is_some());
        let before = today("prod-leads-1", &[]);
        assert!(
            harm(&change("Modify", "Instance1", &promoted), live(), wanted(), &before).is_some(),
            "it is a replica"
        );
    }

    fn wanted() -> Value {
        json!({ "Type": INSTANCE, "UpdateReplacePolicy": "Retain", "Properties": {
            "DBInstanceIdentifier": "prod-leads-2", "DBInstanceClass": "db.r6i.2xlarge", "MultiAZ": true,
            "MasterUsername": "postgres", "Engine": "postgres",
        }})
    }
}

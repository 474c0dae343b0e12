//! Every sample event: whom the rules of the template wake with it, and what
//! each function makes of it.

use domain::events::{Alarm, Function, Meaning, Order, Subject, heard, meaning_for};
use scenarios::rules::{Rule, Scope, Template};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const DEPLOY: Function = Function::DeployCluster;
const WATCH: Function = Function::WatchClusters;
const PROMOTE: Function = Function::PromoteReplica;
const DNS: Function = Function::UpdateDns;
const REJOIN: Function = Function::RejoinReplica;
const REGION: Function = Function::FailOverRegion;

/// A function that acts on an event, the rule that brings it (empty: it comes
/// by direct invocation, or not at all), and where its pass begins.
type Act = (Function, &'static str, &'static str);

/// An event, who acts on it, and what the others say why they do not.
type Sample = (&'static str, &'static [Act], &'static str);

/// What a change of an EC2 instance's state is to all that it is not for.
const DOWN: &str = "which is not for";
/// What a payload without an envelope is to all but deploy-cluster.
const NO_EVENT: &str = "this is no event";
const A_SPEC: &[Act] = &[(DEPLOY, "", "spec")];
const NOBODY: &[Act] = &[];

const SAMPLES: &[Sample] = &[
    // Alarms of a cluster.
    ("alarm-writer-silent", &[(PROMOTE, "ClusterAlarm", "cluster orders")], "which is not for"),
    ("alarm-writer-silent-suppression-ended", &[(PROMOTE, "ClusterAlarm", "cluster orders")], "which is not for"),
    ("alarm-status-check", &[(PROMOTE, "ClusterAlarm", "instance i-0a1b2c3d4e5f60002")], "which is not for"),
    ("alarm-writer-silent-ok", NOBODY, "went to OK, not to ALARM"),
    ("alarm-writer-silent-insufficient-data", NOBODY, "went to INSUFFICIENT_DATA, not to ALARM"),
    ("alarm-writer-silent-suppressed", NOBODY, "suppressed by Alarm"),
    ("alarm-writer-silent-muted", NOBODY, "muted by arn:aws:cloudwatch:eu-west-1:111122223333:alarm-mute-rule:night"),
    ("alarm-writer-silent-changed", NOBODY, "the configuration of alarm"),
    ("alarm-writer-silent-contributor", NOBODY, "one of several series"),
    ("alarm-writer-silent-foreign-account", NOBODY, "from account 444455556666, but about account 111122223333"),
    ("alarm-writer-silent-foreign-metric", NOBODY, "from account 111122223333, but about account 444455556666"),
    ("alarm-writer-silent-neptune", NOBODY, "watches AWS/Neptune"),
    ("alarm-writer-silent-docdb", NOBODY, "watches AWS/DocDB"),
    // Alarms of others.
    ("cw-eb-alarm-contributor", NOBODY, "one of several series"),
    ("cw-eb-anomaly-detection", NOBODY, "EC2 CPU Utilization Anomaly is not about a cluster of this fleet"),
    ("cw-eb-aurora-cluster-cpu", NOBODY, "not about a cluster of this fleet"),
    ("cw-eb-composite-alarm", NOBODY, "not about a cluster of this fleet"),
    ("cw-eb-composite-ok", NOBODY, "went to OK"),
    ("cw-eb-composite-suppressed-extension", NOBODY, "suppressed by ExtensionPeriod"),
    ("cw-eb-composite-suppressed-waitperiod", NOBODY, "suppressed by WaitPeriod"),
    ("cw-eb-config-create", NOBODY, "changed (create)"),
    ("cw-eb-config-delete", NOBODY, "changed (delete)"),
    ("cw-eb-cross-account-metric", NOBODY, "but about account 444455556666"),
    ("cw-eb-metric-alarm-statuscheck", NOBODY, "not about a cluster of this fleet"),
    ("cw-eb-metric-insufficient", NOBODY, "went to INSUFFICIENT_DATA"),
    ("cw-eb-metric-manual-setalarmstate", NOBODY, "not about a cluster of this fleet"),
    ("cw-eb-metrics-insights", NOBODY, "not about a cluster of this fleet"),
    ("cw-lambda-composite-no-suppressor", NOBODY, "not about a cluster of this fleet"),
    ("cw-lambda-metric-alarm", NOBODY, "not about a cluster of this fleet"),
    ("cw-lambda-metric-insufficient", NOBODY, "went to INSUFFICIENT_DATA"),
    ("cw-lambda-metric-math", NOBODY, "not about a cluster of this fleet"),
    ("cw-sns-metric-alarm", NOBODY, "a batch of records"),
    ("edge-duplicate-delivery", NOBODY, "not about a cluster of this fleet"),
    // Instances.
    ("ec2-state-pending", NOBODY, "i-0a1b2c3d4e5f60001 is pending"),
    (
        "ec2-state-running",
        &[
            (DNS, "InstanceStarts", "instance i-0a1b2c3d4e5f60002"),
            (REJOIN, "InstanceStarts", "instance i-0a1b2c3d4e5f60002"),
        ],
        DOWN,
    ),
    ("ec2-state-stopping", &[(PROMOTE, "InstanceGoesDown", "instance i-0a1b2c3d4e5f60002")], DOWN),
    ("ec2-state-stopped", &[(PROMOTE, "InstanceGoesDown", "instance i-0a1b2c3d4e5f60002")], DOWN),
    ("ec2-state-stopped-aws-us-gov", &[(PROMOTE, "InstanceGoesDown", "instance i-0feedfacecafe0001")], DOWN),
    ("ec2-state-stopped-short-id", &[(PROMOTE, "InstanceGoesDown", "instance i-abcd1111")], DOWN),
    ("ec2-state-shutting-down", &[(PROMOTE, "InstanceGoesDown", "instance i-0a1b2c3d4e5f60003")], DOWN),
    ("ec2-state-terminated", &[(PROMOTE, "InstanceGoesDown", "instance i-0a1b2c3d4e5f60002")], DOWN),
    ("ec2-state-stopped-foreign-account", NOBODY, "from account 444455556666, but about account 111122223333"),
    ("ec2-spot-interruption-terminate", NOBODY, "nothing is done about EC2 Spot Instance Interruption Warning"),
    ("asg-terminate-lifecycle-action", NOBODY, "nothing is done about EC2 Instance-terminate Lifecycle Action"),
    ("health-ec2-persistent-retirement", NOBODY, "nothing is done about AWS Health Event"),
    ("edge-custom-source", NOBODY, "from my.app"),
    ("edge-unknown-detail-type", NOBODY, "nothing is done about EC2 Instance Something New"),
    // Stacks.
    ("cfn-cluster-create-in-progress", &[(DEPLOY, "StackChanges", "cluster orders")], "which is not for"),
    ("cfn-cluster-create-complete", &[(DEPLOY, "StackChanges", "cluster orders")], "which is not for"),
    ("cfn-cluster-rollback-in-progress", &[(DEPLOY, "StackChanges", "cluster orders")], "which is not for"),
    ("cfn-cluster-rollback-complete", &[(DEPLOY, "StackChanges", "cluster orders")], "which is not for"),
    ("cfn-cluster-update-rollback-failed", &[(DEPLOY, "StackChanges", "cluster orders")], "which is not for"),
    ("cfn-cluster-delete-complete", &[(DEPLOY, "StackChanges", "cluster orders")], "which is not for"),
    ("cfn-cluster-delete-failed", &[(DEPLOY, "StackChanges", "cluster orders")], "which is not for"),
    ("cfn-cluster-update-in-progress", NOBODY, "still in UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
    ("cfn-stack-create-complete", NOBODY, "stack pg-orders is not of a cluster of this fleet"),
    ("cfn-stack-rollback-complete", NOBODY, "stack pg-orders is not of a cluster of this fleet"),
    ("cfn-stack-update-rollback-failed", NOBODY, "stack pg-orders is not of a cluster of this fleet"),
    ("cfn-resource-create-failed-rds", NOBODY, "nothing is done about CloudFormation Resource Status Change"),
    ("cfn-drift-detected", NOBODY, "nothing is done about CloudFormation Drift Detection"),
    ("cfn-custom-create", A_SPEC, NO_EVENT),
    // Schedules. Everyone who is asked by one looks at everything.
    (
        "schedule-rule-default",
        &[
            (DEPLOY, "EveryMinute", "everything"),
            (WATCH, "EveryMinute", "everything"),
            (PROMOTE, "", "everything"),
            (DNS, "", "everything"),
            (REJOIN, "", "everything"),
            (REGION, "EveryMinute", "everything"),
        ],
        "",
    ),
    (
        "schedule-every-hour",
        &[
            (DEPLOY, "", "everything"),
            (WATCH, "", "everything"),
            (PROMOTE, "EveryHour", "everything"),
            // A schedule's event does not say which schedule it is of.
            (DNS, "EveryFiveMinutes", "everything"),
            (REJOIN, "EveryFiveMinutes", "everything"),
            (REGION, "", "everything"),
        ],
        "",
    ),
    ("schedule-rule-constant-input", A_SPEC, NO_EVENT),
    ("scheduler-context-attributes", A_SPEC, NO_EVENT),
    // What watch-clusters and people send by direct invocation.
    ("watch-writer-suspected", &[(PROMOTE, "", "suspicion orders")], "which is not for"),
    ("watch-change-unfinished", &[(PROMOTE, "", "cluster orders")], "which is not for"),
    ("watch-database-busy", &[(PROMOTE, "", "cluster leads")], "which is not for"),
    ("watch-commits-wait", &[(PROMOTE, "", "cluster orders")], "which is not for"),
    ("watch-synchronous-set-behind", &[(PROMOTE, "", "cluster orders")], "which is not for"),
    ("watch-member-down", &[(REJOIN, "", "cluster orders")], "which is not for"),
    ("watch-member-back", &[(REJOIN, "", "cluster orders")], "which is not for"),
    ("watch-readers-changed", &[(DNS, "", "cluster orders")], "which is not for"),
    ("deploy-plan", &[(DEPLOY, "", "plan of orders")], NO_EVENT),
    ("deploy-spec", A_SPEC, NO_EVENT),
    ("deploy-delete", &[(DEPLOY, "", "end of orders")], NO_EVENT),
    ("deploy-delete-unconfirmed", &[(DEPLOY, "", "refusal")], NO_EVENT),
    ("deploy-blue-green", &[(DEPLOY, "", "a green copy of leads with engine version 17.2")], NO_EVENT),
    ("deploy-plan-upgrade", &[(DEPLOY, "", "the way of leads to PostgreSQL 17")], NO_EVENT),
    ("deploy-render-anew", &[(DEPLOY, "", "the stack of leads with the roles of today")], NO_EVENT),
    ("deploy-status", &[(DEPLOY, "", "status of orders"), (REGION, "", "answer about orders")], NO_EVENT),
    (
        "promote-explain",
        &[(DEPLOY, "", "spec"), (PROMOTE, "", "answer about orders"), (REGION, "", "answer about orders")],
        NO_EVENT,
    ),
    (
        "region-approve",
        // Of promote-replica's own request of that name it has another field.
        &[(DEPLOY, "", "spec"), (PROMOTE, "", "refusal"), (REGION, "", "answer about ledger")],
        NO_EVENT,
    ),
    ("region-failover-unknown-field", &[(DEPLOY, "", "spec"), (REGION, "", "refusal")], NO_EVENT),
    // Managed databases, and their look-alikes.
    ("rds-cluster-0069-failover-failed", &[(PROMOTE, "DatabaseEvent", "database prod-carts")], "which is not for"),
    (
        "rds-cluster-0071-failover-completed",
        &[(PROMOTE, "DatabaseEvent", "database prod-carts"), (DNS, "DatabaseEvent", "database prod-carts")],
        "which is not for",
    ),
    ("rds-cluster-0071-other-fleet", NOBODY, "database billing is not of a cluster of this fleet"),
    (
        "rds-cluster-0073-failover-started-cross-az",
        &[(PROMOTE, "DatabaseEvent", "database prod-carts")],
        "which is not for",
    ),
    ("rds-cluster-0150-stopped", &[(PROMOTE, "DatabaseEvent", "database prod-carts")], "which is not for"),
    ("rds-instance-0006-restarted", &[(PROMOTE, "DatabaseEvent", "database prod-leads-2")], "which is not for"),
    ("rds-instance-0007-storage-exhausted", &[(PROMOTE, "DatabaseEvent", "database prod-leads-1")], "which is not for"),
    (
        "rds-instance-0034-failover-abandoned",
        &[(PROMOTE, "DatabaseEvent", "database prod-leads-1")],
        "which is not for",
    ),
    (
        "rds-instance-0045-replication-stopped",
        &[(PROMOTE, "DatabaseEvent", "database prod-leads-2"), (DNS, "DatabaseEvent", "database prod-leads-2")],
        "which is not for",
    ),
    (
        "rds-instance-0049-failover-completed",
        &[(PROMOTE, "DatabaseEvent", "database prod-leads-1"), (DNS, "DatabaseEvent", "database prod-leads-1")],
        "which is not for",
    ),
    (
        "rds-instance-0049-failover-doc",
        &[(PROMOTE, "DatabaseEvent", "database prod-leads-1"), (DNS, "DatabaseEvent", "database prod-leads-1")],
        "which is not for",
    ),
    ("rds-instance-0087-stopped", &[(PROMOTE, "DatabaseEvent", "database prod-leads-1")], "which is not for"),
    (
        "rds-instance-0154-autostart-7days",
        &[(PROMOTE, "DatabaseEvent", "database prod-leads-1"), (DNS, "DatabaseEvent", "database prod-leads-1")],
        "which is not for",
    ),
    ("rds-instance-0221-storage-full", &[(PROMOTE, "DatabaseEvent", "database prod-leads-1")], "which is not for"),
    ("rds-instance-0371-paused", NOBODY, "pauses, or resumes (RDS-EVENT-0371): that is no trouble"),
    ("rds-instance-0385-topology", &[(DNS, "DatabaseEvent", "database prod-carts-1")], "which is not for"),
    (
        "rds-instance-0390-writes-blocked",
        &[
            (PROMOTE, "DatabaseEvent", "database prod-carts-1"),
            (DNS, "DatabaseEvent", "database prod-carts-1"),
            (REGION, "DatabaseEvent", "database prod-carts-1"),
        ],
        "which is not for",
    ),
    (
        "rds-cluster-0238-global-failover-completed",
        &[(REGION, "DatabaseEvent", "database prod-carts-global")],
        "which is not for",
    ),
    ("rds-instance-0422-host-replacement", NOBODY, "is about a managed database, and calls for nothing"),
    ("rds-instance-backup-no-eventid", NOBODY, "is about a managed database, and calls for nothing"),
    ("rds-cluster-0071-neptune", NOBODY, "a managed database (neptune)"),
    ("rds-cluster-0071-docdb", NOBODY, "a managed database (docdb)"),
    ("cloudtrail-failover-db-cluster", NOBODY, "AWS API Call via CloudTrail"),
    // What was meant for something else.
    ("edge-empty-object", A_SPEC, NO_EVENT),
    ("lambda-dest-retries-exhausted", A_SPEC, NO_EVENT),
    ("widget-describe", A_SPEC, NO_EVENT),
    ("sns-eventbridge-event", NOBODY, "a batch of records"),
    ("sns-plain-text", NOBODY, "a batch of records"),
    ("sqs-eventbridge-event", NOBODY, "a batch of records"),
];

fn template() -> Template {
    Template::read(&scenarios::repository("infra/template.yaml")).unwrap_or_else(|error| panic!("{error}"))
}

fn rules(template: &Template, function: Function, scope: &Scope) -> Vec<Rule> {
    template.rules(function, scope).unwrap_or_else(|error| panic!("{error}"))
}

/// What a function does about an event, in the words of the table.
fn act(meaning: &Meaning) -> Option<String> {
    match meaning {
        Meaning::Schedule | Meaning::Alarm(Alarm { subject: Subject::Fleet, .. }) => Some("everything".to_owned()),
        Meaning::Database { database, .. } => Some(format!("database {database}")),
        Meaning::Alarm(Alarm { subject: Subject::Cluster(cluster), .. })
        | Meaning::Stack { cluster, .. }
        | Meaning::Attention { cluster, .. } => Some(format!("cluster {cluster}")),
        Meaning::Alarm(Alarm { subject: Subject::Instance(instance), .. })
        | Meaning::InstanceState { instance, .. } => Some(format!("instance {instance}")),
        Meaning::Suspicion(seen) => Some(format!("suspicion {}", seen.cluster)),
        Meaning::Spec { .. } => Some("spec".to_owned()),
        Meaning::Order(Order::Plan { cluster }) => Some(format!("plan of {}", cluster.as_deref().unwrap_or("nobody"))),
        Meaning::Order(Order::Delete { cluster }) => Some(format!("end of {cluster}")),
        Meaning::Order(Order::Status { cluster }) => Some(format!("status of {cluster}")),
        Meaning::Order(other) => Some(other.to_string()),
        Meaning::Request(request) => Some(format!("answer about {}", request.cluster())),
        Meaning::Region(request) => Some(format!("answer about {}", request.cluster())),
        Meaning::BadRequest(_) => Some("refusal".to_owned()),
        Meaning::Ignored(_) => None,
    }
}

#[test]
fn every_sample_wakes_whom_it_is_meant_to_and_nobody_else() {
    let template = template();
    for (name, acts, reason) in SAMPLES {
        let event = scenarios::event(name);
        let scope = Scope::of(&event, &template);
        for function in Function::ALL {
            let matching: Vec<String> = rules(&template, function, &scope)
                .into_iter()
                .filter(|rule| rule.matches(&event))
                .map(|rule| rule.name)
                .collect();
            let meaning = meaning_for(function, &scope.fleet, &event);
            let expected = acts.iter().find(|(actor, ..)| *actor == function);
            let rule: Vec<&str> = expected.iter().map(|(_, rule, _)| *rule).filter(|rule| !rule.is_empty()).collect();
            assert_eq!(matching, rule, "{name}: rules of {function}");
            assert_eq!(act(&meaning).as_deref(), expected.map(|(.., act)| *act), "{name}: {function}: {meaning}");
            if expected.is_none() {
                assert!(meaning.to_string().contains(reason), "{name}: {function}: {meaning}");
            }
        }
    }
}

#[test]
fn every_sample_is_in_the_table_and_in_the_readme() {
    let table: BTreeSet<String> = SAMPLES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(table.len(), SAMPLES.len(), "a sample is there twice");
    assert_eq!(table, scenarios::event_names().into_iter().collect());
    let readme = std::fs::read_to_string(scenarios::repository("events/README.md")).unwrap_or_default();
    let rows: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once(".json`").map(|(name, _)| name.to_owned()))
        .collect();
    assert_eq!(table, rows);
}

#[test]
fn every_rule_is_reached_by_a_sample() {
    let template = template();
    let reached: BTreeSet<(&str, &str)> = SAMPLES
        .iter()
        .flat_map(|(_, acts, _)| acts.iter())
        .filter(|(_, rule, _)| !rule.is_empty())
        .map(|(function, rule, _)| (function.name(), *rule))
        .collect();
    let scope = Scope::of(&json!({}), &template);
    for function in Function::ALL {
        for rule in rules(&template, function, &scope) {
            assert!(
                reached.contains(&(function.name(), rule.name.as_str())),
                "no sample reaches {function}, {}",
                rule.name
            );
        }
    }
}

/// Pointers to everything in a value, the value itself first.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                pointers(inner, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                pointers(inner, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn nothing_in_an_event_can_hurt_a_function() {
    let template = template();
    let wrong = [
        json!(null),
        json!(-1),
        json!(""),
        json!("::::::/-"),
        json!("understudy--writer-silent"),
        json!("ä\n\u{0}".repeat(100)),
        json!([[], {}, null]),
        json!({"": {"a": []}}),
    ];
    for name in scenarios::event_names() {
        let mut event = scenarios::event(&name);
        let scope = Scope::of(&event, &template);
        let rules: Vec<Rule> = Function::ALL.iter().flat_map(|function| rules(&template, *function, &scope)).collect();
        let mut places = Vec::new();
        pointers(&event, "", &mut places);
        for (place, value) in places.iter().flat_map(|place| wrong.iter().map(move |value| (place, value))) {
            let mut put = |value: Value| event.pointer_mut(place).map(|slot| std::mem::replace(slot, value));
            let Some(right) = put(value.clone()) else { panic!("{name}: no {place}") };
            let fleet = Scope::of(&event, &template).fleet;
            for function in Function::ALL {
                let sentence = meaning_for(function, &fleet, &event).to_string();
                assert!(sentence.len() < 1_200 && !sentence.contains('\n'), "{name} {place} {value}: {sentence}");
            }
            let delivered = rules.iter().filter(|rule| rule.matches(&event)).count();
            assert!(delivered <= Function::ALL.len(), "{name} {place} {value}: {delivered} deliveries");
            event.pointer_mut(place).map(|slot| std::mem::replace(slot, right));
        }
    }
}

/// An event that must lead to no action does not even wake promote-replica,
/// whichever acting sample it is made from.
#[test]
fn no_harmless_event_wakes_a_promotion() {
    let template = template();
    let harmless: [(&str, &str, Value); 14] = [
        ("OK", "/detail/state/value", json!("OK")),
        ("no data", "/detail/state/value", json!("INSUFFICIENT_DATA")),
        ("no state", "/detail/state", json!(null)),
        ("waiting", "/detail/state/actionsSuppressedBy", json!("WaitPeriod")),
        ("extended", "/detail/state/actionsSuppressedBy", json!("ExtensionPeriod")),
        ("suppressed", "/detail/state/actionsSuppressedBy", json!("Alarm")),
        (
            "muted",
            "/detail/muteDetail",
            json!({"mutedByArn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm-mute-rule:x"}),
        ),
        ("muted until", "/detail/muteDetail", json!({"muteWindowEnd": "2026-11-21T04:00:00.000+0000"})),
        ("configuration", "/detail-type", json!("CloudWatch Alarm Configuration Change")),
        ("contributor", "/detail-type", json!("CloudWatch Alarm Contributor State Change")),
        ("account", "/account", json!("444455556666")),
        ("metric's account", "/detail/configuration/metrics", json!([{"accountId": "444455556666"}])),
        ("Neptune", "/detail/configuration/metrics", json!([{"metricStat": {"metric": {"namespace": "AWS/Neptune"}}}])),
        (
            "DocumentDB",
            "/detail/configuration/metrics",
            json!([{"metricStat": {"metric": {"namespace": "AWS/DocDB"}}}]),
        ),
    ];
    for name in ["alarm-writer-silent", "alarm-writer-silent-suppression-ended", "alarm-status-check"] {
        for (what, pointer, value) in &harmless {
            let mut event = scenarios::event(name);
            let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
            event
                .pointer_mut(parent)
                .and_then(Value::as_object_mut)
                .map(|fields| fields.insert((*key).to_owned(), value.clone()));
            let scope = Scope::of(&event, &template);
            let rules = rules(&template, PROMOTE, &scope);
            assert!(!rules.iter().any(|rule| rule.matches(&event)), "{name}: {what} is delivered");
            let meaning = meaning_for(PROMOTE, &scope.fleet, &event);
            assert!(matches!(meaning, Meaning::Ignored(_)), "{name}: {what}: {meaning}");
        }
    }
}

/// The rules wake a function with the events of RDS that it acts on, and with no others.
#[test]
fn the_rules_name_the_events_of_rds_that_are_heard() {
    let template = template();
    for function in Function::ALL {
        let named = template.database_events(function).unwrap_or_else(|error| panic!("{error}"));
        let heard: BTreeSet<String> = heard(function).into_iter().collect();
        assert_eq!(named, heard, "{function}");
    }
}

use super::*;
use crate::lsn::Lsn;
use serde_json::json;

/// An alarm of a cluster of fleet `prod` that went off, as EventBridge sends it.
fn writer_silent() -> Value {
    json!({
        "source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change", "account": "111122223333",
        "resources": ["arn:aws:cloudwatch:eu-west-1:111122223333:alarm:understudy-prod-orders-writer-silent"],
        "detail": {
            "alarmName": "understudy-prod-orders-writer-silent",
            "state": {"value": "ALARM"}, "previousState": {"value": "OK"},
            "configuration": {"metrics": [{"id": "m1", "returnData": true, "metricStat": {
                "metric": {"namespace": "Understudy", "name": "WriterUp", "dimensions": {"Cluster": "orders"}},
                "period": 60, "stat": "Maximum"}}]}
        }
    })
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut event = writer_silent();
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    match event.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.insert(key.to_owned(), value)),
        Some(Value::Array(items)) => items[key.parse::<usize>().unwrap_or(0)] = value,
        other => panic!("{parent} is {other:?}"),
    }
    event
}

fn promotes(event: &Value) -> String {
    meaning_for(Function::PromoteReplica, "prod", event).to_string()
}

#[test]
fn an_alarm_is_heard_unless_something_says_that_it_must_not() {
    let heard = "alarm understudy-prod-orders-writer-silent went to ALARM: look at orders";
    let table = [
        ("as it comes", writer_silent(), heard),
        (
            "its suppression ended",
            changed("/detail/previousState/actionsSuppressedBy", json!("Alarm")),
            "alarm understudy-prod-orders-writer-silent is in ALARM and no longer suppressed: look at orders",
        ),
        ("without a previous state", changed("/detail/previousState", json!(null)), heard),
        ("a null is nothing", changed("/detail/muteDetail", json!(null)), heard),
        (
            "its own account, said twice",
            changed("/detail/configuration/metrics/0/accountId", json!("111122223333")),
            heard,
        ),
        (
            "OK",
            changed("/detail/state/value", json!("OK")),
            "ignored: alarm understudy-prod-orders-writer-silent went to OK, not to ALARM",
        ),
        (
            "no data",
            changed("/detail/state/value", json!("INSUFFICIENT_DATA")),
            "ignored: alarm understudy-prod-orders-writer-silent went to INSUFFICIENT_DATA, not to ALARM",
        ),
        (
            "suppressed",
            changed("/detail/state/actionsSuppressedBy", json!("WaitPeriod")),
            "ignored: alarm understudy-prod-orders-writer-silent is in ALARM, but its actions are suppressed by WaitPeriod",
        ),
        (
            "muted",
            changed(
                "/detail/muteDetail",
                json!({"mutedByArn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm-mute-rule:night"}),
            ),
            "ignored: alarm understudy-prod-orders-writer-silent is in ALARM, but its actions are muted by \
             arn:aws:cloudwatch:eu-west-1:111122223333:alarm-mute-rule:night",
        ),
        (
            "muted, in a shape not seen yet",
            changed("/detail/muteDetail", json!(true)),
            "ignored: alarm understudy-prod-orders-writer-silent is in ALARM, but its actions are muted by something",
        ),
        (
            "another account's metric",
            changed("/detail/configuration/metrics/0/accountId", json!("444455556666")),
            "ignored: it is from account 111122223333, but about account 444455556666",
        ),
        (
            "sent on by another account",
            changed("/account", json!("444455556666")),
            "ignored: it is from account 444455556666, but about account 111122223333",
        ),
        (
            "from no account",
            changed("/account", json!(7)),
            "ignored: it does not say which account it is from, and is about account 111122223333",
        ),
        (
            "Neptune under our name",
            changed("/detail/configuration/metrics/0/metricStat/metric/namespace", json!("AWS/Neptune")),
            "ignored: alarm understudy-prod-orders-writer-silent watches AWS/Neptune, which is no metric of this fleet",
        ),
        (
            "another fleet",
            changed("/detail/alarmName", json!("understudy-test-orders-writer-silent")),
            "ignored: alarm understudy-test-orders-writer-silent is not about a cluster of this fleet",
        ),
        (
            "no cluster in its name",
            changed("/detail/alarmName", json!("understudy-prod-writer-silent")),
            "ignored: alarm understudy-prod-writer-silent is not about a cluster of this fleet",
        ),
        (
            "its configuration",
            changed("/detail-type", json!("CloudWatch Alarm Configuration Change")),
            "ignored: the configuration of alarm understudy-prod-orders-writer-silent changed (change)",
        ),
        (
            "one of its series",
            changed("/detail-type", json!("CloudWatch Alarm Contributor State Change")),
            "ignored: this is one of several series of alarm understudy-prod-orders-writer-silent",
        ),
        ("no detail", changed("/detail", json!([])), "ignored: /alarmName in its detail is missing or malformed"),
        (
            "no state",
            changed("/detail/state", json!("ALARM")),
            "ignored: /state/value in its detail is missing or malformed",
        ),
    ];
    for (name, event, expected) in table {
        assert_eq!(promotes(&event), expected, "{name}");
    }
}

#[test]
fn a_status_check_is_about_its_instance() {
    let named = changed("/detail/alarmName", json!("understudy-prod-orders-orders_1-status-check"));
    let mut with_id = named.clone();
    with_id["detail"]["configuration"]["metrics"][0]["metricStat"]["metric"]["dimensions"] =
        json!({"InstanceId": "i-0a1"});
    assert!(promotes(&with_id).ends_with("look at the cluster of i-0a1"), "{}", promotes(&with_id));
    assert!(promotes(&named).ends_with("look at every cluster"), "{}", promotes(&named));
}

#[test]
fn an_alarm_that_has_the_function_as_its_action_is_read_alike() {
    let alarm = writer_silent();
    let direct = |account: &str| json!({"source": "aws.cloudwatch", "alarmArn": alarm["resources"][0], "accountId": account, "alarmData": alarm["detail"]});
    assert_eq!(promotes(&direct("111122223333")), promotes(&alarm));
    assert_eq!(
        promotes(&direct("444455556666")),
        "ignored: it is from account 444455556666, but about account 111122223333"
    );
}

#[test]
fn a_function_takes_only_what_is_for_it() {
    let schedule = json!({"source": "aws.events", "detail-type": "Scheduled Event", "account": "1", "detail": {}});
    let started = json!({"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification",
        "detail": {"instance-id": "i-0a1", "state": "running"}});
    let spec = json!({"name": "orders", "topology": "ec2-streaming"});
    let table = [
        (Function::WatchClusters, &schedule, "the schedule is due: look at every cluster"),
        (
            Function::PromoteReplica,
            &started,
            "ignored: EC2 says that i-0a1 is running, which is not for promote-replica",
        ),
        (Function::RejoinReplica, &started, "EC2 says that i-0a1 is running: look at its cluster"),
        (Function::UpdateDns, &spec, "ignored: this is no event: it has no source and detail-type"),
        (Function::DeployCluster, &started, "ignored: EC2 says that i-0a1 is running, which is not for deploy-cluster"),
        (Function::DeployCluster, &spec, "this is the spec of orders: check it and deploy it"),
        (Function::WatchClusters, &spec, "ignored: this is no event: it has no source and detail-type"),
        (Function::PromoteReplica, &spec, "ignored: this is no event: it has no source and detail-type"),
    ];
    for (function, event, expected) in table {
        assert_eq!(meaning_for(function, "prod", event).to_string(), expected);
    }
}

#[test]
fn a_suspicion_needs_a_cluster_and_a_member_and_nothing_else() {
    let suspicion = |detail: Value| {
        let event = json!({"source": "understudy.watch-clusters", "detail-type": "Understudy Writer Suspected", "detail": detail});
        meaning_for(Function::PromoteReplica, "prod", &event)
    };
    let whole = suspicion(json!({"cluster": "orders", "member": "i-0a1", "failures": 3, "silent_since_ms": 1000,
        "last_lsn": "0/4372C78", "last_lsn_at_ms": 900, "synchronous_setting": "ANY 1 (a)", "problem": "timed out", "raised_at_ms": 1100}));
    let seen = Suspicion {
        cluster: "orders".to_owned(),
        member: "i-0a1".to_owned(),
        failures: Some(3),
        silent_since_ms: Some(1000),
        last_lsn: Some(Lsn(0x437_2C78)),
        raised_at_ms: Some(1100),
        last_lsn_at_ms: Some(900),
        synchronous_setting: Some("ANY 1 (a)".to_owned()),
        problem: Some("timed out".to_owned()),
        leader: None,
    };
    assert_eq!(whole, Meaning::Suspicion(seen));
    let least =
        suspicion(json!({"cluster": "orders", "member": "i-0a1", "failures": -1, "last_lsn": "x", "problem": []}));
    assert!(
        matches!(least, Meaning::Suspicion(Suspicion { failures: None, last_lsn: None, problem: None, .. })),
        "{least:?}"
    );
    let nobody = suspicion(json!({"cluster": "orders"}));
    assert!(matches!(nobody, Meaning::Attention { .. }), "{nobody:?}");
    let nothing = suspicion(json!({"cluster": 1, "member": "i-0a1"}));
    assert_eq!(nothing.to_string(), "ignored: /cluster in its detail is missing or malformed");
}

#[test]
fn a_sentence_stays_on_one_line_and_short_whatever_the_event_says() {
    let event = changed("/detail/alarmName", json!(format!("a\nb\u{1b}[31m{}", "x".repeat(10_000))));
    let sentence = promotes(&event);
    assert!(sentence.starts_with(r"ignored: alarm a\nb\u{1b}[31mxxx"), "{sentence}");
    assert!(sentence.len() < 200 && !sentence.contains('\n'), "{sentence}");
}

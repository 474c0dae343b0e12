//! Alarms, logs and outputs.

use crate::kit::{fleet, of_type, properties, render, resolve, spec};
use domain::spec::Spec;
use serde_json::{Value, json};

#[test]
fn alarms_are_found_by_name_and_page() {
    let template = render(&Spec::new("orders"));
    let mut seen = Vec::new();
    for (_, alarm) in of_type(&template, "AWS::CloudWatch::Alarm") {
        assert_eq!(alarm["AlarmActions"], json!([fleet().pages_topic_arn]));
        assert_eq!(alarm["OKActions"], json!([fleet().pages_topic_arn]));
        let name = alarm["AlarmName"].as_str().unwrap();
        if !name.contains("_2") && !name.contains("_3") {
            let rule = format!(
                "{} {} {} {}x{} s, missing {}",
                name,
                alarm["ComparisonOperator"].as_str().unwrap(),
                alarm["Threshold"],
                alarm["EvaluationPeriods"],
                alarm["Period"],
                alarm["TreatMissingData"].as_str().unwrap()
            );
            seen.push(rule);
        }
    }
    seen.sort_unstable();
    let expected = [
        "understudy-prod-orders-orders_1-cpu-used GreaterThanThreshold 80 5x60 s, missing missing",
        "understudy-prod-orders-orders_1-disk-used GreaterThanThreshold 80 5x60 s, missing missing",
        "understudy-prod-orders-orders_1-memory-used GreaterThanThreshold 80 5x60 s, missing missing",
        "understudy-prod-orders-orders_1-status-check GreaterThanOrEqualToThreshold 1 2x60 s, missing missing",
        "understudy-prod-orders-writer-silent LessThanThreshold 1 1x60 s, missing breaching",
    ];
    assert_eq!(seen, expected);
    let dimensions = &properties(&template, "Member2DiskAlarm")["Dimensions"];
    let expected = json!([
        { "Name": "Fleet", "Value": "prod" },
        { "Name": "Cluster", "Value": "orders" },
        { "Name": "Member", "Value": "orders_2" },
    ]);
    assert_eq!(dimensions, &expected);
    assert_eq!(properties(&template, "Member2DiskAlarm")["Namespace"], "Understudy/Hosts");
}

#[test]
fn logs_are_kept_as_long_as_the_spec_says_or_not_sent() {
    let template = render(&spec(json!({ "log_days": 90 })));
    assert_eq!(properties(&template, "Logs")["RetentionInDays"], 90);
    assert_eq!(properties(&template, "Logs")["LogGroupName"], "/understudy/prod/orders");
    let template = render(&spec(json!({ "log_days": 0 })));
    assert!(of_type(&template, "AWS::Logs::LogGroup").is_empty());
    assert!(!template.to_string().contains("logs:PutLogEvents"));
}

#[test]
fn the_stack_shows_how_to_connect_and_what_there_is() {
    let template = render(&spec(json!({
        "postgresql": { "port": 6000, "database": "shop", "owner": "seller" },
        "members": { "count": 2 },
    })));
    let outputs = template["Outputs"].as_object().unwrap();
    let text = |name: &str| resolve(&template, &outputs[name]["Value"]);
    let connection =
        "postgresql://seller@orders-rw.db.internal:6000/shop?sslmode=verify-full&target_session_attrs=read-write";
    assert_eq!(text("ConnectionString"), connection);
    assert_eq!(text("WriterRecord"), "orders-rw.db.internal");
    assert_eq!(text("ReaderRecord"), "orders-ro.db.internal");
    assert_eq!((text("Port"), text("Database")), ("6000".into(), "shop".into()));
    assert_eq!(text("HighAvailability"), "true");
    assert_eq!(text("Replication"), "synchronous: commits wait for 1 of 1 standbys");
    assert_eq!(
        (text("Member1Instance"), text("Member2Address")),
        ("i-0123456789abcdef1".into(), "10.100.100.102".into())
    );
    for (name, output) in outputs {
        assert!(output["Description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
}

/// Neither a role nor a record, nor anything else that a change of writer would change.
#[test]
fn the_stack_holds_nothing_that_a_failover_changes() {
    let template = render(&Spec::new("orders"));
    let mut kinds: Vec<&str> = template["Resources"]
        .as_object()
        .unwrap()
        .values()
        .map(|resource| resource["Type"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let expected = [
        "AWS::CloudWatch::Alarm",
        "AWS::EC2::Instance",
        "AWS::EC2::NetworkInterface",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Volume",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::Role",
        "AWS::Logs::LogGroup",
        "AWS::SSM::Parameter",
        "AWS::SecretsManager::Secret",
    ];
    assert_eq!(kinds, expected);
}

/// Understudy's functions may change only what bears the fleet's tag.
#[test]
fn everything_that_can_bear_a_tag_bears_the_fleets() {
    let template = render(&spec(json!({
        "access": { "bastion": { "admin_cidrs": ["192.0.2.1/32"] } },
        "network": { "own_vpc": { "endpoints": true } },
        "tags": { "team": "payments" },
    })));
    let untagged = [
        "AWS::EC2::EIPAssociation",
        "AWS::EC2::Route",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::IAM::InstanceProfile",
    ];
    for (name, resource) in template["Resources"].as_object().unwrap() {
        let tags = &resource["Properties"]["Tags"];
        if untagged.contains(&resource["Type"].as_str().unwrap()) {
            continue;
        }
        let tag = |key: &str| match tags {
            Value::Array(tags) => tags.iter().find(|tag| tag["Key"] == key).map(|tag| tag["Value"].clone()),
            tags => tags.get(key).cloned(),
        };
        assert_eq!(tag("understudy:fleet"), Some("prod".into()), "{name}");
        assert_eq!(tag("understudy:cluster"), Some("orders".into()), "{name}");
        assert_eq!(tag("team"), Some("payments".into()), "{name}");
    }
}

//! The monitoring host: its volume, its topic, what it is told. Who reaches it is in `reach`.

use crate::kit::{primary, properties, rights, settings, text, texts};
use serde_json::json;

#[test]
fn none_is_made_unless_the_spec_wants_it() {
    let template = primary(json!({}));
    assert!(template["Resources"].get("MonitoringInstance").is_none());
    assert!(template["Resources"].get("AlertsTopic").is_none());
    assert!(settings(&template).contains(&"MONITORING=".to_owned()));
}

#[test]
fn what_it_keeps_is_on_a_volume_that_outlives_its_instance() {
    let template = primary(json!({ "monitoring": { "volume_gib": 60, "instance_type": "t4g.medium" } }));
    let volume = &template["Resources"]["MonitoringData"];
    assert_eq!((&volume["Properties"]["Size"], &volume["Properties"]["VolumeType"]), (&json!(60), &json!("gp3")));
    assert_eq!(volume["Properties"]["Encrypted"], true);
    assert_eq!(volume["DeletionPolicy"], "Snapshot");
    let instance = properties(&template, "MonitoringInstance");
    assert_eq!(instance["InstanceType"], "t4g.medium");
    assert_eq!(text(&template, &instance["Volumes"][0]["VolumeId"]), "{MonitoringData}");
}

#[test]
fn it_is_told_what_the_spec_says() {
    let template = primary(json!({ "monitoring": { "retention_days": 20, "scrape_s": 30 } }));
    let told = settings(&template);
    let expected = [
        "MONITORING={MonitoringInterface.PrimaryPrivateIpAddress}",
        "MONITORING_RETENTION_DAYS=20",
        "MONITORING_SCRAPE_SECONDS=30",
        "MONITORING_GRAFANA=1",
        "MONITORING_TOPIC={AlertsTopic}",
        "GRAFANA_SECRET={GrafanaSecret}",
        "PAGES_TOPIC=arn:aws:sns:eu-west-1:111122223333:prod-pages",
    ];
    for line in expected {
        assert!(told.iter().any(|told| told == line), "no line {line}");
    }
    assert_eq!(properties(&template, "GrafanaSecret")["Name"], "understudy/prod/shop/grafana");
    // No password is the same for two clusters, or known to anybody.
    assert_eq!(properties(&template, "GrafanaSecret")["GenerateSecretString"]["PasswordLength"], 32);
}

#[test]
fn without_grafana_there_is_neither_its_password_nor_its_port() {
    let template =
        primary(json!({ "monitoring": { "grafana": false }, "access": { "management_cidrs": ["10.9.0.0/24"] } }));
    assert!(template["Resources"].get("GrafanaSecret").is_none());
    assert!(!crate::kit::reach(&template).iter().any(|rule| rule.contains(" 3000 ")));
    assert!(settings(&template).contains(&"MONITORING_GRAFANA=0".to_owned()));
}

#[test]
fn only_it_publishes_to_the_clusters_topic_and_it_may_page() {
    let template = primary(json!({ "monitoring": {} }));
    assert_eq!(properties(&template, "AlertsTopic")["TopicName"], "prod-shop-alerts");
    let policy = properties(&template, "AlertsTopicPolicy");
    assert_eq!(texts(&template, &policy["Topics"]), ["{AlertsTopic}"]);
    let [publish, transport] = policy["PolicyDocument"]["Statement"].as_array().unwrap().as_slice() else {
        panic!("two statements: {policy}")
    };
    assert_eq!(text(&template, &publish["Principal"]["AWS"]), "{MonitoringRole.Arn}");
    assert_eq!(publish["Action"], json!(["sns:Publish"]));
    assert_eq!((&transport["Effect"], &transport["Sid"]), (&json!("Deny"), &json!("DenyInsecureTransport")));
    let publishes: Vec<String> =
        rights(&template, "MonitoringRole").into_iter().filter(|right| right.starts_with("sns:")).collect();
    assert_eq!(publishes, ["sns:Publish arn:aws:sns:eu-west-1:111122223333:prod-pages", "sns:Publish {AlertsTopic}"]);
    for role in ["MemberRole", "EtcdRole"] {
        assert!(!rights(&template, role).iter().any(|right| right.starts_with("sns:")), "{role}");
    }
}

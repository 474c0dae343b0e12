//! What roles of a cluster may do, and what is in no template.

use crate::kit::{global, of_part, of_type, properties, render, resolve, spec};
use serde_json::{Value, json};
use template::Part;

/// Who may take a role, and what it then may: "action resource", sorted.
fn role(template: &Value, name: &str) -> (String, Vec<String>) {
    let role = properties(template, name);
    let trust = &role["AssumeRolePolicyDocument"]["Statement"][0];
    assert_eq!(trust["Condition"]["StringEquals"]["aws:SourceAccount"], json!([{ "Ref": "AWS::AccountId" }]), "{name}");
    let mut may = Vec::new();
    for statement in role["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap() {
        for action in statement["Action"].as_array().unwrap() {
            for resource in statement["Resource"].as_array().unwrap() {
                may.push(format!("{} {}", action.as_str().unwrap(), resolve(template, resource)));
            }
        }
    }
    may.sort();
    (trust["Principal"]["Service"].as_str().unwrap().to_owned(), may)
}

#[test]
fn enhanced_monitoring_writes_its_own_group_only() {
    let (service, may) = role(&render(&spec(&json!({}))), "MonitoringRole");
    assert_eq!(service, "monitoring.rds.amazonaws.com");
    assert!(may.iter().all(|right| right.starts_with("logs:") && right.contains("log-group:RDSOSMetrics")), "{may:?}");
    assert!(may.iter().any(|right| right.starts_with("logs:PutLogEvents")));
}

#[test]
fn a_proxy_reads_the_applications_password_only() {
    let (service, may) = role(&render(&spec(&json!({ "managed": { "proxy": {} } }))), "ProxyRole");
    assert_eq!(service, "rds.amazonaws.com");
    assert_eq!(may, ["secretsmanager:GetSecretValue understudy/prod/carts/application"]);
}

/// The account by its own policies, and CloudWatch Logs for the groups of this cluster.
#[test]
fn the_key_lets_two_in() {
    let template = render(&spec(&json!({})));
    let statements = properties(&template, "DataKey")["KeyPolicy"]["Statement"].as_array().unwrap();
    let names: Vec<&str> = statements.iter().map(|statement| statement["Sid"].as_str().unwrap()).collect();
    assert_eq!(names, ["Account", "Logs"]);
    let context = &statements[1]["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"][0];
    assert_eq!(resolve(&template, context), "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/rds/*/prod-carts*/*");
}

/// Everything bears the tags by which Understudy and the stack's role know what is the fleet's.
#[test]
fn everything_that_takes_tags_has_them() {
    let without = [
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::Logs::MetricFilter",
        "AWS::RDS::DBProxyTargetGroup",
        "AWS::Route53::RecordSet",
    ];
    for part in [Part::Primary, Part::Dr] {
        let template = of_part(&global(&json!({ "managed": { "proxy": {} } })), part);
        for (name, resource) in template["Resources"].as_object().unwrap() {
            let (kind, properties) = (resource["Type"].as_str().unwrap(), &resource["Properties"]);
            let tags =
                if kind == "AWS::Route53::HealthCheck" { &properties["HealthCheckTags"] } else { &properties["Tags"] };
            assert_eq!(tags.to_string().contains("understudy:fleet"), !without.contains(&kind), "{name} {kind}");
        }
    }
}

#[test]
fn no_password_is_in_a_template() {
    for spec in [spec(&json!({ "managed": { "proxy": {} } })), global(&json!({}))] {
        let template = render(&spec);
        for (name, secret) in of_type(&template, "AWS::SecretsManager::Secret") {
            assert_eq!(secret["SecretString"], Value::Null, "{name}");
            assert!(secret["GenerateSecretString"]["PasswordLength"].as_u64().unwrap() >= 24, "{name}");
        }
        let password = &properties(&template, "DatabaseCluster")["MasterUserPassword"];
        assert!(password.is_null() || resolve(&template, password).starts_with("{{resolve:"), "{password}");
        // An output would show what it is resolved to.
        assert!(!template["Outputs"].to_string().contains("{{resolve:"));
    }
}

//! Who may reach a host, and what hosts may do in AWS.

use crate::kit::{properties, reach, render, resolve, spec};
use domain::spec::Spec;
use serde_json::{Value, json};

/// Everything that may reach a member, and everything that it may reach.
#[test]
fn only_the_port_of_postgresql_is_open_and_only_to_who_needs_it() {
    let mut spec = Spec::new("orders");
    spec.postgresql.port = 6432;
    spec.client_cidrs = vec!["10.1.0.0/16".into(), "10.2.0.0/16".into()];
    let expected = [
        "member in 6432 10.1.0.0/16",
        "member in 6432 10.2.0.0/16",
        "member in 6432 sg-functions",
        "member in 6432 sg-member",
        "member out 443 0.0.0.0/0",
        "member out 6432 sg-member",
        "member out 80 0.0.0.0/0",
    ];
    assert_eq!(reach(&render(&spec)), expected);
}

#[test]
fn people_and_monitoring_come_from_the_networks_that_the_spec_names() {
    let access = json!({ "management_cidrs": ["10.0.9.0/24"], "monitoring_cidrs": ["10.0.10.0/24"] });
    let template = render(&spec(json!({ "access": access })));
    let with = reach(&template);
    let without = reach(&render(&spec(json!({}))));
    let added: Vec<&String> = with.iter().filter(|rule| !without.contains(rule)).collect();
    assert_eq!(added, ["member in 22 10.0.9.0/24", "member in 9100 10.0.10.0/24", "member in 9187 10.0.10.0/24"]);
    assert_eq!(with.len(), without.len() + added.len());
}

#[test]
fn a_bastion_is_reached_by_its_administrators_and_reaches_the_members() {
    let bastion = json!({ "admin_cidrs": ["192.0.2.10/32"], "subnet_id": "subnet-0123456789abcdef9" });
    let template = render(&spec(json!({ "access": { "bastion": bastion, "key_name": "operations" } })));
    let expected = [
        "bastion in 22 192.0.2.10/32",
        "bastion out 22 sg-member",
        "bastion out 443 0.0.0.0/0",
        "bastion out 5432 sg-member",
        "bastion out 80 0.0.0.0/0",
        "member in 22 sg-bastion",
        "member in 5432 sg-bastion",
    ];
    let rules = reach(&template);
    let seen: Vec<&String> = rules.iter().filter(|rule| rule.contains("bastion")).collect();
    assert_eq!(seen, expected);
    assert_eq!(properties(&template, "BastionInterface")["SubnetId"], "subnet-0123456789abcdef9");
    assert_eq!(properties(&template, "BastionInstance")["InstanceType"], "t4g.micro");
    for instance in ["BastionInstance", "Member1"] {
        assert_eq!(properties(&template, instance)["KeyName"], "operations", "{instance}");
    }
    // Its first boot needs its address.
    let after = &template["Resources"]["BastionInstance"]["DependsOn"];
    assert!(after.as_array().unwrap().contains(&json!("BastionAddressAssociation")), "{after}");
    let statements = &properties(&template, "BastionRole")["Policies"][0]["PolicyDocument"]["Statement"];
    assert!(!statements.to_string().contains("secretsmanager"), "a bastion reads no secret");
}

#[test]
fn monitoring_of_the_clusters_own_reads_the_members_and_is_reached_by_people() {
    let access = json!({ "management_cidrs": ["10.0.9.0/24"] });
    let template = render(&spec(json!({ "access": access, "monitoring": {} })));
    let expected = [
        "member in 9100 sg-monitoring",
        "member in 9187 sg-monitoring",
        "monitoring in 22 10.0.9.0/24",
        "monitoring in 3000 10.0.9.0/24",
        "monitoring in 9090 10.0.9.0/24",
        "monitoring in 9093 10.0.9.0/24",
        "monitoring out 443 0.0.0.0/0",
        "monitoring out 80 0.0.0.0/0",
        "monitoring out 9100 sg-member",
        "monitoring out 9187 sg-member",
    ];
    let rules = reach(&template);
    let seen: Vec<&String> = rules.iter().filter(|rule| rule.contains("monitoring")).collect();
    assert_eq!(seen, expected);
}

/// Whatever a spec asks for: no port is open to everybody.
#[test]
fn nothing_is_open_to_the_internet() {
    let template = render(&spec(json!({
        "access": { "bastion": { "admin_cidrs": ["192.0.2.1/32"] }, "management_cidrs": ["10.0.9.0/24"] },
        "network": { "own_vpc": { "endpoints": true } },
        "monitoring": {},
        "backups": {},
    })));
    let open: Vec<String> = reach(&template).into_iter().filter(|rule| rule.contains(" in ")).collect();
    assert!(open.len() > 10 && !open.iter().any(|rule| rule.ends_with("0.0.0.0/0")), "{open:?}");
}

#[test]
fn without_a_key_pair_and_a_bastion_there_is_session_manager_only() {
    let template = render(&Spec::new("orders"));
    assert!(properties(&template, "Member1").get("KeyName").is_none());
    assert!(!reach(&template).iter().any(|rule| rule.contains(" in 22 ")));
    assert!(template["Resources"].get("BastionInstance").is_none());
}

/// What a role allows: actions, resources, condition.
fn rights(template: &Value, role: &str) -> Vec<(Value, Vec<String>, Value)> {
    let role = properties(template, role);
    assert_eq!(role["Policies"].as_array().unwrap().len(), 1);
    assert!(role.get("ManagedPolicyArns").is_none());
    let statements = role["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap();
    let right = |statement: &Value| {
        assert_eq!(statement["Effect"], "Allow");
        let resources = statement["Resource"].as_array().unwrap();
        let resources = resources.iter().map(|resource| resolve(template, resource)).collect();
        (statement["Action"].clone(), resources, statement["Condition"].clone())
    };
    statements.iter().map(right).collect()
}

fn arn(service: &str, resource: &str) -> Vec<String> {
    vec![format!("arn:aws:{service}:eu-west-1:111122223333:{resource}")]
}

/// What every host may do.
fn of_every_host() -> Vec<(Value, Vec<String>, Value)> {
    let systems_manager = json!([
        "ec2messages:AcknowledgeMessage",
        "ec2messages:DeleteMessage",
        "ec2messages:FailMessage",
        "ec2messages:GetEndpoint",
        "ec2messages:GetMessages",
        "ec2messages:SendReply",
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ]);
    let logs = json!(["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]);
    let everything = vec!["*".to_owned()];
    let metrics = json!({ "StringEquals": { "cloudwatch:namespace": ["Understudy/Hosts"] } });
    vec![
        (json!(["ssm:GetParameter"]), arn("ssm", "parameter/understudy/prod/clusters/orders/settings"), Value::Null),
        (json!(["s3:GetObject"]), vec!["arn:aws:s3:::prod-understudy/nodes/*".into()], Value::Null),
        (
            json!(["cloudformation:SignalResource"]),
            arn("cloudformation", "stack/understudy-prod-orders/*"),
            Value::Null,
        ),
        (systems_manager, everything.clone(), Value::Null),
        (json!(["cloudwatch:PutMetricData"]), everything, metrics),
        (logs, arn("logs", "log-group:/understudy/prod/orders:*"), Value::Null),
    ]
}

#[test]
fn a_member_may_touch_its_own_state_secrets_and_stack_only() {
    let secret = |name: &str| {
        format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:understudy/prod/orders/{name}-AbCdEf")
    };
    let mut expected = vec![
        (
            json!(["dynamodb:GetItem", "dynamodb:UpdateItem"]),
            arn("dynamodb", "table/prod-state"),
            json!({ "ForAllValues:StringEquals": { "dynamodb:LeadingKeys": ["orders"] } }),
        ),
        (
            json!(["secretsmanager:GetSecretValue"]),
            ["operator", "replication", "application", "tls"].map(secret).to_vec(),
            Value::Null,
        ),
    ];
    expected.extend(of_every_host());
    assert_eq!(rights(&render(&Spec::new("orders")), "MemberRole"), expected);
}

#[test]
fn a_host_that_is_no_member_may_only_say_why_its_set_up_failed() {
    let bastion = json!({ "admin_cidrs": ["192.0.2.10/32"], "subnet_id": "subnet-0123456789abcdef9" });
    let template = render(&spec(json!({ "access": { "bastion": bastion } })));
    let condition = json!({
        "ForAllValues:StringEquals": {
            "dynamodb:Attributes": ["at", "cluster", "item", "reason", "step"],
            "dynamodb:LeadingKeys": ["orders"],
        },
    });
    let mut expected = vec![(json!(["dynamodb:UpdateItem"]), arn("dynamodb", "table/prod-state"), condition)];
    expected.extend(of_every_host());
    assert_eq!(rights(&template, "BastionRole"), expected);
}

/// Secrets Manager decrypts for the caller, with the caller's rights.
#[test]
fn a_customer_key_encrypts_secrets_and_members_may_have_them_decrypted() {
    let key = "arn:aws:kms:eu-west-1:111122223333:key/0123abcd-0123-abcd-0123-0123456789ab";
    let template = render(&spec(json!({ "encryption": { "kms_key_arn": key } })));
    for secret in ["OperatorSecret", "ReplicationSecret", "ApplicationSecret"] {
        assert_eq!(properties(&template, secret)["KmsKeyId"], key, "{secret}");
    }
    let condition = json!({ "StringEquals": { "kms:ViaService": ["secretsmanager.eu-west-1.amazonaws.com"] } });
    let right = (json!(["kms:Decrypt"]), vec![key.to_owned()], condition);
    assert!(rights(&template, "MemberRole").contains(&right));
    assert!(!render(&Spec::new("orders")).to_string().contains("kms:"));
}

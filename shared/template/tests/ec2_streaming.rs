//! The template of a cluster, with every reference filled in as CloudFormation would.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use domain::{
    card::{Card, CardMember, Records, Topology},
    policy::Policy,
    spec::{Spec, Zone},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
};
use template::{BODY_LIMIT, Fleet, Subnet, Tls, USER_DATA_LIMIT, ec2_streaming};

fn fleet() -> Fleet {
    Fleet {
        name: "prod".into(),
        region: "eu-west-1".into(),
        vpc_id: "vpc-1".into(),
        client_cidrs: vec!["10.0.0.0/16".into()],
        subnets: vec![
            Subnet { id: "subnet-a".into(), zone: "eu-west-1a".into() },
            Subnet { id: "subnet-b".into(), zone: "eu-west-1b".into() },
        ],
        zone: Zone { id: "Z1".into(), name: "db.internal".into() },
        functions_security_group_id: "sg-functions".into(),
        pages_topic_arn: "arn:aws:sns:eu-west-1:111122223333:prod-pages".into(),
        state_table: "prod-state".into(),
    }
}

/// A certificate of the size of a real one.
fn tls() -> Tls {
    let line = "A".repeat(64) + "\n";
    Tls {
        secret_arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:understudy/prod/orders/tls-AbCdEf".into(),
        certificate_authority: format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", line.repeat(9)),
    }
}

fn render(spec: &Spec) -> Value {
    serde_json::from_str(&ec2_streaming(spec, &fleet(), &tls()).body().unwrap()).unwrap()
}

/// The longest name, the most members and networks, and long names in the database.
fn largest() -> Spec {
    let mut spec = Spec::new(&"a".repeat(40));
    spec.members.count = 5;
    spec.client_cidrs = (0..20).map(|n| format!("10.100.1{n:02}.0/24")).collect();
    spec.postgresql.database = "d".repeat(63);
    spec.postgresql.owner = "o".repeat(63);
    spec
}

/// A value as text, with made-up ids of the length of real ones.
fn resolve(template: &Value, value: &Value) -> String {
    let Some(fields) = value.as_object() else { return value.as_str().unwrap().to_owned() };
    let (function, argument) = fields.iter().next().unwrap();
    match function.as_str() {
        "Ref" => match argument.as_str().unwrap() {
            "AWS::AccountId" => "111122223333".into(),
            "AWS::Partition" => "aws".into(),
            "AWS::Region" => "eu-west-1".into(),
            name => physical_id(template, name),
        },
        "Fn::GetAtt" => match argument[1].as_str().unwrap() {
            "PrimaryPrivateIpAddress" => format!("10.100.100.10{}", digits(argument[0].as_str().unwrap())),
            "Value" => resolve(template, &template["Resources"][argument[0].as_str().unwrap()]["Properties"]["Value"]),
            "GroupId" => physical_id(template, argument[0].as_str().unwrap()),
            other => panic!("what is {other}?"),
        },
        "Fn::FindInMap" => {
            let path: Vec<&str> = argument.as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
            template["Mappings"].pointer(&format!("/{}", path.join("/"))).unwrap().as_str().unwrap().to_owned()
        }
        "Fn::Join" => argument[1].as_array().unwrap().iter().map(|part| resolve(template, part)).collect(),
        "Fn::Base64" => resolve(template, argument),
        other => panic!("what is {other}?"),
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn physical_id(template: &Value, name: &str) -> String {
    if template["Parameters"].get(name).is_some() {
        return "ami-0123456789abcdef0".into();
    }
    let resource = &template["Resources"][name];
    let number = digits(name);
    match resource["Type"].as_str().unwrap_or_else(|| panic!("{name} is referred to and does not exist")) {
        "AWS::EC2::Instance" => format!("i-0123456789abcdef{number}"),
        "AWS::EC2::Volume" => format!("vol-0123456789abcdef{number}"),
        "AWS::EC2::NetworkInterface" => format!("eni-0123456789abcdef{number}"),
        "AWS::EC2::SecurityGroup" => "sg-members".into(),
        "AWS::SSM::Parameter" => resource["Properties"]["Name"].as_str().unwrap().to_owned(),
        "AWS::SecretsManager::Secret" => {
            format!(
                "arn:aws:secretsmanager:eu-west-1:111122223333:secret:{}-AbCdEf",
                resource["Properties"]["Name"].as_str().unwrap()
            )
        }
        _ => name.to_owned(),
    }
}

fn card_text(template: &Value) -> String {
    resolve(template, &template["Resources"]["Card"]["Properties"]["Value"])
}

fn user_data(template: &Value, member: &str) -> String {
    resolve(template, &template["Resources"][member]["Properties"]["UserData"])
}

/// The scripts that the user data does not hold, as a member puts them together.
fn parameters(template: &Value) -> String {
    let script = user_data(template, "Member1");
    let names = script.lines().find_map(|line| line.strip_prefix("SCRIPTS=")).unwrap().trim_matches('"');
    let resources: Vec<&Value> = template["Resources"].as_object().unwrap().values().collect();
    let value = |name: &str| {
        let properties = resources.iter().map(|resource| &resource["Properties"]).find(|seen| seen["Name"] == name);
        properties.unwrap()["Value"].as_str().unwrap().to_owned()
    };
    names.split(' ').map(value).inspect(|part| assert!(part.len() <= 4_096, "{} bytes", part.len())).collect()
}

#[test]
fn the_card_is_the_one_that_the_rest_reads() {
    let mut spec = Spec::new("orders");
    spec.members.never_promote = vec![3];
    let template = render(&spec);

    let card: Card = serde_json::from_str(&card_text(&template)).unwrap();

    let member = |number: u8, zone: &str, never_promote| CardMember {
        name: format!("orders_{number}"),
        id: format!("i-0123456789abcdef{number}"),
        address: format!("10.100.100.10{number}").parse().unwrap(),
        zone: zone.into(),
        never_promote,
        tier: 0,
    };
    let expected = Card {
        patroni: None,
        version: 1,
        fleet: "prod".into(),
        cluster: "orders".into(),
        topology: Topology::Ec2Streaming,
        database: "app".into(),
        port: 5432,
        records: Records {
            zone_id: "Z1".into(),
            writer: "orders-rw.db.internal".into(),
            reader: "orders-ro.db.internal".into(),
            ttl_s: 1,
        },
        operator_secret: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:understudy/prod/orders/operator-AbCdEf"
            .into(),
        certificate_authority: tls().certificate_authority,
        // Two subnets for three members: the third goes where the first is.
        synchronous_required: 1,
        members: vec![member(1, "eu-west-1a", false), member(2, "eu-west-1b", false), member(3, "eu-west-1a", true)],
        policy: Policy::default(),
    };
    assert_eq!(card, expected);
}

#[test]
fn the_largest_cluster_keeps_within_the_limits_of_aws() {
    let rendered = ec2_streaming(&largest(), &fleet(), &tls());
    let size = rendered.body().unwrap().len();
    assert!(size <= BODY_LIMIT, "template of {size} bytes");
    let longest = rendered.longest_user_data();
    assert!(
        longest <= USER_DATA_LIMIT,
        "user data of {longest} bytes: shorten infra/nodes by {}",
        longest - USER_DATA_LIMIT
    );

    let template = render(&largest());
    let size = card_text(&template).len();
    assert!(size <= 4_096, "a standard parameter holds 4096 bytes, the card has {size}");
    for number in 1..=5 {
        let size = user_data(&template, &format!("Member{number}")).len();
        // The estimate errs on the safe side, and not by much.
        assert!((size..size + 200).contains(&longest), "user data of {size} bytes, estimated at {longest}");
    }
}

/// Runs a member's user data up to its last line, unpacks the parameters as its set-up does, and answers what is there.
#[test]
fn user_data_and_parameters_hold_the_scripts_and_say_who_the_member_is() {
    let mut spec = Spec::new("orders");
    spec.members.never_promote = vec![3];
    let template = render(&spec);
    let script = user_data(&template, "Member2");
    let (writing, running) = script.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(running, r#"exec bash "$PWD/setup.sh""#);

    let root = std::env::temp_dir().join(format!("understudy-user-data-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(root.join("rest"), parameters(&template)).unwrap();
    let show =
        r#"; base64 -d "$ROOT/rest" | tar xz; . "$ROOT/etc/understudy/member.env"; set -o posix; unset ROOT; set"#;
    let mut shell = Command::new("bash");
    shell.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("ROOT", &root);
    let output = shell.args(["-c", &format!("{writing}\n:{show}")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let nodes = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/nodes"));
    let files = |directory: &PathBuf| -> BTreeMap<String, String> {
        let names = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let names = names.filter(|name| !name.starts_with('.'));
        names.map(|name| (name.clone(), std::fs::read_to_string(directory.join(name)).unwrap())).collect()
    };
    let (written, sources) = (files(&root.join("opt/understudy")), files(&nodes));
    assert!(written.keys().eq(sources.keys()), "{:?}", written.keys());
    for (name, text) in written {
        let comment = |line: &&str| line.trim_start() == "#" || line.trim_start().starts_with("# ");
        let kept: Vec<&str> = sources[&name].lines().filter(|line| !comment(line)).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), kept, "{name}");
    }
    std::fs::remove_dir_all(&root).unwrap();

    let seen = String::from_utf8(output.stdout).unwrap();
    let secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:understudy/prod/orders";
    let scripts = template["Resources"].as_object().unwrap().keys().filter(|name| name.starts_with("Scripts"));
    let scripts: Vec<String> = scripts.map(|name| physical_id(&template, name)).collect();
    let expected = [
        "ADDRESS=10.100.100.102".to_owned(),
        "APPLICATION_ROLE=app".to_owned(),
        format!("APPLICATION_SECRET={secret}/application-AbCdEf"),
        "CLIENT_CIDRS=10.0.0.0/16".to_owned(),
        "CLUSTER=orders".to_owned(),
        "DATABASE=app".to_owned(),
        "DATA_VOLUME=vol-0123456789abcdef2".to_owned(),
        "FLEET=prod".to_owned(),
        "LOGICAL_ID=Member2".to_owned(),
        "MEMBER=orders_2".to_owned(),
        "NEVER_PROMOTE=orders_3".to_owned(),
        format!("SCRIPTS='{}'", scripts.join(" ")),
        "TTL=20".to_owned(),
        "MEMBERS='orders_1=10.100.100.101 orders_2=10.100.100.102 orders_3=10.100.100.103'".to_owned(),
        format!("OPERATOR_SECRET={secret}/operator-AbCdEf"),
        "PORT=5432".to_owned(),
        "POSTGRESQL_VERSION=15".to_owned(),
        "REGION=eu-west-1".to_owned(),
        format!("REPLICATION_SECRET={secret}/replication-AbCdEf"),
        "STACK=understudy-prod-orders".to_owned(),
        "STATE_TABLE=prod-state".to_owned(),
        "SYNCHRONOUS_REQUIRED=1".to_owned(),
        format!("TLS_SECRET={secret}/tls-AbCdEf"),
        "WRITER_RECORD=orders-rw.db.internal".to_owned(),
    ];
    for line in expected {
        assert!(seen.lines().any(|seen| seen == line), "no line {line} in\n{seen}");
    }
}

#[test]
fn members_differ_only_in_name_place_and_number() {
    let template = render(&Spec::new("orders"));
    let member = |number: u32| {
        let text = template["Resources"][format!("Member{number}")].to_string();
        text.replace(&format!("Member{number}"), "MemberN").replace(&format!("orders_{number}"), "orders_N")
    };
    assert_eq!(member(1), member(2));
    assert_eq!(member(2), member(3));
}

#[test]
fn data_is_kept_and_encrypted_and_members_say_themselves_when_they_serve() {
    let template = render(&Spec::new("orders"));
    for number in 1..=3 {
        let volume = &template["Resources"][format!("Member{number}Data")];
        assert_eq!(volume["DeletionPolicy"], "Snapshot");
        assert_eq!(volume["UpdateReplacePolicy"], "Snapshot");
        assert_eq!(volume["Properties"]["Encrypted"], true);
        let instance = &template["Resources"][format!("Member{number}")];
        assert_eq!(instance["CreationPolicy"], json!({ "ResourceSignal": { "Count": 1, "Timeout": "PT20M" } }));
        let properties = &instance["Properties"];
        assert_eq!(properties["MetadataOptions"], json!({ "HttpTokens": "required", "HttpPutResponseHopLimit": 1 }));
        assert_eq!(properties["BlockDeviceMappings"][0]["Ebs"]["Encrypted"], true);
    }
}

/// Everything that may reach a member, and everything that it may reach.
#[test]
fn only_the_port_of_postgresql_is_open_and_only_to_who_needs_it() {
    let mut spec = Spec::new("orders");
    spec.postgresql.port = 6432;
    spec.client_cidrs = vec!["10.1.0.0/16".into(), "10.2.0.0/16".into()];
    let template = render(&spec);
    let mut seen = BTreeSet::new();
    for resource in template["Resources"].as_object().unwrap().values() {
        let properties = &resource["Properties"];
        let rule = |way: &str, rule: &Value, end: &Value| {
            let end = if end.is_string() || end.is_object() { resolve(&template, end) } else { "?".into() };
            format!("{way} {} {}-{} {end}", rule["IpProtocol"].as_str().unwrap(), rule["FromPort"], rule["ToPort"])
        };
        match resource["Type"].as_str().unwrap() {
            "AWS::EC2::SecurityGroupIngress" => {
                seen.insert(rule("in", properties, &properties["SourceSecurityGroupId"]));
            }
            "AWS::EC2::SecurityGroupEgress" => {
                seen.insert(rule("out", properties, &properties["DestinationSecurityGroupId"]));
            }
            "AWS::EC2::SecurityGroup" => {
                for client in properties["SecurityGroupIngress"].as_array().unwrap() {
                    seen.insert(rule("in", client, &client["CidrIp"]));
                }
                for out in properties["SecurityGroupEgress"].as_array().unwrap() {
                    seen.insert(rule("out", out, &out["CidrIp"]));
                }
            }
            _ => {}
        }
    }
    let expected = [
        "in tcp 6432-6432 10.1.0.0/16",
        "in tcp 6432-6432 10.2.0.0/16",
        "in tcp 6432-6432 sg-functions",
        "in tcp 6432-6432 sg-members",
        "out tcp 443-443 0.0.0.0/0",
        "out tcp 6432-6432 sg-members",
        "out tcp 80-80 0.0.0.0/0",
    ];
    assert_eq!(seen, expected.map(str::to_owned).into());
}

/// Everything that a member may do.
#[test]
fn a_member_may_touch_its_own_state_secrets_and_stack_only() {
    let template = render(&Spec::new("orders"));
    let role = &template["Resources"]["MemberRole"]["Properties"];
    let statements = role["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap();
    let seen: Vec<(Value, Vec<String>, Value)> = statements
        .iter()
        .map(|statement| {
            let resources = statement["Resource"].as_array().unwrap();
            let resources = resources.iter().map(|resource| resolve(&template, resource)).collect();
            (statement["Action"].clone(), resources, statement["Condition"].clone())
        })
        .collect();
    let secret = |name: &str| {
        format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:understudy/prod/orders/{name}-AbCdEf")
    };
    let expected = vec![
        (
            json!(["dynamodb:GetItem", "dynamodb:UpdateItem"]),
            vec!["arn:aws:dynamodb:eu-west-1:111122223333:table/prod-state".to_owned()],
            json!({ "ForAllValues:StringEquals": { "dynamodb:LeadingKeys": ["orders"] } }),
        ),
        (
            json!(["secretsmanager:GetSecretValue"]),
            ["operator", "replication", "application", "tls"].map(secret).to_vec(),
            Value::Null,
        ),
        (
            json!(["ssm:GetParameter"]),
            vec!["arn:aws:ssm:eu-west-1:111122223333:parameter/understudy/prod/clusters/orders/scripts-*".to_owned()],
            Value::Null,
        ),
        (
            json!(["cloudformation:SignalResource"]),
            vec!["arn:aws:cloudformation:eu-west-1:111122223333:stack/understudy-prod-orders/*".to_owned()],
            Value::Null,
        ),
        (
            json!([
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
            ]),
            vec!["*".to_owned()],
            Value::Null,
        ),
    ];
    assert_eq!(seen, expected);
    assert_eq!(role["Policies"].as_array().unwrap().len(), 1);
    assert!(role.get("ManagedPolicyArns").is_none());
}

/// Neither a role nor a record, nor anything else that a change of writer would change.
#[test]
fn the_stack_holds_nothing_that_a_failover_changes() {
    let template = render(&Spec::new("orders"));
    let kinds: BTreeSet<&str> = template["Resources"]
        .as_object()
        .unwrap()
        .values()
        .map(|resource| resource["Type"].as_str().unwrap())
        .collect();
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
        "AWS::SSM::Parameter",
        "AWS::SecretsManager::Secret",
    ];
    assert_eq!(kinds, expected.into());
}

#[test]
fn alarms_are_found_by_name_and_page() {
    let template = render(&Spec::new("orders"));
    let mut seen = Vec::new();
    for resource in template["Resources"].as_object().unwrap().values() {
        if resource["Type"] == "AWS::CloudWatch::Alarm" {
            let properties = &resource["Properties"];
            assert_eq!(properties["AlarmActions"], json!([fleet().pages_topic_arn]));
            seen.push((properties["AlarmName"].as_str().unwrap(), properties["TreatMissingData"].as_str().unwrap()));
        }
    }
    seen.sort_unstable();
    let expected = [
        ("understudy-prod-orders-orders_1-status-check", "missing"),
        ("understudy-prod-orders-orders_2-status-check", "missing"),
        ("understudy-prod-orders-orders_3-status-check", "missing"),
        ("understudy-prod-orders-writer-silent", "breaching"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn an_image_of_the_spec_is_fixed_and_any_other_is_given_once() {
    let mut spec = Spec::new("orders");
    let template = render(&spec);
    assert_eq!(template["Resources"]["Member1"]["Properties"]["ImageId"], json!({ "Ref": "ImageId" }));
    assert_eq!(template["Parameters"]["ImageId"]["Type"], "AWS::EC2::Image::Id");
    spec.image.ami = Some("ami-1".into());
    let template = render(&spec);
    assert_eq!(template["Resources"]["Member1"]["Properties"]["ImageId"], "ami-1");
    assert!(template.get("Parameters").is_none());
}

//! A fleet, and a template read as CloudFormation does.

use domain::spec::{Spec, Zone};
use serde_json::Value;
use template::{Fleet, Part, Subnet, Template, Tls};

pub(crate) fn fleet() -> Fleet {
    Fleet {
        name: "prod".into(),
        region: "eu-west-1".into(),
        vpc_id: "vpc-1".into(),
        vpc_cidrs: vec!["10.0.0.0/16".into()],
        route_table_ids: vec!["rtb-a".into(), "rtb-b".into()],
        client_cidrs: vec!["10.0.0.0/16".into()],
        subnets: vec![
            Subnet { id: "subnet-a".into(), zone: "eu-west-1a".into() },
            Subnet { id: "subnet-b".into(), zone: "eu-west-1b".into() },
        ],
        zone: Zone { id: "Z1".into(), name: "db.internal".into() },
        functions_security_group_id: "sg-functions".into(),
        pages_topic_arn: "arn:aws:sns:eu-west-1:111122223333:prod-pages".into(),
        state_table: "prod-state".into(),
        bucket: "prod-understudy".into(),
    }
}

/// A certificate of the size of a real one.
pub(crate) fn tls() -> Tls {
    let line = "A".repeat(64) + "\n";
    Tls {
        secret_arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:understudy/prod/orders/tls-AbCdEf".into(),
        certificate_authority: format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", line.repeat(9)),
        peer_authority: None,
    }
}

pub(crate) fn template(spec: &Spec) -> Template {
    template::render(spec, &fleet(), &tls(), Part::Primary, &domain::managed::Roles::default())
}

pub(crate) fn render(spec: &Spec) -> Value {
    serde_json::from_str(&template(spec).body().unwrap()).unwrap()
}

/// A spec of everything that this topology can have; the JSON is what is beside the name.
pub(crate) fn spec(fields: Value) -> Spec {
    let mut document = serde_json::json!({ "name": "orders", "topology": "ec2-streaming" });
    document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(document).unwrap()
}

/// The longest name, the most members, hosts and networks, and long names in the database.
pub(crate) fn largest() -> Spec {
    let networks = |count: u32| -> Vec<String> { (0..count).map(|n| format!("10.200.1{n:02}.0/24")).collect() };
    let mut spec = self::spec(serde_json::json!({
        "name": "a".repeat(40),
        "access": {
            "bastion": { "admin_cidrs": networks(10), "subnet_id": "subnet-0123456789abcdef9" },
            "management_cidrs": networks(5),
            "monitoring_cidrs": networks(5),
        },
        "backups": {},
        "monitoring": {},
    }));
    spec.members.count = 5;
    spec.client_cidrs = (0..20).map(|n| format!("10.100.1{n:02}.0/24")).collect();
    spec.postgresql.database = "d".repeat(63);
    spec.postgresql.owner = "o".repeat(63);
    // As many bytes as the spec's check lets pass.
    spec.postgresql.parameters.insert("log_line_prefix".into(), "%".repeat(1_009));
    spec
}

/// The properties of a resource.
pub(crate) fn properties<'a>(template: &'a Value, name: &str) -> &'a Value {
    &template["Resources"][name]["Properties"]
}

/// Name and properties of every resource of a type.
pub(crate) fn of_type<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let resources = template["Resources"].as_object().unwrap().iter();
    resources
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
        .collect()
}

/// A value as text, with made-up ids of the length of real ones.
pub(crate) fn resolve(template: &Value, value: &Value) -> String {
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
            "GroupId" | "AllocationId" => physical_id(template, argument[0].as_str().unwrap()),
            "AvailabilityZone" => {
                resolve(template, &properties(template, argument[0].as_str().unwrap())["AvailabilityZone"])
            }
            other => panic!("what is {other}?"),
        },
        "Fn::FindInMap" => {
            let path: Vec<&str> = argument.as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
            template["Mappings"].pointer(&format!("/{}", path.join("/"))).unwrap().as_str().unwrap().to_owned()
        }
        "Fn::Join" => argument[1].as_array().unwrap().iter().map(|part| resolve(template, part)).collect(),
        "Fn::Base64" => resolve(template, argument),
        // Of Fn::GetAZs.
        "Fn::Select" => {
            format!("eu-west-1{}", ["a", "b", "c"][usize::try_from(argument[0].as_u64().unwrap()).unwrap()])
        }
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
        "AWS::EC2::Volume" => format!("vol-{}", name.to_lowercase()),
        "AWS::EC2::NetworkInterface" => format!("eni-0123456789abcdef{number}"),
        "AWS::EC2::SecurityGroup" => format!("sg-{}", name.to_lowercase()),
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

/// Text of a parameter.
pub(crate) fn parameter(template: &Value, name: &str) -> String {
    resolve(template, &properties(template, name)["Value"])
}

pub(crate) fn user_data(template: &Value, instance: &str) -> String {
    resolve(template, &properties(template, instance)["UserData"])
}

/// Every rule of every security group: "who in|out port other-end", sorted.
pub(crate) fn reach(template: &Value) -> Vec<String> {
    let mut seen = Vec::new();
    let rule = |group: &str, way: &str, rule: &Value, end: &Value| {
        assert_eq!(rule["IpProtocol"], "tcp");
        assert_eq!(rule["FromPort"], rule["ToPort"], "a range of ports");
        let group = group.trim_start_matches("sg-").trim_end_matches("securitygroup");
        format!("{group} {way} {} {}", rule["FromPort"], resolve(template, end).trim_end_matches("securitygroup"))
    };
    for (_, properties) in of_type(template, "AWS::EC2::SecurityGroupIngress") {
        let group = resolve(template, &properties["GroupId"]);
        seen.push(rule(&group, "in", properties, &properties["SourceSecurityGroupId"]));
    }
    for (_, properties) in of_type(template, "AWS::EC2::SecurityGroupEgress") {
        let group = resolve(template, &properties["GroupId"]);
        seen.push(rule(&group, "out", properties, &properties["DestinationSecurityGroupId"]));
    }
    for (name, properties) in of_type(template, "AWS::EC2::SecurityGroup") {
        for (way, rules) in [("in", "SecurityGroupIngress"), ("out", "SecurityGroupEgress")] {
            for one in properties[rules].as_array().unwrap() {
                seen.push(rule(&name.to_lowercase(), way, one, &one["CidrIp"]));
            }
        }
    }
    seen.sort();
    seen
}

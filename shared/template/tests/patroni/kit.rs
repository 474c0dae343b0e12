//! A fleet in two Regions, and a template whose references can be read.

use domain::spec::{Spec, Zone};
use serde_json::{Value, json};
use template::{Fleet, Part, Subnet, Template, Tls};

/// The Region of the members.
pub(crate) const PRIMARY: &str = "eu-west-1";
/// The Region of the standby.
pub(crate) const SECOND: &str = "eu-central-1";

fn region(part: Part) -> &'static str {
    match part {
        Part::Primary => PRIMARY,
        Part::Dr => SECOND,
    }
}

pub(crate) fn fleet(part: Part) -> Fleet {
    let region = region(part);
    let subnet = |id: &str, zone: &str| Subnet { id: id.into(), zone: format!("{region}{zone}") };
    // The last two share a zone.
    let subnets = vec![subnet("subnet-a", "a"), subnet("subnet-b", "b"), subnet("subnet-c", "b")];
    Fleet {
        name: "prod".into(),
        region: region.into(),
        vpc_id: "vpc-1".into(),
        vpc_cidrs: vec!["10.0.0.0/16".into()],
        route_table_ids: vec!["rtb-a".into(), "rtb-b".into()],
        client_cidrs: vec!["10.0.0.0/16".into()],
        subnets,
        zone: Zone { id: "Z1".into(), name: "db.internal".into() },
        functions_security_group_id: "sg-functions".into(),
        pages_topic_arn: format!("arn:aws:sns:{region}:111122223333:prod-pages"),
        state_table: "prod-state".into(),
        bucket: "prod-understudy".into(),
    }
}

/// Certificates of the size of real ones.
pub(crate) fn tls(part: Part) -> Tls {
    let certificate = |letter: &str| {
        let line = letter.repeat(64) + "\n";
        format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", line.repeat(9))
    };
    let region = region(part);
    Tls {
        secret_arn: format!("arn:aws:secretsmanager:{region}:111122223333:secret:understudy/prod/shop/tls-AbCdEf"),
        certificate_authority: certificate("A"),
        peer_authority: Some(certificate("B")),
    }
}

/// A spec; the fields are what is beside its name and topology.
pub(crate) fn spec(fields: Value) -> Spec {
    let mut document = json!({ "name": "shop", "topology": "ec2-patroni" });
    document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(document).unwrap()
}

/// The fields of a spec with a second Region, and more fields of `dr`.
pub(crate) fn with_dr(more: Value) -> Value {
    let mut dr = json!({
        "primary_region": PRIMARY, "region": SECOND, "primary_cidr": "10.0.0.0/16", "cidr": "10.1.0.0/16",
    });
    dr.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "backups": {}, "dr": dr })
}

/// Everything that a cluster can have in its first Region.
pub(crate) fn whole() -> Spec {
    let mut fields = with_dr(json!({}));
    fields.as_object_mut().unwrap().extend(
        json!({
            "access": { "bastion": { "admin_cidrs": ["192.0.2.10/32"], "subnet_id": "subnet-0123456789abcdef9" } },
            "monitoring": {},
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    spec(fields)
}

pub(crate) fn template(spec: &Spec, part: Part) -> Template {
    template::render(spec, &fleet(part), &tls(part), part, &domain::managed::Roles::default())
}

pub(crate) fn render(spec: &Spec, part: Part) -> Value {
    serde_json::from_str(&template(spec, part).body().unwrap()).unwrap()
}

/// The template of the first Region.
pub(crate) fn primary(fields: Value) -> Value {
    render(&spec(fields), Part::Primary)
}

/// The properties of a resource.
pub(crate) fn properties<'a>(template: &'a Value, name: &str) -> &'a Value {
    let resource = &template["Resources"][name];
    assert!(resource.is_object(), "no resource {name}");
    &resource["Properties"]
}

/// Name and properties of every resource of a type.
pub(crate) fn of_type<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let resources = template["Resources"].as_object().unwrap().iter();
    let found = resources.filter(|(_, resource)| resource["Type"] == kind);
    found.map(|(name, resource)| (name.as_str(), &resource["Properties"])).collect()
}

/// A value as text: a reference as `{Name}`, an attribute as `{Name.Attribute}`, of a resource that is there.
pub(crate) fn text(template: &Value, value: &Value) -> String {
    let Some(fields) = value.as_object() else { return value.as_str().unwrap().to_owned() };
    let (function, argument) = fields.iter().next().unwrap();
    match function.as_str() {
        "Ref" => {
            let name = argument.as_str().unwrap();
            let known = name.starts_with("AWS::")
                || template["Resources"].get(name).is_some()
                || template["Parameters"].get(name).is_some();
            assert!(known, "{name} is referred to and does not exist");
            format!("{{{name}}}")
        }
        "Fn::GetAtt" => {
            let name = argument[0].as_str().unwrap();
            assert!(template["Resources"].get(name).is_some(), "{name} is referred to and does not exist");
            format!("{{{name}.{}}}", argument[1].as_str().unwrap())
        }
        "Fn::Join" => argument[1].as_array().unwrap().iter().map(|part| text(template, part)).collect(),
        other => panic!("what is {other}?"),
    }
}

/// The same for a list.
pub(crate) fn texts(template: &Value, values: &Value) -> Vec<String> {
    values.as_array().unwrap().iter().map(|value| text(template, value)).collect()
}

/// The lines that hosts are told.
pub(crate) fn settings(template: &Value) -> Vec<String> {
    text(template, &properties(template, "Settings")["Value"]).lines().map(str::to_owned).collect()
}

/// Every rule of every security group, sorted: `Member in 5432 Etcd`. A group is its name without `SecurityGroup`.
pub(crate) fn reach(template: &Value) -> Vec<String> {
    let end = |value: &Value| {
        let end = text(template, value);
        end.trim_matches(['{', '}']).trim_end_matches(".GroupId").trim_end_matches("SecurityGroup").to_owned()
    };
    let rule = |group: &str, way: &str, rule: &Value, other: &str| {
        assert_eq!(rule["IpProtocol"], "tcp");
        let (from, to) = (&rule["FromPort"], &rule["ToPort"]);
        let ports = if from == to { from.to_string() } else { format!("{from}-{to}") };
        format!("{group} {way} {ports} {other}")
    };
    let mut seen = Vec::new();
    for (_, one) in of_type(template, "AWS::EC2::SecurityGroupIngress") {
        seen.push(rule(&end(&one["GroupId"]), "in", one, &end(&one["SourceSecurityGroupId"])));
    }
    for (_, one) in of_type(template, "AWS::EC2::SecurityGroupEgress") {
        seen.push(rule(&end(&one["GroupId"]), "out", one, &end(&one["DestinationSecurityGroupId"])));
    }
    for (name, group) in of_type(template, "AWS::EC2::SecurityGroup") {
        for (way, rules) in [("in", "SecurityGroupIngress"), ("out", "SecurityGroupEgress")] {
            for one in group[rules].as_array().unwrap() {
                seen.push(rule(name.trim_end_matches("SecurityGroup"), way, one, &end(&one["CidrIp"])));
            }
        }
    }
    seen.sort();
    seen
}

/// What a role may do on what, one line an action, and its conditions: `s3:GetObject {Bucket.Arn}/x/*`.
pub(crate) fn rights(template: &Value, role: &str) -> Vec<String> {
    let policies = properties(template, role)["Policies"].as_array().unwrap();
    let statements = policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
    let mut seen = Vec::new();
    for statement in statements {
        assert_eq!(statement["Effect"], "Allow");
        for action in statement["Action"].as_array().unwrap() {
            for resource in texts(template, &statement["Resource"]) {
                seen.push(format!("{} {resource}", action.as_str().unwrap()));
            }
        }
    }
    seen.sort();
    seen
}

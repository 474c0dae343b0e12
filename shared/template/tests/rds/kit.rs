//! A fleet, and a template read as CloudFormation does.

use domain::{
    card::{ManagedCard, Registered},
    managed::Roles,
    spec::{Spec, Zone},
};
use serde_json::{Value, json};
use template::{Fleet, Part, Subnet, Template, Tls};

pub(crate) fn fleet(region: &str) -> Fleet {
    let subnet = |zone: &str| Subnet { id: format!("subnet-{zone}"), zone: format!("{region}{zone}") };
    Fleet {
        name: "prod".into(),
        region: region.into(),
        vpc_id: "vpc-1".into(),
        vpc_cidrs: vec!["172.31.0.0/16".into()],
        route_table_ids: vec!["rtb-a".into()],
        client_cidrs: vec!["172.31.0.0/16".into()],
        subnets: ["a", "b", "c"].map(subnet).to_vec(),
        zone: Zone { id: "Z1".into(), name: "db.internal".into() },
        functions_security_group_id: "sg-functions".into(),
        pages_topic_arn: format!("arn:aws:sns:{region}:111122223333:prod-pages"),
        state_table: "prod-state".into(),
        bucket: "prod-understudy".into(),
    }
}

/// A spec of a cluster `leads` with storage that does not grow; the JSON is what is beside that.
pub(crate) fn spec(fields: &Value) -> Spec {
    let mut document = json!({ "name": "leads", "topology": "rds-postgres", "rds": {} });
    for (key, value) in fields.as_object().unwrap() {
        document[key] = value.clone();
    }
    serde_json::from_value(document).unwrap()
}

/// A spec of `rds` with these fields.
pub(crate) fn of(rds: Value) -> Spec {
    spec(&json!({ "rds": rds }))
}

/// A spec with a second Region.
pub(crate) fn with_dr() -> Spec {
    let dr = json!({
        "primary_region": "eu-west-1",
        "region": "eu-central-1",
        "primary_cidr": "10.0.0.0/16",
        "cidr": "10.1.0.0/16",
    });
    spec(&json!({ "dr": dr }))
}

pub(crate) fn template(spec: &Spec, part: Part, today: &Roles) -> Template {
    let region = match (&spec.dr, part) {
        (Some(dr), Part::Dr) => dr.region.as_str(),
        (Some(dr), Part::Primary) => dr.primary_region.as_str(),
        (None, _) => "eu-west-1",
    };
    let tls = Tls {
        secret_arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:tls".into(),
        certificate_authority: String::new(),
        peer_authority: None,
    };
    template::render(spec, &fleet(region), &tls, part, today)
}

pub(crate) fn today(spec: &Spec, part: Part, today: &Roles) -> Value {
    serde_json::from_str(&template(spec, part, today).body().unwrap()).unwrap()
}

pub(crate) fn render(spec: &Spec) -> Value {
    today(spec, Part::Primary, &Roles::default())
}

/// The example spec of this name.
pub(crate) fn example(name: &str) -> Spec {
    let path = format!("{}/../../infra/clusters/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The properties of a resource.
pub(crate) fn properties<'a>(template: &'a Value, name: &str) -> &'a Value {
    let found = &template["Resources"][name]["Properties"];
    assert!(!found.is_null(), "there is no {name}");
    found
}

/// Names of all resources of a type.
pub(crate) fn of_type<'a>(template: &'a Value, kind: &str) -> Vec<&'a str> {
    let resources = template["Resources"].as_object().unwrap().iter();
    resources.filter(|(_, resource)| resource["Type"] == kind).map(|(name, _)| name.as_str()).collect()
}

/// A value as text, with made-up ids.
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
        "Fn::GetAtt" => {
            format!("{}.{}", physical_id(template, argument[0].as_str().unwrap()), argument[1].as_str().unwrap())
        }
        "Fn::Join" => argument[1].as_array().unwrap().iter().map(|part| resolve(template, part)).collect(),
        "Fn::Select" => format!("zone {}", argument[0]),
        other => panic!("what is {other}?"),
    }
}

fn physical_id(template: &Value, name: &str) -> String {
    let properties = properties(template, name);
    let named = ["DBInstanceIdentifier", "DBClusterIdentifier"];
    let given = named.into_iter().find_map(|key| properties[key].as_str());
    given.unwrap_or(name).to_owned()
}

/// The card, as functions read it.
pub(crate) fn card(template: &Value) -> ManagedCard {
    let text = resolve(template, &properties(template, "Card")["Value"]);
    match serde_json::from_str(&text).unwrap() {
        Registered::Managed(card) => card,
        Registered::Ec2(card) => panic!("the card of {} is of EC2", card.cluster),
    }
}

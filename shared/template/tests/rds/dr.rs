//! The second Region: a replica across Regions, and the pair of records.

use crate::kit::{card, example, of_type, properties, render, resolve, today, with_dr};
use domain::{card::Side, managed::Roles};
use serde_json::{Value, json};
use template::Part;

fn second(roles: &Roles) -> Value {
    today(&with_dr(), Part::Dr, roles)
}

fn source(template: &Value) -> String {
    resolve(template, &properties(template, "Instance1")["SourceDBInstanceIdentifier"])
}

#[test]
fn it_replicates_the_first_regions_writer_with_a_key_of_its_own() {
    let template = second(&Roles::default());
    assert_eq!(of_type(&template, "AWS::RDS::DBInstance"), ["Instance1"]);
    assert_eq!(source(&template), "arn:aws:rds:eu-west-1:111122223333:db:prod-leads-1");
    let instance = properties(&template, "Instance1");
    assert_eq!(instance["SourceRegion"], "eu-west-1");
    assert_eq!(instance["KmsKeyId"], json!({ "Fn::GetAtt": ["DataKey", "Arn"] }));
    assert_eq!(instance["DBSubnetGroupName"], json!({ "Ref": "DatabaseSubnets" }));
    let none = ["StorageEncrypted", "DBName", "MasterUsername", "MasterUserPassword", "BackupRetentionPeriod"];
    for property in none {
        assert_eq!(instance[property], Value::Null, "{property}");
    }
    assert_eq!(instance["MultiAZ"], false);
}

/// A copy across Regions needs a key of that Region, and has one where the stack makes none.
#[test]
fn without_a_key_of_its_own_it_has_awss() {
    let mut spec = with_dr();
    spec.managed = Some(domain::spec::Managed { own_key: false, ..domain::spec::Managed::default() });
    let template = today(&spec, Part::Dr, &Roles::default());
    assert_eq!(properties(&template, "Instance1")["KmsKeyId"], "alias/aws/rds");
    assert_eq!(properties(&render(&spec), "Instance1")["KmsKeyId"], Value::Null);
}

#[test]
fn it_has_a_class_of_its_own_records_and_a_pair_and_makes_no_secrets() {
    let mut spec = with_dr();
    spec.dr.as_mut().unwrap().instance_type = Some("db.r6i.large".into());
    let template = today(&spec, Part::Dr, &Roles::default());
    assert_eq!(properties(&template, "Instance1")["DBInstanceClass"], "db.r6i.large");
    assert_eq!(of_type(&template, "AWS::SecretsManager::Secret"), [""; 0]);
    let card = card(&template);
    assert_eq!((card.side, card.region.as_str()), (Side::Dr, "eu-central-1"));
    assert_eq!(card.records.writer, "leads-dr-rw.db.internal");
    assert_eq!(card.pair.unwrap().name, "leads.db.internal");
    assert_eq!(card.operator_secret, "understudy/prod/leads/operator");
    let other = card.other.unwrap();
    assert_eq!(
        (other.region.as_str(), other.instances),
        ("eu-west-1", vec!["prod-leads-1".into(), "prod-leads-2".into()])
    );
    assert!(!card.aws_fails_over, "a replica has no standby");
    assert!(!template["Resources"].as_object().unwrap().contains_key("WriterSilentAlarm"), "it does not write");
}

/// Taken over: it is a writer with a standby and backups, and CloudFormation is not told of a promotion.
#[test]
fn after_a_takeover_it_is_served_as_a_writer() {
    let template = second(&Roles::default().took_over());
    assert_eq!(source(&template), "arn:aws:rds:eu-west-1:111122223333:db:prod-leads-1");
    let instance = properties(&template, "Instance1");
    assert_eq!((&instance["MultiAZ"], &instance["BackupRetentionPeriod"]), (&json!(true), &json!(30)));
    assert_eq!(template["Resources"]["Instance1"]["DeletionPolicy"], "Retain");
    assert!(card(&template).aws_fails_over);
}

/// The old Region made anew as the replica of the new one, and then the writer again.
#[test]
fn the_first_region_can_follow_the_second() {
    let arn = "arn:aws:rds:eu-central-1:111122223333:db:prod-leads-1";
    let roles = Roles { generations: [(1, 2), (2, 2)].into(), upstream: Some(arn.into()), ..Roles::default() };
    let follows = today(&with_dr(), Part::Primary, &roles);
    assert_eq!(source(&follows), arn);
    let first = properties(&follows, "Instance1");
    assert_eq!(
        (&first["DBInstanceIdentifier"], &first["SourceRegion"]),
        (&json!("prod-leads-1-g2"), &json!("eu-central-1"))
    );
    assert_eq!(first["MultiAZ"], false);
    assert_eq!(properties(&follows, "Instance2")["SourceDBInstanceIdentifier"], "prod-leads-1-g2");
    let serves = today(&with_dr(), Part::Primary, &roles.took_over());
    assert_eq!(source(&serves), arn, "it keeps what it was made from");
    assert_eq!(properties(&serves, "Instance1")["MultiAZ"], true);
    assert_eq!(properties(&serves, "Instance1")["KmsKeyId"], first["KmsKeyId"]);
}

#[test]
fn the_reference_has_a_way_between_its_regions() {
    let spec = example("reference-4");
    let second = today(&spec, Part::Dr, &Roles::default());
    assert!(properties(&second, "DatabaseSecurityGroup")["SecurityGroupIngress"].to_string().contains("10.0.0.0/16"));
    let mut asked = spec.clone();
    asked.dr.as_mut().unwrap().primary_vpc_id = Some("vpc-0123456789abcdef0".into());
    let second = today(&asked, Part::Dr, &Roles::default());
    let peering = properties(&second, "PrimaryPeering");
    assert_eq!((&peering["PeerVpcId"], &peering["PeerRegion"]), (&json!("vpc-0123456789abcdef0"), &json!("us-east-1")));
}

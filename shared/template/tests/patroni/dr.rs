//! The second Region: what is there, that it needs nothing of the first, and how the first serves it.

use crate::kit::{
    PRIMARY, SECOND, fleet, of_type, primary, properties, render, rights, settings, spec, text, texts, tls, whole,
    with_dr,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use template::Part;

const PEERED: &str = "vpc-0123456789abcdef0";
const PEERING: &str = "pcx-0123456789abcdef0";

fn second(more: Value) -> Value {
    render(&spec(with_dr(more)), Part::Dr)
}

#[test]
fn a_fleet_deploys_the_part_of_its_own_region() {
    let spec = spec(with_dr(json!({})));
    assert_eq!(Part::of(&spec, PRIMARY), Some(Part::Primary));
    assert_eq!(Part::of(&spec, SECOND), Some(Part::Dr));
    assert_eq!(Part::of(&spec, "us-east-1"), None);
}

/// Even the address that it follows is read when it runs, from a copy in its own Region. The spec, which is noted for
/// whoever renders it anew, is no part of the stack.
#[test]
fn nothing_in_it_names_the_first_region() {
    let second = |fields| {
        let mut template = second(fields);
        template.as_object_mut().unwrap().remove("Metadata").unwrap();
        // Its card says which Region is the other one: for whoever keeps an old writer from writing.
        let card = template["Resources"].as_object_mut().unwrap().remove("StandbyCard").unwrap();
        assert!(serde_json::to_string(&card).unwrap().contains(PRIMARY));
        template
    };
    let template = second(json!({}));
    let text = serde_json::to_string(&template).unwrap();
    assert!(!text.contains(PRIMARY), "{PRIMARY} in the second Region's template");
    // With a peering connection of its own making, it says where the other end is, and nothing else does.
    let template = second(json!({ "primary_vpc_id": PEERED }));
    let mut rest = template.clone();
    let peering = rest["Resources"].as_object_mut().unwrap().remove("PrimaryPeering").unwrap();
    assert_eq!(peering["Properties"]["PeerRegion"], PRIMARY);
    assert_eq!(peering["Properties"]["PeerVpcId"], PEERED);
    assert_eq!(
        peering["Properties"]["Tags"][2],
        json!({ "Key": "Name", "Value": "understudy-prod-shop to eu-west-1" })
    );
    assert!(!serde_json::to_string(&rest).unwrap().contains(PRIMARY));
}

#[test]
fn it_is_one_host_with_its_bucket_and_no_card() {
    let template = second(json!({ "instance_type": "t4g.small", "data_volume": { "size_gib": 20 } }));
    let hosts: Vec<&str> = of_type(&template, "AWS::EC2::Instance").into_iter().map(|(name, _)| name).collect();
    assert_eq!(hosts, ["DrInstance"]);
    assert_eq!(properties(&template, "DrInstance")["InstanceType"], "t4g.small");
    assert_eq!(properties(&template, "DrData")["Size"], 20);
    assert_eq!(template["Resources"]["DrData"]["DeletionPolicy"], "Snapshot");
    let kinds: BTreeSet<&str> =
        template["Resources"].as_object().unwrap().values().map(|one| one["Type"].as_str().unwrap()).collect();
    let expected = [
        "AWS::CloudWatch::Alarm",
        "AWS::EC2::Instance",
        "AWS::EC2::NetworkInterface",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Volume",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::Role",
        "AWS::Logs::LogGroup",
        "AWS::Route53::HealthCheck",
        "AWS::Route53::RecordSet",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SSM::Parameter",
    ];
    assert_eq!(kinds, expected.into());
    assert!(template["Resources"].get("Card").is_none());
    let outputs: BTreeSet<&str> = template["Outputs"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(outputs, ["BackupBucket", "DrAddress", "DrInstance", "LogGroup", "PairRecord", "VpcId"].into());
    let lag = properties(&template, "DrLagAlarm");
    assert_eq!((&lag["MetricName"], &lag["Threshold"]), (&json!("DrLagSeconds"), &json!(300)));
    assert_eq!(lag["TreatMissingData"], "breaching");
    assert_eq!(lag["AlarmActions"], json!([fleet(Part::Dr).pages_topic_arn]));
}

/// None of its volumes and types given: those of the members.
#[test]
fn it_is_built_like_a_member_unless_the_spec_says_otherwise() {
    let mut fields = with_dr(json!({}));
    fields["members"] = json!({ "instance_type": "r7g.large", "data_volume": { "size_gib": 250 } });
    let template = render(&spec(fields), Part::Dr);
    assert_eq!(properties(&template, "DrInstance")["InstanceType"], "r7g.large");
    assert_eq!(properties(&template, "DrData")["Size"], 250);
}

#[test]
fn it_is_told_where_everything_is_in_its_own_region() {
    let told = settings(&second(json!({ "retention_full": 3 })));
    let expected = [
        "TLS_SECRET=arn:aws:secretsmanager:eu-central-1:111122223333:secret:understudy/prod/shop/tls-AbCdEf",
        "OPERATOR_SECRET=understudy/prod/shop/operator",
        "REPLICATION_SECRET=understudy/prod/shop/replication",
        "APPLICATION_SECRET=understudy/prod/shop/application",
        "SUPERUSER_SECRET=understudy/prod/shop/superuser",
        "POOLER_SECRET=understudy/prod/shop/pooler",
        "PATRONI_SECRET=understudy/prod/shop/patroni",
        "DR_SOURCE_SECRET=understudy/prod/shop/source",
        "DR_SLOT=shop_dr",
        "DR_REGION=eu-central-1",
        "DR_CIDR=10.1.0.0/16",
        "PRIMARY_CIDR=10.0.0.0/16",
        "BACKUP_BUCKET={BackupBucket}",
        "BACKUP_REGION=eu-central-1",
        "DR_BUCKET={BackupBucket}",
        "DR_RETENTION_FULL=3",
    ];
    for line in expected {
        assert!(told.iter().any(|told| told == line), "no line {line} in {told:?}");
    }
    assert!(!told.iter().any(|line| line.starts_with("MEMBERS=") || line.starts_with("ETCD=")));
}

/// It reads the copies of secrets and backups, and writes beside the latter: two histories never mix.
#[test]
fn it_may_read_the_copies_and_write_its_own() {
    let template = second(json!({}));
    let rights = rights(&template, "DrRole");
    let secrets: Vec<&str> =
        rights.iter().filter_map(|right| right.strip_prefix("secretsmanager:GetSecretValue ")).collect();
    let arn = |name: &str| {
        let here = "arn:{AWS::Partition}:secretsmanager:{AWS::Region}:{AWS::AccountId}:secret:understudy/prod/shop";
        format!("{here}/{name}-??????")
    };
    let mut expected: Vec<String> =
        ["application", "operator", "patroni", "pooler", "replication", "source", "superuser"].map(arn).to_vec();
    expected.push(tls(Part::Dr).secret_arn);
    expected.sort();
    assert_eq!(secrets, expected);
    let of_bucket: Vec<&String> = rights.iter().filter(|right| right.contains("BackupBucket")).collect();
    let expected = [
        "s3:AbortMultipartUpload {BackupBucket.Arn}/pgbackrest-dr/*",
        "s3:DeleteObject {BackupBucket.Arn}/pgbackrest-dr/*",
        "s3:GetBucketLocation {BackupBucket.Arn}",
        "s3:GetObject {BackupBucket.Arn}/pgbackrest-dr/*",
        "s3:GetObject {BackupBucket.Arn}/pgbackrest/*",
        "s3:ListBucket {BackupBucket.Arn}",
        "s3:PutObject {BackupBucket.Arn}/pgbackrest-dr/*",
    ];
    assert_eq!(of_bucket, expected);
}

#[test]
fn the_first_region_copies_its_secrets_there_and_says_where_it_is() {
    let key = "arn:aws:kms:eu-west-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef";
    let mut fields = with_dr(json!({}));
    fields["encryption"] = json!({ "kms_key_arn": key });
    let template = primary(fields);
    let there = key.replace(PRIMARY, SECOND);
    let secrets = of_type(&template, "AWS::SecretsManager::Secret");
    let names: BTreeSet<&str> = secrets.iter().map(|(name, _)| *name).collect();
    let expected = [
        "ApplicationSecret",
        "OperatorSecret",
        "PatroniSecret",
        "PoolerSecret",
        "ReplicationSecret",
        "SourceSecret",
        "SuperuserSecret",
    ];
    assert_eq!(names, expected.into());
    for (name, secret) in secrets {
        assert_eq!(secret["ReplicaRegions"], json!([{ "Region": SECOND, "KmsKeyId": there }]), "{name}");
        assert_eq!(secret["KmsKeyId"], key);
    }
    let source: Value =
        serde_json::from_str(&text(&template, &properties(&template, "SourceSecret")["SecretString"])).unwrap();
    let hosts: Vec<String> =
        (1..=3).map(|number| format!("{{Member{number}Interface.PrimaryPrivateIpAddress}}")).collect();
    let expected = json!({
        "hosts": hosts.join(" "), "balancer": "{Balancer.DNSName}", "record": "shop-rw.db.internal", "port": "5432",
    });
    assert_eq!(source, expected);
    // The load balancer's port is fixed: with members on another one it is no source.
    let mut fields = with_dr(json!({}));
    fields["postgresql"] = json!({ "port": 5440 });
    let template = primary(fields);
    let source = text(&template, &properties(&template, "SourceSecret")["SecretString"]);
    assert!(source.contains(r#""balancer":"","record":"shop-rw.db.internal","port":"5440""#), "{source}");
    let told = settings(&template);
    for line in ["DR_SLOT=shop_dr", "DR_REGION=eu-central-1", "DR_CIDR=10.1.0.0/16"] {
        assert!(told.iter().any(|told| told == line), "{line}");
    }
}

#[test]
fn without_a_second_region_nothing_is_copied() {
    let template = primary(json!({ "backups": {} }));
    assert!(template["Resources"].get("SourceSecret").is_none());
    for (name, secret) in of_type(&template, "AWS::SecretsManager::Secret") {
        assert!(secret.get("ReplicaRegions").is_none(), "{name}");
    }
    assert!(properties(&template, "BackupBucket").get("ReplicationConfiguration").is_none());
}

#[test]
fn either_side_leads_to_the_other_once_the_peering_is_known() {
    let route = |template: &Value, name: &str| {
        let route = properties(template, name);
        (
            text(template, &route["RouteTableId"]),
            route["DestinationCidrBlock"].as_str().unwrap().to_owned(),
            text(template, &route["VpcPeeringConnectionId"]),
        )
    };
    let none = |template: &Value| of_type(template, "AWS::EC2::Route").is_empty();
    // Connected already, by others.
    assert!(none(&second(json!({}))) && none(&primary(with_dr(json!({})))));
    // The second side asks, and routes at once; the first cannot know yet.
    let asking = json!({ "primary_vpc_id": PEERED });
    let template = second(asking.clone());
    assert_eq!(
        route(&template, "RouteFromRtbaTo10x0x0x0x16"),
        ("rtb-a".into(), "10.0.0.0/16".into(), "{PrimaryPeering}".into())
    );
    assert_eq!(route(&template, "RouteFromRtbbTo10x0x0x0x16").0, "rtb-b");
    assert_eq!(text(&template, &template["Outputs"]["PeeringConnection"]["Value"]), "{PrimaryPeering}");
    assert!(none(&primary(with_dr(asking))));
    // Now both know, and the connection stays the stack's own.
    let known = json!({ "primary_vpc_id": PEERED, "peering_connection_id": PEERING });
    assert_eq!(second(known.clone())["Resources"], template["Resources"]);
    let first = primary(with_dr(known));
    assert_eq!(route(&first, "RouteFromRtbaTo10x1x0x0x16"), ("rtb-a".into(), "10.1.0.0/16".into(), PEERING.into()));
    // Made by others.
    let template = second(json!({ "peering_connection_id": PEERING }));
    assert!(of_type(&template, "AWS::EC2::VPCPeeringConnection").is_empty());
    assert_eq!(route(&template, "RouteFromRtbaTo10x0x0x0x16").2, PEERING);
}

#[test]
fn backups_are_copied_once_the_other_bucket_is_known() {
    let template = primary(with_dr(json!({ "backup_bucket": "shop-copies" })));
    let configuration = &properties(&template, "BackupBucket")["ReplicationConfiguration"];
    assert_eq!(text(&template, &configuration["Role"]), "{ReplicationRole.Arn}");
    let rule = &configuration["Rules"][0];
    assert_eq!(rule["Status"], "Enabled");
    assert_eq!(rule["Filter"], json!({ "Prefix": "pgbackrest/" }));
    assert_eq!(rule["DeleteMarkerReplication"], json!({ "Status": "Enabled" }));
    assert_eq!(text(&template, &rule["Destination"]["Bucket"]), "arn:{AWS::Partition}:s3:::shop-copies");
    assert!(rule["Destination"].get("EncryptionConfiguration").is_none());
    let role = properties(&template, "ReplicationRole");
    assert_eq!(role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"], json!({ "Service": "s3.amazonaws.com" }));
    let policy = properties(&template, "ReplicationPolicy");
    assert_eq!(texts(&template, &policy["Roles"]), ["{ReplicationRole}"]);
    let writes = &policy["PolicyDocument"]["Statement"][2];
    assert_eq!(texts(&template, &writes["Resource"]), ["arn:{AWS::Partition}:s3:::shop-copies/pgbackrest/*"]);
    // The second Region's own bucket is copied nowhere.
    let template = second(json!({ "backup_bucket": "shop-copies" }));
    assert!(properties(&template, "BackupBucket").get("ReplicationConfiguration").is_none());
}

#[test]
fn copies_are_encrypted_with_the_key_of_their_region() {
    let key = "arn:aws:kms:eu-west-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef";
    let there = key.replace(PRIMARY, SECOND);
    let mut fields = with_dr(json!({ "backup_bucket": "shop-copies" }));
    fields["encryption"] = json!({ "kms_key_arn": key });
    let template = primary(fields.clone());
    let rule = &properties(&template, "BackupBucket")["ReplicationConfiguration"]["Rules"][0];
    assert_eq!(rule["Destination"]["EncryptionConfiguration"], json!({ "ReplicaKmsKeyID": there }));
    assert_eq!(rule["SourceSelectionCriteria"], json!({ "SseKmsEncryptedObjects": { "Status": "Enabled" } }));
    let template = render(&spec(fields), Part::Dr);
    assert_eq!(properties(&template, "DrData")["KmsKeyId"], there);
}

#[test]
fn the_same_spec_makes_both_parts() {
    let spec = whole();
    let (first, second) = (render(&spec, Part::Primary), render(&spec, Part::Dr));
    assert!(first["Resources"].get("Balancer").is_some() && second["Resources"].get("Balancer").is_none());
    assert!(first["Resources"].get("DrInstance").is_none());
    assert!(second["Resources"].get("BastionInstance").is_none(), "Session Manager only");
}

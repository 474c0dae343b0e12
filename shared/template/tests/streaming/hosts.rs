//! Members: instances, volumes, image; and what of them never changes.

use crate::kit::{fleet, of_type, properties, render, spec, tls};
use domain::spec::Spec;
use serde_json::{Value, json};

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
fn members_say_themselves_when_they_serve() {
    let template = render(&Spec::new("orders"));
    for number in 1..=3 {
        let instance = &template["Resources"][format!("Member{number}")];
        assert_eq!(instance["CreationPolicy"], json!({ "ResourceSignal": { "Count": 1, "Timeout": "PT20M" } }));
        let metadata = &instance["Properties"]["MetadataOptions"];
        assert_eq!(metadata, &json!({ "HttpTokens": "required", "HttpPutResponseHopLimit": 1 }));
        // They read their settings, and write to the log group, from the first boot on.
        let after = instance["DependsOn"].as_array().unwrap();
        assert!(after.contains(&json!("Settings")) && after.contains(&json!("Logs")), "{after:?}");
    }
}

/// With everything that has a volume.
fn volumes() -> Spec {
    spec(json!({
        "members": {
            "count": 2,
            "data_volume": { "size_gib": 500, "type": "io2", "iops": 10_000 },
            "wal_volume": { "size_gib": 100, "type": "gp3", "iops": 5_000, "throughput_mibps": 250 },
            "backup_volume": { "size_gib": 200, "type": "io1", "iops": 1_000 },
        },
        "access": { "bastion": { "admin_cidrs": ["192.0.2.1/32"] } },
        "network": { "own_vpc": {} },
        "monitoring": {},
        "backups": {},
        "encryption": { "kms_key_arn": "arn:aws:kms:eu-west-1:111122223333:key/k" },
    }))
}

#[test]
fn every_volume_is_encrypted_and_every_one_with_data_is_kept() {
    for (spec, count) in [(volumes(), 7), (Spec::new("orders"), 3)] {
        let template = render(&spec);
        assert_eq!(of_type(&template, "AWS::EC2::Volume").len(), count);
        let key = spec.encryption.kms_key_arn.as_deref();
        for (name, volume) in of_type(&template, "AWS::EC2::Volume") {
            let resource = &template["Resources"][name];
            assert_eq!(resource["DeletionPolicy"], "Snapshot", "{name}");
            assert_eq!(resource["UpdateReplacePolicy"], "Snapshot", "{name}");
            assert_eq!(volume["Encrypted"], true, "{name}");
            assert_eq!(volume.get("KmsKeyId").and_then(Value::as_str), key, "{name}");
        }
        for (name, instance) in of_type(&template, "AWS::EC2::Instance") {
            let root = &instance["BlockDeviceMappings"][0]["Ebs"];
            assert_eq!(root["Encrypted"], true, "{name}");
            assert_eq!(root.get("KmsKeyId").and_then(Value::as_str), key, "{name}");
            assert_eq!(instance["BlockDeviceMappings"].as_array().unwrap().len(), 1, "{name}");
        }
    }
}

#[test]
fn volumes_are_as_the_spec_wants_them() {
    let template = render(&volumes());
    let volume = |name: &str| {
        let volume = properties(&template, name);
        format!("{} {} GiB {} {}", volume["VolumeType"], volume["Size"], volume["Iops"], volume["Throughput"])
    };
    assert_eq!(volume("Member2Data"), r#""io2" 500 GiB 10000 null"#);
    assert_eq!(volume("Member2Wal"), r#""gp3" 100 GiB 5000 250"#);
    assert_eq!(volume("Member2Backup"), r#""io1" 200 GiB 1000 null"#);
    let attached = &properties(&template, "Member2")["Volumes"];
    let expected = json!([
        { "Device": "/dev/sdf", "VolumeId": { "Ref": "Member2Data" } },
        { "Device": "/dev/sdg", "VolumeId": { "Ref": "Member2Wal" } },
        { "Device": "/dev/sdh", "VolumeId": { "Ref": "Member2Backup" } },
    ]);
    assert_eq!(attached, &expected);
    let root = &properties(&template, "Member1")["BlockDeviceMappings"][0]["Ebs"];
    assert_eq!((&root["VolumeSize"], &root["VolumeType"]), (&json!(20), &json!("gp3")));
}

#[test]
fn an_image_of_the_spec_is_fixed_and_any_other_is_given_once() {
    let mut spec = Spec::new("orders");
    let template = render(&spec);
    assert_eq!(properties(&template, "Member1")["ImageId"], json!({ "Ref": "ImageId" }));
    assert_eq!(template["Parameters"]["ImageId"]["Type"], "AWS::EC2::Image::Id");
    spec.image.ami = Some("ami-1".into());
    let template = render(&spec);
    assert_eq!(properties(&template, "Member1")["ImageId"], "ami-1");
    assert!(template.get("Parameters").is_none());
}

/// A mapping of another name would add a volume and leave the image's own as it is.
#[test]
fn the_root_volume_has_the_name_that_its_image_gives_it() {
    for (os, device) in [("debian-12", "/dev/xvda"), ("ubuntu-22.04", "/dev/sda1"), ("ubuntu-24.04", "/dev/sda1")] {
        let template = render(&spec(json!({ "image": { "os": os } })));
        assert_eq!(properties(&template, "Member1")["BlockDeviceMappings"][0]["DeviceName"], device);
    }
}

/// Whatever of a spec may change in a cluster's life without replacing a member: its instances stay byte for byte the
/// same, and the settings tell them.
#[test]
fn what_members_are_told_later_leaves_their_instances_alone() {
    let before = render(&Spec::new("orders"));
    let changed = |fields: Value| {
        let after = render(&spec(fields.clone()));
        for (name, instance) in of_type(&before, "AWS::EC2::Instance") {
            assert_eq!(instance, properties(&after, name), "{name} with {fields}");
            assert_eq!(before["Mappings"], after["Mappings"], "{fields}");
        }
        let settings = |template| crate::kit::parameter(template, "Settings");
        assert_ne!(settings(&before), settings(&after), "{fields}");
    };
    changed(json!({ "client_cidrs": ["10.7.0.0/16"] }));
    changed(json!({ "postgresql": { "parameters": { "work_mem": "16MB" } } }));
    changed(json!({ "postgresql": { "max_connections": 300 } }));
    changed(json!({ "synchronous": { "required": 0 } }));
    changed(json!({ "policy": { "ttl_s": 30 } }));
    changed(json!({ "log_days": 0 }));
    changed(json!({ "access": { "management_cidrs": ["10.0.9.0/24"] } }));
    changed(json!({ "backups": {} }));
    changed(json!({ "monitoring": {} }));
    changed(json!({ "members": { "count": 4 } }));
}

/// The bundle is named in the settings alone, and the certificate's secret too.
#[test]
fn scripts_and_certificates_change_without_the_instances() {
    let template = render(&Spec::new("orders"));
    for (name, instance) in of_type(&template, "AWS::EC2::Instance") {
        let text = instance.to_string() + &crate::kit::user_data(&template, name);
        for changing in [template::bundle().sha256, &tls().secret_arn, &fleet().client_cidrs[0]] {
            assert!(!text.contains(changing), "{name} holds {changing}");
        }
    }
}

//! What AWS takes, and how much of it.

use crate::kit::{fleet, largest, parameter, render, spec, template, user_data};
use serde_json::json;
use template::{OBJECT_LIMIT, PARAMETER_LIMIT, USER_DATA_LIMIT};

#[test]
fn the_largest_cluster_keeps_within_the_limits_of_aws() {
    let rendered = template(&largest());
    let size = rendered.body().unwrap().len();
    assert!(size <= OBJECT_LIMIT, "template of {size} bytes");
    let longest = rendered.longest_user_data();
    assert!(
        longest <= USER_DATA_LIMIT,
        "user data of {longest} bytes: shorten infra/nodes/bootstrap.sh by {}",
        longest - USER_DATA_LIMIT
    );
    let (name, longest_parameter) = rendered.longest_parameter();
    println!("user data {longest} bytes, template {size}, {name} {longest_parameter}");
    assert!(longest_parameter <= PARAMETER_LIMIT, "{name} has {longest_parameter} bytes");

    let template = render(&largest());
    for name in ["Card", "Settings"] {
        let size = parameter(&template, name).len();
        assert!(size <= longest_parameter, "{name} has {size} bytes, estimated were at most {longest_parameter}");
    }
    for number in 1..=5 {
        let size = user_data(&template, &format!("Member{number}")).len();
        // The estimate errs on the safe side, and not by much.
        assert!((size..size + 200).contains(&longest), "user data of {size} bytes, estimated at {longest}");
    }
}

#[test]
fn settings_that_are_too_long_are_known_before_aws_says_so() {
    let mut spec = largest();
    let sizes: Vec<usize> = [0, 100, 1_000, 8_000]
        .map(|length| {
            spec.postgresql.parameters.insert("application_name".into(), "x".repeat(length));
            template(&spec).longest_parameter().1
        })
        .to_vec();
    assert!(sizes.is_sorted() && sizes[0] <= PARAMETER_LIMIT && sizes[3] > PARAMETER_LIMIT, "{sizes:?}");
    let name = template(&spec).longest_parameter().0;
    assert_eq!(name, format!("/understudy/prod/clusters/{}/settings", spec.name));
}

#[test]
fn no_password_and_no_key_is_in_a_template() {
    let spec = spec(json!({
        "access": { "bastion": { "admin_cidrs": ["192.0.2.1/32"] } },
        "network": { "own_vpc": {} },
        "backups": {},
        "monitoring": {},
    }));
    let text = template(&spec).body().unwrap();
    let template: serde_json::Value = serde_json::from_str(&text).unwrap();
    for word in ["PRIVATE KEY", "AKIA", "SecretString\":\"", "{{resolve:secretsmanager"] {
        assert!(!text.contains(word), "{word} is in the template");
    }
    for (name, secret) in crate::kit::of_type(&template, "AWS::SecretsManager::Secret") {
        let generated = &secret["GenerateSecretString"];
        assert_eq!(generated["GenerateStringKey"], "password", "{name}");
        assert!(generated["PasswordLength"].as_u64().unwrap() >= 24, "{name}");
        assert!(secret["Name"].as_str().unwrap().starts_with(&format!("understudy/{}/orders/", fleet().name)));
    }
}

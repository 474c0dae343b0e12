//! What AWS takes at most.

use crate::kit::{spec, template, with_dr};
use domain::spec::Spec;
use serde_json::json;
use template::{OBJECT_LIMIT, PARAMETER_LIMIT, Part, USER_DATA_LIMIT};

/// The longest name, the most hosts and networks, every option.
pub(crate) fn largest() -> Spec {
    let networks = |count: u32| -> Vec<String> { (0..count).map(|n| format!("10.200.1{n:02}.0/24")).collect() };
    let mut fields = with_dr(json!({
        "backup_bucket": "b".repeat(63), "primary_vpc_id": "vpc-0123456789abcdef0",
        "peering_connection_id": "pcx-0123456789abcdef0",
    }));
    let more = json!({
        "name": "a".repeat(40),
        "members": { "count": 5, "wal_volume": {}, "backup_volume": {}, "never_promote": [3, 4, 5] },
        "etcd": { "count": 5 },
        "client_cidrs": (0..20).map(|n| format!("10.100.1{n:02}.0/24")).collect::<Vec<_>>(),
        "access": {
            "bastion": { "admin_cidrs": networks(10), "subnet_id": "subnet-0123456789abcdef9" },
            "management_cidrs": networks(5),
            "monitoring_cidrs": networks(5),
        },
        "monitoring": {},
        "network": { "own_vpc": { "cidr": "10.2.0.0/16", "zones": 3, "nat": "per-zone", "endpoints": true } },
        "postgresql": { "database": "d".repeat(63), "owner": "o".repeat(63) },
    });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec(fields)
}

#[test]
fn the_largest_cluster_keeps_within_the_limits_of_aws() {
    for part in [Part::Primary, Part::Dr] {
        let template = template(&largest(), part);
        let body = template.body().unwrap().len();
        assert!(body <= OBJECT_LIMIT, "{part:?}: a template of {body} bytes");
        let size = template.longest_user_data();
        assert!(size <= USER_DATA_LIMIT, "{part:?}: user data of {size} bytes");
        let (name, size) = template.longest_parameter();
        assert!(size <= PARAMETER_LIMIT, "{part:?}: {name} of {size} bytes");
        let json: serde_json::Value = serde_json::from_str(&template.body().unwrap()).unwrap();
        let resources = json["Resources"].as_object().unwrap().len();
        // Source: CloudFormation user guide, "CloudFormation quotas".
        assert!(resources <= 500, "{part:?}: {resources} resources");
        assert!(json["Outputs"].as_object().unwrap().len() <= 200);
        // Characters of a role's own policies; an ARN's parts take more room here than the ARN there.
        // Source: IAM user guide, "IAM and AWS STS quotas".
        for (name, role) in crate::kit::of_type(&json, "AWS::IAM::Role") {
            let size = role["Policies"].to_string().len();
            assert!(size <= 10_240, "{part:?}: the policies of {name} have {size} characters");
        }
    }
}

#[test]
fn rendering_is_the_same_each_time() {
    for part in [Part::Primary, Part::Dr] {
        let spec = largest();
        assert_eq!(template(&spec, part).body().unwrap(), template(&spec, part).body().unwrap());
    }
}

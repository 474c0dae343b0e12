//! What cuts an old writer off.

use crate::kit::{card, of_type, properties, render, spec, with_dr};
use serde_json::{Value, json};

fn own_vpc(more: Value) -> Value {
    let mut fields = json!({ "network": { "own_vpc": { "cidr": "10.61.0.0/16", "zones": 2, "nat": "one" } } });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    render(&spec(&fields))
}

#[test]
fn the_isolated_group_lets_in_nobody_but_understudy() {
    let template = render(&spec(&json!({ "client_cidrs": ["10.9.0.0/16"] })));
    assert_eq!(properties(&template, "IsolatedSecurityGroup")["SecurityGroupIngress"], json!([]));
    let rule = properties(&template, "IsolatedFromFunctionsPostgresql");
    assert_eq!((&rule["SourceSecurityGroupId"], &rule["FromPort"]), (&json!("sg-functions"), &json!(5432)));
    let usual = &properties(&template, "DatabaseSecurityGroup")["SecurityGroupIngress"];
    assert_eq!(usual[0]["CidrIp"], "10.9.0.0/16");
    let isolation = card(&template).isolation.unwrap();
    assert_eq!(isolation.security_groups, ["DatabaseSecurityGroup.GroupId"]);
    assert_eq!(isolation.isolated_group, "IsolatedSecurityGroup.GroupId");
    assert_eq!((isolation.network_acl, isolation.usual_network_acl), (None, None), "the subnets are others', too");
}

/// The other Region's functions must see whether an old writer still writes.
#[test]
fn with_a_second_region_its_functions_are_let_in() {
    let template = render(&with_dr());
    let ingress = &properties(&template, "IsolatedSecurityGroup")["SecurityGroupIngress"];
    assert_eq!(ingress.as_array().unwrap().len(), 1);
    assert_eq!(ingress[0]["CidrIp"], "10.1.0.0/16");
}

#[test]
fn in_subnets_of_its_own_an_acl_ends_connections_too() {
    let template = own_vpc(json!({}));
    assert_eq!(of_type(&template, "AWS::EC2::NetworkAcl"), ["IsolatedAcl"]);
    assert_eq!(of_type(&template, "AWS::EC2::NetworkAclEntry"), [""; 0], "clients may be where functions are");
    let isolation = card(&template).isolation.unwrap();
    assert_eq!(isolation.network_acl.as_deref(), Some("IsolatedAcl"));
    assert_eq!(isolation.usual_network_acl.as_deref(), Some("Vpc.DefaultNetworkAcl"));
}

/// An ACL is of a whole subnet: it would cut off PgBouncer with the old writer.
#[test]
fn but_not_where_pgbouncer_or_a_proxy_is_in_them() {
    for others in [json!({ "rds": { "pooler": {} } }), json!({ "managed": { "proxy": {} } })] {
        let template = own_vpc(others);
        assert_eq!(of_type(&template, "AWS::EC2::NetworkAcl"), [""; 0]);
        assert_eq!(card(&template).isolation.unwrap().network_acl, None);
    }
}

//! A fleet that does not exist, to render templates for reading and checking.

use domain::spec::Zone;
use template::{Fleet, Subnet, Tls};

/// The fleet `example`, with three subnets.
#[must_use]
pub fn fleet() -> Fleet {
    let subnet = |id: &str, zone: &str| Subnet { id: id.into(), zone: zone.into() };
    Fleet {
        name: "example".into(),
        region: "eu-west-1".into(),
        vpc_id: "vpc-0123456789abcdef0".into(),
        client_cidrs: vec!["10.0.0.0/16".into()],
        subnets: vec![
            subnet("subnet-0123456789abcdef1", "eu-west-1a"),
            subnet("subnet-0123456789abcdef2", "eu-west-1b"),
            subnet("subnet-0123456789abcdef3", "eu-west-1c"),
        ],
        zone: Zone { id: "Z0123456789EXAMPLE".into(), name: "db.internal".into() },
        functions_security_group_id: "sg-0123456789abcdef0".into(),
        pages_topic_arn: "arn:aws:sns:eu-west-1:111122223333:example-pages".into(),
        state_table: "example-state".into(),
    }
}

/// Where its clusters' certificates would be.
#[must_use]
pub fn tls() -> Tls {
    Tls {
        secret_arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:understudy/example/tls-AbCdEf".into(),
        certificate_authority: "-----BEGIN CERTIFICATE-----\nPLACEHOLDER\n-----END CERTIFICATE-----\n".into(),
    }
}

//! How hosts of a VPC of their own reach AWS without leaving it.

use super::Network;
use crate::{
    After, Handle, Template, Value, groups,
    resource::{SecurityGroup, VpcEndpoint},
    site::Site,
};
use domain::spec::OwnVpc;

/// Services with a gateway endpoint, which costs nothing: the bundle, backups and packages of AWS; the state table.
const GATEWAYS: [(&str, &str); 2] = [("S3Endpoint", "s3"), ("DynamoDbEndpoint", "dynamodb")];

/// Services that hosts call, by an interface in each subnet.
const INTERFACES: [(&str, &str); 7] = [
    ("SsmEndpoint", "ssm"),
    ("SsmMessagesEndpoint", "ssmmessages"),
    ("Ec2MessagesEndpoint", "ec2messages"),
    ("SecretsManagerEndpoint", "secretsmanager"),
    ("LogsEndpoint", "logs"),
    ("CloudFormationEndpoint", "cloudformation"),
    ("MonitoringEndpoint", "monitoring"),
];

/// Services of which a cluster that AWS runs has an endpoint: its clients read passwords and write logs.
const INTERFACES_OF_MANAGED: [(&str, &str); 2] =
    [("SecretsManagerEndpoint", "secretsmanager"), ("LogsEndpoint", "logs")];

/// Adds the endpoints and answers which of them hosts need from their first boot on: all.
pub(super) fn add(template: &mut Template, site: &Site<'_>, own: &OwnVpc, network: &Network) -> Vec<After> {
    let mut added = Vec::new();
    // A cluster that AWS runs has no hosts, but for a tier of PgBouncer.
    let has_hosts = !site.spec.topology.is_managed() || site.spec.rds.as_ref().is_some_and(|rds| rds.pooler.is_some());
    for (id, service) in GATEWAYS.into_iter().filter(|(_, service)| has_hosts || *service == "s3") {
        let endpoint = VpcEndpoint {
            vpc_id: network.vpc_id.clone(),
            service_name: service_name(service),
            vpc_endpoint_type: "Gateway",
            route_table_ids: network.route_tables.iter().map(|table| table.id.clone()).collect(),
            subnet_ids: Vec::new(),
            security_group_ids: Vec::new(),
            private_dns_enabled: None,
            tags: site.named(&format!("{} {service}", site.stack())),
        };
        added.push(After::from(&template.add(id, endpoint)));
    }
    if own.endpoints {
        let group = security_group(template, site, network);
        let mut services = if has_hosts { INTERFACES.to_vec() } else { INTERFACES_OF_MANAGED.to_vec() };
        if site.kms_key().is_some() {
            services.push(("KmsEndpoint", "kms"));
        }
        if site.spec.monitoring.is_some() {
            services.push(("SnsEndpoint", "sns"));
        }
        for (id, service) in services {
            let endpoint = VpcEndpoint {
                vpc_id: network.vpc_id.clone(),
                service_name: service_name(service),
                vpc_endpoint_type: "Interface",
                route_table_ids: Vec::new(),
                subnet_ids: network.private.iter().map(|subnet| subnet.id.clone()).collect(),
                security_group_ids: vec![group.group_id()],
                private_dns_enabled: Some(true),
                tags: site.named(&format!("{} {service}", site.stack())),
            };
            added.push(After::from(&template.add(id, endpoint)));
        }
    }
    added
}

fn service_name(service: &str) -> Value {
    Value::join(["com.amazonaws.".into(), Value::region(), format!(".{service}").into()])
}

/// Nobody is in this VPC but the cluster.
fn security_group(template: &mut Template, site: &Site<'_>, network: &Network) -> Handle<SecurityGroup> {
    let group = SecurityGroup {
        group_description: format!("Endpoints of PostgreSQL cluster {}", site.spec.name),
        vpc_id: network.vpc_id.clone(),
        security_group_ingress: groups::from_networks(443, &network.cidrs, "Hosts of the cluster"),
        // An endpoint opens no connection; without a rule there would be one to everywhere.
        security_group_egress: groups::from_networks(443, &network.cidrs, "Nothing is needed"),
        tags: site.named(&format!("{} endpoints", site.stack())),
    };
    template.add("EndpointSecurityGroup", group)
}

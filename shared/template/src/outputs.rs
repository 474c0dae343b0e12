//! What a stack shows to its reader.

use crate::{Handle, Template, Value, hosts::Host, logs, network::Network, resource::Eip, site::Site};

/// What every topology shows: where the database is and which hosts it has. No password.
pub(crate) fn add(
    template: &mut Template,
    site: &Site<'_>,
    network: &Network,
    application_secret: Value,
    hosts: &[&Host],
    replication: &str,
) {
    let records = site.records();
    let postgresql = &site.spec.postgresql;
    let (owner, database, port) = (&postgresql.owner, &postgresql.database, postgresql.port);
    let connection = format!(
        "postgresql://{owner}@{}:{port}/{database}?sslmode=verify-full&target_session_attrs=read-write",
        records.writer
    );
    let available = site.spec.members.count > 1;
    let mut output = |name: &str, description: &str, value: Value| template.output(name, description, value);
    output("WriterRecord", "Name of the writer, for reads and writes", records.writer.into());
    output("ReaderRecord", "Name of the standbys, for reads", records.reader.into());
    output("Port", "Port of every member", port.to_string().into());
    output("Database", "The application's database", database.into());
    output("ConnectionString", "How the application connects, without its password", connection.into());
    output("ApplicationSecret", "ARN of the secret with the application's role and password", application_secret);
    output("Card", "SSM parameter that describes the cluster", site.card().into());
    output("HighAvailability", "Whether another member can become writer", available.to_string().into());
    output("Replication", "What a commit waits for", replication.into());
    output("VpcId", "The VPC of the hosts", network.vpc_id.clone());
    if site.spec.log_days > 0 {
        output("LogGroup", "Where the hosts' logs are", logs::name(site).into());
    }
    for host in hosts {
        let (name, id) = (&host.place.name, host.place.id.strip_suffix("Instance").unwrap_or(&host.place.id));
        output(&format!("{id}Instance"), &format!("Instance of {name}"), host.instance.id());
        output(&format!("{id}Address"), &format!("Private address of {name}"), host.place.interface.address());
    }
}

/// How people come in, when there is a bastion.
pub(crate) fn bastion(template: &mut Template, address: &Handle<Eip>) {
    template.output("BastionPublicAddress", "Where administrators log in by SSH", address.address());
}

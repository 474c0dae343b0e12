//! What the stack of a cluster that AWS runs shows to its reader. No password.

use super::{key::DataKey, placed::Placed, records, secrets::Secrets};
use crate::{Template, Value, site::Site};

/// What every topology shows that AWS runs.
pub(crate) fn add(template: &mut Template, site: &Site<'_>, placed: &Placed, secrets: &Secrets, key: Option<&DataKey>) {
    let records = records(site);
    let postgresql = &site.spec.postgresql;
    let (owner, database, port) = (&postgresql.owner, &postgresql.database, postgresql.port);
    // AWS's certificate knows AWS's names only: by the record a client verifies the authority.
    let connection = format!(
        "postgresql://{owner}@{}:{port}/{database}?sslmode=verify-ca&target_session_attrs=read-write",
        records.writer
    );
    let mut output = |name: &str, description: &str, value: Value| template.output(name, description, value);
    output("WriterRecord", "Name of the writer, for reads and writes", records.writer.into());
    output("ReaderRecord", "Name of the readers", records.reader.into());
    output("Port", "Port of every instance", port.to_string().into());
    output("Database", "The application's database", database.into());
    output("ConnectionString", "How the application connects, without its password", connection.into());
    output("ApplicationSecret", "Secret with the application's role and password", secrets.application.clone());
    output("Card", "SSM parameter that describes the cluster", site.card().into());
    output("VpcId", "The VPC of the databases", placed.network.vpc_id.clone());
    output("SecurityGroupId", "Security group of the databases", placed.group.group_id());
    if let Some(key) = key {
        output("DataKey", "Key of the storage and its backups", key.arn.clone());
    }
    if let Some(peering) = &placed.peering {
        let description = "For dr.peering_connection_id of the spec: the way between the Regions";
        output("PeeringConnection", description, peering.clone());
    }
}

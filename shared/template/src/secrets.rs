//! The passwords of a cluster's roles, generated where nobody sees them.

use crate::{
    Handle, Template,
    resource::{GenerateSecretString, ReplicaRegion, Secret},
    site::Site,
};
use domain::spec::Dr;

/// Those that every topology has.
pub(crate) struct Secrets {
    pub(crate) operator: Handle<Secret>,
    pub(crate) replication: Handle<Secret>,
    pub(crate) application: Handle<Secret>,
}

pub(crate) fn add(template: &mut Template, site: &Site<'_>) -> Secrets {
    let owner = &site.spec.postgresql.owner;
    let mut add = |id: &str, name: &str, role: &str, purpose: &str| password(template, site, id, name, role, purpose);
    Secrets {
        operator: add("OperatorSecret", "operator", "understudy", "Understudy's functions"),
        replication: add("ReplicationSecret", "replication", "replicator", "the standbys"),
        application: add("ApplicationSecret", "application", owner, "the application"),
    }
}

/// A secret `{"username","password"}`, and its copy in the second Region if there is one: whoever serves there needs
/// nothing of the first.
pub(crate) fn password(
    template: &mut Template,
    site: &Site<'_>,
    id: &str,
    name: &str,
    role: &str,
    purpose: &str,
) -> Handle<Secret> {
    let secret = Secret {
        name: secret_name(site, name),
        description: format!("Role {role} of PostgreSQL cluster {}: {purpose}", site.spec.name),
        generate_secret_string: Some(GenerateSecretString {
            // A role is an identifier, so that it needs no escape.
            secret_string_template: format!(r#"{{"username":"{role}"}}"#),
            generate_string_key: "password",
            // What a passfile, a URL or a shell would take for its own.
            exclude_characters: ":\\'\"/@ $`%",
            password_length: 32,
        }),
        secret_string: None,
        kms_key_id: site.kms_key(),
        replica_regions: replicas(site),
        tags: site.tags(),
    };
    template.add(id, secret)
}

/// Where else a secret is.
pub(crate) fn replicas(site: &Site<'_>) -> Vec<ReplicaRegion> {
    let replica = |dr: &Dr| ReplicaRegion { region: dr.region.clone(), kms_key_id: site.kms_key_in_dr() };
    site.spec.dr.iter().map(replica).collect()
}

/// Name of a cluster's secret, the same in both Regions.
pub(crate) fn secret_name(site: &Site<'_>, name: &str) -> String {
    format!("understudy/{}/{}/{name}", site.fleet.name, site.spec.name)
}

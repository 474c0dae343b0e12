//! The certificate of a cluster: made once, copied to the second Region, and never replaced.

use crate::outside::{Certificate, Outside, TlsSeen};
use domain::{
    card::{Records, Topology},
    spec::Spec,
};
use reconcile::Failure;
use template::{Part, Tls};

/// Why there is no certificate to go on with.
pub(crate) enum Hold {
    /// A person must choose.
    Refused(String),
    /// It will be there by itself.
    Waiting(String),
}

/// The secrets that the DR side reads in its own Region, copied there by the primary side.
const COPIED: [&str; 8] = ["operator", "replication", "application", "superuser", "pooler", "patroni", "source", "tls"];

/// Name of a secret of a cluster.
pub(crate) fn secret_name(outside: &impl Outside, cluster: &str, what: &str) -> String {
    format!("understudy/{}/{cluster}/{what}", outside.settings().fleet)
}

/// For servers that have certificates of AWS's.
pub(crate) fn none() -> Tls {
    Tls { secret_arn: String::new(), certificate_authority: String::new(), peer_authority: None }
}

/// The certificate as it is, or in the place of one that a deployment would make.
pub(crate) async fn known<O: Outside>(outside: &O, spec: &Spec) -> Result<Tls, Failure> {
    Ok(match outside.tls(&spec.name).await? {
        Some(Certificate::There(seen)) => seen.tls,
        _ => Tls {
            secret_arn: secret_name(outside, &spec.name, "tls"),
            certificate_authority: String::new(),
            peer_authority: (spec.topology == Topology::Ec2Patroni).then(String::new),
        },
    })
}

/// The names that clients verify: the records; where a load balancer is, that one's own, which only AWS chooses.
fn names(spec: &Spec, records: &Records, region: &str) -> Vec<String> {
    let mut names = vec![records.writer.clone(), records.reader.clone()];
    if spec.topology == Topology::Ec2Patroni || spec.rds.as_ref().is_some_and(|rds| rds.pooler.is_some()) {
        names.push(format!("*.elb.{region}.amazonaws.com"));
    }
    names
}

/// The certificate to render with: the one that is there, made or copied if it must be.
pub(crate) async fn ensure<O: Outside>(
    outside: &O,
    spec: &Spec,
    records: &Records,
    part: Part,
) -> Result<Result<Tls, Hold>, Failure> {
    if part == Part::Dr {
        return copied(outside, &spec.name).await;
    }
    let names = names(spec, records, &outside.settings().region);
    let secret = secret_name(outside, &spec.name, "tls");
    let seen = made(outside, spec, &names).await?;
    let peers = spec.topology == Topology::Ec2Patroni;
    if seen.names != names || seen.tls.peer_authority.is_some() != peers || seen.copy_of.is_some() {
        return Ok(Err(Hold::Refused(format!(
            "secret {secret} holds a certificate for {}{}, and this cluster's is for {}; \
             if no cluster uses it: aws secretsmanager delete-secret --force-delete-without-recovery --secret-id {secret}",
            seen.names.join(" and "),
            seen.copy_of.map(|region| format!(", copied from {region}")).unwrap_or_default(),
            names.join(" and "),
        ))));
    }
    if let Some(dr) = spec.dr.as_ref().filter(|dr| !seen.copies.contains(&dr.region)) {
        outside.replicate_tls(&spec.name, &dr.region, key_in(&dr.region, spec).as_deref()).await?;
    }
    Ok(Ok(seen.tls))
}

/// The customer key's replica in another Region: a multi-Region key has the same id there.
fn key_in(region: &str, spec: &Spec) -> Option<String> {
    let arn = spec.encryption.kms_key_arn.as_ref()?;
    let mut parts: Vec<&str> = arn.split(':').collect();
    *parts.get_mut(3)? = region;
    Some(parts.join(":"))
}

/// The certificate in this Region, made or taken back from its deletion.
async fn made<O: Outside>(outside: &O, spec: &Spec, names: &[String]) -> Result<TlsSeen, Failure> {
    let cluster = &spec.name;
    let done = match outside.tls(cluster).await? {
        Some(Certificate::There(seen)) => return Ok(seen),
        Some(Certificate::Marked) => outside.restore_tls(cluster).await,
        None => {
            let peers = spec.topology == Topology::Ec2Patroni;
            outside.create_tls(cluster, names, peers, spec.encryption.kms_key_arn.as_deref()).await
        }
    };
    match done {
        // Another call made it first: then that one is it.
        Ok(()) | Err(Failure::LostRace { .. }) => {}
        Err(failure) => return Err(failure),
    }
    match outside.tls(cluster).await? {
        Some(Certificate::There(seen)) => Ok(seen),
        _ => {
            let what = format!("secret {}, which is not readable yet", secret_name(outside, cluster, "tls"));
            Err(Failure::LostRace { call: "secretsmanager:GetSecretValue", what })
        }
    }
}

/// The copy in the second Region, when all secrets have theirs.
async fn copied<O: Outside>(outside: &O, cluster: &str) -> Result<Result<Tls, Hold>, Failure> {
    let here = &outside.settings().region;
    let mut missing = Vec::new();
    for what in COPIED {
        if !outside.has_secret(&secret_name(outside, cluster, what)).await? {
            missing.push(what);
        }
    }
    let seen = if missing.is_empty() { outside.tls(cluster).await? } else { None };
    Ok(match seen {
        Some(Certificate::There(seen)) if seen.copy_of.is_some() => Ok(seen.tls),
        Some(Certificate::There(_)) => Err(Hold::Refused(format!(
            "secret {} in {here} is no copy of the primary Region's: {here} must have only copies of {cluster}'s secrets",
            secret_name(outside, cluster, "tls")
        ))),
        _ => {
            let missing = if missing.is_empty() { "tls".to_owned() } else { missing.join(", ") };
            Err(Hold::Waiting(format!(
                "the primary side has not copied all secrets of {cluster} to {here} yet ({missing}): \
                 deploy the spec in the primary Region first, then here again"
            )))
        }
    })
}

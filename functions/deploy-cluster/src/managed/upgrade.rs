//! The way to another major version: no deployment goes it, a plan shows it.

use super::{blue_green, noted};
use crate::{
    answer::{Answer, Outcome},
    certificate::Hold,
    deployment::stack_name,
    outside::Outside,
};
use domain::{
    blue_green::{Facts, major, plan},
    card::Registered,
    spec::Spec,
};
use reconcile::Failure;

/// That a spec asks for no major upgrade of a cluster that stands. CloudFormation would do it at once, with the server
/// down for as long as it takes, and whatever does not go along is found out then.
pub(crate) async fn is_none<O: Outside>(outside: &O, spec: &Spec) -> Result<Result<(), Hold>, Failure> {
    let (cluster, wanted) = (&spec.name, spec.postgresql.version);
    let template = outside.template(&stack_name(outside, cluster)).await?;
    let Some(Ok(live)) = noted::spec(&template) else { return Ok(Ok(())) };
    if live.postgresql.version == wanted {
        return Ok(Ok(()));
    }
    let Some(Registered::Managed(card)) = outside.card(cluster).await? else { return Ok(Ok(())) };
    // After an upgrade by whatever way the spec only says what is.
    let version = outside.source(&card).await?.map(|source| source.version);
    if version.as_deref().and_then(major) == Some(wanted) {
        return Ok(Ok(()));
    }
    let now = version.unwrap_or_else(|| live.postgresql.version.to_string());
    Ok(Err(Hold::Refused(format!(
        "{cluster} has PostgreSQL {now}, and this spec says {wanted}: a deployment makes no major upgrade; \
         {{\"plan_upgrade\": {{\"cluster\": \"{cluster}\", \"to\": {wanted}}}}} says how it is made; nothing was changed"
    ))))
}

/// Says how a cluster gets to another major version, and what must be put right before. Nothing is done.
pub(crate) async fn answer<O: Outside>(outside: &O, cluster: &str, to: u32) -> Result<Answer, Failure> {
    let refused = |sentence: String| Ok(Answer::new(cluster, Outcome::Refused, sentence));
    let card = match outside.card(cluster).await? {
        Some(Registered::Managed(card)) => card,
        Some(Registered::Ec2(card)) => {
            return refused(format!(
                "{cluster} is {}: Understudy plans upgrades of clusters that AWS runs; deploy a new cluster with \
                 version {to} beside it, and copy",
                card.topology
            ));
        }
        None => return refused(format!("there is no cluster {cluster}")),
    };
    let Some(source) = outside.source(&card).await? else {
        return refused(format!("RDS knows no writer of {cluster} now"));
    };
    match major(&source.version) {
        Some(now) if now == to => return refused(format!("{cluster} has PostgreSQL {} already", source.version)),
        Some(now) if now > to => {
            return refused(format!(
                "{cluster} has PostgreSQL {}, and {to} is older: there is no way back",
                source.version
            ));
        }
        _ => {}
    }
    let spec = noted::spec(&outside.template(&stack_name(outside, cluster)).await?).and_then(Result::ok);
    let targets = outside.upgrade_targets(&card, &source.version).await?;
    let rds = outside.described(&card).await?;
    let mut limits = blue_green::limits(&card, &rds, spec.as_ref());
    let server = outside.server(&card).await?;
    limits.logical_replication = server.as_ref().map(|(logical, _)| *logical);
    limits.managed_password = outside.manages_password(&card).await?;
    let writer = outside.state(cluster).await?.and_then(|state| state.writer);
    let replicas = rds.instances.iter().map(|instance| instance.id.clone());
    let facts = Facts {
        cluster: cluster.to_owned(),
        fleet: card.fleet.clone(),
        topology: card.topology,
        version: source.version,
        targets: targets.into_iter().filter(|target| major(target) == Some(to)).collect(),
        limits,
        replicas: replicas.filter(|id| writer.as_ref() != Some(id)).collect(),
        parameters: spec.map(|spec| spec.postgresql.parameters.into_keys().collect()).unwrap_or_default(),
        server: server.map(|(_, server)| server),
    };
    Ok(Answer::new(cluster, Outcome::Planned, plan(&facts, to).to_string()))
}

//! What stands against deleting a cluster that AWS runs.

use crate::outside::Outside;
use domain::card::{ManagedCard, Registered};
use reconcile::Failure;
use serde_json::Value;

/// What RDS and the template say of a cluster that is to be deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Databases {
    /// Resources that RDS protects, by logical id.
    pub protected: Vec<String>,
    /// Databases in another Region that follow this side.
    pub followers: Vec<String>,
    /// Of a global cluster that this stack holds: the others in it.
    pub others: Vec<String>,
}

/// Looks; `None` for a cluster on EC2.
pub(super) async fn look<O: Outside>(outside: &O, cluster: &str, stack: &str) -> Result<Option<Databases>, Failure> {
    let template = outside.template(stack).await?;
    let resources: Vec<(&String, &Value)> = template["Resources"].as_object().into_iter().flatten().collect();
    let is_kind =
        |resource: &Value, kinds: &[&str]| kinds.iter().any(|kind| resource["Type"] == format!("AWS::RDS::{kind}"));
    let databases = ["DBInstance", "DBCluster", "GlobalCluster"];
    if !resources.iter().any(|(_, resource)| is_kind(resource, &databases)) {
        return Ok(None);
    }
    let is_protected = |resource: &Value| resource["Properties"]["DeletionProtection"] == true;
    let protected = resources.iter().filter(|(_, resource)| is_kind(resource, &databases) && is_protected(resource));
    let mut seen =
        Databases { protected: protected.map(|(name, _)| (*name).clone()).collect(), ..Databases::default() };
    // Without a card there is nothing of it that anybody could follow.
    if let Some(Registered::Managed(card)) = outside.card(cluster).await? {
        let holds_global = resources.iter().any(|(_, resource)| is_kind(resource, &["GlobalCluster"]));
        follow(outside, &card, holds_global, &mut seen).await?;
    }
    Ok(Some(seen))
}

async fn follow<O: Outside>(
    outside: &O,
    card: &ManagedCard,
    holds_global: bool,
    seen: &mut Databases,
) -> Result<(), Failure> {
    let rds = outside.described(card).await?;
    // In this Region a replica is named by its identifier, in another one by its ARN.
    let elsewhere = |name: &&String| region_of(name).is_some_and(|region| region != card.region);
    seen.followers = rds.instances.iter().flat_map(|instance| &instance.replicas).filter(elsewhere).cloned().collect();
    if let Some(global) = rds.global {
        let others: Vec<String> = global.members.into_iter().filter(|member| elsewhere(&member)).collect();
        let writes = global.writer.as_deref().and_then(region_of) == Some(card.region.as_str());
        if writes {
            seen.followers.extend(others.iter().cloned());
        }
        if holds_global {
            seen.others = others;
        }
    }
    Ok(())
}

/// The Region in an ARN.
fn region_of(name: &str) -> Option<&str> {
    name.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2)).filter(|region| !region.is_empty())
}

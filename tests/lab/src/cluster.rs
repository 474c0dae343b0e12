//! A cluster in the lab's fleet: deployed through `deploy-cluster`, looked at, removed.

use crate::{
    error::{Error, cannot},
    fleet::Fleet,
    names::{Kind, Zone},
    owner::{Owner, list, text},
    place::{FLEET, Place},
    progress::Step,
    sql::Database,
};
use domain::card::Card;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs,
    time::{Duration, Instant},
};

/// Time for a cluster to be ready, and for one to be gone.
const PATIENCE: Duration = Duration::from_secs(240);

/// The listener of a load balancer that leads to the writer.
pub const WRITER_PORT: u16 = 5432;
/// The one that leads to the standbys.
pub const READER_PORT: u16 = 5433;

/// A deployed cluster.
pub struct Cluster {
    /// What it says of itself.
    pub card: Card,
    /// Whether its owner wants a commit to wait for a standby.
    pub synchronous: bool,
    /// How its application logs in.
    pub database: Database,
}

/// What `deploy-cluster` answers.
#[derive(Debug, Deserialize)]
struct Answer {
    outcome: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    problems: Vec<Value>,
}

/// Who writes now, as the state item and the records say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Now {
    /// The state item's writer.
    pub writer: Option<String>,
    /// The state item's epoch.
    pub state_epoch: Option<u64>,
    /// Whether the state item's phase is `steady`.
    pub steady: bool,
    /// Whether commits wait for standbys.
    pub synchronous: bool,
    /// The standbys that they may wait for, by name.
    pub names: Vec<String>,
    /// The writer record's address.
    pub record: Option<String>,
    /// The epoch record's number.
    pub epoch: Option<u64>,
}

/// A cluster's spec in `infra/clusters`.
pub fn spec(place: &Place, name: &str) -> Result<String, Error> {
    let path = place.repo.join(format!("infra/clusters/{name}.json"));
    fs::read_to_string(&path).map_err(cannot(format!("read {}", path.display())))
}

/// A spec whose cluster may be removed: a lab's come and go.
fn removable(spec: &str) -> Result<String, Error> {
    let mut spec: Value = serde_json::from_str(spec).map_err(cannot("read the spec"))?;
    if let Some(spec) = spec.as_object_mut() {
        spec.entry("deletion_protection").or_insert(json!(false));
    }
    Ok(spec.to_string())
}

/// Deploys a cluster by its spec.
pub async fn deploy(owner: &Owner, name: &str, spec: &str, step: &Step) -> Result<Cluster, Error> {
    until_ready(owner, name, spec, step).await?;
    let doing = format!("deploy the cluster {name}");
    find(owner, name).await?.ok_or_else(|| cannot(doing)("it is ready and has no card"))
}

/// Calls the function with a spec until the cluster is ready.
pub async fn until_ready(owner: &Owner, name: &str, spec: &str, step: &Step) -> Result<(), Error> {
    let doing = format!("deploy the cluster {name}");
    let spec = removable(spec)?;
    let until = Instant::now() + PATIENCE;
    let mut last = String::new();
    loop {
        let asked = Instant::now();
        let with = json!({"FunctionName": Fleet::function("deploy-cluster"), "Payload": spec});
        let answer = owner.call("lambda", "invoke", with).await?;
        let payload = text(&answer, "/Payload")?;
        if let Some(kind) = answer["FunctionError"].as_str() {
            return Err(cannot(&doing)(format!("the function deploy-cluster failed ({kind}): {payload}")));
        }
        let answer: Answer = serde_json::from_str(&payload).map_err(cannot(&doing))?;
        if answer.outcome == "ready" {
            return Ok(());
        }
        if answer.outcome == "refused" {
            return Err(cannot(&doing)(format!("{}: {}", answer.message, json!(answer.problems))));
        }
        last.clone_from(&answer.message);
        step.tell(format!("deploy-cluster: {}", answer.message));
        if Instant::now() > until {
            return Err(cannot(&doing)(format!("not ready after {} s; last: {last}", PATIENCE.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(500).saturating_sub(asked.elapsed())).await;
    }
}

/// A cluster by its card; `None` when it has none.
pub async fn find(owner: &Owner, name: &str) -> Result<Option<Cluster>, Error> {
    let doing = format!("read the card of {name}");
    let parameter = Card::parameter(FLEET, name);
    let answer = match owner.ask("ssm", "get_parameter", json!({"Name": parameter})).await? {
        Ok(answer) => answer,
        Err(refused) if refused.code == "ParameterNotFound" => return Ok(None),
        Err(refused) => return Err(cannot(doing)(refused)),
    };
    let card: Card = serde_json::from_str(&text(&answer, "/Parameter/Value")?).map_err(cannot(&doing))?;
    let secret = format!("understudy/{FLEET}/{name}/application");
    let secret = owner.call("secretsmanager", "get_secret_value", json!({"SecretId": secret})).await?;
    let login: Value = serde_json::from_str(&text(&secret, "/SecretString")?).map_err(cannot(&doing))?;
    let database = Database::new(
        &card.certificate_authority,
        &card.records.writer,
        card.port,
        &card.database,
        &text(&login, "/username")?,
        &text(&login, "/password")?,
    )?;
    let synchronous = card.synchronous_required > 0;
    Ok(Some(Cluster { card, synchronous, database }))
}

/// Names of all clusters that have a card.
pub async fn all(owner: &Owner) -> Result<Vec<String>, Error> {
    let folder = Card::folder(FLEET);
    // Below a card are the cluster's settings, which are none.
    let answer = owner.call("ssm", "get_parameters_by_path", json!({"Path": folder, "Recursive": false})).await?;
    let names = list(&answer, "/Parameters").iter().filter_map(|parameter| parameter["Name"].as_str());
    Ok(names.map(|name| name.trim_start_matches(&folder).to_owned()).collect())
}

/// The state item alone; nothing is known where there is none.
pub async fn state(owner: &Owner, name: &str) -> Result<Now, Error> {
    let key = json!({"cluster": {"S": name}, "item": {"S": "state"}});
    let with = json!({"TableName": Fleet::table(), "Key": key, "ConsistentRead": true});
    let answer = owner.call("dynamodb", "get_item", with).await?;
    let item = &answer["Item"];
    let number = |field: &str| item[field]["N"].as_str().and_then(|text| text.parse::<u64>().ok());
    Ok(Now {
        writer: item["writer"]["S"].as_str().map(str::to_owned),
        state_epoch: number("epoch"),
        steady: item["phase"]["S"].as_str() == Some("steady"),
        synchronous: number("synchronous_required").is_some_and(|required| required > 0),
        names: list(item, "/synchronous_names/L")
            .iter()
            .filter_map(|name| Some(name["S"].as_str()?.to_owned()))
            .collect(),
        record: None,
        epoch: None,
    })
}

impl Cluster {
    /// How an application reaches the writer: its login, and the name that it resolves. With a load balancer that is
    /// the balancer's, else the writer record.
    pub fn entrance(&self) -> (Database, String) {
        match &self.card.patroni {
            Some(patroni) => (self.database.through(&patroni.balancer, WRITER_PORT), patroni.balancer.clone()),
            None => (self.database.clone(), self.card.records.writer.clone()),
        }
    }

    /// Who writes now, as the state item and the records say.
    pub async fn now(&self, owner: &Owner, zone: &Zone) -> Result<Now, Error> {
        let mut now = state(owner, &self.card.cluster).await?;
        now.record = zone.values(&self.card.records.writer, Kind::A).await?.into_iter().next();
        let epoch = zone.values(&self.card.records.epoch(), Kind::Txt).await?.into_iter().next();
        now.epoch = epoch.and_then(|text| text.strip_prefix("epoch=")?.parse().ok());
        Ok(now)
    }

    /// The ledger's entries about this cluster, oldest first.
    pub async fn ledger(&self, owner: &Owner) -> Result<Vec<Value>, Error> {
        ledger(owner, &self.card.cluster).await
    }

    /// Instance ids of the members whose guard noted last that their disk is full.
    pub async fn full_disks(&self, owner: &Owner) -> Result<Vec<String>, Error> {
        let items = items(owner, &self.card.cluster).await?;
        let full = items.iter().filter(|item| item["disk_full"]["S"] == "yes");
        let id = |item: &Value| item["item"]["S"].as_str()?.strip_prefix("guard#").map(str::to_owned);
        Ok(full.filter_map(id).collect())
    }

    /// Lets an hour pass for what the cluster remembers ([`age`]).
    pub async fn age(&self, owner: &Owner) -> Result<(), Error> {
        age(owner, &self.card.cluster).await
    }
}

/// The ledger's entries about a cluster, oldest first.
pub async fn ledger(owner: &Owner, name: &str) -> Result<Vec<Value>, Error> {
    let items = items(owner, name).await?;
    let entries = items.iter().filter(|item| item["item"]["S"].as_str().is_some_and(|key| key.starts_with("ledger#")));
    entries.map(|item| serde_json::from_str(&text(item, "/entry/S")?).map_err(cannot("read the ledger"))).collect()
}

/// Lets an hour pass for what a cluster remembers of failovers and pages: a cluster that is used again begins a run as
/// a new one does, without a cool-down and with every page still unsent.
pub async fn age(owner: &Owner, name: &str) -> Result<(), Error> {
    let key = json!({"cluster": {"S": name}, "item": {"S": "state"}});
    let with = json!({
        "TableName": Fleet::table(), "Key": key, "UpdateExpression": "REMOVE failovers_ms, paused_until_ms",
        "ConditionExpression": "phase = :steady", "ExpressionAttributeValues": {":steady": {"S": "steady"}},
    });
    owner.call("dynamodb", "update_item", with).await?;
    for item in items(owner, name).await? {
        let sort = text(&item, "/item/S")?;
        // What was told of a deployment is told for good.
        if sort.starts_with("told#") && !["told#stack#", "told#ready"].iter().any(|kept| sort.starts_with(kept)) {
            delete(owner, name, &sort).await?;
        }
    }
    Ok(())
}

/// All items of a cluster in the state table, by their keys.
async fn items(owner: &Owner, name: &str) -> Result<Vec<Value>, Error> {
    let with = json!({
        "TableName": Fleet::table(), "ConsistentRead": true, "KeyConditionExpression": "#cluster = :cluster",
        "ExpressionAttributeNames": {"#cluster": "cluster"},
        "ExpressionAttributeValues": {":cluster": {"S": name}},
    });
    let mut answer = owner.call("dynamodb", "query", with).await?;
    serde_json::from_value(answer["Items"].take()).map_err(cannot("read the state table"))
}

async fn delete(owner: &Owner, name: &str, sort: &str) -> Result<(), Error> {
    let key = json!({"cluster": {"S": name}, "item": {"S": sort}});
    owner.call("dynamodb", "delete_item", json!({"TableName": Fleet::table(), "Key": key})).await.map(drop)
}

/// Removes a cluster and everything it left behind but its ledger, as its owner would before deploying it anew.
pub async fn remove(owner: &Owner, fleet: &Fleet, name: &str, step: &Step) -> Result<(), Error> {
    let doing = format!("remove the cluster {name}");
    let stack = format!("understudy-{FLEET}-{name}");
    step.tell("deleting the stack");
    let with = json!({"StackName": stack, "EnableTerminationProtection": false});
    // A stack that is gone has none; deleting it says so.
    if let Err(refused) = owner.ask("cloudformation", "update_termination_protection", with).await?
        && refused.code != "ValidationError"
    {
        return Err(cannot(doing)(refused));
    }
    owner.call("cloudformation", "delete_stack", json!({"StackName": stack})).await?;
    let until = Instant::now() + PATIENCE;
    loop {
        let (stack, members) = (status(owner, &stack).await?, running(owner, name).await?);
        match (&stack, members) {
            (None, 0) => break,
            (Some(status), _) if status.ends_with("_FAILED") => {
                return Err(cannot(doing)(format!("the stack's status is {status}")));
            }
            _ => step.tell(format!("deleting the stack: {members} members left")),
        }
        if Instant::now() > until {
            return Err(cannot(doing)(format!("{members} members left after {} s", PATIENCE.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    forget(owner, fleet, name).await
}

/// The status of a stack; `None` when it is gone.
async fn status(owner: &Owner, stack: &str) -> Result<Option<String>, Error> {
    match owner.ask("cloudformation", "describe_stacks", json!({"StackName": stack})).await? {
        Ok(answer) => {
            let status = text(&answer, "/Stacks/0/StackStatus")?;
            Ok((status != "DELETE_COMPLETE").then_some(status))
        }
        Err(refused) if refused.code == "ValidationError" => Ok(None),
        Err(refused) => Err(cannot("read the cluster's stack")(refused)),
    }
}

/// How many instances of a cluster are not terminated.
async fn running(owner: &Owner, name: &str) -> Result<usize, Error> {
    let filters = json!([
        {"Name": "tag:understudy:fleet", "Values": [FLEET]},
        {"Name": "tag:understudy:cluster", "Values": [name]},
    ]);
    let answer = owner.call("ec2", "describe_instances", json!({"Filters": filters})).await?;
    let instances = list(&answer, "/Reservations").iter().flat_map(|reservation| list(reservation, "/Instances"));
    Ok(instances.filter(|instance| instance["State"]["Name"] != "terminated").count())
}

/// Deletes what is not part of the stack: records, server certificate, state item.
async fn forget(owner: &Owner, fleet: &Fleet, name: &str) -> Result<(), Error> {
    let zone = &fleet.zone;
    let answer = owner.call("route53", "list_resource_record_sets", json!({"HostedZoneId": zone})).await?;
    let of_cluster = |set: &&Value| {
        let record = set["Name"].as_str().unwrap_or_default().trim_start_matches("_understudy.");
        record.starts_with(&format!("{name}-rw.")) || record.starts_with(&format!("{name}-ro."))
    };
    let sets = list(&answer, "/ResourceRecordSets").iter().filter(of_cluster);
    let changes: Vec<Value> = sets.map(|set| json!({"Action": "DELETE", "ResourceRecordSet": set})).collect();
    if !changes.is_empty() {
        let with = json!({"HostedZoneId": zone, "ChangeBatch": {"Changes": changes}});
        owner.call("route53", "change_resource_record_sets", with).await?;
    }
    let with = json!({"SecretId": format!("understudy/{FLEET}/{name}/tls"), "ForceDeleteWithoutRecovery": true});
    match owner.ask("secretsmanager", "delete_secret", with).await? {
        Err(refused) if refused.code != "ResourceNotFoundException" => {
            return Err(cannot("delete the cluster's server certificate")(refused));
        }
        _ => {}
    }
    for item in items(owner, name).await? {
        let sort = text(&item, "/item/S")?;
        if !sort.starts_with("ledger#") {
            delete(owner, name, &sort).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_labs_clusters_may_be_removed_unless_their_spec_says_otherwise() -> Result<(), Error> {
        let of = |spec: Value| -> Result<Value, Error> {
            serde_json::from_str(&removable(&spec.to_string())?).map_err(cannot("read it back"))
        };
        assert_eq!(of(json!({"name": "shop"}))?, json!({"name": "shop", "deletion_protection": false}));
        let kept = json!({"name": "shop", "deletion_protection": true});
        assert_eq!(of(kept.clone())?, kept);
        assert!(removable("{").is_err());
        Ok(())
    }
}

//! Clusters that AWS runs: Aurora and RDS, with real PostgreSQL behind their endpoints.

mod judge;
mod order;
mod region;
mod run;

pub use order::take;
pub use region::play;
pub use run::run;

use crate::{
    cluster::{self, Now},
    control,
    error::{Error, cannot},
    names::{Kind, Zone},
    owner::{Owner, text},
    place::{FLEET, Place},
    sql::{Database, Member},
};
use domain::card::{Card, ManagedCard, Registered, Topology};
use serde_json::{Value, json};
use std::{fs, net::IpAddr};

/// A deployed cluster, in one Region.
pub struct Managed {
    /// What it says of itself there.
    pub card: ManagedCard,
    /// How its application logs in; the certificate's name is the endpoint's.
    pub database: Database,
}

/// Whether a spec is of a topology that AWS runs.
pub fn is_managed(spec: &str) -> bool {
    let topology = serde_json::from_str::<Value>(spec)
        .ok()
        .and_then(|spec| serde_json::from_value::<Topology>(spec["topology"].clone()).ok());
    topology.is_some_and(Topology::is_managed)
}

/// Whether a spec has a second Region.
pub fn has_two_regions(spec: &str) -> bool {
    serde_json::from_str::<Value>(spec).is_ok_and(|spec| !spec["dr"].is_null())
}

/// The card of a cluster in one Region, of whatever kind; `None` when it has none there.
pub async fn registered(owner: &Owner, name: &str) -> Result<Option<Registered>, Error> {
    let doing = format!("read the card of {name}");
    let parameter = Card::parameter(FLEET, name);
    let answer = match owner.ask("ssm", "get_parameter", json!({"Name": parameter})).await? {
        Ok(answer) => answer,
        Err(refused) if refused.code == "ParameterNotFound" => return Ok(None),
        Err(refused) => return Err(cannot(doing)(refused)),
    };
    serde_json::from_str(&text(&answer, "/Parameter/Value")?).map(Some).map_err(cannot(doing))
}

/// A cluster by its card in one Region; `None` when it has none there.
pub async fn find(place: &Place, owner: &Owner, name: &str) -> Result<Option<Managed>, Error> {
    let doing = format!("find {name}");
    let card = match registered(owner, name).await? {
        None => return Ok(None),
        Some(Registered::Managed(card)) => card,
        Some(Registered::Ec2(card)) => return Err(cannot(doing)(format!("it is of {}", card.topology))),
    };
    let secret = format!("understudy/{FLEET}/{name}/application");
    let secret = owner.call("secretsmanager", "get_secret_value", json!({"SecretId": secret})).await?;
    let login: Value = serde_json::from_str(&text(&secret, "/SecretString")?).map_err(cannot(&doing))?;
    let path = place.dir.join("rds-authority.pem");
    let authority = fs::read_to_string(&path).map_err(cannot(format!("read {}", path.display())))?;
    let (user, password) = (text(&login, "/username")?, text(&login, "/password")?);
    let database = Database::new(&authority, &card.records.writer, card.port, &card.database, &user, &password)?;
    Ok(Some(Managed { card, database }))
}

/// A server of a cluster, as an application finds it.
pub struct Server {
    /// Identifier of its instance.
    pub id: String,
    /// What RDS says of it.
    pub status: String,
    /// Whether its hardware died.
    pub dead: bool,
    /// What it answers, when it was asked.
    pub answer: Member,
}

impl Managed {
    /// Who writes now, as the state item and the records say.
    pub async fn now(&self, owner: &Owner, zone: &Zone) -> Result<Now, Error> {
        let mut now = cluster::state(owner, &self.card.cluster).await?;
        now.record = zone.values(&self.card.records.writer, Kind::Cname).await?.into_iter().next();
        let epoch = zone.values(&self.card.records.epoch(), Kind::Txt).await?.into_iter().next();
        now.epoch = epoch.and_then(|text| text.strip_prefix("epoch=")?.parse().ok());
        Ok(now)
    }

    /// The beginning of its instances' identifiers.
    fn prefix(&self) -> String {
        format!("{FLEET}-{}-", self.card.cluster)
    }

    /// All of its servers in its Region, each asked for a write through its own endpoint.
    pub async fn servers(&self) -> Result<Vec<Server>, Error> {
        let all = control::databases().await?;
        let prefix = self.prefix();
        let mut tasks = tokio::task::JoinSet::new();
        for host in all.databases {
            // `lab-leads-2` is of leads, `lab-leads-dr-1` is not.
            let of_ours =
                host.id.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if host.region != self.card.region || !of_ours {
                continue;
            }
            let endpoint = all
                .names
                .iter()
                .find(|(name, _)| name.starts_with(&format!("{}.", host.id)) && name.contains(&host.region));
            let asked = endpoint.map(|(name, address)| (self.database.named(name), *address));
            tasks.spawn(async move {
                let answer = match asked {
                    Some((database, address)) => database.ask(address).await,
                    None => Member::Silent("it has no endpoint".to_owned()),
                };
                Server { id: host.id, status: host.status, dead: host.dead, answer }
            });
        }
        let mut servers = tasks.join_all().await;
        servers.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(servers)
    }

    /// Where the writer's record leads now.
    pub async fn entrance(&self, resolver: &hickory_resolver::TokioResolver) -> Result<(Database, IpAddr), Error> {
        let (name, address) = crate::names::follow(resolver, &self.card.records.writer)
            .await
            .map_err(cannot("follow the writer's record"))?;
        Ok((self.database.named(&name), address))
    }
}

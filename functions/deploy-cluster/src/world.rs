//! The outside of `deploy-cluster`, in AWS and PostgreSQL.

use crate::tls::TlsSecret;
use cloud::{
    SdkConfig,
    cloudformation::{self, CloudFormation},
    environment::{self, BadSetting},
    network::Network,
    route53::Route53,
    secrets::Secrets,
    ssm::Ssm,
    state::StateTable,
};
use deploy_cluster::outside::{
    Change, ChangeSetPhase, ChangeSetSeen, Image, NetworkSeen, NewChangeSet, Outside, Settings, StackSeen, TlsSeen,
};
use domain::{
    card::{Card, Records},
    events::prefix,
    failover::Sql,
    records::RecordsSeen,
    spec::Zone,
    state::State,
};
use postgres::{Connector, Target};
use reconcile::Failure;
use serde_json::Value;
use std::{net::IpAddr, time::Duration};
use template::{IMAGE_PARAMETER, Subnet, Tls};
use tokio::task::JoinSet;

/// A member inside the same Region that has not answered in two seconds is not
/// well enough to be given clients.
const PROBE: Duration = Duration::from_secs(2);

/// The clients of a call.
pub struct Aws {
    settings: Settings,
    stack_role_arn: String,
    cloudformation: CloudFormation,
    network: Network,
    route53: Route53,
    secrets: Secrets,
    ssm: Ssm,
    states: StateTable,
}

impl Aws {
    /// Builds them from the Lambda environment.
    ///
    /// # Errors
    ///
    /// [`BadSetting`] for a variable that is missing.
    pub fn new(config: &SdkConfig) -> Result<Self, BadSetting> {
        let state_table = environment::required("STATE_TABLE")?;
        Ok(Aws {
            settings: Settings {
                fleet: environment::required("FLEET")?,
                // Lambda sets it, and so does whoever runs this elsewhere.
                region: environment::required("AWS_REGION")?,
                vpc_id: environment::required("VPC_ID")?,
                subnet_ids: environment::list("SUBNET_IDS")?,
                zone: Zone {
                    id: environment::required("HOSTED_ZONE_ID")?,
                    name: environment::required("HOSTED_ZONE_NAME")?,
                },
                functions_security_group_id: environment::required("FUNCTIONS_SECURITY_GROUP_ID")?,
                pages_topic_arn: environment::required("PAGES_TOPIC_ARN")?,
                state_table: state_table.clone(),
            },
            stack_role_arn: environment::required("STACK_ROLE_ARN")?,
            cloudformation: CloudFormation::new(config),
            network: Network::new(config),
            route53: Route53::new(config),
            secrets: Secrets::new(config),
            ssm: Ssm::new(config),
            states: StateTable::new(config, &state_table),
        })
    }

    fn tls_secret(&self, cluster: &str) -> String {
        format!("understudy/{}/{cluster}/tls", self.settings.fleet)
    }
}

impl Outside for Aws {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn network(&self, subnet_ids: &[String]) -> Result<NetworkSeen, Failure> {
        let cidrs = self.network.cidrs(&self.settings.vpc_id).await?;
        let found = self.network.subnets(&self.settings.vpc_id, subnet_ids).await?;
        let find = |id: &String| found.iter().find(|subnet| subnet.id == *id);
        let subnet = |id| find(id).map(|subnet| Subnet { id: subnet.id.clone(), zone: subnet.zone.clone() });
        Ok(NetworkSeen { cidrs, subnets: subnet_ids.iter().map(subnet).collect() })
    }

    async fn image(&self, parameter: &str) -> Result<String, Failure> {
        self.network.image(parameter).await
    }

    async fn tls(&self, cluster: &str) -> Result<Option<TlsSeen>, Failure> {
        let name = self.tls_secret(cluster);
        let Some(secret_arn) = self.secrets.arn(&name).await? else { return Ok(None) };
        let Some(text) = self.secrets.find(&secret_arn).await? else { return Ok(None) };
        // The error's own text may quote the key.
        let secret: TlsSecret = serde_json::from_str(&text).map_err(|error| Failure::Broken {
            call: "secretsmanager:GetSecretValue",
            what: format!(
                "secret {name} is not as Understudy writes it: see line {}, column {}",
                error.line(),
                error.column()
            ),
        })?;
        let tls = Tls { secret_arn, certificate_authority: secret.certificate_authority };
        Ok(Some(TlsSeen { tls, names: secret.names }))
    }

    async fn create_tls(&self, cluster: &str, names: &[String]) -> Result<(), Failure> {
        let secret = serde_json::to_string(&TlsSecret::make(cluster, names)?)
            .map_err(|error| Failure::Broken { call: "make certificate", what: error.to_string() })?;
        let tags = [("understudy:fleet", self.settings.fleet.as_str()), ("understudy:cluster", cluster)];
        self.secrets.create(&self.tls_secret(cluster), &secret, &tags).await
    }

    async fn state(&self, cluster: &str) -> Result<Option<State>, Failure> {
        self.states.read(cluster).await
    }

    async fn unclaim(&self, cluster: &str) -> Result<(), Failure> {
        self.states.unclaim(cluster).await
    }

    async fn stack(&self, name: &str) -> Result<Option<StackSeen>, Failure> {
        let stack = self.cloudformation.stack(name).await?;
        Ok(stack.map(|stack| StackSeen {
            id: stack.id,
            status: stack.status,
            reason: stack.reason,
            changed_at: stack.changed_at,
            parameters: stack.parameters,
        }))
    }

    async fn planned_stacks(&self) -> Result<Vec<String>, Failure> {
        self.cloudformation.planned(&prefix(&self.settings.fleet)).await
    }

    async fn template(&self, stack: &str) -> Result<Value, Failure> {
        self.cloudformation.template(stack).await
    }

    async fn open_change_sets(&self, stack: &str) -> Result<Vec<String>, Failure> {
        self.cloudformation.open_change_sets(stack).await
    }

    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ChangeSetSeen>, Failure> {
        let found = self.cloudformation.change_set(stack, name).await?;
        Ok(found.map(|found| ChangeSetSeen { name: name.to_owned(), phase: phase(found) }))
    }

    async fn create_change_set(&self, new: &NewChangeSet) -> Result<(), Failure> {
        let parameters = match &new.image {
            Image::InTemplate => vec![],
            Image::Kept => vec![(IMAGE_PARAMETER, None)],
            Image::Is(id) => vec![(IMAGE_PARAMETER, Some(id.as_str()))],
        };
        let request = cloudformation::NewChangeSet {
            stack: &new.stack,
            name: &new.name,
            new_stack: new.new_stack,
            body: &new.body,
            parameters: &parameters,
            tags: &new.tags,
            role_arn: &self.stack_role_arn,
        };
        self.cloudformation.create_change_set(&request).await
    }

    async fn execute_change_set(&self, stack: &str, name: &str) -> Result<(), Failure> {
        self.cloudformation.execute_change_set(stack, name).await
    }

    async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), Failure> {
        self.cloudformation.delete_change_set(stack, name).await
    }

    async fn cards(&self) -> Result<Vec<Card>, Failure> {
        let found = self.ssm.cards(&self.settings.fleet).await?;
        for card in &found.unreadable {
            tracing::error!("{} is not a card: {}", card.parameter, card.problem);
        }
        Ok(found.cards)
    }

    async fn card(&self, cluster: &str) -> Result<Option<Card>, Failure> {
        self.ssm.card(&self.settings.fleet, cluster).await
    }

    async fn records(&self, records: &Records) -> Result<RecordsSeen, Failure> {
        self.route53.read(records).await
    }

    async fn move_writer(
        &self,
        records: &Records,
        from: Option<(IpAddr, u64)>,
        to: (IpAddr, u64),
    ) -> Result<(), Failure> {
        self.route53.move_writer(records, from, to).await
    }

    async fn set_readers(&self, records: &Records, addresses: &[IpAddr]) -> Result<(), Failure> {
        self.route53.set_readers(records, addresses).await
    }

    async fn probe(&self, card: &Card) -> Result<Vec<Sql>, Failure> {
        let login = self.secrets.login(&card.operator_secret).await?;
        let connector = Connector::new(&card.certificate_authority, login)?;
        let mut asked = JoinSet::new();
        for (at, member) in card.members.iter().enumerate() {
            let (connector, target) = (connector.clone(), Target::member(card, member));
            asked.spawn(async move { (at, connector.probe(&target, PROBE).await) });
        }
        let mut answers = vec![Sql::NotAsked; card.members.len()];
        while let Some(answer) = asked.join_next().await {
            // A probe that panicked is a bug, and its member one that was not asked.
            match answer {
                Ok((at, sql)) => answers[at] = sql,
                Err(error) => tracing::error!("a probe of {} ended badly: {error}", card.cluster),
            }
        }
        Ok(answers)
    }
}

fn phase(found: cloudformation::ChangeSet) -> ChangeSetPhase {
    use cloudformation::ChangeSet;
    match found {
        ChangeSet::Pending => ChangeSetPhase::Pending,
        ChangeSet::Empty => ChangeSetPhase::Empty,
        ChangeSet::Failed(reason) => ChangeSetPhase::Failed(reason),
        ChangeSet::Over => ChangeSetPhase::Over,
        ChangeSet::Ready(changes) => ChangeSetPhase::Ready(changes.into_iter().map(change).collect()),
    }
}

fn change(found: cloudformation::Change) -> Change {
    let cloudformation::Change { action, logical_id, kind, replacement, targets } = found;
    Change { action, logical_id, kind, replacement, targets }
}

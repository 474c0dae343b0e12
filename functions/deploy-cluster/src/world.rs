//! The outside of `deploy-cluster`, in AWS and PostgreSQL.

mod convert;

use crate::tls::TlsSecret;
use cloud::{
    SdkConfig,
    cloudformation::{self, CloudFormation},
    environment::{self, BadSetting},
    network::Network,
    route53::Route53,
    s3::Bucket,
    secrets::Secrets,
    sns::Sns,
    ssm::Ssm,
    state::StateTable,
};
use deploy_cluster::{
    deletion::Deletion,
    outside::{
        Certificate, ChangeSetSeen, EventSeen, Image, NetworkSeen, NewChangeSet, OpenChangeSet, Outside, ResourceSeen,
        Settings, SetupProblem, StackSeen, TemplateAt, TlsSeen, UnsettledStack,
    },
};
use domain::{
    card::{Card, Records},
    events::prefix,
    failover::{Page, Sql},
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

/// Between two looks at a change set while a person waits.
const REST: Duration = Duration::from_secs(2);

/// Who has begun to tell something and has not after this long, in milliseconds, was cut short: a function lives a minute.
const TELLING_MS: u64 = 90_000;

/// How long a certificate can be restored: the longest that Secrets Manager keeps it, in days.
const RECOVERY_DAYS: i64 = 30;

/// The clients of a call.
pub struct Aws {
    settings: Settings,
    stack_role_arn: String,
    cloudformation: CloudFormation,
    bucket: Bucket,
    network: Network,
    route53: Route53,
    secrets: Secrets,
    sns: Sns,
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
        let bucket = environment::required("BUCKET")?;
        // Lambda sets it, and so does whoever runs this elsewhere.
        let region = environment::required("AWS_REGION")?;
        Ok(Aws {
            settings: Settings {
                fleet: environment::required("FLEET")?,
                region: region.clone(),
                vpc_id: environment::required("VPC_ID")?,
                subnet_ids: environment::list("SUBNET_IDS")?,
                zone: Zone {
                    id: environment::required("HOSTED_ZONE_ID")?,
                    name: environment::required("HOSTED_ZONE_NAME")?,
                },
                functions_security_group_id: environment::required("FUNCTIONS_SECURITY_GROUP_ID")?,
                pages_topic_arn: environment::required("PAGES_TOPIC_ARN")?,
                state_table: state_table.clone(),
                bucket: bucket.clone(),
            },
            stack_role_arn: environment::required("STACK_ROLE_ARN")?,
            cloudformation: CloudFormation::new(config),
            bucket: Bucket::new(config, &bucket, &region),
            network: Network::new(config),
            route53: Route53::new(config),
            secrets: Secrets::new(config),
            sns: Sns::new(config),
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

    fn now_ms(&self) -> u64 {
        cloud::now_ms()
    }

    async fn rest(&self) {
        tokio::time::sleep(REST).await;
    }

    async fn network(&self, subnet_ids: &[String]) -> Result<NetworkSeen, Failure> {
        let Settings { vpc_id, subnet_ids: own, .. } = &self.settings;
        let cidrs = self.network.cidrs(vpc_id).await?;
        let found = self.network.subnets(vpc_id, subnet_ids).await?;
        let find = |id: &String| found.iter().find(|subnet| subnet.id == *id);
        let subnet = |id| find(id).map(|subnet| Subnet { id: subnet.id.clone(), zone: subnet.zone.clone() });
        let route_tables = self.network.route_tables(vpc_id, own).await?;
        Ok(NetworkSeen { cidrs, subnets: subnet_ids.iter().map(subnet).collect(), route_tables })
    }

    async fn image(&self, parameter: &str) -> Result<String, Failure> {
        self.network.image(parameter).await
    }

    async fn put(&self, key: &str, bytes: &[u8], sha256: [u8; 32]) -> Result<(), Failure> {
        self.bucket.put_if_missing(key, bytes, sha256).await
    }

    async fn has_secret(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.secrets.describe(name).await?.is_some_and(|secret| !secret.deleted))
    }

    async fn tls(&self, cluster: &str) -> Result<Option<Certificate>, Failure> {
        let name = self.tls_secret(cluster);
        let Some(found) = self.secrets.describe(&name).await? else { return Ok(None) };
        if found.deleted {
            return Ok(Some(Certificate::Marked));
        }
        let Some(text) = self.secrets.find(&found.arn).await? else { return Ok(None) };
        // The error's own text may quote the key.
        let secret: TlsSecret = serde_json::from_str(&text).map_err(|error| Failure::Broken {
            call: "secretsmanager:GetSecretValue",
            what: format!(
                "secret {name} is not as Understudy writes it: see line {}, column {}",
                error.line(),
                error.column()
            ),
        })?;
        let tls = Tls {
            secret_arn: found.arn,
            certificate_authority: secret.certificate_authority,
            peer_authority: secret.peer_authority,
        };
        let copies = found.replicas.into_iter().map(|(region, _)| region).collect();
        Ok(Some(Certificate::There(TlsSeen { tls, names: secret.names, copy_of: found.copy_of, copies })))
    }

    async fn create_tls(
        &self,
        cluster: &str,
        names: &[String],
        peers: bool,
        key_arn: Option<&str>,
    ) -> Result<(), Failure> {
        let secret = serde_json::to_string(&TlsSecret::make(cluster, names, peers)?)
            .map_err(|error| Failure::Broken { call: "make certificate", what: error.to_string() })?;
        let tags = [("understudy:fleet", self.settings.fleet.as_str()), ("understudy:cluster", cluster)];
        self.secrets.create(&self.tls_secret(cluster), &secret, &tags, key_arn).await
    }

    async fn restore_tls(&self, cluster: &str) -> Result<(), Failure> {
        self.secrets.restore(&self.tls_secret(cluster)).await
    }

    async fn replicate_tls(&self, cluster: &str, region: &str, key_arn: Option<&str>) -> Result<(), Failure> {
        self.secrets.replicate(&self.tls_secret(cluster), region, key_arn).await
    }

    async fn delete_tls(&self, cluster: &str) -> Result<(), Failure> {
        let name = self.tls_secret(cluster);
        let Some(found) = self.secrets.describe(&name).await? else { return Ok(()) };
        let copies: Vec<String> = found.replicas.into_iter().map(|(region, _)| region).collect();
        if !copies.is_empty() {
            // Secrets Manager does not delete a secret that has copies.
            self.secrets.unreplicate(&name, copies).await?;
        }
        self.secrets.delete(&name, RECOVERY_DAYS).await
    }

    async fn state(&self, cluster: &str) -> Result<Option<State>, Failure> {
        self.states.read(cluster).await
    }

    async fn unclaim(&self, cluster: &str) -> Result<(), Failure> {
        self.states.unclaim(cluster).await
    }

    async fn setup_problem(&self, cluster: &str, logical_id: &str) -> Result<Option<SetupProblem>, Failure> {
        let found = self.states.setup_problem(cluster, logical_id).await?;
        Ok(found.map(|found| SetupProblem { step: found.step, reason: found.reason, at_ms: found.at_ms }))
    }

    async fn deletions(&self) -> Result<Vec<String>, Failure> {
        self.states.deletions().await
    }

    async fn deletion(&self, cluster: &str) -> Result<Option<Deletion>, Failure> {
        let note = self.states.deletion(cluster).await?;
        note.map(serde_json::from_value).transpose().map_err(|error| Failure::Broken {
            call: "dynamodb:GetItem",
            what: format!("the note that {cluster} is to be deleted makes no sense: {error}"),
        })
    }

    async fn note_deletion(&self, cluster: &str, note: &Deletion) -> Result<(), Failure> {
        let note = serde_json::to_value(note)
            .map_err(|error| Failure::Broken { call: "dynamodb:PutItem", what: error.to_string() })?;
        self.states.note_deletion(cluster, &note).await
    }

    async fn forget_deletion(&self, cluster: &str) -> Result<(), Failure> {
        self.states.forget_deletion(cluster).await
    }

    async fn stack(&self, name: &str) -> Result<Option<StackSeen>, Failure> {
        Ok(self.cloudformation.stack(name).await?.map(convert::stack))
    }

    async fn unsettled_stacks(&self) -> Result<Vec<UnsettledStack>, Failure> {
        let found = self.cloudformation.unsettled(&prefix(&self.settings.fleet)).await?;
        Ok(found.into_iter().map(convert::unsettled).collect())
    }

    async fn resources(&self, stack: &str) -> Result<Vec<ResourceSeen>, Failure> {
        Ok(self.cloudformation.resources(stack).await?.into_iter().map(convert::resource).collect())
    }

    async fn last_change(&self, stack: &str) -> Result<Vec<EventSeen>, Failure> {
        Ok(self.cloudformation.last_change(stack).await?.into_iter().map(convert::event).collect())
    }

    async fn protect(&self, stack: &str, protected: bool) -> Result<(), Failure> {
        self.cloudformation.protect(stack, protected).await
    }

    async fn delete_stack(&self, id: &str, token: &str) -> Result<(), Failure> {
        self.cloudformation.delete_stack(id, &self.stack_role_arn, token).await
    }

    async fn template(&self, stack: &str) -> Result<Value, Failure> {
        self.cloudformation.template(stack).await
    }

    async fn change_set_template(&self, stack: &str, name: &str) -> Result<Value, Failure> {
        self.cloudformation.change_set_template(stack, name).await
    }

    async fn open_change_sets(&self, stack: &str) -> Result<Vec<OpenChangeSet>, Failure> {
        Ok(self.cloudformation.open_change_sets(stack).await?.into_iter().map(convert::open_change_set).collect())
    }

    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ChangeSetSeen>, Failure> {
        let found = self.cloudformation.change_set(stack, name).await?;
        Ok(found.map(|found| ChangeSetSeen { name: name.to_owned(), phase: convert::phase(found) }))
    }

    async fn create_change_set(&self, new: &NewChangeSet) -> Result<(), Failure> {
        let parameters = match &new.image {
            Image::InTemplate => vec![],
            Image::Kept => vec![(IMAGE_PARAMETER, None)],
            Image::Is(id) => vec![(IMAGE_PARAMETER, Some(id.as_str()))],
        };
        let url = match &new.template {
            TemplateAt::Body(_) => String::new(),
            TemplateAt::Object(key) => self.bucket.url(key),
        };
        let request = cloudformation::NewChangeSet {
            stack: &new.stack,
            name: &new.name,
            new_stack: new.new_stack,
            template: match (&new.template, &url) {
                (TemplateAt::Body(body), _) => cloudformation::Template::Body(body),
                (TemplateAt::Object(_), url) => cloudformation::Template::Url(url),
            },
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

    async fn remove_records(&self, records: &Records) -> Result<(), Failure> {
        self.route53.remove(records).await
    }

    async fn tell_once(&self, cluster: &str, what: &str) -> Result<bool, Failure> {
        self.states.tell_once(cluster, what, cloud::now_ms(), TELLING_MS).await
    }

    async fn told(&self, cluster: &str, what: &str) -> Result<(), Failure> {
        // Written as told in the far future, nobody's turn to tell it ever comes.
        self.states.tell_once(cluster, what, i64::MAX.unsigned_abs(), 0).await.map(drop)
    }

    async fn untell(&self, cluster: &str, what: &str) -> Result<(), Failure> {
        self.states.untell(cluster, what).await
    }

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        self.sns.publish(&self.settings.pages_topic_arn, &page.subject, &page.text).await
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

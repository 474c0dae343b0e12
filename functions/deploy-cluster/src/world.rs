//! The outside of `deploy-cluster`, in AWS and PostgreSQL.

mod certificates;
mod change_sets;
mod convert;
mod databases;
mod members;

use cloud::{
    SdkConfig,
    cloudformation::CloudFormation,
    environment::{self, BadSetting},
    network::Network,
    rds::Rds,
    route53::Route53,
    s3::Bucket,
    secrets::Secrets,
    sns::Sns,
    ssm::Ssm,
    state::StateTable,
};
use deploy_cluster::{
    deletion::Deletion,
    managed::SetUp,
    outside::{
        Certificate, ChangeSetSeen, EventSeen, Needed, NetworkSeen, NewChangeSet, OpenChangeSet, Outside, ResourceSeen,
        Settings, SetupProblem, StackSeen, UnsettledStack,
    },
};
use domain::{
    blue_green::{Deployment, Server, Source, Wanted},
    card::{Card, ManagedCard, Records, Registered},
    events::prefix,
    failover::{Page, Sql},
    managed::{Described, NamesSeen},
    records::RecordsSeen,
    spec::Zone,
    state::State,
};
use postgres::Reach;
use reconcile::Failure;
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, time::Duration};
use template::Subnet;

/// A member inside the same Region that has not answered in two seconds is not
/// well enough to be given clients.
const PROBE: Duration = Duration::from_secs(2);

/// Between two looks at a change set while a person waits.
const REST: Duration = Duration::from_secs(2);

/// Who has begun to tell something and has not after this long, in milliseconds, was cut short: a function lives a minute.
const TELLING_MS: u64 = 90_000;

/// The clients of a call.
pub struct Aws {
    settings: Settings,
    stack_role_arn: String,
    cloudformation: CloudFormation,
    bucket: Bucket,
    config: SdkConfig,
    network: Network,
    rds: Rds,
    reach: Reach,
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
            config: config.clone(),
            network: Network::new(config),
            rds: Rds::new(config),
            reach: fleet::reach()?,
            route53: Route53::new(config),
            secrets: Secrets::new(config),
            sns: Sns::new(config),
            ssm: Ssm::new(config),
            states: StateTable::new(config, &state_table),
        })
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
        self.certificate(cluster).await
    }

    async fn create_tls(
        &self,
        cluster: &str,
        names: &[String],
        peers: bool,
        key_arn: Option<&str>,
    ) -> Result<(), Failure> {
        self.make_certificate(cluster, names, peers, key_arn).await
    }

    async fn restore_tls(&self, cluster: &str) -> Result<(), Failure> {
        self.secrets.restore(&self.tls_secret(cluster)).await
    }

    async fn replicate_tls(&self, cluster: &str, region: &str, key_arn: Option<&str>) -> Result<(), Failure> {
        self.secrets.replicate(&self.tls_secret(cluster), region, key_arn).await
    }

    async fn delete_tls(&self, cluster: &str) -> Result<(), Failure> {
        self.drop_certificate(cluster).await
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
        self.make_change_set(new).await
    }

    async fn execute_change_set(&self, stack: &str, name: &str) -> Result<(), Failure> {
        self.cloudformation.execute_change_set(stack, name).await
    }

    async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), Failure> {
        self.cloudformation.delete_change_set(stack, name).await
    }

    async fn cards(&self) -> Result<Vec<Registered>, Failure> {
        let found = self.ssm.cards(&self.settings.fleet).await?;
        for card in &found.unreadable {
            tracing::error!("{} is not a card: {}", card.parameter, card.problem);
        }
        Ok(found.cards)
    }

    async fn card(&self, cluster: &str) -> Result<Option<Registered>, Failure> {
        self.ssm.card(&self.settings.fleet, cluster).await
    }

    async fn kept(&self, cluster: &str, item: &str) -> Result<Option<Value>, Failure> {
        self.states.kept(cluster, item).await
    }

    async fn keep(
        &self,
        cluster: &str,
        item: &str,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Result<(), Failure> {
        self.states.keep(cluster, item, before, after).await
    }

    async fn described(&self, card: &ManagedCard) -> Result<Described, Failure> {
        self.rds.described(card).await
    }

    async fn in_other_region(&self, region: &str, needed: &Needed) -> Result<Option<String>, Failure> {
        self.look_elsewhere(region, needed).await
    }

    async fn ask(&self, card: &ManagedCard, endpoints: &[String]) -> Result<BTreeMap<String, Sql>, Failure> {
        self.ask_all(card, endpoints).await
    }

    async fn set_up(&self, card: &ManagedCard, endpoint: &str, wanted: &SetUp) -> Result<Vec<String>, Failure> {
        self.set_up_database(card, endpoint, wanted).await
    }

    async fn names(&self, records: &Records) -> Result<NamesSeen, Failure> {
        self.route53.names(records).await
    }

    async fn move_name(&self, records: &Records, from: Option<(&str, u64)>, to: (&str, u64)) -> Result<(), Failure> {
        self.route53.move_writer_name(records, from, to).await
    }

    async fn set_reader_names(&self, records: &Records, readers: &[(String, String)]) -> Result<(), Failure> {
        self.route53.set_reader_names(records, readers).await
    }

    async fn remove_names(&self, records: &Records) -> Result<(), Failure> {
        self.route53.remove_names(records).await
    }

    async fn source(&self, card: &ManagedCard) -> Result<Option<Source>, Failure> {
        self.blue_side(card).await
    }

    async fn manages_password(&self, card: &ManagedCard) -> Result<bool, Failure> {
        self.keeps_password(card).await
    }

    async fn upgrade_targets(&self, card: &ManagedCard, version: &str) -> Result<Vec<String>, Failure> {
        let engine = if card.topology.is_aurora() { "aurora-postgresql" } else { "postgres" };
        self.rds.upgrade_targets(engine, version).await
    }

    async fn server(&self, card: &ManagedCard) -> Result<Option<(bool, Server)>, Failure> {
        self.server_says(card).await
    }

    async fn green_lag(&self, card: &ManagedCard) -> Result<Option<u64>, Failure> {
        self.behind(card).await
    }

    async fn blue_green(&self, card: &ManagedCard) -> Result<Option<Deployment>, Failure> {
        self.rds.blue_green(card).await
    }

    async fn create_blue_green(&self, card: &ManagedCard, source: &str, wanted: &Wanted) -> Result<(), Failure> {
        self.rds.create_blue_green(card, source, wanted).await
    }

    async fn switch_over_blue_green(&self, id: &str, timeout_s: u32) -> Result<(), Failure> {
        self.rds.switch_over_blue_green(id, timeout_s).await
    }

    async fn delete_blue_green(&self, id: &str, with_target: bool) -> Result<(), Failure> {
        self.rds.delete_blue_green(id, with_target).await
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
        self.probe_members(card).await
    }
}

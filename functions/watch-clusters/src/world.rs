//! What a run looks at, in AWS and in PostgreSQL.

use cloud::{
    SdkConfig, environment, environment::BadSetting, lambda::Lambda, rds::Rds, secrets::Secrets, ssm::Ssm,
    state::StateTable,
};
use domain::{
    card::{Card, CardMember, ManagedCard, Registered},
    events::Function,
    failover::Sql,
    managed::Described,
    region,
    state::{GuardSeen, State},
};
use postgres::{Connector, Reach, Target, is_login_failure};
use reconcile::Failure;
use serde_json::Value;
use watch_clusters::{Cards, Probed, World};

/// The clients of a run, built once at cold start.
pub struct Aws {
    fleet: String,
    promote: String,
    update_dns: String,
    rejoin: String,
    lambda: Lambda,
    rds: Rds,
    reach: Reach,
    secrets: Secrets,
    ssm: Ssm,
    states: StateTable,
}

fn probed(sql: Sql) -> Probed {
    Probed { login_refused: is_login_failure(&sql), sql }
}

impl Aws {
    /// Builds them from the Lambda environment.
    ///
    /// # Errors
    ///
    /// [`BadSetting`] for a variable that is missing.
    pub fn new(config: &SdkConfig, fleet: String) -> Result<Self, BadSetting> {
        Ok(Aws {
            fleet,
            promote: environment::required("PROMOTE_FUNCTION_NAME")?,
            update_dns: environment::required("UPDATE_DNS_FUNCTION_NAME")?,
            rejoin: environment::required("REJOIN_FUNCTION_NAME")?,
            lambda: Lambda::new(config),
            rds: Rds::new(config),
            reach: fleet::reach()?,
            secrets: Secrets::new(config),
            ssm: Ssm::new(config),
            states: StateTable::new(config, &environment::required("STATE_TABLE")?),
        })
    }
}

impl World for Aws {
    type Access = Connector;

    fn now_ms(&self) -> u64 {
        cloud::now_ms()
    }

    async fn cards(&self) -> Result<Cards, Failure> {
        let found = self.ssm.cards(&self.fleet).await?;
        let unreadable = found.unreadable.into_iter().map(|bad| (bad.parameter, bad.problem)).collect();
        Ok(Cards { cards: found.cards, unreadable })
    }

    async fn access(&self, card: &Registered) -> Result<Connector, Failure> {
        match card {
            Registered::Ec2(card) => {
                Connector::new(&card.certificate_authority, self.secrets.login(&card.operator_secret).await?)
            }
            Registered::Managed(card) => {
                Ok(Connector::managed(&self.reach, self.secrets.login(&card.operator_secret).await?))
            }
        }
    }

    async fn probe(&self, access: &Connector, card: &Card, member: &CardMember) -> Probed {
        probed(access.probe(&Target::member(card, member), card.policy.probe_timeout()).await)
    }

    async fn describe(&self, card: &ManagedCard) -> Result<Described, Failure> {
        self.rds.described(card).await
    }

    async fn probe_endpoint(&self, access: &Connector, card: &ManagedCard, endpoint: &str) -> Probed {
        let target = Target::endpoint(endpoint, card.port);
        probed(access.probe_managed(card.topology.is_aurora(), &target, card.policy.probe_timeout()).await)
    }

    async fn serves(&self, card: &ManagedCard) -> Result<bool, Failure> {
        let item = self.states.kept(&card.cluster, region::ITEM).await?;
        Ok(region::serves(card.side, item.as_ref()))
    }

    async fn state(&self, cluster: &str) -> Result<Option<State>, Failure> {
        self.states.read(cluster).await
    }

    async fn guard(&self, cluster: &str, member: &str) -> Result<Option<GuardSeen>, Failure> {
        self.states.guard(cluster, member).await
    }

    async fn wake(&self, function: Function, event: &Value) -> Result<(), Failure> {
        let name = match function {
            Function::UpdateDns => &self.update_dns,
            Function::RejoinReplica => &self.rejoin,
            _ => &self.promote,
        };
        self.lambda.wake(name, event).await
    }

    fn measured(&self, document: &Value) {
        println!("{document}");
    }
}

//! The fleet's clients, and which cluster an event is about.

use crate::{
    in_aws::{InAws, Ours},
    last_known::LastKnown,
    led::WithPatroni,
    managed::{ByAws, ManagedInAws},
};
use cloud::{
    SdkConfig, ec2::Ec2, environment, environment::BadSetting, lambda::Lambda, rds::Rds, route53::Route53,
    secrets::Secrets, sns::Sns, ssm::Ssm, state::StateTable,
};
use domain::{
    card::{ManagedCard, Registered, Topology},
    events::{Meaning, Subject},
};
use postgres::{Connector, Reach};
use reconcile::{Failure, Login, Silences};
use std::sync::Arc;

/// Everything a pass calls, built once at cold start.
pub struct Clients {
    /// The fleet's name.
    pub fleet: String,
    /// Since when writers are silent, as this process saw it.
    pub silences: Arc<Silences>,
    pub(crate) topic: String,
    pub(crate) ec2: Ec2,
    pub(crate) route53: Route53,
    secrets: Secrets,
    pub(crate) sns: Sns,
    /// The SSM calls of the fleet.
    pub ssm: Ssm,
    pub(crate) states: StateTable,
    /// The RDS calls of the fleet, in its own Region.
    pub rds: Rds,
    pub(crate) lambda: Lambda,
    /// The name of `deploy-cluster`, where the environment says it.
    pub(crate) deploy: Option<String>,
    reach: Reach,
    last_known: LastKnown,
}

/// The outside of one cluster, by who steers it (I15).
pub enum Opened<'a> {
    /// Understudy steers it.
    Steered(InAws<'a, Ours>),
    /// Patroni does.
    Led(InAws<'a, WithPatroni>),
    /// AWS does.
    Managed(ManagedInAws<'a>),
}

/// How managed servers are reached: RDS's own certificate authorities and the system's resolver; and what
/// `RDS_AUTHORITY` (PEM, one more authority: of a Region newer than this binary, of a laboratory) and `DNS_SERVER`
/// (`10.0.0.2:53`, asked instead of the system's) of the environment say.
///
/// # Errors
///
/// [`BadSetting::Wrong`] for a value that cannot be used.
pub fn reach() -> Result<Reach, BadSetting> {
    const AUTHORITY: &str = "RDS_AUTHORITY";
    let authority = environment::optional(AUTHORITY);
    let wrong = |failure: Failure| BadSetting::Wrong { name: AUTHORITY.to_owned(), problem: failure.to_string() };
    Reach::new(authority.as_deref(), environment::address("DNS_SERVER")?).map_err(wrong)
}

impl Clients {
    /// Builds them from the Lambda environment.
    ///
    /// # Errors
    ///
    /// [`BadSetting`] for a variable that is missing.
    pub fn new(config: &SdkConfig) -> Result<Self, BadSetting> {
        Ok(Clients {
            fleet: environment::required("FLEET")?,
            silences: Arc::default(),
            topic: environment::required("PAGES_TOPIC_ARN")?,
            ec2: Ec2::new(config),
            route53: Route53::new(config),
            secrets: Secrets::new(config),
            sns: Sns::new(config),
            ssm: Ssm::new(config),
            states: StateTable::new(config, &environment::required("STATE_TABLE")?),
            rds: Rds::new(config),
            lambda: Lambda::new(config),
            deploy: environment::optional("DEPLOY_FUNCTION_NAME"),
            reach: reach()?,
            last_known: LastKnown::default(),
        })
    }

    /// The card of a cluster; `None` for one that is not of this fleet.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of reading it, when this process never read it before.
    pub async fn card(&self, cluster: &str) -> Result<Option<Registered>, Failure> {
        match self.ssm.card(&self.fleet, cluster).await {
            Ok(card) => {
                self.last_known.keep_cards(card.iter().cloned());
                Ok(card)
            }
            Err(failure) => self.last_known.card(cluster).map(Some).ok_or(failure),
        }
    }

    /// All cards of the fleet; one that cannot be read is reported and hides no other.
    ///
    /// # Errors
    ///
    /// As [`card`](Self::card).
    pub async fn cards(&self) -> Result<Vec<Registered>, Failure> {
        let cards = match self.ssm.cards(&self.fleet).await {
            Ok(cards) => cards,
            Err(failure) => return self.last_known.cards().ok_or(failure),
        };
        for card in &cards.unreadable {
            tracing::error!("{} is not a card: {}", card.parameter, card.problem);
        }
        self.last_known.keep_cards(cards.cards.iter().cloned());
        Ok(cards.cards)
    }

    /// The card of the cluster that this EC2 instance is a host of, if any.
    ///
    /// # Errors
    ///
    /// As [`card`](Self::card).
    pub async fn card_of_instance(&self, instance: &str) -> Result<Option<Registered>, Failure> {
        let has = |card: &Registered| matches!(card, Registered::Ec2(card) if card.has_host(instance));
        Ok(self.cards().await?.into_iter().find(has))
    }

    /// The cards of the clusters that a database of RDS may belong to: the one that names it; otherwise every managed
    /// one, since it may have been made after the card was written.
    async fn cards_of_database(&self, database: &str) -> Result<Vec<Registered>, Failure> {
        let mut cards = self.cards().await?;
        cards.retain(|card| matches!(card, Registered::Managed(_)));
        let named = |card: &Registered| matches!(card, Registered::Managed(card) if card.is_called(database));
        match cards.iter().position(named) {
            Some(place) => Ok(vec![cards.swap_remove(place)]),
            None => Ok(cards),
        }
    }

    /// The cards of the clusters that an event is about.
    ///
    /// # Errors
    ///
    /// As [`card`](Self::card).
    pub async fn meant(&self, meaning: &Meaning) -> Result<Vec<Registered>, Failure> {
        let one = match meaning {
            Meaning::Suspicion(seen) => self.card(&seen.cluster).await?,
            Meaning::Attention { cluster, .. } => self.card(cluster).await?,
            Meaning::Request(request) => self.card(request.cluster()).await?,
            Meaning::InstanceState { instance, .. } => self.card_of_instance(instance).await?,
            Meaning::Alarm(alarm) => match &alarm.subject {
                Subject::Cluster(cluster) => self.card(cluster).await?,
                Subject::Instance(instance) => self.card_of_instance(instance).await?,
                Subject::Fleet => return self.cards().await,
            },
            Meaning::Database { database, .. } => return self.cards_of_database(database).await,
            Meaning::Schedule => return self.cards().await,
            Meaning::Stack { .. }
            | Meaning::Spec { .. }
            | Meaning::Order(_)
            | Meaning::Region(_)
            | Meaning::BadRequest(_)
            | Meaning::Ignored(_) => None,
        };
        Ok(one.into_iter().collect())
    }

    /// The outside of one cluster.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of reading its login, when this process never read it
    /// before; [`Failure::Broken`] when the card's certificate cannot be used.
    pub async fn open(&self, card: Registered) -> Result<Opened<'_>, Failure> {
        let card = match card {
            Registered::Managed(card) => return self.open_managed(card).await.map(Opened::Managed),
            Registered::Ec2(card) => card,
        };
        let connector = Connector::new(&card.certificate_authority, self.login(&card.operator_secret).await?)?;
        match card.topology {
            Topology::Ec2Streaming => Ok(Opened::Steered(InAws { clients: self, card, connector, by: Ours })),
            Topology::Ec2Patroni => {
                let by = WithPatroni::of(&card)?;
                Ok(Opened::Led(InAws { clients: self, card, connector, by }))
            }
            managed => Err(Failure::Broken { call: "ssm:GetParameter", what: format!("a card of EC2 of {managed}") }),
        }
    }

    /// The outside of one cluster that AWS runs.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of reading its login, when this process never read it before.
    pub async fn open_managed(&self, card: ManagedCard) -> Result<ManagedInAws<'_>, Failure> {
        let connector = Connector::managed(&self.reach, self.login(&card.operator_secret).await?);
        Ok(InAws { clients: self, card, connector, by: ByAws })
    }

    /// The login for Patroni's own calls; read when one is made, and seldom.
    pub(crate) async fn patroni_login(&self, secret: &str) -> Result<Login, Failure> {
        self.secrets.login(secret).await
    }

    /// What the functions log in with.
    async fn login(&self, secret: &str) -> Result<Login, Failure> {
        match self.secrets.login(secret).await {
            Ok(login) => {
                self.last_known.keep_login(secret, login.clone());
                Ok(login)
            }
            Err(failure) => self.last_known.login(secret).ok_or(failure),
        }
    }
}

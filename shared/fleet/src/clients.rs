//! The fleet's clients, and which cluster an event is about.

use crate::{
    in_aws::{InAws, Ours},
    last_known::LastKnown,
    led::WithPatroni,
};
use cloud::{
    SdkConfig, ec2::Ec2, environment, environment::BadSetting, route53::Route53, secrets::Secrets, sns::Sns, ssm::Ssm,
    state::StateTable,
};
use domain::{
    card::{Card, Topology},
    events::{Meaning, Subject},
};
use postgres::Connector;
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
    last_known: LastKnown,
}

/// The outside of one cluster, by who steers it (I15).
pub enum Opened<'a> {
    /// Understudy steers it.
    Steered(InAws<'a, Ours>),
    /// Patroni does.
    Led(InAws<'a, WithPatroni>),
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
            last_known: LastKnown::default(),
        })
    }

    /// The card of a cluster; `None` for one that is not of this fleet.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of reading it, when this process never read it before.
    pub async fn card(&self, cluster: &str) -> Result<Option<Card>, Failure> {
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
    pub async fn cards(&self) -> Result<Vec<Card>, Failure> {
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

    /// The card of the cluster that this instance is a host of, if any.
    ///
    /// # Errors
    ///
    /// As [`card`](Self::card).
    pub async fn card_of_instance(&self, instance: &str) -> Result<Option<Card>, Failure> {
        Ok(self.cards().await?.into_iter().find(|card| card.has_host(instance)))
    }

    /// The cards of the clusters that an event is about.
    ///
    /// # Errors
    ///
    /// As [`card`](Self::card).
    pub async fn meant(&self, meaning: &Meaning) -> Result<Vec<Card>, Failure> {
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
            Meaning::Schedule | Meaning::ManagedFailover { .. } => return self.cards().await,
            Meaning::Stack { .. }
            | Meaning::Spec { .. }
            | Meaning::Order(_)
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
    pub async fn open(&self, card: Card) -> Result<Opened<'_>, Failure> {
        let login = self.login(&card).await?;
        let connector = Connector::new(&card.certificate_authority, login)?;
        match card.topology {
            Topology::Ec2Streaming => Ok(Opened::Steered(InAws { clients: self, card, connector, by: Ours })),
            Topology::Ec2Patroni => {
                let by = WithPatroni::of(&card)?;
                Ok(Opened::Led(InAws { clients: self, card, connector, by }))
            }
            managed => Err(Failure::Broken { call: "ssm:GetParameter", what: format!("a card of EC2 of {managed}") }),
        }
    }

    /// The login for Patroni's own calls; read when one is made, and seldom.
    pub(crate) async fn patroni_login(&self, secret: &str) -> Result<Login, Failure> {
        self.secrets.login(secret).await
    }

    /// What the functions log in with.
    async fn login(&self, card: &Card) -> Result<Login, Failure> {
        match self.secrets.login(&card.operator_secret).await {
            Ok(login) => {
                self.last_known.keep_login(&card.operator_secret, login.clone());
                Ok(login)
            }
            Err(failure) => self.last_known.login(&card.operator_secret).ok_or(failure),
        }
    }
}

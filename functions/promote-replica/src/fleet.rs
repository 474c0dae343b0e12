//! The fleet's clients, and which cluster an event is about.

use crate::{
    last_known::LastKnown,
    world::{InAws, Learnt},
};
use cloud::{
    SdkConfig, ec2::Ec2, environment, environment::BadSetting, route53::Route53, secrets::Secrets, sns::Sns, ssm::Ssm,
    state::StateTable,
};
use domain::{card::Card, lsn::Lsn};
use postgres::Connector;
use reconcile::{Failure, Login};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Everything a pass calls, built once at cold start.
pub struct Clients {
    pub(crate) fleet: String,
    pub(crate) topic: String,
    pub(crate) ec2: Ec2,
    pub(crate) route53: Route53,
    pub(crate) secrets: Secrets,
    pub(crate) sns: Sns,
    pub(crate) ssm: Ssm,
    pub(crate) states: StateTable,
    pub(crate) silences: Silences,
    last_known: LastKnown,
}

/// Since when writers are silent, as this process first saw it. A pass that
/// comes too early (`stopping` is no proof) thus leaves the time to the one
/// that acts, when Lambda gives both to one process; for the story only.
#[derive(Default)]
pub struct Silences(Mutex<BTreeMap<String, u64>>);

impl Silences {
    /// Notes whether a member answers now; since when it does not.
    pub(crate) fn note(&self, member: &str, answers: bool, now_ms: u64) -> Option<u64> {
        // A lock that a panic poisoned still holds times.
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers {
            since.remove(member);
            return None;
        }
        Some(*since.entry(member.to_owned()).or_insert(now_ms))
    }
}

/// What woke this pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waking {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// In words, for the page.
    pub by: String,
    /// What `watch-clusters` saw, when it was that.
    pub suspicion: Option<Suspected>,
}

/// The suspicion as it came: with a time instead of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspected {
    /// Instance id.
    pub member: String,
    /// Failed probes in a row.
    pub failures: u32,
    /// When the first of them began, in milliseconds since 1970.
    pub silent_since_ms: u64,
    /// Last write position that a probe saw.
    pub last_lsn: Option<Lsn>,
    /// Last `synchronous_standby_names` that a probe saw.
    pub synchronous_setting: Option<String>,
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
            topic: environment::required("PAGES_TOPIC_ARN")?,
            ec2: Ec2::new(config),
            route53: Route53::new(config),
            secrets: Secrets::new(config),
            sns: Sns::new(config),
            ssm: Ssm::new(config),
            states: StateTable::new(config, &environment::required("STATE_TABLE")?),
            silences: Silences::default(),
            last_known: LastKnown::default(),
        })
    }

    /// The card of a cluster; `None` for one that is not of this fleet.
    pub(crate) async fn card(&self, cluster: &str) -> Result<Option<Card>, Failure> {
        match self.ssm.card(&self.fleet, cluster).await {
            Ok(card) => {
                self.last_known.keep_cards(card.iter().cloned());
                Ok(card)
            }
            Err(failure) => self.last_known.card(cluster).map(Some).ok_or(failure),
        }
    }

    /// All cards of the fleet; one that cannot be read is reported and hides no other.
    pub(crate) async fn cards(&self) -> Result<Vec<Card>, Failure> {
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

    /// The card of the cluster that this instance is a member of, if any.
    pub(crate) async fn card_of_instance(&self, instance: &str) -> Result<Option<Card>, Failure> {
        Ok(self.cards().await?.into_iter().find(|card| card.member(instance).is_some()))
    }

    /// Makes a pass over one cluster.
    pub(crate) async fn open(
        &self,
        card: Card,
        waking: Waking,
        pass: String,
        deadline_ms: u64,
    ) -> Result<InAws<'_>, Failure> {
        let login = self.login(&card).await?;
        let connector = Connector::new(&card.certificate_authority, login)?;
        Ok(InAws { clients: self, card, connector, waking, pass, deadline_ms, learnt: Learnt::default() })
    }
}

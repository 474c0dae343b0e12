//! This Region's clients, and no other's.

use cloud::{
    SdkConfig, cloudwatch::CloudWatch, ec2::Ec2, environment, environment::BadSetting, kms::Kms, lambda::Lambda,
    network::Network, rds::Rds, route53::Route53, secrets::Secrets, sns::Sns, ssm::Ssm, state::StateTable,
};
use domain::{card::Registered, region::DrCard};
use postgres::{Connector, Reach};
use reconcile::Failure;

/// Everything that a takeover needs, built once at cold start from the function's own Region. Nothing of the
/// configuration is kept: whoever has this can ask no other Region.
pub struct OwnRegion {
    /// The fleet's name.
    pub fleet: String,
    pub(super) topic: String,
    pub(super) deploy_function: String,
    pub(super) reach: Reach,
    pub(super) ssm: Ssm,
    pub(super) states: StateTable,
    pub(super) secrets: Secrets,
    pub(super) sns: Sns,
    pub(super) rds: Rds,
    pub(super) ec2: Ec2,
    pub(super) route53: Route53,
    pub(super) cloudwatch: CloudWatch,
    pub(super) kms: Kms,
    pub(super) lambda: Lambda,
    pub(super) images: Network,
}

/// What the environment of the function says.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `FLEET`.
    pub fleet: String,
    /// `PAGES_TOPIC_ARN`.
    pub topic: String,
    /// `DEPLOY_FUNCTION_NAME`.
    pub deploy_function: String,
    /// `STATE_TABLE`.
    pub state_table: String,
    /// How servers that AWS runs are reached.
    pub reach: Reach,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// [`BadSetting`] for a variable that is missing or cannot be used.
    pub fn read() -> Result<Self, BadSetting> {
        Ok(Settings {
            fleet: environment::required("FLEET")?,
            topic: environment::required("PAGES_TOPIC_ARN")?,
            deploy_function: environment::required("DEPLOY_FUNCTION_NAME")?,
            state_table: environment::required("STATE_TABLE")?,
            reach: crate::reach()?,
        })
    }
}

impl OwnRegion {
    /// Builds the clients.
    #[must_use]
    pub fn new(config: &SdkConfig, settings: Settings) -> Self {
        OwnRegion {
            fleet: settings.fleet,
            topic: settings.topic,
            deploy_function: settings.deploy_function,
            reach: settings.reach,
            ssm: Ssm::new(config),
            states: StateTable::new(config, &settings.state_table),
            secrets: Secrets::new(config),
            sns: Sns::new(config),
            rds: Rds::new(config),
            ec2: Ec2::new(config),
            route53: Route53::new(config),
            cloudwatch: CloudWatch::new(config),
            kms: Kms::new(config),
            lambda: Lambda::new(config),
            images: Network::new(config),
        }
    }

    /// The cards of all clusters whose second Region this is; one that cannot be read is reported and hides no other.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of reading them.
    pub async fn cards(&self) -> Result<Vec<DrCard>, Failure> {
        let registered = self.ssm.cards(&self.fleet).await?;
        let (standbys, strangers) = self.ssm.standbys(&self.fleet).await?;
        for card in registered.unreadable.iter().chain(&strangers) {
            tracing::error!("{} is not a card: {}", card.parameter, card.problem);
        }
        let managed = registered.cards.into_iter().filter_map(|card| match card {
            Registered::Managed(card) => DrCard::of(card),
            Registered::Ec2(_) => None,
        });
        Ok(managed.chain(standbys.into_iter().map(|card| DrCard::Standby(Box::new(card)))).collect())
    }

    /// Whether the fleet has a cluster of this name that is no second side.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of reading its card.
    pub async fn has(&self, cluster: &str) -> Result<bool, Failure> {
        Ok(self.ssm.card(&self.fleet, cluster).await?.is_some())
    }

    /// How PostgreSQL of a cluster is reached.
    pub(super) async fn connector(&self, card: &DrCard) -> Result<Connector, Failure> {
        let login = self.secrets.login(card.operator_secret()).await?;
        match card {
            DrCard::Managed(_) => Ok(Connector::managed(&self.reach, login)),
            DrCard::Standby(card) => Connector::new(&card.certificate_authority, login),
        }
    }
}

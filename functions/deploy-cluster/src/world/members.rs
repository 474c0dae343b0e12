//! The members of a cluster on EC2, by SQL.

use super::{Aws, PROBE};
use domain::{card::Card, failover::Sql};
use postgres::{Connector, Target};
use reconcile::Failure;
use tokio::task::JoinSet;

impl Aws {
    pub(super) async fn probe_members(&self, card: &Card) -> Result<Vec<Sql>, Failure> {
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

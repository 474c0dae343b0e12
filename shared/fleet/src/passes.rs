//! One pass over each cluster that an event is about.

use crate::{Clients, Opened};
use domain::{card::Registered, events::Meaning};
use futures_util::future::join_all;
use reconcile::{Failure, Report};

impl Clients {
    /// Makes a pass over each cluster that an event is about, all at once.
    ///
    /// # Errors
    ///
    /// The first [`Failure`], after every pass has ended: one cluster that fails
    /// hides no other. A race that was lost is no failure: whoever won it acts.
    pub async fn pass_over<'a, F>(&'a self, meaning: &Meaning, pass: F) -> Result<Vec<Report>, Failure>
    where
        F: AsyncFn(Opened<'a>) -> Result<Report, Failure>,
    {
        tracing::info!("woken: {meaning}");
        let cards = self.meant(meaning).await?;
        if cards.is_empty() {
            tracing::info!("no cluster of fleet {} is meant", self.fleet);
        }
        join_all(cards.into_iter().map(|card| self.one(card, &pass))).await.into_iter().collect()
    }

    async fn one<'a, F>(&'a self, card: Registered, pass: &F) -> Result<Report, Failure>
    where
        F: AsyncFn(Opened<'a>) -> Result<Report, Failure>,
    {
        let name = card.cluster().to_owned();
        let ended = match self.open(card).await {
            Ok(opened) => pass(opened).await,
            Err(failure) => Err(failure),
        };
        match ended {
            Ok(report) => {
                tracing::info!("{name}: {}: {}", report.outcome, report.because);
                Ok(report)
            }
            Err(failure @ Failure::LostRace { .. }) => {
                tracing::info!("{name}: waits: {}", failure.story());
                Ok(Report::new(&name, "waits", failure.to_string()))
            }
            Err(failure) => {
                tracing::error!("{name}: {}", failure.story());
                Err(failure)
            }
        }
    }
}

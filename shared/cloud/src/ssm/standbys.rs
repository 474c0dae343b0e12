//! Cards of the standbys that clusters on EC2 have in this Region.

use super::{PAGE, Ssm, Unreadable};
use crate::failure::{Subject, classify};
use domain::region::StandbyCard;
use reconcile::Failure;

impl Ssm {
    /// Reads the cards of all standbys of a fleet, and says which parameters beside them are none.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ssm:GetParametersByPath`: then no card is returned.
    pub async fn standbys(&self, fleet: &str) -> Result<(Vec<StandbyCard>, Vec<Unreadable>), Failure> {
        let folder = StandbyCard::folder(fleet);
        let what = format!("the parameters below {folder}");
        let subject = Subject { what: &what, check: "is FLEET of this function right?" };
        let request = self.0.get_parameters_by_path().path(folder.trim_end_matches('/')).max_results(PAGE);
        let mut pages = request.into_paginator().send();
        let (mut cards, mut unreadable) = (Vec::new(), Vec::new());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify("ssm:GetParametersByPath", subject, error))?;
            for parameter in page.parameters() {
                let name = parameter.name().unwrap_or_default();
                match serde_json::from_str::<StandbyCard>(parameter.value().unwrap_or_default()) {
                    Ok(card) if StandbyCard::parameter(fleet, &card.cluster) == name => cards.push(card),
                    Ok(card) => unreadable.push(Unreadable {
                        parameter: name.to_owned(),
                        problem: format!("it is the standby of cluster {} of fleet {}", card.cluster, card.fleet),
                    }),
                    Err(error) => {
                        unreadable.push(Unreadable { parameter: name.to_owned(), problem: error.to_string() });
                    }
                }
            }
        }
        Ok((cards, unreadable))
    }
}

//! Cards: what deployed clusters say of themselves. And Run Command, in a file
//! of its own.

mod command;
mod standbys;

use crate::{
    SdkConfig,
    failure::{Subject, classify},
};
use aws_sdk_ssm::types::Parameter;
use domain::card::{Card, Registered};
use reconcile::Failure;

/// The shape of cards that this code reads.
const VERSION: u32 = 1;

/// What SSM returns at most in one page.
const PAGE: i32 = 10;

/// The SSM calls the fleet makes.
#[derive(Debug, Clone)]
pub struct Ssm(aws_sdk_ssm::Client);

/// All cards of a fleet. One that cannot be read hides no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cards {
    /// The cards, sorted by cluster.
    pub cards: Vec<Registered>,
    /// Parameters in the folder of cards that are no card.
    pub unreadable: Vec<Unreadable>,
}

/// A parameter where a card should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its name.
    pub parameter: String,
    /// Why it is not a card.
    pub problem: String,
}

impl Ssm {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Ssm(aws_sdk_ssm::Client::new(config))
    }

    /// Reads every card of a fleet. A fleet with no cluster has none.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ssm:GetParametersByPath`: then no card is returned, since
    /// half a fleet would look like a fleet.
    pub async fn cards(&self, fleet: &str) -> Result<Cards, Failure> {
        let folder = Card::folder(fleet);
        let what = format!("the parameters below {folder}");
        let subject = Subject { what: &what, check: "is FLEET of this function right?" };
        let mut pages = self
            .0
            .get_parameters_by_path()
            .path(folder.trim_end_matches('/'))
            .max_results(PAGE)
            .into_paginator()
            .send();
        let mut found = Cards::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify("ssm:GetParametersByPath", subject, error))?;
            for parameter in page.parameters() {
                match read(fleet, parameter) {
                    Ok(card) => found.cards.push(card),
                    Err(unreadable) => found.unreadable.push(unreadable),
                }
            }
        }
        found.cards.sort_by(|one, other| one.cluster().cmp(other.cluster()));
        Ok(found)
    }

    /// Reads the card of one cluster; `None` when the fleet has no such cluster.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ssm:GetParameter`; [`Failure::Broken`] also when the
    /// parameter is no card.
    pub async fn card(&self, fleet: &str, cluster: &str) -> Result<Option<Registered>, Failure> {
        const CALL: &str = "ssm:GetParameter";
        let name = Card::parameter(fleet, cluster);
        let what = format!("parameter {name}");
        let subject = Subject { what: &what, check: "is the cluster deployed?" };
        let parameter = match self.0.get_parameter().name(&name).send().await {
            Ok(output) => output.parameter,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_parameter_not_found()) => None,
            Err(error) => return Err(classify(CALL, subject, error)),
        };
        parameter.as_ref().map(|parameter| read(fleet, parameter)).transpose().map_err(|bad| Failure::Broken {
            call: CALL,
            what: format!("parameter {} is not a card: {}", bad.parameter, bad.problem),
        })
    }
}

fn read(fleet: &str, parameter: &Parameter) -> Result<Registered, Unreadable> {
    let name = parameter.name().unwrap_or_default();
    let unreadable = |problem: String| Unreadable { parameter: name.to_owned(), problem };
    let text = parameter.value().unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    // Before the rest: a later shape may lack what this one needs.
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => return Err(unreadable(format!("it has version {version}; this Understudy reads {VERSION}"))),
        None => return Err(unreadable("it has no version".to_owned())),
    }
    let card: Registered = serde_json::from_value(value).map_err(|error| unreadable(error.to_string()))?;
    let expected = Card::parameter(fleet, card.cluster());
    // A card copied to another name would make one cluster be looked after twice.
    if card.fleet() != fleet || expected != name {
        return Err(unreadable(format!("it is the card of cluster {} of fleet {}", card.cluster(), card.fleet())));
    }
    Ok(card)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests;

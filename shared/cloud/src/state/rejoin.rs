//! A member's way back to be a standby: the item `rejoin#<instance id>`.

use super::{GET, StateTable, item::text};
use crate::failure::classify;
use aws_sdk_dynamodb::{operation::delete_item::DeleteItemError, types::AttributeValue};
use domain::rejoin::Rejoin;
use reconcile::Failure;
use std::collections::HashMap;

const PUT: &str = "dynamodb:PutItem";
const DELETE: &str = "dynamodb:DeleteItem";

/// The attribute that holds it, as JSON.
const REJOIN: &str = "rejoin";

impl StateTable {
    /// What is known of a member's way back; `None` when it is on none.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:GetItem`; [`Failure::Broken`] for an item that
    /// makes no sense.
    pub async fn rejoin(&self, cluster: &str, member: &str) -> Result<Option<Rejoin>, Failure> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let request = request.key("cluster", text(cluster)).key("item", text(&key(member)));
        let output = request.send().await.map_err(|error| classify(GET, self.subject(&self.what()), error))?;
        let Some(item) = output.item else { return Ok(None) };
        let read = match item.get(REJOIN) {
            Some(AttributeValue::S(json)) => serde_json::from_str(json).map_err(|error| error.to_string()),
            _ => Err(format!("it has no text {REJOIN}")),
        };
        read.map(Some).map_err(|problem| Failure::Broken {
            call: GET,
            what: format!("the item {} in {} makes no sense: {problem}", key(member), self.what()),
        })
    }

    /// Writes the item, if it still is `before`.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:PutItem`; [`Failure::LostRace`] when it is another.
    pub async fn note_rejoin(
        &self,
        cluster: &str,
        member: &str,
        before: Option<&Rejoin>,
        after: &Rejoin,
    ) -> Result<(), Failure> {
        let item = HashMap::from([(REJOIN.to_owned(), json(PUT, after)?)]);
        let put = match before {
            None => self.put(cluster, &key(member), item, "attribute_not_exists(#item)", None).await?,
            Some(before) => {
                let before = Some((":before", json(PUT, before)?));
                self.put(cluster, &key(member), item, "#rejoin = :before", before).await?
            }
        };
        if put { Ok(()) } else { Err(lost(PUT, member)) }
    }

    /// Deletes the item, if it still is `before`; one that is gone is a success.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:DeleteItem`; [`Failure::LostRace`] when it is another.
    pub async fn forget_rejoin(&self, cluster: &str, member: &str, before: &Rejoin) -> Result<(), Failure> {
        let request = self.client.delete_item().table_name(&self.table);
        let request = request
            .key("cluster", text(cluster))
            .key("item", text(&key(member)))
            .condition_expression("attribute_not_exists(#item) OR #rejoin = :before")
            .expression_attribute_names("#item", "item")
            .expression_attribute_names("#rejoin", REJOIN)
            .expression_attribute_values(":before", json(DELETE, before)?);
        let Err(error) = request.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(_)) => Err(lost(DELETE, member)),
            _ => Err(classify(DELETE, self.subject(&self.what()), error)),
        }
    }
}

fn key(member: &str) -> String {
    format!("rejoin#{member}")
}

fn lost(call: &'static str, member: &str) -> Failure {
    Failure::LostRace { call, what: format!("the item {}", key(member)) }
}

fn json(call: &'static str, rejoin: &Rejoin) -> Result<AttributeValue, Failure> {
    let json = serde_json::to_string(rejoin);
    json.map(|json| text(&json))
        .map_err(|error| Failure::Broken { call, what: format!("the item is not JSON: {error}") })
}

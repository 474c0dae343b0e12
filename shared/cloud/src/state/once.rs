//! Things that are written once: ledger entries, and that a page was sent.

use super::{
    StateTable,
    item::{Item, number, text},
    write::{names, unique, wrote},
};
use crate::failure::classify;
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use reconcile::Failure;
use std::collections::HashMap;

const PUT: &str = "dynamodb:PutItem";
const DELETE: &str = "dynamodb:DeleteItem";

impl StateTable {
    /// Whether `what` is to be told now: `true` for one caller in `every_ms`
    /// milliseconds, `false` for the others.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:PutItem`.
    pub async fn tell_once(&self, cluster: &str, what: &str, now_ms: u64, every_ms: u64) -> Result<bool, Failure> {
        let item = HashMap::from([("told_at_ms".to_owned(), number(now_ms))]);
        let only_if = "attribute_not_exists(#told_at_ms) OR #told_at_ms <= :before";
        let before = (":before", number(now_ms.saturating_sub(every_ms)));
        self.put(cluster, &format!("told#{what}"), item, only_if, Some(before)).await
    }

    /// Takes the mark of [`tell_once`](Self::tell_once) back, when the telling failed.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:DeleteItem`.
    pub async fn untell(&self, cluster: &str, what: &str) -> Result<(), Failure> {
        let request = self.client.delete_item().table_name(&self.table);
        let request = request.key("cluster", text(cluster)).key("item", text(&format!("told#{what}")));
        request.send().await.map_err(|error| classify(DELETE, self.subject(&self.what()), error))?;
        Ok(())
    }

    /// Writes an entry of the ledger, such as `ledger#2026-11-21T03:12:11.234Z#failover#7`.
    /// Returns `false`, and changes nothing, when the entry was there.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:PutItem`.
    pub async fn append(&self, cluster: &str, item: &str, entry: &serde_json::Value) -> Result<bool, Failure> {
        let attributes = HashMap::from([("entry".to_owned(), text(&entry.to_string()))]);
        self.put(cluster, item, attributes, "attribute_not_exists(#item)", None).await
    }

    /// Puts an item; `false` when `only_if` does not hold, except because of
    /// an earlier attempt of this same call.
    pub(super) async fn put(
        &self,
        cluster: &str,
        name: &str,
        mut item: Item,
        only_if: &str,
        value: Option<(&str, AttributeValue)>,
    ) -> Result<bool, Failure> {
        let id = unique();
        item.extend([
            ("cluster".to_owned(), text(cluster)),
            ("item".to_owned(), text(name)),
            ("write_id".to_owned(), text(&id)),
        ]);
        let mut request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(only_if)
            .set_expression_attribute_names(Some(names(&[only_if])))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if let Some((name, value)) = value {
            request = request.expression_attribute_values(name, value);
        }
        let Err(error) = request.send().await else { return Ok(true) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => Ok(wrote(refused.item(), &id)),
            _ => Err(classify(PUT, self.subject(&self.what()), error)),
        }
    }
}

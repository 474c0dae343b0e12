//! Items that hold one JSON document, compared as text: what is known of an
//! incident, and what a pass waits for.

use super::{GET, StateTable, item::text};
use crate::failure::classify;
use aws_sdk_dynamodb::{operation::delete_item::DeleteItemError, types::AttributeValue};
use reconcile::Failure;
use serde_json::Value;
use std::collections::HashMap;

const PUT: &str = "dynamodb:PutItem";
const DELETE: &str = "dynamodb:DeleteItem";

/// The attribute that holds the document.
const JSON: &str = "json";

impl StateTable {
    /// The document of an item; `None` when there is no such item.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:GetItem`; [`Failure::Broken`] for an item that
    /// is no JSON.
    pub async fn kept(&self, cluster: &str, item: &str) -> Result<Option<Value>, Failure> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let request = request.key("cluster", text(cluster)).key("item", text(item));
        let output = request.send().await.map_err(|error| classify(GET, self.subject(&self.what()), error))?;
        let Some(found) = output.item else { return Ok(None) };
        let read = match found.get(JSON) {
            Some(AttributeValue::S(json)) => serde_json::from_str(json).map_err(|error| error.to_string()),
            _ => Err(format!("it has no text {JSON}")),
        };
        read.map(Some).map_err(|problem| Failure::Broken {
            call: GET,
            what: format!("the item {item} in {} makes no sense: {problem}", self.what()),
        })
    }

    /// Writes the document, or deletes the item, if it still is `before`; one
    /// that is gone when it is to be deleted is a success.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:PutItem` or `dynamodb:DeleteItem`;
    /// [`Failure::LostRace`] when it is another.
    pub async fn keep(
        &self,
        cluster: &str,
        item: &str,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Result<(), Failure> {
        let lost = |call| Failure::LostRace { call, what: format!("the item {item}") };
        let before = before.map(|before| text(&before.to_string()));
        let Some(after) = after else { return self.drop_kept(cluster, item, before).await };
        let attributes = HashMap::from([(JSON.to_owned(), text(&after.to_string()))]);
        let put = match before {
            None => self.put(cluster, item, attributes, "attribute_not_exists(#item)", None).await?,
            Some(before) => self.put(cluster, item, attributes, "#json = :before", Some((":before", before))).await?,
        };
        if put { Ok(()) } else { Err(lost(PUT)) }
    }

    async fn drop_kept(&self, cluster: &str, item: &str, before: Option<AttributeValue>) -> Result<(), Failure> {
        let request = self.client.delete_item().table_name(&self.table);
        let request = request.key("cluster", text(cluster)).key("item", text(item));
        let request = request.expression_attribute_names("#item", "item");
        let request = match before {
            None => request.condition_expression("attribute_not_exists(#item)"),
            Some(before) => request
                .condition_expression("attribute_not_exists(#item) OR #json = :before")
                .expression_attribute_names("#json", JSON)
                .expression_attribute_values(":before", before),
        };
        let Err(error) = request.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(_)) => {
                Err(Failure::LostRace { call: DELETE, what: format!("the item {item}") })
            }
            _ => Err(classify(DELETE, self.subject(&self.what()), error)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{answer, json_error, kind};
    use serde_json::json;

    #[tokio::test]
    async fn a_document_is_read_consistently() {
        let (config, replay) = answer(200, json!({ "Item": { "json": { "S": "{\"kind\":\"x\"}" } } }).to_string());
        let found = StateTable::new(&config, "lab-state").kept("shop", "follow").await.unwrap();
        assert_eq!(found, Some(json!({ "kind": "x" })));
        let asked = replay.only().json();
        assert_eq!(asked["Key"], json!({ "cluster": { "S": "shop" }, "item": { "S": "follow" } }));
        assert_eq!(asked["ConsistentRead"], json!(true));
        let (config, _) = answer(200, "{}");
        assert_eq!(StateTable::new(&config, "lab-state").kept("shop", "follow").await.unwrap(), None);
        let (config, _) = answer(200, json!({ "Item": { "json": { "S": "{" } } }).to_string());
        let failure = StateTable::new(&config, "lab-state").kept("shop", "follow").await.unwrap_err();
        assert_eq!(kind(&failure), "broken");
    }

    #[tokio::test]
    async fn it_is_written_and_deleted_only_where_it_is_as_before() {
        let (one, two) = (json!({ "n": 1 }), json!({ "n": 2 }));
        let table = [
            (None, Some(&one), "ConditionExpression", "attribute_not_exists(#item)"),
            (Some(&one), Some(&two), "ConditionExpression", "#json = :before"),
            (Some(&one), None, "ConditionExpression", "attribute_not_exists(#item) OR #json = :before"),
        ];
        for (before, after, name, expected) in table {
            let (config, replay) = answer(200, "{}");
            StateTable::new(&config, "lab-state").keep("shop", "repair#i-1", before, after).await.unwrap();
            let asked = replay.only().json();
            assert_eq!(asked[name], expected);
            if let Some(before) = before {
                assert_eq!(asked["ExpressionAttributeValues"][":before"], json!({ "S": before.to_string() }));
            }
            let (config, _) = answer(400, json_error("ConditionalCheckFailedException", "x"));
            let lost = StateTable::new(&config, "lab-state").keep("shop", "repair#i-1", before, after).await;
            assert_eq!(kind(&lost.unwrap_err()), "lost race");
        }
    }
}

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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{Reply, answer, json_error, kind, script};
    use serde_json::{Value, json};

    const JSON: &str = r#"{"epoch":7,"attempt":1,"began_at_ms":5,"command":"c-1"}"#;

    fn item() -> Rejoin {
        serde_json::from_str(JSON).unwrap()
    }

    fn key() -> Value {
        json!({ "cluster": { "S": "orders" }, "item": { "S": "rejoin#i-0a1" } })
    }

    #[tokio::test]
    async fn the_item_is_read_consistently() {
        let (config, replay) = answer(200, json!({ "Item": { "rejoin": { "S": JSON } } }).to_string());
        let table = StateTable::new(&config, "lab-state");
        assert_eq!(table.rejoin("orders", "i-0a1").await.unwrap(), Some(item()));
        let asked = replay.only().json();
        assert_eq!((&asked["Key"], &asked["ConsistentRead"]), (&key(), &json!(true)));
        let (config, _) = answer(200, "{}");
        assert_eq!(StateTable::new(&config, "lab-state").rejoin("orders", "i-0a1").await.unwrap(), None);
        for bad in [json!({ "rejoin": { "S": "{}" } }), json!({ "rejoin": { "N": "1" } }), json!({ "x": { "S": "" } })]
        {
            let (config, _) = answer(200, json!({ "Item": bad }).to_string());
            let failure = StateTable::new(&config, "lab-state").rejoin("orders", "i-0a1").await.unwrap_err();
            assert_eq!(kind(&failure), "broken", "{failure}");
            assert!(failure.to_string().contains("the item rejoin#i-0a1"), "{failure}");
        }
    }

    #[tokio::test]
    async fn it_is_written_only_where_it_is_as_before() {
        let (config, replay) = answer(200, "{}");
        StateTable::new(&config, "lab-state").note_rejoin("orders", "i-0a1", None, &item()).await.unwrap();
        let first = replay.only().json();
        assert_eq!(first["ConditionExpression"], "attribute_not_exists(#item)");
        assert_eq!((&first["Item"]["item"], &first["Item"]["rejoin"]), (&key()["item"], &json!({ "S": JSON })));

        let (config, replay) = answer(200, "{}");
        let after = Rejoin { told_long: true, ..item() };
        StateTable::new(&config, "lab-state").note_rejoin("orders", "i-0a1", Some(&item()), &after).await.unwrap();
        let second = replay.only().json();
        assert_eq!(second["ConditionExpression"], "#rejoin = :before");
        assert_eq!(second["ExpressionAttributeNames"], json!({ "#rejoin": "rejoin" }));
        assert_eq!(second["ExpressionAttributeValues"], json!({ ":before": { "S": JSON } }));

        let (config, _) = answer(400, json_error("ConditionalCheckFailedException", "x"));
        let table = StateTable::new(&config, "lab-state");
        assert_eq!(kind(&table.note_rejoin("orders", "i-0a1", None, &item()).await.unwrap_err()), "lost race");
    }

    #[tokio::test]
    async fn a_write_whose_answer_was_lost_is_no_race() {
        fn met_itself(asked: &crate::replay::Asked) -> (u16, String) {
            let found = json!({ "write_id": asked.json()["Item"]["write_id"] });
            let error = json!({ "__type": "ConditionalCheckFailedException", "message": "x", "Item": found });
            (400, error.to_string())
        }
        let (config, replay) = script([Reply::Broken, Reply::Made(met_itself)]);
        StateTable::new(&config, "lab-state").note_rejoin("orders", "i-0a1", None, &item()).await.unwrap();
        assert_eq!(replay.asked().len(), 2);
    }

    #[tokio::test]
    async fn it_is_deleted_only_where_it_is_as_before_or_gone() {
        let (config, replay) = answer(200, "{}");
        StateTable::new(&config, "lab-state").forget_rejoin("orders", "i-0a1", &item()).await.unwrap();
        let asked = replay.only().json();
        assert_eq!(asked["Key"], key());
        assert_eq!(asked["ConditionExpression"], "attribute_not_exists(#item) OR #rejoin = :before");
        assert_eq!(asked["ExpressionAttributeNames"], json!({ "#item": "item", "#rejoin": "rejoin" }));
        let (config, _) = answer(400, json_error("ConditionalCheckFailedException", "x"));
        let table = StateTable::new(&config, "lab-state");
        assert_eq!(kind(&table.forget_rejoin("orders", "i-0a1", &item()).await.unwrap_err()), "lost race");
    }
}

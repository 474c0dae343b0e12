//! What `deploy-cluster` reads and notes: why a host's setup failed, and that a
//! cluster is to be deleted.

use super::{
    GET, StateTable,
    item::{Item, text},
};
use crate::failure::classify;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::time;
use reconcile::Failure;
use std::collections::HashMap;

const QUERY: &str = "dynamodb:Query";
const DELETE: &str = "dynamodb:DeleteItem";

/// The partition of the notes of deletions: no cluster can have this name.
/// Together, so that the minute finds them with one question.
const DELETIONS: &str = "#deletions";

/// What a host wrote when its setup failed: the item `setup#<logical id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupProblem {
    /// The step that failed.
    pub step: String,
    /// Why.
    pub reason: String,
    /// When, in milliseconds since 1970; 0 when the item does not say.
    pub at_ms: u64,
}

impl StateTable {
    /// Why the setup of a host failed; `None` when it did not, or said nothing.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:GetItem`.
    pub async fn setup_problem(&self, cluster: &str, logical_id: &str) -> Result<Option<SetupProblem>, Failure> {
        let item = self.get(cluster, &format!("setup#{logical_id}")).await?;
        Ok(item.and_then(|item| {
            let string = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
            let at_ms = string("at").and_then(|at| time::parse_stamp(&at)).unwrap_or_default();
            // A step without a reason is one that went well.
            Some(SetupProblem { step: string("step").unwrap_or_default(), reason: string("reason")?, at_ms })
        }))
    }

    /// The note that a cluster is to be deleted.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:GetItem`; [`Failure::Broken`] for a note that makes no sense.
    pub async fn deletion(&self, cluster: &str) -> Result<Option<serde_json::Value>, Failure> {
        let Some(item) = self.get(DELETIONS, cluster).await? else { return Ok(None) };
        let note = item.get("note").and_then(|note| note.as_s().ok()).map(|note| serde_json::from_str(note));
        match note {
            Some(Ok(note)) => Ok(Some(note)),
            _ => Err(Failure::Broken {
                call: GET,
                what: format!("the item {cluster} of {DELETIONS} in {} makes no sense", self.what()),
            }),
        }
    }

    /// Notes that a cluster is to be deleted. A note that is there stays as it is.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:PutItem`.
    pub async fn note_deletion(&self, cluster: &str, note: &serde_json::Value) -> Result<(), Failure> {
        let item = HashMap::from([("note".to_owned(), text(&note.to_string()))]);
        self.put(DELETIONS, cluster, item, "attribute_not_exists(#item)", None).await.map(drop)
    }

    /// Forgets the note.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:DeleteItem`.
    pub async fn forget_deletion(&self, cluster: &str) -> Result<(), Failure> {
        let request = self.client.delete_item().table_name(&self.table);
        let request = request.key("cluster", text(DELETIONS)).key("item", text(cluster));
        request.send().await.map_err(|error| classify(DELETE, self.subject(&self.what()), error))?;
        Ok(())
    }

    /// The clusters that are to be deleted.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:Query`.
    pub async fn deletions(&self) -> Result<Vec<String>, Failure> {
        let request = self.client.query().table_name(&self.table).consistent_read(true);
        let request = request
            .key_condition_expression("#cluster = :deletions")
            .expression_attribute_names("#cluster", "cluster")
            .expression_attribute_values(":deletions", text(DELETIONS));
        let mut pages = request.into_paginator().send();
        let mut clusters = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(QUERY, self.subject(&self.what()), error))?;
            let name = |item: &Item| item.get("item").and_then(|name| name.as_s().ok()).cloned();
            clusters.extend(page.items().iter().filter_map(name));
        }
        Ok(clusters)
    }

    async fn get(&self, partition: &str, item: &str) -> Result<Option<HashMap<String, AttributeValue>>, Failure> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let request = request.key("cluster", text(partition)).key("item", text(item));
        let output = request.send().await.map_err(|error| classify(GET, self.subject(&self.what()), error))?;
        Ok(output.item)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::answer;
    use serde_json::{Value, json};

    fn table(body: &Value) -> (StateTable, crate::replay::Replay) {
        let (config, replay) = answer(200, body.to_string());
        (StateTable::new(&config, "lab-state"), replay)
    }

    #[tokio::test]
    async fn a_host_says_at_which_step_it_failed_and_why() {
        let item = json!({"step": {"S": "packages"}, "reason": {"S": "no space"}, "at": {"S": "1970-01-01T00:00:07Z"}});
        let (states, replay) = table(&json!({ "Item": item }));
        let problem = states.setup_problem("shop", "Member2").await.unwrap();
        let expected = SetupProblem { step: "packages".into(), reason: "no space".into(), at_ms: 7_000 };
        assert_eq!(problem, Some(expected));
        let key = json!({"cluster": {"S": "shop"}, "item": {"S": "setup#Member2"}});
        assert_eq!(replay.only().json()["Key"], key);
        // One whose last setup went well has no reason any more.
        for body in [json!({}), json!({ "Item": {"at": {"S": "1970-01-01T00:00:07Z"}} })] {
            assert_eq!(table(&body).0.setup_problem("shop", "Member2").await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_deletion_is_noted_found_and_forgotten() {
        let note = json!({"stack": "arn:1"});
        let (states, replay) = table(&json!({}));
        states.note_deletion("shop", &note).await.unwrap();
        let asked = replay.only().json();
        assert_eq!(asked["Item"]["cluster"]["S"], "#deletions");
        assert_eq!(asked["ConditionExpression"], "attribute_not_exists(#item)");

        let (states, _) = table(&json!({"Item": {"note": {"S": note.to_string()}}}));
        assert_eq!(states.deletion("shop").await.unwrap(), Some(note));
        let (states, _) = table(&json!({"Item": {"note": {"S": "{"}}}));
        assert!(states.deletion("shop").await.is_err());
        let (states, _) = table(&json!({"Items": [{"item": {"S": "shop"}}, {"item": {"S": "vault"}}]}));
        assert_eq!(states.deletions().await.unwrap(), ["shop", "vault"]);
        let (states, replay) = table(&json!({}));
        states.forget_deletion("shop").await.unwrap();
        assert_eq!(replay.only().json()["Key"]["item"]["S"], "shop");
    }
}

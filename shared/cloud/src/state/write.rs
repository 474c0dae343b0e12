//! One conditional write of a cluster's state item.

use super::{
    STATE, StateTable, UPDATE,
    item::{self, Item, number, text},
};
use crate::{failure::classify, now_ms};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use reconcile::Failure;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

/// One conditional write of a cluster's state item. A word after `#` is an
/// attribute's name (many are reserved words), one after `:` a value.
pub(super) struct Write<'a> {
    pub(super) set: &'a str,
    pub(super) remove: &'a str,
    pub(super) only_if: &'a str,
    pub(super) values: Vec<(&'static str, AttributeValue)>,
}

impl StateTable {
    /// Makes the write, or says what stood against it.
    pub(super) async fn write(&self, cluster: &str, write: Write<'_>) -> Result<(), Failure> {
        let id = unique();
        let update = write.update();
        let request = self.client.update_item().table_name(&self.table);
        let mut request = request
            .key("cluster", text(cluster))
            .key("item", text(STATE))
            .set_expression_attribute_names(Some(names(&[&update, write.only_if])))
            .expression_attribute_values(":write_id", text(&id))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .update_expression(update)
            .condition_expression(write.only_if);
        for (name, value) in write.values {
            request = request.expression_attribute_values(name, value);
        }
        let Err(error) = request.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) if wrote(refused.item(), &id) => Ok(()),
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let found = item::summary(refused.item());
                Err(Failure::LostRace { call: UPDATE, what: format!("the state of {cluster} (now {found})") })
            }
            _ => Err(classify(UPDATE, self.subject(&self.what()), error)),
        }
    }
}

impl<'a> Write<'a> {
    /// A write that only the holder of the lease may make.
    pub(super) fn of_holder(epoch: u64, holder_id: &str) -> Write<'a> {
        let values = vec![(":epoch", number(epoch)), (":me", text(holder_id))];
        Write { set: "", remove: "", only_if: "#epoch = :epoch AND #holder = :me", values }
    }

    /// A write that only the holder of the lease may make, during a change.
    pub(super) fn of_changer(epoch: u64, holder_id: &str) -> Write<'a> {
        let mut write = Write::of_holder(epoch, holder_id);
        write.only_if = "#epoch = :epoch AND #holder = :me AND #phase = :changing";
        write.values.push((":changing", text(item::CHANGING)));
        write
    }

    fn update(&self) -> String {
        let comma = if self.set.is_empty() { "" } else { ", " };
        let remove = if self.remove.is_empty() { String::new() } else { format!(" REMOVE {}", self.remove) };
        format!("SET #write_id = :write_id{comma}{}{remove}", self.set)
    }
}

/// The attribute names that expressions mention as `#name`.
pub(super) fn names(expressions: &[&str]) -> HashMap<String, String> {
    let in_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let pieces = expressions.iter().flat_map(|expression| expression.split('#').skip(1));
    pieces
        .map(|piece| &piece[..piece.find(|letter| !in_word(letter)).unwrap_or(piece.len())])
        .map(|name| (format!("#{name}"), name.to_owned()))
        .collect()
}

pub(super) fn wrote(found: Option<&Item>, id: &str) -> bool {
    found.and_then(|item| item.get("write_id")).is_some_and(|value| value == &text(id))
}

/// 128 bits that no other write has; the standard library's hasher keys are
/// random for each process and differ for each hasher.
pub(super) fn unique() -> String {
    let half = || RandomState::new().hash_one(now_ms());
    format!("{:016x}{:016x}", half(), half())
}

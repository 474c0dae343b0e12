//! What CloudFormation did to a stack, resource by resource.

use super::{CloudFormation, milliseconds, says, subject};
use crate::failure::classify;
use aws_sdk_cloudformation::types::StackEvent;
use reconcile::Failure;

const EVENTS: &str = "cloudformation:DescribeStackEvents";

/// A change of a resource's state, or of the stack's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id, unique in the account.
    pub id: String,
    /// The resource's name in the template; the stack's own name.
    pub logical_id: String,
    /// The resource's type.
    pub kind: String,
    /// The state it has come to.
    pub status: String,
    /// Why, as far as CloudFormation says.
    pub reason: Option<String>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whether it is about the whole stack.
    pub is_stack: bool,
}

impl Event {
    /// Whether a change of the stack begins with this event.
    #[must_use]
    pub fn begins(&self) -> bool {
        let begins = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"];
        self.is_stack && begins.contains(&self.status.as_str())
    }
}

impl CloudFormation {
    /// The events of a stack's last change, the newest first, back to where it
    /// began. Empty for a stack that does not exist; one that is gone is known
    /// by its ARN for 90 days.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:DescribeStackEvents`.
    pub async fn last_change(&self, stack: &str) -> Result<Vec<Event>, Failure> {
        let mut pages = self.0.describe_stack_events().stack_name(stack).into_paginator().send();
        let mut events = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) if says(&error, "does not exist") => return Ok(Vec::new()),
                Err(error) => return Err(classify(EVENTS, subject(&format!("stack {stack}")), error)),
            };
            for event in page.stack_events().iter().map(read) {
                let begins = event.begins();
                events.push(event);
                if begins {
                    return Ok(events);
                }
            }
        }
        Ok(events)
    }
}

fn read(event: &StackEvent) -> Event {
    Event {
        id: event.event_id().unwrap_or_default().to_owned(),
        logical_id: event.logical_resource_id().unwrap_or_default().to_owned(),
        kind: event.resource_type().unwrap_or_default().to_owned(),
        status: event.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: event.resource_status_reason().filter(|reason| !reason.is_empty()).map(str::to_owned),
        at_ms: event.timestamp().map(milliseconds).unwrap_or_default(),
        // A nested stack is a resource of the same type, with an ARN of its own.
        is_stack: event.resource_type() == Some("AWS::CloudFormation::Stack")
            && event.physical_resource_id() == event.stack_id(),
    }
}

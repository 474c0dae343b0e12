//! What becomes of a whole stack: its resources, its protection, its end.

use super::{CloudFormation, LIST_STACKS, milliseconds, says, subject};
use crate::failure::classify;
use aws_sdk_cloudformation::types::StackStatus;
use reconcile::Failure;

const PROTECT: &str = "cloudformation:UpdateTerminationProtection";
const DELETE: &str = "cloudformation:DeleteStack";
const RESOURCES: &str = "cloudformation:ListStackResources";

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name in the template.
    pub logical_id: String,
    /// Its type.
    pub kind: String,
    /// CloudFormation's word for its state.
    pub status: String,
}

/// A stack whose last change has not ended, or not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// Its name.
    pub name: String,
    /// CloudFormation's word for its state.
    pub status: String,
    /// When that change began, in milliseconds since 1970.
    pub changed_at_ms: u64,
}

/// What a stack has besides the ends of changes that went well.
fn unsettled() -> Vec<StackStatus> {
    vec![
        StackStatus::ReviewInProgress,
        StackStatus::CreateInProgress,
        StackStatus::CreateFailed,
        StackStatus::RollbackInProgress,
        StackStatus::RollbackFailed,
        StackStatus::RollbackComplete,
        StackStatus::UpdateInProgress,
        StackStatus::UpdateFailed,
        StackStatus::UpdateRollbackInProgress,
        StackStatus::UpdateRollbackFailed,
        StackStatus::DeleteInProgress,
        StackStatus::DeleteFailed,
    ]
}

impl CloudFormation {
    /// Stacks whose names begin with `prefix` and whose last change has not ended, or not well.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:ListStacks`.
    pub async fn unsettled(&self, prefix: &str) -> Result<Vec<Unsettled>, Failure> {
        let request = self.0.list_stacks().set_stack_status_filter(Some(unsettled()));
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(LIST_STACKS, subject("the account's stacks"), error))?;
            found.extend(page.stack_summaries().iter().filter_map(|stack| {
                let name = stack.stack_name().filter(|name| name.starts_with(prefix))?;
                let changed_at = stack.last_updated_time().or(stack.creation_time());
                Some(Unsettled {
                    name: name.to_owned(),
                    status: stack.stack_status()?.as_str().to_owned(),
                    changed_at_ms: changed_at.map(milliseconds).unwrap_or_default(),
                })
            }));
        }
        Ok(found)
    }

    /// The resources of a stack, also those that are gone already.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:ListStackResources`.
    pub async fn resources(&self, stack: &str) -> Result<Vec<Resource>, Failure> {
        let mut pages = self.0.list_stack_resources().stack_name(stack).into_paginator().send();
        let mut resources = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(RESOURCES, subject(&format!("stack {stack}")), error))?;
            resources.extend(page.stack_resource_summaries().iter().map(|resource| Resource {
                logical_id: resource.logical_resource_id().unwrap_or_default().to_owned(),
                kind: resource.resource_type().unwrap_or_default().to_owned(),
                status: resource.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            }));
        }
        Ok(resources)
    }

    /// Protects a stack from being deleted, or no longer.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:UpdateTerminationProtection`.
    pub async fn protect(&self, stack: &str, protected: bool) -> Result<(), Failure> {
        let request = self.0.update_termination_protection().stack_name(stack).enable_termination_protection(protected);
        request.send().await.map_err(|error| classify(PROTECT, subject(&format!("stack {stack}")), error))?;
        Ok(())
    }

    /// Begins to delete a stack, by its ARN, so that never one of the same name made since is meant. One
    /// that is gone is a success.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:DeleteStack` (and of `iam:PassRole`, which
    /// AWS asks for beside it); [`Failure::LostRace`] when it is protected.
    pub async fn delete_stack(&self, id: &str, role_arn: &str, token: &str) -> Result<(), Failure> {
        let request = self.0.delete_stack().stack_name(id).role_arn(role_arn).client_request_token(token);
        let Err(error) = request.send().await else { return Ok(()) };
        if says(&error, "TerminationProtection is enabled") {
            return Err(Failure::LostRace { call: DELETE, what: format!("the termination protection of {id}") });
        }
        if says(&error, "does not exist") {
            return Ok(());
        }
        Err(classify(DELETE, subject(&format!("stack {id}")), error))
    }
}

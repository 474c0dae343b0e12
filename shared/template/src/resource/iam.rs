//! IAM.

use super::Tag;
use crate::Value;
use serde::Serialize;
use std::collections::BTreeMap;

/// Properties of `AWS::IAM::Role`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Role {
    /// What it is for.
    pub description: String,
    /// Who may take it.
    pub assume_role_policy_document: PolicyDocument,
    /// Its own policies.
    pub policies: Vec<Policy>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A policy within a role.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    /// Its name.
    pub policy_name: String,
    /// What it allows.
    pub policy_document: PolicyDocument,
}

/// A policy document.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    version: &'static str,
    statement: Vec<Statement>,
}

impl PolicyDocument {
    /// A document of these statements.
    #[must_use]
    pub fn new(statement: Vec<Statement>) -> Self {
        PolicyDocument { version: "2012-10-17", statement }
    }
}

/// A statement that allows something.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    effect: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    principal: BTreeMap<&'static str, Value>,
    action: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource: Vec<Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<&'static str, Vec<String>>>,
}

impl Statement {
    /// Allows actions on resources.
    #[must_use]
    pub fn allow(action: &[&'static str], resource: Vec<Value>) -> Self {
        Statement {
            effect: "Allow",
            principal: BTreeMap::new(),
            action: action.to_vec(),
            resource,
            condition: BTreeMap::new(),
        }
    }

    /// Lets a service take the role.
    #[must_use]
    pub fn trust(service: &str) -> Self {
        let principal = BTreeMap::from([("Service", service.into())]);
        Statement { principal, ..Statement::allow(&["sts:AssumeRole"], Vec::new()) }
    }

    /// Allows it only where a condition holds.
    #[must_use]
    pub fn when(mut self, operator: &'static str, key: &'static str, values: Vec<String>) -> Self {
        self.condition.entry(operator).or_default().insert(key, values);
        self
    }
}

/// Properties of `AWS::IAM::InstanceProfile`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceProfile {
    /// Its one role.
    pub roles: Vec<Value>,
}

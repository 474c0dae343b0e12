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

/// Properties of `AWS::IAM::Policy`: a policy that is added to roles once they are there, since it names what
/// itself names one of them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachedPolicy {
    /// Its name.
    pub policy_name: String,
    /// What it allows.
    pub policy_document: PolicyDocument,
    /// The names of the roles.
    pub roles: Vec<Value>,
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

/// A statement that allows or denies something.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'static str>,
    effect: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    principal: BTreeMap<&'static str, Value>,
    action: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource: Vec<Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<&'static str, Vec<Value>>>,
}

impl Statement {
    /// Allows actions on resources.
    #[must_use]
    pub fn allow(action: &[&'static str], resource: Vec<Value>) -> Self {
        Statement {
            sid: None,
            effect: "Allow",
            principal: BTreeMap::new(),
            action: action.to_vec(),
            resource,
            condition: BTreeMap::new(),
        }
    }

    /// Denies everybody actions on resources, whatever else allows them.
    #[must_use]
    pub fn deny_all(action: &[&'static str], resource: Vec<Value>) -> Self {
        let principal = BTreeMap::from([("AWS", "*".into())]);
        Statement { effect: "Deny", principal, ..Statement::allow(action, resource) }
    }

    /// Gives it a name.
    #[must_use]
    pub fn named(self, sid: &'static str) -> Self {
        Statement { sid: Some(sid), ..self }
    }

    /// Allows it to a service, by `Service`, or to a role, by `AWS`: a resource's own policy says to whom.
    #[must_use]
    pub fn to(mut self, kind: &'static str, principal: Value) -> Self {
        self.principal.insert(kind, principal);
        self
    }

    /// Lets a service take the role.
    #[must_use]
    pub fn trust(service: &str) -> Self {
        let principal = BTreeMap::from([("Service", service.into())]);
        Statement { principal, ..Statement::allow(&["sts:AssumeRole"], Vec::new()) }
    }

    /// Holds only where a condition does.
    #[must_use]
    pub fn when(mut self, operator: &'static str, key: &'static str, values: Vec<Value>) -> Self {
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

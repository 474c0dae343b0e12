//! CloudFormation templates as values: a resource that was never added cannot
//! be referred to, and only in the ways its type allows.

mod alarms;
mod aurora;
mod backups;
mod bastion;
mod bundle;
mod card;
mod ec2_patroni;
mod ec2_streaming;
mod fleet;
mod groups;
mod hosts;
mod logs;
mod managed;
mod monitoring;
mod network;
mod outputs;
mod part;
mod rds_postgres;
pub mod resource;
mod roles;
mod secrets;
mod settings;
mod site;
mod size;
mod user_data;
mod value;

pub use bundle::{Bundle, bundle};
pub use fleet::{Fleet, Subnet, Tls};
pub use hosts::IMAGE_PARAMETER;
pub use part::{Part, render};
pub use site::records;
pub use size::{BODY_LIMIT, OBJECT_LIMIT, PARAMETER_LIMIT, USER_DATA_LIMIT};
pub use value::Value;

use resource::Resource;
use serde::Serialize;
use std::{collections::BTreeMap, marker::PhantomData};

/// A template under construction.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Template {
    #[serde(rename = "AWSTemplateFormatVersion")]
    version: &'static str,
    description: String,
    metadata: serde_json::Value,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parameters: BTreeMap<String, Parameter>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    mappings: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
    resources: BTreeMap<String, Node>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    outputs: BTreeMap<String, Output>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    r#type: &'static str,
    description: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    description: String,
    value: Value,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(flatten)]
    resource: Resource,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_policy: Option<CreationPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_replace_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreationPolicy {
    resource_signal: ResourceSignal,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceSignal {
    count: u32,
    timeout: String,
}

/// A resource that is in the template, of properties `R`.
#[derive(Debug, Clone)]
pub struct Handle<R> {
    name: String,
    kind: PhantomData<R>,
}

impl<R> Handle<R> {
    /// Its logical id.
    #[must_use]
    pub fn logical_id(&self) -> &str {
        &self.name
    }

    fn reference(&self) -> Value {
        Value::reference(&self.name)
    }

    fn attribute(&self, name: &str) -> Value {
        Value::attribute(&self.name, name)
    }
}

/// A resource, of whatever type, that others are created after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After(String);

impl<R> From<&Handle<R>> for After {
    fn from(handle: &Handle<R>) -> Self {
        After(handle.name.clone())
    }
}

impl Template {
    /// An empty template.
    #[must_use]
    pub fn new(description: String) -> Self {
        Template {
            version: "2010-09-09",
            description,
            // W3010, zones by name: a volume must be where its instance's subnet is, and that is given.
            metadata: serde_json::json!({ "cfn-lint": { "config": { "ignore_checks": ["W3010"] } } }),
            parameters: BTreeMap::new(),
            mappings: BTreeMap::new(),
            resources: BTreeMap::new(),
            outputs: BTreeMap::new(),
        }
    }

    /// Adds a resource under a logical id and returns the only way to refer to it.
    ///
    /// # Panics
    ///
    /// When the logical id is taken, or is not letters and digits: a mistake in
    /// the code that renders, which its first test shows.
    pub fn add<R: Into<Resource>>(&mut self, name: impl Into<String>, resource: R) -> Handle<R> {
        let name = name.into();
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name} is no logical id");
        let node = Node {
            resource: resource.into(),
            creation_policy: None,
            deletion_policy: None,
            update_replace_policy: None,
            depends_on: Vec::new(),
        };
        assert!(self.resources.insert(name.clone(), node).is_none(), "two resources named {name}");
        Handle { name, kind: PhantomData }
    }

    /// Takes a last snapshot of a resource before it is deleted or replaced.
    pub fn snapshot_before_delete<R>(&mut self, of: &Handle<R>) {
        if let Some(node) = self.resources.get_mut(&of.name) {
            node.deletion_policy = Some("Snapshot");
            node.update_replace_policy = Some("Snapshot");
        }
    }

    /// Keeps a resource when it is deleted or replaced.
    pub fn retain<R>(&mut self, of: &Handle<R>) {
        if let Some(node) = self.resources.get_mut(&of.name) {
            node.deletion_policy = Some("Retain");
            node.update_replace_policy = Some("Retain");
        }
    }

    /// Keeps a resource when it is deleted or replaced, unless it is the stack's creation that failed.
    pub fn retain_except_on_create<R>(&mut self, of: &Handle<R>) {
        if let Some(node) = self.resources.get_mut(&of.name) {
            node.deletion_policy = Some("RetainExceptOnCreate");
            node.update_replace_policy = Some("Retain");
        }
    }

    /// Tells `cfn-lint` to leave out a check, by its number.
    pub fn ignore_check(&mut self, check: &str) {
        if let Some(checks) = self.metadata["cfn-lint"]["config"]["ignore_checks"].as_array_mut() {
            checks.push(check.into());
        }
    }

    /// Says what becomes of a resource that is deleted, and of one that is replaced.
    pub fn keep<R>(&mut self, of: &Handle<R>, on_delete: &'static str, on_replace: &'static str) {
        if let Some(node) = self.resources.get_mut(&of.name) {
            node.deletion_policy = Some(on_delete);
            node.update_replace_policy = Some(on_replace);
        }
    }

    /// Notes what the template was made from, for whoever renders it anew: a word of Understudy's in its metadata.
    pub fn note(&mut self, name: &str, value: serde_json::Value) {
        self.metadata["Understudy"][name] = value;
    }

    /// Calls a resource created only when it has said so itself.
    pub fn wait_for_signal<R>(&mut self, of: &Handle<R>, minutes: u32) {
        if let Some(node) = self.resources.get_mut(&of.name) {
            let resource_signal = ResourceSignal { count: 1, timeout: format!("PT{minutes}M") };
            node.creation_policy = Some(CreationPolicy { resource_signal });
        }
    }

    /// Creates one resource after another that it does not refer to.
    pub fn create_after<R, S>(&mut self, later: &Handle<R>, earlier: &Handle<S>) {
        self.create_after_all(later, &[After::from(earlier)]);
    }

    /// Creates one resource after others that it does not refer to.
    pub fn create_after_all<R>(&mut self, later: &Handle<R>, earlier: &[After]) {
        if let Some(node) = self.resources.get_mut(&later.name) {
            node.depends_on.extend(earlier.iter().map(|After(name)| name.clone()));
        }
    }

    /// A value that the deployment gives.
    pub fn parameter(&mut self, name: &str, r#type: &'static str, description: &str) -> Value {
        self.parameters.insert(name.to_owned(), Parameter { r#type, description: description.to_owned() });
        Value::reference(name)
    }

    /// A text that stands in the template once, however often it is used.
    pub fn constant(&mut self, mapping: &str, key: &str, text: String) -> Value {
        let entry = BTreeMap::from([("Text".to_owned(), text)]);
        self.mappings.entry(mapping.to_owned()).or_default().insert(key.to_owned(), entry);
        Value::in_mapping(mapping, key, "Text")
    }

    /// Shows a value to the reader of the stack.
    pub fn output(&mut self, name: &str, description: &str, value: Value) {
        self.outputs.insert(name.to_owned(), Output { description: description.to_owned(), value });
    }

    /// The template as CloudFormation reads it: the same text for the same template, always.
    ///
    /// # Errors
    ///
    /// None that these types can have; the serializer's interface has one.
    pub fn body(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The same for people and for version control.
    ///
    /// # Errors
    ///
    /// As [`Template::body`].
    pub fn pretty(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

//! Stacks and change sets.

mod change;
mod events;
mod stacks;

pub use change::{Change, Detail};
pub use events::Event;
pub use stacks::{Resource, Unsettled};

use crate::{
    SdkConfig,
    failure::{Subject, classify},
};
use aws_sdk_cloudformation::{
    Client,
    error::ProvideErrorMetadata,
    primitives::DateTime,
    types::{
        Capability, ChangeSetStatus, ChangeSetSummary, ChangeSetType, ExecutionStatus, Parameter, StackStatus, Tag,
        TemplateStage,
    },
};
use reconcile::Failure;

const STACKS: &str = "cloudformation:DescribeStacks";
const LIST_STACKS: &str = "cloudformation:ListStacks";
const TEMPLATE: &str = "cloudformation:GetTemplate";
const LIST: &str = "cloudformation:ListChangeSets";
const DESCRIBE: &str = "cloudformation:DescribeChangeSet";
const CREATE: &str = "cloudformation:CreateChangeSet";
const EXECUTE: &str = "cloudformation:ExecuteChangeSet";
const DELETE: &str = "cloudformation:DeleteChangeSet";

/// The CloudFormation calls the fleet makes.
#[derive(Debug, Clone)]
pub struct CloudFormation(Client);

/// A stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its ARN.
    pub id: String,
    /// Its status, in CloudFormation's word.
    pub status: String,
    /// Why, as far as CloudFormation says.
    pub reason: Option<String>,
    /// When it was last changed, or created.
    pub changed_at: String,
    /// The same in milliseconds since 1970.
    pub changed_at_ms: u64,
    /// Names of its parameters.
    pub parameters: Vec<String>,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// Whether it is protected from being deleted.
    pub protected: bool,
}

/// A change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeSet {
    /// CloudFormation is still making it.
    Pending,
    /// Nothing would change.
    Empty,
    /// It could not be made.
    Failed(String),
    /// It can be executed.
    Ready(Vec<Change>),
    /// It was executed, or another one was.
    Over,
}

/// A change set that is neither executed nor obsolete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChangeSet {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: u64,
}

/// Where CloudFormation finds a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template<'a> {
    /// In the request.
    Body(&'a str),
    /// In S3.
    Url(&'a str),
}

/// A change set to be made.
#[derive(Debug, Clone)]
pub struct NewChangeSet<'a> {
    /// The stack, by name.
    pub stack: &'a str,
    /// The change set's name, which is also the token by which a repeated request is known.
    pub name: &'a str,
    /// Whether the stack is to be created.
    pub new_stack: bool,
    /// The template.
    pub template: Template<'a>,
    /// Parameters; `None` keeps the value that the stack has.
    pub parameters: &'a [(&'a str, Option<&'a str>)],
    /// Tags of the stack.
    pub tags: &'a [(String, String)],
    /// The role that CloudFormation works with.
    pub role_arn: &'a str,
}

impl CloudFormation {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        CloudFormation(Client::new(config))
    }

    /// A stack, by name; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:DescribeStacks`.
    pub async fn stack(&self, name: &str) -> Result<Option<Stack>, Failure> {
        let output = match self.0.describe_stacks().stack_name(name).send().await {
            Ok(output) => output,
            // CloudFormation has no error of its own for this.
            Err(error) if says(&error, "does not exist") => return Ok(None),
            Err(error) => return Err(classify(STACKS, subject(&format!("stack {name}")), error)),
        };
        Ok(output.stacks().first().filter(|stack| stack.stack_status() != Some(&StackStatus::DeleteComplete)).map(read))
    }

    /// The template that a stack was last given, as JSON.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:GetTemplate`; [`Failure::Broken`] also for
    /// a template that is not JSON: not of Understudy's making.
    pub async fn template(&self, stack: &str) -> Result<serde_json::Value, Failure> {
        self.template_of(stack, None).await
    }

    /// The template that a change set was made with, as JSON.
    ///
    /// # Errors
    ///
    /// As [`CloudFormation::template`].
    pub async fn change_set_template(&self, stack: &str, name: &str) -> Result<serde_json::Value, Failure> {
        self.template_of(stack, Some(name)).await
    }

    async fn template_of(&self, stack: &str, change_set: Option<&str>) -> Result<serde_json::Value, Failure> {
        let what = match change_set {
            Some(name) => format!("the template of change set {name} of {stack}"),
            None => format!("the template of stack {stack}"),
        };
        let request = self.0.get_template().stack_name(stack).set_change_set_name(change_set.map(str::to_owned));
        let request = request.template_stage(TemplateStage::Original);
        let output = request.send().await.map_err(|error| classify(TEMPLATE, subject(&what), error))?;
        serde_json::from_str(output.template_body().unwrap_or_default())
            .map_err(|error| Failure::Broken { call: TEMPLATE, what: format!("{what} is not JSON: {error}") })
    }

    /// A stack's change sets that are neither executed nor obsolete.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:ListChangeSets`.
    pub async fn open_change_sets(&self, stack: &str) -> Result<Vec<OpenChangeSet>, Failure> {
        let mut pages = self.0.list_change_sets().stack_name(stack).into_paginator().send();
        let mut open = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => open.extend(page.summaries().iter().filter(|set| is_open(set)).filter_map(summary)),
                // The stack has been deleted since it was looked at.
                Err(error) if says(&error, "does not exist") => return Ok(Vec::new()),
                Err(error) => return Err(classify(LIST, subject(&format!("stack {stack}")), error)),
            }
        }
        Ok(open)
    }

    /// A change set, by name; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:DescribeChangeSet`.
    pub async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ChangeSet>, Failure> {
        let mut changes = Vec::new();
        let mut token = None;
        loop {
            let request = self.0.describe_change_set().stack_name(stack).change_set_name(name).set_next_token(token);
            let output = match request.send().await {
                Ok(output) => output,
                Err(error) if error.as_service_error().is_some_and(|e| e.is_change_set_not_found_exception()) => {
                    return Ok(None);
                }
                Err(error) => return Err(classify(DESCRIBE, subject(&format!("change set {name} of {stack}")), error)),
            };
            let reason = output.status_reason().unwrap_or("CloudFormation gives no reason");
            match phase(output.status(), output.execution_status(), reason) {
                Phase::Ready => {}
                Phase::Other(change_set) => return Ok(Some(change_set)),
            }
            changes.extend(output.changes().iter().filter_map(|change| change.resource_change()).map(change::read));
            token = output.next_token;
            if token.is_none() {
                return Ok(Some(ChangeSet::Ready(changes)));
            }
        }
    }

    /// Makes a change set. One of the same name that exists already is the same.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:CreateChangeSet` (and of `iam:PassRole`,
    /// which AWS asks for beside it).
    pub async fn create_change_set(&self, new: &NewChangeSet<'_>) -> Result<(), Failure> {
        let parameters = new.parameters.iter().map(|(key, value)| {
            let parameter = Parameter::builder().parameter_key(*key).set_parameter_value(value.map(str::to_owned));
            parameter.set_use_previous_value(value.is_none().then_some(true)).build()
        });
        let tags = new.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let kind = if new.new_stack { ChangeSetType::Create } else { ChangeSetType::Update };
        let request = self.0.create_change_set().stack_name(new.stack).change_set_name(new.name).client_token(new.name);
        let request = request.change_set_type(kind).role_arn(new.role_arn);
        let request = match new.template {
            Template::Body(body) => request.template_body(body),
            Template::Url(url) => request.template_url(url),
        };
        let request = request.capabilities(Capability::CapabilityIam);
        let request = request.set_parameters(Some(parameters.collect())).set_tags(Some(tags.collect()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_already_exists_exception()) => Ok(()),
            Err(error) => Err(classify(CREATE, subject(&format!("change set {} of {}", new.name, new.stack)), error)),
        }
    }

    /// Lets CloudFormation do what a change set says.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:ExecuteChangeSet`; [`Failure::LostRace`]
    /// when it is gone, or someone executed it, or another one, first.
    pub async fn execute_change_set(&self, stack: &str, name: &str) -> Result<(), Failure> {
        let request = self.0.execute_change_set().stack_name(stack).change_set_name(name).client_request_token(name);
        let Err(error) = request.send().await else { return Ok(()) };
        let what = format!("change set {name} of {stack}");
        let too_late = error
            .as_service_error()
            .is_some_and(|e| e.is_invalid_change_set_status_exception() || e.is_change_set_not_found_exception());
        if too_late {
            return Err(Failure::LostRace { call: EXECUTE, what });
        }
        Err(classify(EXECUTE, subject(&what), error))
    }

    /// Forgets a change set; one that is gone already is a success.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudformation:DeleteChangeSet`; [`Failure::LostRace`]
    /// when it is being made or executed.
    pub async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), Failure> {
        let Err(error) = self.0.delete_change_set().stack_name(stack).change_set_name(name).send().await else {
            return Ok(());
        };
        let what = format!("change set {name} of {stack}");
        if error.as_service_error().is_some_and(|e| e.is_invalid_change_set_status_exception()) {
            return Err(Failure::LostRace { call: DELETE, what });
        }
        if error.code() == Some("ChangeSetNotFound") {
            return Ok(());
        }
        Err(classify(DELETE, subject(&what), error))
    }
}

fn subject(what: &str) -> Subject<'_> {
    Subject { what, check: "was it deleted?" }
}

/// Whether the service refused with these words.
fn says(error: &impl ProvideErrorMetadata, words: &str) -> bool {
    error.message().is_some_and(|message| message.contains(words))
}

fn read(stack: &aws_sdk_cloudformation::types::Stack) -> Stack {
    let changed_at = stack.last_updated_time().or(stack.creation_time());
    Stack {
        id: stack.stack_id().unwrap_or_default().to_owned(),
        status: stack.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: stack.stack_status_reason().filter(|reason| !reason.is_empty()).map(str::to_owned),
        changed_at: changed_at.map(ToString::to_string).unwrap_or_default(),
        changed_at_ms: changed_at.map(milliseconds).unwrap_or_default(),
        parameters: stack
            .parameters()
            .iter()
            .filter_map(|parameter| parameter.parameter_key())
            .map(str::to_owned)
            .collect(),
        tags: stack.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))).collect(),
        protected: stack.enable_termination_protection().unwrap_or_default(),
    }
}

fn milliseconds(at: &DateTime) -> u64 {
    at.to_millis().ok().and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default()
}

fn summary(summary: &ChangeSetSummary) -> Option<OpenChangeSet> {
    let created_at_ms = summary.creation_time().map(milliseconds).unwrap_or_default();
    Some(OpenChangeSet { name: summary.change_set_name()?.to_owned(), created_at_ms })
}

fn is_open(summary: &ChangeSetSummary) -> bool {
    !matches!(phase(summary.status(), summary.execution_status(), ""), Phase::Other(ChangeSet::Over))
}

enum Phase {
    Ready,
    Other(ChangeSet),
}

/// How far a change set is, from the two words that CloudFormation has for it.
fn phase(status: Option<&ChangeSetStatus>, execution: Option<&ExecutionStatus>, reason: &str) -> Phase {
    // CloudFormation says in prose only that a change set has no changes.
    let is_empty =
        ["didn't contain changes", "No updates are to be performed"].iter().any(|sign| reason.contains(sign));
    Phase::Other(match (status, execution) {
        (Some(ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress), _) => ChangeSet::Pending,
        (Some(ChangeSetStatus::Failed), _) if is_empty => ChangeSet::Empty,
        (Some(ChangeSetStatus::Failed), _) => ChangeSet::Failed(reason.to_owned()),
        (Some(ChangeSetStatus::CreateComplete), Some(ExecutionStatus::Available)) => return Phase::Ready,
        // Complete, and not executable yet.
        (Some(ChangeSetStatus::CreateComplete), Some(ExecutionStatus::Unavailable) | None) => ChangeSet::Pending,
        _ => ChangeSet::Over,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests;

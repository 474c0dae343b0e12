//! Whom EventBridge wakes with an event, by the rules in `infra/template.yaml`.
//!
//! The question is asked for the fleet, the account and the Region that the
//! event itself speaks of ([`Scope::of`]): "would it wake the functions of the
//! fleet it is about, deployed where its resource is?" An event that one
//! account sends about another's resource therefore wakes nobody.

mod pattern;
mod scope;

pub use scope::Scope;

use domain::events::Function;
use pattern::Pattern;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt, path::Path};

/// The template of a fleet.
#[derive(Debug, Clone)]
pub struct Template {
    name: String,
    document: Value,
}

/// The template cannot be read, or has something in it that is not understood
/// here. Never a reason to say that an event wakes nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTemplate {
    /// The file.
    pub template: String,
    /// Where in it, and what.
    pub problem: String,
}

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.template, self.problem)
    }
}

impl std::error::Error for BadTemplate {}

/// What wakes one function.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The function.
    pub function: Function,
    /// The name of the event in the template.
    pub name: String,
    pattern: Pattern,
}

impl Rule {
    /// Whether EventBridge delivers this event by this rule.
    #[must_use]
    pub fn matches(&self, event: &Value) -> bool {
        self.pattern.matches(event)
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not YAML.
    pub fn read(path: &Path) -> Result<Template, BadTemplate> {
        let name = path.display().to_string();
        let bad = |problem: String| BadTemplate { template: name.clone(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        let document = serde_saphyr::from_str(&text).map_err(|error| bad(error.to_string()))?;
        Ok(Template { name, document })
    }

    /// The default of a parameter, when it has one.
    #[must_use]
    pub fn default_of(&self, parameter: &str) -> Option<&str> {
        self.document.get("Parameters")?.get(parameter)?.get("Default")?.as_str()
    }

    /// Everything that wakes a function, as the fleet of this scope has it.
    ///
    /// # Errors
    ///
    /// When the function is not in the template, or something that wakes it is
    /// of a kind, or has an operator, that is not understood here.
    pub fn rules(&self, function: Function, scope: &Scope) -> Result<Vec<Rule>, BadTemplate> {
        let events = self.properties(function)?.get("Events").and_then(Value::as_object);
        let events = events.ok_or_else(|| self.bad(format!("nothing wakes {function}")))?;
        let rule = |(name, event): (&String, &Value)| {
            let pattern = written(event).and_then(|pattern| Pattern::read(&scope.resolve(&pattern)?));
            let pattern = pattern.map_err(|problem| self.bad(format!("{function}, {name}: {problem}")))?;
            Ok(Rule { function, name: name.clone(), pattern })
        };
        events.iter().map(rule).collect()
    }

    /// The ids of RDS's events that a function's rules name.
    ///
    /// # Errors
    ///
    /// When the function is not in the template.
    pub fn database_events(&self, function: Function) -> Result<BTreeSet<String>, BadTemplate> {
        let events = self.properties(function)?.get("Events").and_then(Value::as_object).into_iter().flatten();
        let ids = events.flat_map(|(_, event)| listed(event.pointer("/Properties/Pattern/detail/EventID")));
        Ok(ids.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// The actions that a function's own policies allow.
    ///
    /// # Errors
    ///
    /// When the function or its policies are not in the template, or a policy
    /// does something else than allow actions by name.
    pub fn actions(&self, function: Function) -> Result<BTreeSet<String>, BadTemplate> {
        let policies = self.properties(function)?.get("Policies").and_then(Value::as_array);
        let policies = policies.ok_or_else(|| self.bad(format!("{function} has no policies")))?;
        let mut actions = BTreeSet::new();
        for statement in policies.iter().flat_map(|policy| listed(policy.get("Statement"))) {
            let allowed = listed(statement.get("Action")).map(Value::as_str).collect::<Option<Vec<_>>>();
            match allowed {
                Some(allowed) if statement["Effect"] == "Allow" && !allowed.is_empty() => {
                    actions.extend(allowed.into_iter().map(str::to_owned));
                }
                _ => return Err(self.bad(format!("{function}: {statement} does not allow actions by name"))),
            }
        }
        Ok(actions)
    }

    /// The actions that a role's policies allow, its own and those managed beside it in this template.
    ///
    /// # Errors
    ///
    /// When the role is not in the template, or names a policy that is not.
    pub fn role(&self, name: &str) -> Result<BTreeSet<String>, BadTemplate> {
        let properties = |name: &str| {
            let found = self.document.pointer(&format!("/Resources/{name}/Properties"));
            found.ok_or_else(|| self.bad(format!("there is no {name}")))
        };
        let role = properties(name)?;
        let own = listed(role.get("Policies"));
        let mut documents: Vec<&Value> = own.map(|policy| &policy["PolicyDocument"]).collect();
        for managed in listed(role.get("ManagedPolicyArns")) {
            let name = managed["Ref"].as_str().ok_or_else(|| self.bad(format!("{name} has a policy of {managed}")))?;
            documents.push(&properties(name)?["PolicyDocument"]);
        }
        let statements = documents.into_iter().flat_map(|document| listed(document.get("Statement")));
        let actions = statements.flat_map(|statement| listed(statement.get("Action"))).filter_map(Value::as_str);
        Ok(actions.map(str::to_owned).collect())
    }

    /// The properties of the function whose code is in `functions/<name>`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn properties(&self, function: Function) -> Result<&Value, BadTemplate> {
        let code = format!("../functions/{function}");
        let resources = self.document.get("Resources").and_then(Value::as_object).into_iter().flatten();
        let mut properties = resources.filter_map(|(_, resource)| resource.get("Properties"));
        properties
            .find(|properties| properties["CodeUri"] == code.as_str())
            .ok_or_else(|| self.bad(format!("no function has the code of {function}")))
    }

    fn bad(&self, problem: String) -> BadTemplate {
        BadTemplate { template: self.name.clone(), problem }
    }
}

/// A value, or a list of values.
fn listed(value: Option<&Value>) -> std::slice::Iter<'_, Value> {
    match value {
        Some(Value::Array(values)) => values.iter(),
        Some(value) => std::slice::from_ref(value).iter(),
        None => [].iter(),
    }
}

/// The pattern of what wakes a function, as the template has it. A schedule has
/// none: its rule, whose name CloudFormation chooses, sends an event of this kind.
fn written(event: &Value) -> Result<Value, String> {
    let account = json!([{"Ref": "AWS::AccountId"}]);
    match event["Type"].as_str() {
        Some("EventBridgeRule") => {
            event.pointer("/Properties/Pattern").cloned().ok_or_else(|| "it has no pattern".to_owned())
        }
        Some("Schedule") => {
            Ok(json!({"source": ["aws.events"], "detail-type": ["Scheduled Event"], "account": account}))
        }
        Some("ScheduleV2") => {
            Ok(json!({"source": ["aws.scheduler"], "detail-type": ["Scheduled Event"], "account": account}))
        }
        other => Err(format!("what wakes it is of an unknown kind, {other:?}")),
    }
}

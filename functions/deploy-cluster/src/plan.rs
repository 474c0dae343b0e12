//! What deploying a spec would change: a change set that is shown and deleted.

use crate::{
    answer::{Answer, Outcome},
    deployment::{self, Drawn, Wanted, plan_name, stack_name},
    harm::{Templates, Verdict, instead, verdicts},
    outside::{Change, ChangeSetPhase, Outside, StackSeen},
    store,
};
use domain::spec::Spec;
use reconcile::Failure;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use template::Part;

/// What would become of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// `add`, `change`, `replace`, `may replace`, `remove`; `stays`: CloudFormation looks at it, since what it refers to
    /// is changed, and finds it as it was.
    pub what: &'static str,
    /// Its name in the template.
    pub resource: String,
    /// Its type.
    pub kind: String,
    /// The properties that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// Why a deployment would refuse this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Planned {
    fn of(told: &Change, verdict: Verdict) -> Self {
        let change = verdict.real.as_ref().unwrap_or(told);
        let what = match (change.action.as_str(), change.replacement.as_deref()) {
            _ if verdict.real.is_none() => "stays",
            ("Add", _) => "add",
            ("Remove", _) => "remove",
            (_, Some("True")) => "replace",
            (_, Some("Conditional")) => "may replace",
            _ => "change",
        };
        Planned {
            what,
            resource: change.logical_id.clone(),
            kind: change.kind.clone(),
            because: change.targets.clone(),
            refused: verdict.harm.map(|harm| format!("it would {harm}")),
        }
    }
}

/// How often a change set is looked for, with two seconds between: CloudFormation
/// needs some seconds to make one, and the person waits for the answer.
const LOOKS: u32 = 15;

/// Says what deploying this spec would change. Nothing is executed, and the change set is deleted.
pub(crate) async fn plan<O: Outside>(outside: &O, spec: &Spec) -> Result<Answer, Failure> {
    let cluster = &spec.name;
    let Drawn { part, body } = match deployment::draw(outside, spec, false).await? {
        Ok(drawn) => drawn,
        Err(answer) => return Ok(answer),
    };
    match outside.stack(&stack_name(outside, cluster)).await? {
        None => Ok(all_new(cluster, &body)),
        Some(stack) if stack.status == "REVIEW_IN_PROGRESS" => Ok(all_new(cluster, &body)),
        Some(stack) if stack.status == "ROLLBACK_COMPLETE" => {
            let mut answer = all_new(cluster, &body);
            answer.message.insert_str(0, "what is left of a first creation that failed would be deleted first; ");
            Ok(answer)
        }
        Some(stack) if stack.status.ends_with("_COMPLETE") => compared(outside, spec, part, body, &stack).await,
        Some(stack) => {
            let sentence = format!("the stack of {cluster} is in {}: ask again when that is over", stack.status);
            Ok(Answer::new(cluster, Outcome::Waiting, sentence))
        }
    }
}

/// A cluster that there is nothing of: all that is in its template is added.
fn all_new(cluster: &str, body: &str) -> Answer {
    let template: Value = serde_json::from_str(body).unwrap_or_default();
    let resources = template["Resources"].as_object().into_iter().flatten();
    let added = resources.map(|(name, resource)| Change {
        action: "Add".into(),
        logical_id: name.clone(),
        kind: resource["Type"].as_str().unwrap_or_default().to_owned(),
        replacement: None,
        targets: Vec::new(),
        details: Vec::new(),
    });
    let added: Vec<Change> = added.collect();
    table(cluster, &added, verdicts(&added, None, None), None)
}

/// A cluster that stands, compared by CloudFormation.
async fn compared<O: Outside>(
    outside: &O,
    spec: &Spec,
    part: Part,
    body: String,
    stack: &StackSeen,
) -> Result<Answer, Failure> {
    let (name, stack_name) = (plan_name(&body, stack), stack_name(outside, &spec.name));
    let template = store::put_template(outside, &body).await?;
    let live = outside.template(&stack_name).await?;
    let parsed = store::parsed(&body)?;
    let state = outside.state(&spec.name).await?;
    let today = deployment::today(outside, &spec.name, state.as_ref()).await?;
    let wanted = Wanted { spec, part, body };
    let keeps_image = stack.parameters.iter().any(|name| name == template::IMAGE_PARAMETER);
    let new = deployment::change_set(outside, &wanted, &name, template, false, keeps_image).await?;
    outside.create_change_set(&new).await?;
    let phase = made(outside, &stack_name, &name).await;
    // Whatever was seen of it; the minute deletes what this call cannot.
    outside.delete_change_set(&stack_name, &name).await?;
    let cluster = &spec.name;
    let protection = (spec.deletion_protection != stack.protected).then_some(spec.deletion_protection);
    Ok(match phase? {
        Some(ChangeSetPhase::Ready(changes)) => {
            let templates = Templates { live: &live, wanted: &parsed };
            table(cluster, &changes, verdicts(&changes, Some(templates), Some(&today)), protection)
        }
        Some(ChangeSetPhase::Empty) => table(cluster, &[], vec![], protection),
        Some(ChangeSetPhase::Failed(reason)) => {
            Answer::new(cluster, Outcome::Refused, format!("CloudFormation could not prepare the change: {reason}"))
        }
        Some(ChangeSetPhase::Pending | ChangeSetPhase::Over) | None => {
            let sentence = format!("CloudFormation has not compared {cluster} with its spec in time: ask again");
            Answer::new(cluster, Outcome::Waiting, sentence)
        }
    })
}

/// A change set when CloudFormation is done with it; `None` when that takes too long, or another call deleted it.
async fn made<O: Outside>(outside: &O, stack: &str, name: &str) -> Result<Option<ChangeSetPhase>, Failure> {
    for _ in 0..LOOKS {
        match outside.change_set(stack, name).await? {
            Some(seen) if seen.phase == ChangeSetPhase::Pending => outside.rest().await,
            seen => return Ok(seen.map(|seen| seen.phase)),
        }
    }
    Ok(None)
}

/// The answer: a sentence, a line for each change, and the same as data.
fn table(cluster: &str, changes: &[Change], verdicts: Vec<Verdict>, protection: Option<bool>) -> Answer {
    let real: Vec<Change> =
        verdicts.iter().filter(|verdict| verdict.harm.is_some()).filter_map(|v| v.real.clone()).collect();
    let mut planned: Vec<Planned> =
        changes.iter().zip(verdicts).map(|(change, verdict)| Planned::of(change, verdict)).collect();
    planned.sort_by(|a, b| (a.what, &a.resource).cmp(&(b.what, &b.resource)));
    let count = |words: &[&str]| planned.iter().filter(|planned| words.contains(&planned.what)).count();
    let refused = planned.iter().filter(|planned| planned.refused.is_some()).count();
    let mut message = format!(
        "{cluster}: {} added, {} changed, {} replaced, {} removed; nothing was executed",
        count(&["add"]),
        count(&["change"]),
        count(&["replace", "may replace"]),
        count(&["remove"]),
    );
    if refused > 0 {
        let _ = write!(message, "; a deployment would be refused because of {refused} of them{}", instead(&real));
    }
    if let Some(protection) = protection {
        let _ = write!(message, "; deletion protection would be turned {}", if protection { "on" } else { "off" });
    }
    let width = planned.iter().map(|planned| planned.resource.len()).max().unwrap_or_default();
    for Planned { what, resource, kind, because, refused } in &planned {
        let _ = write!(message, "\n  {what:<11}  {resource:<width$}  {kind}");
        if !because.is_empty() {
            let _ = write!(message, "  ({})", because.join(", "));
        }
        if refused.is_some() {
            message.push_str("  REFUSED");
        }
    }
    Answer { changes: planned, ..Answer::new(cluster, Outcome::Planned, message) }
}

//! The stack of a cluster whose roles have changed: rendered anew from the spec that its template notes, with the
//! roles of today.

use super::noted;
use crate::{
    answer::{Answer, Outcome},
    deployment::{self, Stacked, stack_name},
    outside::Outside,
    roles, telling,
};
use domain::{card::ManagedCard, failover::Page, managed::Roles};
use reconcile::Failure;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Whose wish it is, as the beginning of a refusal.
const WHOSE: &str = "the stack with the roles of today";

/// Renders a stack anew, because a change of writer asks for it. A refusal is told to a person, once for the same roles.
pub(crate) async fn render<O: Outside>(outside: &O, cluster: &str) -> Result<Stacked, Failure> {
    let refused = |sentence: String| Answer::new(cluster, Outcome::Refused, sentence);
    let name = stack_name(outside, cluster);
    if outside.stack(&name).await?.is_none() {
        return Ok(Stacked::Ended(refused(format!("there is no stack {name} to render anew"))));
    }
    let stacked = match noted::spec(&outside.template(&name).await?) {
        None => Stacked::Ended(refused(format!(
            "the template of {name} does not say of what spec it was made: deploy it once"
        ))),
        Some(Err(problems)) => Stacked::Ended(Answer::refused(Some(cluster), problems)),
        Some(Ok(spec)) => deployment::deploy(outside, &spec, WHOSE).await?,
    };
    if let Stacked::Ended(answer) = &stacked
        && answer.outcome == Outcome::Refused
    {
        tell(outside, cluster, answer).await?;
    }
    Ok(stacked)
}

async fn tell<O: Outside>(outside: &O, cluster: &str, answer: &Answer) -> Result<(), Failure> {
    let today = roles::today(outside, cluster).await?;
    let mut seen = answer.message.clone();
    for problem in &answer.problems {
        seen.push_str(&format!("; {problem}"));
    }
    let page = Page::about(&format!("{cluster}: stack not rendered anew"))
        .line("Seen", &seen)
        .line(
            "Now",
            &format!(
                "{} writes, and the stack still says otherwise; missing replicas are not made anew",
                today.instance_id(&outside.settings().fleet, cluster, today.writer)
            ),
        )
        .line("Next", &format!("correct the cause, then ask deploy-cluster: {{\"render_anew\": \"{cluster}\"}}"));
    telling::once(outside, cluster, &mark("anew", &today), &page).await
}

/// One mark for one set of roles.
fn mark(what: &str, today: &Roles) -> String {
    let text = serde_json::to_string(today).unwrap_or_default();
    let digits: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{what}#{digits}")
}

/// Makes good that nobody asked, or that the asking was lost: renders the stack anew when its template notes other
/// roles than there are. Tried until it is refused; then a person has been told, and asks again.
pub(super) async fn catch_up<O: Outside>(
    outside: &O,
    card: &ManagedCard,
    template: &Value,
) -> Result<Option<Answer>, Failure> {
    let cluster = &card.cluster;
    if card.topology.is_aurora() || template["Metadata"]["Understudy"].is_null() {
        return Ok(None);
    }
    let today = roles::today(outside, cluster).await?;
    let changes = outside.state(cluster).await?.is_some_and(|state| state.change.is_some());
    if today == noted::roles(template) || changes {
        return Ok(None);
    }
    let mark = mark("anew-tried", &today);
    if !outside.tell_once(cluster, &mark).await? {
        return Ok(None);
    }
    tracing::info!("{cluster}: its stack has other roles than today's, {today:?}");
    match render(outside, cluster).await {
        Ok(Stacked::Ended(answer)) if answer.outcome == Outcome::Refused => {
            outside.told(cluster, &mark).await?;
            Ok(Some(answer))
        }
        other => {
            outside.untell(cluster, &mark).await?;
            Ok(match other? {
                Stacked::Ended(answer) => Some(answer),
                Stacked::Done(_) => None,
            })
        }
    }
}

//! Tells the person on call how the change of a stack goes: that it began, that
//! it went well, or where and why it did not. Each once.

use crate::{
    operation::{News, Operation},
    outside::Outside,
    stack::way_out,
};
use domain::{events::prefix, failover::Page};
use reconcile::Failure;

/// How long after its beginning a change is still looked for by the minute, when
/// its event was lost: longer than any takes.
const NEWS_MS: u64 = 3 * 60 * 60 * 1_000;

/// Whether a change that began then is news.
pub(crate) fn is_news(outside: &impl Outside, began_at_ms: u64) -> bool {
    outside.now_ms().saturating_sub(began_at_ms) < NEWS_MS
}

/// Tells what the last change of a stack has come to, unless it was told.
pub(crate) async fn tell<O: Outside>(outside: &O, cluster: &str, stack: &str) -> Result<(), Failure> {
    let Some(operation) = Operation::read(&outside.last_change(stack).await?) else { return Ok(()) };
    let Some(news) = operation.news() else { return Ok(()) };
    let gone = operation.what == "deletion" && news == News::Complete;
    // What is left beside the stack is told of together with its end.
    if gone && outside.deletion(cluster).await?.is_some() {
        return Ok(());
    }
    let what = operation.what;
    let page = Page::about(&format!("{cluster}: {what} {}", news.word()));
    let page = match news {
        News::Started => page.line("Now", &format!("CloudFormation works on the {what} of {cluster}")),
        News::Complete => {
            let page = page.line("Done", &format!("{what} of {cluster} in {}", operation.minutes()));
            if gone { page.line("Next", &leftovers(cluster)) } else { page }
        }
        News::Failed | News::Stuck => {
            let name = prefix(&outside.settings().fleet) + cluster;
            page.line("Seen", &story(outside, cluster, &operation).await?)
                .line("Now", &format!("stack {name} is in {} after {}", operation.status, operation.minutes()))
                .line("Next", &way_out(&name, &operation.status))
        }
    };
    once(outside, cluster, &mark(&operation, news), &page).await
}

/// Where and why a change failed, with what the host itself said.
pub(crate) async fn story<O: Outside>(outside: &O, cluster: &str, operation: &Operation) -> Result<String, Failure> {
    let problem = match &operation.culprit {
        Some(culprit) => outside.setup_problem(cluster, &culprit.logical_id).await?,
        None => None,
    };
    Ok(operation.story(problem.as_ref()))
}

/// That the end of a cluster is complete.
pub(crate) async fn tell_end<O: Outside>(outside: &O, cluster: &str, stack: &str, left: &str) -> Result<(), Failure> {
    let operation = Operation::read(&outside.last_change(stack).await?);
    let (took, what) = match &operation {
        Some(operation) => (format!(" in {}", operation.minutes()), mark(operation, News::Complete)),
        // CloudFormation forgets a stack after 90 days.
        None => (String::new(), format!("stack#{stack}#{}", News::Complete.word())),
    };
    let page = Page::about(&format!("{cluster}: deletion complete"))
        .line("Done", &format!("deletion of {cluster}{took}"))
        .line("Now", left);
    once(outside, cluster, &what, &page).await
}

fn leftovers(cluster: &str) -> String {
    format!(
        "this was no request to deploy-cluster: its records and certificate are still there; \
         {{\"delete\": \"{cluster}\", \"confirm\": \"{cluster}\"}} removes them"
    )
}

fn mark(operation: &Operation, news: News) -> String {
    format!("stack#{}#{}", operation.id, news.word())
}

/// Sends a page once: the same mark is the same page.
pub(crate) async fn once<O: Outside>(outside: &O, cluster: &str, what: &str, page: &Page) -> Result<(), Failure> {
    if !outside.tell_once(cluster, what).await? {
        return Ok(());
    }
    tracing::info!("page: {}", page.subject);
    // Between the two a call may be cut: then it is told again, rather than not at all.
    let Err(failure) = outside.send(page).await else { return outside.told(cluster, what).await };
    if let Err(failure) = outside.untell(cluster, what).await {
        tracing::warn!("{}", failure.story());
    }
    Err(failure)
}

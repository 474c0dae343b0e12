//! The hourly trial: whether a takeover would work, by this Region alone.

use crate::Report;
use domain::region::{Check, PREFLIGHT, Preflight, Verdict, judge, preflight_page};
use reconcile::{Failure, Preflights};

/// How old a verdict may be.
const EVERY_MS: u64 = 60 * 60 * 1_000;

/// Tries everything, when the last verdict is an hour old or `now` is asked for; `None` when it is not.
///
/// # Errors
///
/// The [`Failure`] of the state table, the metric or the page. The verdict is kept last, so that what was not told is
/// told by the next pass.
pub async fn preflight<P: Preflights>(outside: &P, now: bool) -> Result<Option<Report>, Failure> {
    let kept = outside.kept(PREFLIGHT).await?;
    let before: Option<Preflight> = kept.as_ref().and_then(|kept| serde_json::from_value(kept.clone()).ok());
    let at_ms = outside.now_ms();
    let due = before.as_ref().is_none_or(|before| at_ms.saturating_sub(before.at_ms) >= EVERY_MS);
    if !due && !now {
        return Ok(None);
    }
    let mut checks = Vec::new();
    for check in Check::ALL {
        let checked = outside.check(check).await;
        tracing::info!("{}: {check}: {} ({})", outside.cluster(), checked.found, checked.ok);
        checks.push(checked);
    }
    let (verdict_now, verdict) = judge(before.as_ref(), at_ms, checks);
    outside.publish_ready(verdict_now.is_ready()).await?;
    if verdict != Verdict::Same {
        let page = preflight_page(outside.card(), &verdict_now, verdict);
        tracing::info!("page: {}", page.subject);
        outside.send(&page).await?;
    }
    let value = serde_json::to_value(&verdict_now).map_err(reconcile::failed("dynamodb:PutItem"))?;
    outside.keep(PREFLIGHT, kept.as_ref(), Some(&value)).await?;
    let failing: Vec<String> =
        verdict_now.failing().map(|checked| format!("{}: {}", checked.check, checked.found)).collect();
    let because = match failing.as_slice() {
        [] => "a takeover would work".to_owned(),
        failing => format!("a takeover would fail: {}", failing.join("; ")),
    };
    let report = Report::new(outside.cluster(), "explained", because);
    Ok(Some(Report { preflight: Some(verdict_now), ..report }))
}

//! Telling a person once what every pass finds again.

use crate::{Desk, Failure};
use domain::failover::Page;
use std::time::Duration;

/// The same is told again after this long.
pub const TELL_AGAIN: Duration = Duration::from_secs(15 * 60);

/// Sends a page, unless the same kind at the same epoch was sent a short time
/// ago. What an approval is worth depends on the epoch: at another one it is
/// another page.
///
/// # Errors
///
/// The [`Failure`] of sending; the next pass then tries again.
pub async fn page_once<O: Desk>(outside: &O, kind: &str, epoch: u64, page: &Page) -> Result<(), Failure> {
    page_every(outside, TELL_AGAIN, kind, epoch, page).await
}

/// The same, told again after another time.
///
/// # Errors
///
/// As [`page_once`].
pub async fn page_every<O: Desk>(
    outside: &O,
    again: Duration,
    kind: &str,
    epoch: u64,
    page: &Page,
) -> Result<(), Failure> {
    let what = format!("{kind}#{epoch}");
    let again_ms = u64::try_from(again.as_millis()).unwrap_or(u64::MAX);
    let told = outside.tell_once(&what, outside.now_ms(), again_ms).await;
    // Rather told twice than not at all.
    let first = told.unwrap_or_else(|failure| {
        tracing::warn!("{}", failure.story());
        true
    });
    if !first {
        tracing::info!("not paged again within {} min: {}", again_ms / 60_000, page.subject);
        return Ok(());
    }
    tracing::info!("page: {}", page.subject);
    let Err(failure) = outside.send(page).await else { return Ok(()) };
    if let Err(failure) = outside.untell(&what).await {
        tracing::warn!("{}", failure.story());
    }
    Err(failure)
}

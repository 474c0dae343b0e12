//! What every look does, whatever it looks at.

use crate::{Desk, Failure};
use domain::{
    failover::Lease,
    state::{Holder, State},
};
use futures_util::future::{Either, select};
use std::{pin::pin, time::Duration};

/// Longer than this no look waits for AWS's APIs or the state table's other
/// items: what they did not say is not known.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a call answers, if it does so in time: a look is worth nothing when
/// its parts are seconds apart.
pub(crate) async fn within<D: Desk, T>(desk: &D, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match select(pin!(call), pin!(desk.sleep(PATIENCE))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => {
            let source = format!("no answer within {} s", PATIENCE.as_secs());
            Err(Failure::Transient { call: "look", source: source.into() })
        }
    }
}

/// Who holds the lease, as this pass sees it.
pub(crate) fn lease_of(state: &State, pass: &str, now: u64) -> Lease {
    match &state.holder {
        Some(Holder { expires_at_ms, .. }) if *expires_at_ms <= now => Lease::Free,
        Some(Holder { id, .. }) if *id == pass => Lease::Mine,
        Some(Holder { expires_at_ms, .. }) => Lease::Other(Duration::from_millis(expires_at_ms - now)),
        None => Lease::Free,
    }
}

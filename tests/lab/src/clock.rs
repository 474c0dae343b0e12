//! One clock for everything the lab measures.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// A point in time, in microseconds since 1970: comparable with what functions write down in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub u64);

// Read once and counted on from there by the monotonic clock: a corrected system clock must not change a measurement.
static START: LazyLock<(Instant, u64)> = LazyLock::new(|| {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (Instant::now(), u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX))
});

impl Moment {
    /// Now.
    pub fn now() -> Moment {
        let (at, micros) = *START;
        Moment(micros + u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// A time in milliseconds since 1970.
    pub fn from_ms(ms: u64) -> Moment {
        Moment(ms.saturating_mul(1_000))
    }

    /// Milliseconds from an earlier moment to this one, rounded; zero when it is not earlier.
    pub fn ms_since(self, earlier: Moment) -> u64 {
        (self.0.saturating_sub(earlier.0) + 500) / 1_000
    }

    /// Seconds from another moment to this one; negative when this one is earlier.
    #[expect(clippy::cast_precision_loss, reason = "differences of hours in microseconds are exact in 53 bits")]
    pub fn seconds_since(self, other: Moment) -> f64 {
        (self.0 as f64 - other.0 as f64) / 1e6
    }
}

//! How every client calls: time-outs and retries.

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use std::time::{Duration, SystemTime};

/// A connection inside a Region is made in milliseconds; a host that has not
/// answered in a second is not there, and another attempt gets another host.
const CONNECT: Duration = Duration::from_secs(1);

/// The slowest call of a promotion, a Route 53 batch, answers in well under a
/// second; three leave room for a bad moment without eating the pass.
const ATTEMPT: Duration = Duration::from_secs(3);

/// All attempts together: a pass makes about ten calls, and its function lives
/// for a minute. One dead endpoint may cost a sixth of that, not all of it.
const OPERATION: Duration = Duration::from_secs(8);

/// The first call and two retries, the SDK's own standard: enough for a dropped
/// connection or a throttled second. Longer trouble is for the next pass.
const ATTEMPTS: u32 = 3;

/// The SDK would wait up to a second before the first retry, and 20 s at most:
/// right for a batch job, not while an application cannot write.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// Credentials, Region and HTTP client from the Lambda environment, with the
/// time-outs and retries that a pass of seconds needs.
pub async fn load() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts()).retry_config(retries()).load().await
}

/// What is asked of another Region is used when it comes, and never waited for: one attempt, this long. A round trip
/// between continents takes a fifth of a second, with TLS four of them.
const FAR: Duration = Duration::from_millis(2_500);

/// The same credentials for another Region, with little patience: it may be gone.
#[must_use]
pub fn in_region(config: &SdkConfig, region: &str) -> SdkConfig {
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(FAR).operation_timeout(FAR).build();
    let builder = config.clone().into_builder().region(Region::new(region.to_owned())).timeout_config(timeouts);
    builder.retry_config(RetryConfig::disabled()).build()
}

/// Milliseconds since 1970, by this machine's clock.
#[must_use]
pub fn now_ms() -> u64 {
    // Before 1970 there is no AWS; a clock that says so makes every lease look
    // live, which is the safe side.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build()
}

pub(crate) fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF)
}

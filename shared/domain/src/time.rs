//! Times, spans and sizes as people read them.

use jiff::{Timestamp, tz::TimeZone};
use std::time::Duration;

/// `03:12:07.2Z`: the time of day in UTC with tenths.
#[must_use]
pub fn clock(ms: u64) -> String {
    format(ms, "%H:%M:%S", true)
}

/// `2026-11-21T03:12:07.234Z`, for names that sort by time.
#[must_use]
pub fn stamp(ms: u64) -> String {
    format!("{}.{:03}Z", format(ms, "%Y-%m-%dT%H:%M:%S", false), ms % 1000)
}

/// The milliseconds since 1970 of such a time, with or without a fraction;
/// `None` for any other text.
#[must_use]
pub fn parse_stamp(text: &str) -> Option<u64> {
    text.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_millisecond()).ok())
}

fn format(ms: u64, pattern: &str, tenths: bool) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    let text = time.to_zoned(TimeZone::UTC).strftime(pattern).to_string();
    if tenths { format!("{text}.{}Z", ms % 1000 / 100) } else { text }
}

/// `3.1 s`.
#[must_use]
pub fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

/// `312 bytes`, `1.5 MiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count as f64 / *size as f64),
        None => format!("{count} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_read_them() {
        assert_eq!(clock(1_774_840_327_249), "03:12:07.2Z");
        assert_eq!(stamp(1_774_840_327_049), "2026-03-30T03:12:07.049Z");
        assert_eq!(parse_stamp("2026-03-30T03:12:07.049Z"), Some(1_774_840_327_049));
        assert_eq!(parse_stamp("2026-03-30T03:12:07Z"), Some(1_774_840_327_000));
        assert_eq!(parse_stamp("yesterday"), None);
        assert_eq!(seconds(Duration::from_millis(3_149)), "3.1 s");
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1024), bytes(1 << 20)],
            ["0 bytes", "1023 bytes", "1.0 KiB", "1.0 MiB"]
        );
    }
}

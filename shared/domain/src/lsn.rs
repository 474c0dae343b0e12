//! Positions in the write-ahead log.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A byte position in PostgreSQL's write-ahead log.
///
/// PostgreSQL prints it as two hexadecimal halves, `16/B374D848`; the number
/// held here is `high * 2^32 + low`, in bytes, so positions subtract to a lag.
///
/// # Errors
///
/// Parsing returns [`BadLsn`] unless the text is two hexadecimal numbers of at
/// most 8 digits each, joined by one slash.
///
/// Source: PostgreSQL manual, "pg_lsn Type" (section 8.20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Lsn(pub u64);

/// The text was not a log position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLsn(pub String);

impl fmt::Display for BadLsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a log position such as 16/B374D848", self.0)
    }
}

impl std::error::Error for BadLsn {}

impl Lsn {
    /// How many bytes `self` is behind `ahead`; zero when it is not behind.
    #[must_use]
    pub fn behind(self, ahead: Lsn) -> u64 {
        ahead.0.saturating_sub(self.0)
    }
}

impl FromStr for Lsn {
    type Err = BadLsn;

    fn from_str(text: &str) -> Result<Self, BadLsn> {
        let half = |digits: &str| {
            let plain = digits.len() <= 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            u64::from_str_radix(digits, 16).ok().filter(|_| plain)
        };
        text.split_once('/')
            .and_then(|(high, low)| Some(Lsn((half(high)? << 32) | half(low)?)))
            .ok_or_else(|| BadLsn(text.to_owned()))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> String {
        lsn.to_string()
    }
}

impl TryFrom<String> for Lsn {
    type Error = BadLsn;

    fn try_from(text: String) -> Result<Self, BadLsn> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(text.parse::<Lsn>().map(|lsn| lsn.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "16", "16/", "/1", "1/2/3", "16-B3", "+1/0", "000000001/0"] {
            assert_eq!(text.parse::<Lsn>(), Err(BadLsn(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_position_ahead_is_not_behind() {
        assert_eq!(Lsn(5).behind(Lsn(7)), 2);
        assert_eq!(Lsn(7).behind(Lsn(5)), 0);
    }
}

//! What DNS says of a cluster, as read from its hosted zone.

use std::net::IpAddr;

/// The records of one cluster as they were read.
///
/// The first three fields are what a decision needs; `exact` is what a change
/// needs, since Route 53 deletes a record set only when it is repeated exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordsSeen {
    /// Addresses of the writer record; empty when there is no such record.
    pub writer: Vec<IpAddr>,
    /// Epoch of the last move of the writer record; `None` when it was never written.
    pub epoch: Option<u64>,
    /// Addresses of the reader record; empty when there is no such record.
    pub reader: Vec<IpAddr>,
    /// The record sets themselves.
    pub exact: ExactSets,
}

/// The three record sets of a cluster, as they are; `None` for one that does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExactSets {
    /// The A record of the writer.
    pub writer: Option<RecordSet>,
    /// The TXT record of the epoch.
    pub epoch: Option<RecordSet>,
    /// The A record of the standbys.
    pub reader: Option<RecordSet>,
}

/// Everything of a record set that is not its name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Time to live, in seconds.
    pub ttl_s: i64,
    /// The values as the zone holds them: a TXT value with its quotation marks.
    pub values: Vec<String>,
}

/// The text of the TXT record that carries an epoch, without quotation marks.
#[must_use]
pub fn epoch_text(epoch: u64) -> String {
    format!("epoch={epoch}")
}

/// The epoch in such a text; `None` for any other text.
#[must_use]
pub fn parse_epoch(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("epoch=")?;
    // `u64::from_str` takes a sign, which nobody wrote.
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_read_back_and_nothing_else_is() {
        for epoch in [0, 7, u64::MAX] {
            assert_eq!(parse_epoch(&epoch_text(epoch)), Some(epoch));
        }
        for text in ["", "7", "epoch=", "epoch=+7", "epoch= 7", "epoch=7 ", "Epoch=7", "epoch=18446744073709551616"] {
            assert_eq!(parse_epoch(text), None, "{text}");
        }
    }
}

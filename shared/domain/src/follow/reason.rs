//! Why nothing is done now, or at all.

use crate::time::seconds;
use std::{fmt, net::IpAddr, time::Duration};

/// Prints as one sentence. A time `left` is how long the keeper still has
/// before a person is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Another pass acts, for this much longer at most.
    LeaseHeld(Duration),
    /// Nobody has led yet: the cluster is being made.
    NotLedYet,
    /// The keeper has made another writer than the one on record.
    ChangeOpen {
        /// The writer on record.
        from: String,
    },
    /// Two members accept writes, in two looks.
    TwoWriters {
        /// One of them.
        one: String,
        /// The other.
        other: String,
    },
    /// No member accepts writes, and the keeper names no leader.
    NoLeader {
        /// Until a person is told.
        left: Duration,
    },
    /// The keeper names a leader that is not found to accept writes.
    Unreached {
        /// Whom it names.
        leads: String,
        /// What PostgreSQL there answered.
        sql: String,
        /// Until a person is told.
        left: Duration,
    },
    /// One member accepts writes, and the keeper names another, or nobody.
    Differ {
        /// Who accepts writes.
        writes: String,
        /// Whom the keeper names.
        leads: Option<String>,
        /// Until a person is told.
        left: Duration,
    },
    /// One member accepts writes, and neither the keeper nor a standby confirms it.
    Unconfirmed {
        /// Who accepts writes.
        writes: String,
        /// Why the keeper does not say.
        problem: String,
        /// Until a person is told.
        left: Duration,
    },
    /// The writer record is not one that the present epoch may replace.
    RecordNotOurs {
        /// What it names.
        addresses: Vec<IpAddr>,
        /// The epoch that the TXT record carries.
        epoch: Option<u64>,
        /// The epoch of the state item.
        ours: u64,
    },
    /// Route 53 does not answer: the record waits.
    RecordWaits {
        /// Who writes now.
        writer: String,
        /// Its address.
        address: IpAddr,
        /// What failed.
        problem: String,
    },
    /// What a person asked for is not possible now; an answer, no page.
    Asked(String),
}

impl Reason {
    /// A short word for the kind, by which repeated pages are held back.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::LeaseHeld(_) => "lease-held",
            Reason::NotLedYet => "not-led-yet",
            Reason::ChangeOpen { .. } => "change-open",
            Reason::TwoWriters { .. } => "two-writers",
            Reason::NoLeader { .. } => "no-leader",
            Reason::Unreached { .. } => "leader-unreached",
            Reason::Differ { .. } => "leader-differs",
            Reason::Unconfirmed { .. } => "leader-unconfirmed",
            Reason::RecordNotOurs { .. } => "record-not-ours",
            Reason::RecordWaits { .. } => "record-waits",
            Reason::Asked(_) => "asked",
        }
    }

    /// The same, with so much time left to the keeper.
    #[must_use]
    pub(super) fn with_time(self, left: Duration) -> Self {
        match self {
            Reason::NoLeader { .. } => Reason::NoLeader { left },
            Reason::Unreached { leads, sql, .. } => Reason::Unreached { leads, sql, left },
            Reason::Differ { writes, leads, .. } => Reason::Differ { writes, leads, left },
            Reason::Unconfirmed { writes, problem, .. } => Reason::Unconfirmed { writes, problem, left },
            other => other,
        }
    }

    /// Whether it answers who asked, so that nobody is paged.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Reason::Asked(_))
    }

    /// After so long the same is told again.
    #[must_use]
    pub fn tell_again(&self) -> Duration {
        match self {
            Reason::TwoWriters { .. } | Reason::RecordWaits { .. } => Duration::from_secs(15 * 60),
            _ => Duration::from_secs(60 * 60),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = |left: &Duration| match left.is_zero() {
            true => String::new(),
            false => format!("; its own time for that runs for {} more", seconds(*left)),
        };
        match self {
            Reason::LeaseHeld(left) => write!(f, "another pass holds the lease, for {} at most", seconds(*left)),
            Reason::NotLedYet => f.write_str("no member has led this cluster yet"),
            Reason::ChangeOpen { from } => write!(f, "the change of writer away from {from} is not finished yet"),
            Reason::TwoWriters { one, other } => write!(f, "{one} and {other} both accept writes, in two looks"),
            Reason::NoLeader { left } => write!(f, "no member accepts writes, and none is named leader{}", until(left)),
            Reason::Unreached { leads, sql, left } => {
                write!(f, "{leads} is named leader, and PostgreSQL there {sql}{}", until(left))
            }
            Reason::Differ { writes, leads: Some(leads), left } => {
                write!(f, "{writes} accepts writes, and {leads} is named leader{}", until(left))
            }
            Reason::Differ { writes, leads: None, left } => {
                write!(f, "{writes} accepts writes, and nobody is named leader{}", until(left))
            }
            Reason::Unconfirmed { writes, problem, left } => {
                write!(f, "{writes} accepts writes, and nobody confirms that it leads ({problem}){}", until(left))
            }
            Reason::RecordNotOurs { addresses, epoch, ours } => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                let epoch = epoch.map_or_else(|| "no epoch".to_owned(), |epoch| format!("epoch {epoch}"));
                let addresses = addresses.join(", ");
                write!(f, "the writer record holds [{addresses}] with {epoch}, not what epoch {ours} may replace")
            }
            Reason::RecordWaits { writer, address, problem } => {
                write!(f, "{writer} ({address}) writes, and its record waits for Route 53: {problem}")
            }
            Reason::Asked(answer) => f.write_str(answer),
        }
    }
}

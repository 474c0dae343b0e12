//! How often in a row an instance did not answer, and what is said of a writer that does not.

use super::LastWrite;
use domain::failover::Sql;

/// A failed probe in so many after the first suspicion raises it again: what
/// `promote-replica` had to wait for (a witness, a local restart) may be there now.
const SUSPECT_AGAIN: u32 = 2;

/// One member, as last probed.
#[derive(Default)]
pub(super) struct Streak {
    pub sql: Option<Sql>,
    pub asked_ms: u64,
    /// Failed probes in a row.
    pub failures: u32,
    /// When the first of them began.
    pub silent_since_ms: u64,
    /// Failures when a suspicion was raised last; 0 when none was.
    raised_at: u32,
}

/// A writer that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suspicion {
    pub member: String,
    pub failures: u32,
    pub silent_since_ms: u64,
    pub last_write: Option<LastWrite>,
    pub problem: String,
    /// Who leads in its place, where Patroni has made somebody leader.
    pub leader: Option<String>,
}

/// Whether a probe found nobody.
pub(crate) fn failed(sql: &Sql) -> bool {
    matches!(sql, Sql::Silent(_) | Sql::Refused)
}

impl Streak {
    /// Learns what a probe found.
    pub fn learn(&mut self, asked_ms: u64, sql: Sql) {
        if !failed(&sql) {
            (self.failures, self.raised_at) = (0, 0);
        } else if self.failures == 0 {
            (self.failures, self.silent_since_ms) = (1, asked_ms);
        } else {
            self.failures += 1;
        }
        self.asked_ms = asked_ms;
        self.sql = Some(sql);
    }

    /// Whether a suspicion is to be raised now, with so many failures in a row.
    pub fn is_suspect(&mut self, enough: u32) -> bool {
        if self.failures < enough || (self.raised_at > 0 && self.failures < self.raised_at + SUSPECT_AGAIN) {
            return false;
        }
        self.raised_at = self.failures;
        true
    }

    /// What is said of it when it is the writer.
    pub fn suspicion(&self, id: &str, last_write: Option<&LastWrite>) -> Suspicion {
        Suspicion {
            member: id.to_owned(),
            failures: self.failures,
            silent_since_ms: self.silent_since_ms,
            last_write: last_write.cloned(),
            problem: match &self.sql {
                Some(Sql::Silent(problem)) => problem.clone(),
                _ => "the port refuses connections".to_owned(),
            },
            leader: None,
        }
    }

    /// What is said of it when another has become writer in its place: all that is known of the one before, since
    /// what was lost can be judged by nothing else.
    pub fn moved(&self, id: &str, last_write: Option<&LastWrite>, leader: &str, problem: String) -> Suspicion {
        let last_seen_ms = last_write.map_or(self.asked_ms, |write| write.at_ms);
        Suspicion {
            silent_since_ms: if self.failures > 0 { self.silent_since_ms } else { last_seen_ms },
            problem,
            leader: Some(leader.to_owned()),
            ..self.suspicion(id, last_write)
        }
    }
}

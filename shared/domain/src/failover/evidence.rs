//! I5: why the old writer can acknowledge no more writes.

use super::{Host, Member, Observed, Sql};
use crate::state::Synchronous;
use std::fmt;

/// Proof that the old writer can acknowledge no more writes.
///
/// Promotion takes one as an argument, and only [`prove`] makes one, from what
/// a look has just seen. What is not proof: a security group that was swapped
/// (tracked connections live on), an instance that is `stopping`, an id that
/// EC2 does not know, silence however long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Stopped { member: String, host: &'static str },
    CommitsFrozen { frozen: usize, names: usize, required: u32 },
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Stopped { member, host } => write!(f, "EC2 reads {member} back as {host}: nothing on it runs"),
            Kind::CommitsFrozen { frozen, names, required } => write!(
                f,
                "commits frozen on {frozen} of {names} standbys (ANY {required} of {names}): \
                 the old writer cannot collect the acknowledgements that a commit needs"
            ),
        }
    }
}

/// The strongest proof in what was seen that `from` can acknowledge nothing
/// more, or `None`.
#[must_use]
pub fn prove(seen: &Observed, from: &str) -> Option<Evidence> {
    stopped(seen.member(from)?).or_else(|| commits_frozen(seen, from))
}

/// `Stopped`: EC2 reads the instance back as stopped or terminated.
fn stopped(member: &Member) -> Option<Evidence> {
    let host = match member.host {
        Host::Stopped => "stopped",
        Host::Terminated => "terminated",
        _ => return None,
    };
    Some(Evidence(Kind::Stopped { member: member.card.id.clone(), host }))
}

/// `CommitsFrozen`: so many standbys of the published set receive nothing and
/// name no upstream that fewer than `required` are left to acknowledge a commit.
///
/// R + W > N: with `ANY k (n)`, n - k + 1 frozen leave k - 1.
fn commits_frozen(seen: &Observed, from: &str) -> Option<Evidence> {
    let Synchronous { required, names } = &seen.state.synchronous;
    if !seen.is_synchronous(from) {
        return None;
    }
    let frozen = seen
        .members
        .iter()
        .filter(|member| member.card.id != from && names.contains(&member.card.name) && member.sql.is_frozen())
        .count();
    let left = names.len().saturating_sub(frozen);
    (left < *required as usize).then_some(Evidence(Kind::CommitsFrozen {
        frozen,
        names: names.len(),
        required: *required,
    }))
}

impl Sql {
    /// Whether this look found a standby that receives nothing and will not by
    /// itself: no upstream in `primary_conninfo`, and no WAL receiver.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        matches!(self, Sql::Standby(standby) if standby.upstream.is_none() && standby.receiver.is_none())
    }
}

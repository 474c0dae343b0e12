//! I5: why the old writer can acknowledge no more writes.

use super::{Host, Member, Observed, Sql};
use crate::{
    state::{ChangeKind, Synchronous},
    time::seconds,
};
use std::{fmt, time::Duration};

/// Beyond `ttl` it takes this long until a writer that lost all contact has
/// certainly stopped itself: 5 s in which it still counts a standby that was cut
/// from it as connected (`wal_sender_timeout`), and 10 s for clocks and passes
/// that note a moment late.
pub(super) const SELF_FENCE_MARGIN: Duration = Duration::from_secs(15);

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
    PostgresDown { member: String, epoch: u64 },
    SelfFenced { member: String, cut_for: Duration, ttl: Duration },
    CommitsFrozen { frozen: usize, names: usize, required: u32 },
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Stopped { member, host } => write!(f, "EC2 reads {member} back as {host}: nothing on it runs"),
            Kind::PostgresDown { member, epoch } => {
                write!(f, "PostgreSQL on {member} has ended, and its guard starts nothing before epoch {epoch} is over")
            }
            Kind::SelfFenced { member, cut_for, ttl } => write!(
                f,
                "{member} has been cut from every standby for {}, and its guard stops PostgreSQL after {} without contact",
                seconds(*cut_for),
                seconds(*ttl)
            ),
            Kind::CommitsFrozen { frozen, names, required } => write!(
                f,
                "commits frozen on {frozen} of {names} standbys (ANY {required} of {names}): \
                 the old writer cannot collect the acknowledgements that a commit needs"
            ),
        }
    }
}

impl Evidence {
    /// The name of its kind, as the documentation has it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.0 {
            Kind::Stopped { .. } => "Stopped",
            Kind::PostgresDown { .. } => "PostgresDown",
            Kind::SelfFenced { .. } => "SelfFenced",
            Kind::CommitsFrozen { .. } => "CommitsFrozen",
        }
    }
}

/// The strongest proof in what was seen that `from` can acknowledge nothing
/// more, or `None`.
#[must_use]
pub fn prove(seen: &Observed, from: &str) -> Option<Evidence> {
    let member = seen.member(from)?;
    stopped(member)
        .or_else(|| postgres_down(seen, member))
        .or_else(|| commits_frozen(seen, from))
        .or_else(|| self_fenced(seen, member))
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

/// `PostgresDown`: the host answers that nothing listens, and its boot guard
/// wrote that no process of PostgreSQL is left there, after it had read the
/// epoch of this very change. It starts nothing while the change is open.
///
/// A refused port alone is no proof: sessions can outlive their postmaster, and
/// may still acknowledge what they were at.
fn postgres_down(seen: &Observed, member: &Member) -> Option<Evidence> {
    let change = seen.state.change.as_ref().filter(|change| change.from == member.card.id)?;
    let guard = member.guard.as_ref().filter(|guard| guard.holds && guard.epoch == seen.state.epoch)?;
    let orderly = change.kind == ChangeKind::Failover || guard.clean;
    (orderly && member.sql == Sql::Refused)
        .then(|| Evidence(Kind::PostgresDown { member: member.card.id.clone(), epoch: guard.epoch }))
}

/// `SelfFenced`: the member's guard stops PostgreSQL after `ttl` in which it
/// reached neither the state item nor any standby. Since the change began, the
/// state item tells it to stop, too; and every other member has been cut from
/// it, or is off, for `ttl` and a margin.
///
/// Not covered: a host whose time stood still (a hang, a live migration). When
/// it goes on, up to one turn of its guard (2 s) may pass before it stops
/// itself; that is why a stop of the instance is always ordered first.
fn self_fenced(seen: &Observed, member: &Member) -> Option<Evidence> {
    let cut_for = cut_for(seen, &member.card.id)?;
    let ttl = seen.policy.ttl();
    (cut_for >= ttl + SELF_FENCE_MARGIN)
        .then(|| Evidence(Kind::SelfFenced { member: member.card.id.clone(), cut_for, ttl }))
}

/// For how long every other member has been cut from `from` or off; `None` when
/// one is neither, or cannot be seen.
pub(super) fn cut_for(seen: &Observed, from: &str) -> Option<Duration> {
    let change = seen.state.change.as_ref().filter(|change| change.from == from)?;
    let since = change.frozen_since_ms?;
    all_cut(seen, from).then(|| seen.since(since))
}

/// Whether every other member is in sight and frozen, or off.
pub(super) fn all_cut(seen: &Observed, from: &str) -> bool {
    let mut others = seen.members.iter().filter(|member| member.card.id != from);
    others.all(|other| other.sql.is_frozen() || matches!(other.host, Host::Stopped | Host::Terminated))
}

/// `CommitsFrozen`: so many standbys of the published set receive nothing and
/// name no upstream that fewer than `required` are left to acknowledge a commit.
///
/// R + W > N: with `ANY k (n)`, n - k + 1 frozen leave k - 1.
fn commits_frozen(seen: &Observed, from: &str) -> Option<Evidence> {
    let Synchronous { required, names } = seen.published();
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

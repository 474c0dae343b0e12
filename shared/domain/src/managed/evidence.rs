//! I5: why clients can write to the old writer no more, for databases whose host nobody can log in to.

use super::{Course, InstanceSeen, Observed};
use crate::card::Isolation;
use std::fmt;

/// Proof that the old writer can acknowledge no more writes of clients.
///
/// Promotion takes one as an argument, and only [`prove`] makes one, from what a look has just seen. What is not proof:
/// a security group that was swapped (tracked connections live on), a group that is not `active` yet, an instance that
/// is `stopping`, `failed` or unknown to RDS, silence however long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Stopped { instance: String },
    SubnetCut { instance: String, group: String, subnet: String, acl: String },
    Restarted { instance: String, group: String },
    Approved { instance: String, group: String, epoch: u64 },
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Stopped { instance } => write!(f, "RDS reads {instance} back as stopped: nothing on it runs"),
            Kind::SubnetCut { instance, group, subnet, acl } => write!(
                f,
                "{instance} has only the isolated security group {group}, active, and its subnet {subnet} the network \
                 ACL {acl}, which also stops connections that were open before"
            ),
            Kind::Restarted { instance, group } => write!(
                f,
                "RDS restarted {instance} after only the isolated security group {group} was active on it: no \
                 connection from before is left, and none can be made"
            ),
            Kind::Approved { instance, group, epoch } => write!(
                f,
                "{instance} has only the isolated security group {group}, active; a person approved (for epoch \
                 {epoch}) that whatever connections from before may still write there is lost"
            ),
        }
    }
}

impl Evidence {
    /// The kind, in a word: of the ledger and of tests.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.0 {
            Kind::Stopped { .. } => "Stopped",
            Kind::SubnetCut { .. } => "SubnetCut",
            Kind::Restarted { .. } => "Restarted",
            Kind::Approved { .. } => "Approved",
        }
    }
}

/// The strongest proof in what was seen that clients can write to `from` no more, or `None`.
#[must_use]
pub fn prove(seen: &Observed, from: &str) -> Option<Evidence> {
    let instance = seen.described()?.instance(from)?;
    stopped(instance)
        .or_else(|| subnet_cut(seen, instance))
        .or_else(|| restarted(seen, instance))
        .or_else(|| approved(seen, instance))
}

/// `Stopped`: RDS reads the instance back as stopped.
fn stopped(instance: &InstanceSeen) -> Option<Evidence> {
    (instance.status == "stopped").then(|| Evidence(Kind::Stopped { instance: instance.id.clone() }))
}

/// `SubnetCut`: nobody new gets in by the security group; and nobody who was in before, since a network ACL knows no
/// connections, only packets.
fn subnet_cut(seen: &Observed, instance: &InstanceSeen) -> Option<Evidence> {
    let isolation = held(seen, instance)?;
    let (acl, subnet) = (isolation.network_acl.as_ref()?, instance.subnet.as_ref()?);
    (instance.network_acl.as_ref() == Some(acl)).then(|| {
        Evidence(Kind::SubnetCut {
            instance: instance.id.clone(),
            group: isolation.isolated_group.clone(),
            subnet: subnet.clone(),
            acl: acl.clone(),
        })
    })
}

/// `Restarted`: the restart was ordered when the isolated group was active already, RDS was seen at it, and it is over.
fn restarted(seen: &Observed, instance: &InstanceSeen) -> Option<Evidence> {
    let isolation = held(seen, instance)?;
    let course = course_of(seen, &instance.id)?;
    let over = course.restart_seen && course.restart_at_ms.is_some() && instance.is_available();
    over.then(|| Evidence(Kind::Restarted { instance: instance.id.clone(), group: isolation.isolated_group.clone() }))
}

/// `Approved`: a person, told of the risk, allowed any loss; and nobody new gets in.
fn approved(seen: &Observed, instance: &InstanceSeen) -> Option<Evidence> {
    let isolation = held(seen, instance)?;
    let change = seen.state.change.as_ref().filter(|change| change.from == instance.id)?;
    // What can be had is tried first: the approval is of a loss, and stands in for a proof only where there is none.
    let left = seen.card.policy.aws_failover().saturating_sub(seen.since(change.began_at_ms));
    let tried = change.managed.as_ref().is_some_and(|course| course.unproven_before);
    let approval = change.approval.as_ref().filter(|_| tried || left.is_zero())?;
    approval.data_loss_bytes.is_none().then(|| {
        Evidence(Kind::Approved {
            instance: instance.id.clone(),
            group: isolation.isolated_group.clone(),
            epoch: approval.epoch,
        })
    })
}

/// The isolation, when only its group is on the instance, and active.
fn held<'a>(seen: &'a Observed, instance: &InstanceSeen) -> Option<&'a Isolation> {
    let isolation = seen.card.isolation.as_ref()?;
    (is_isolated(seen, instance) && instance.security_groups.iter().all(|(_, status)| status == "active"))
        .then_some(isolation)
}

/// Whether an instance has the isolated security group and no other, active or about to be.
pub(super) fn is_isolated(seen: &Observed, instance: &InstanceSeen) -> bool {
    // A group that is being taken away is still listed until it is gone.
    let isolated = |isolation: &Isolation| {
        !instance.security_groups.is_empty()
            && instance.security_groups.iter().all(|(group, _)| *group == isolation.isolated_group)
    };
    seen.card.isolation.as_ref().is_some_and(isolated)
}

/// What the open change away from this instance has come to.
fn course_of<'a>(seen: &'a Observed, from: &str) -> Option<&'a Course> {
    seen.state.change.as_ref().filter(|change| change.from == from)?.managed.as_ref()
}

//! A change of writer that a person asks for, while the writer is well.

use super::{By, Course, Described, Observed, Reason, Step, choose, cluster::begin};
use crate::{
    decision::Decision,
    state::{Change, ChangeKind},
    time::seconds,
};

/// Whether the writer can be moved to `to` now.
pub(super) fn judge(seen: &Observed, described: &Described, writer: &str, to: &str) -> Decision<Step, Reason> {
    match possible(seen, described, writer, to) {
        Ok(()) => {
            let (asked, well) = (seen.place(to), seen.place(writer));
            let lines = vec![format!("asked to move the writer to {asked}; {well} is well")];
            let course =
                Course { by: By::Asked, zone_before: seen.zone(writer).map(str::to_owned), ..Course::default() };
            let step = match begin(seen, ChangeKind::Switchover, writer, lines, course) {
                Step::Begin { epoch, change } => {
                    let change = Change { to: Some(to.to_owned()), silent_since_ms: seen.looked_at_ms, ..*change };
                    Step::Begin { epoch, change: Box::new(change) }
                }
                other => other,
            };
            Decision::Act(vec![step])
        }
        Err(why) => Decision::Refuse(Reason::Asked(why)),
    }
}

fn possible(seen: &Observed, described: &Described, writer: &str, to: &str) -> Result<(), String> {
    if let Some(left) = seen.paused_for() {
        return Err(format!("{} is paused for {} more", seen.card.cluster, seconds(left)));
    }
    let Some(cluster) = &described.db_cluster else { return Err(of_rds(seen, writer, to)) };
    let others = described.instances.iter().filter(|instance| instance.id != writer);
    let names: Vec<&str> = others.map(|instance| instance.id.as_str()).collect();
    if to == writer {
        return Err(format!("{to} is the writer already"));
    }
    if !names.contains(&to) {
        return Err(format!("{to} is no reader of this cluster; it has {}", names.join(", ")));
    }
    if cluster.status != "available" {
        return Err(format!("RDS calls {} {}; this is allowed when it is available", cluster.id, cluster.status));
    }
    choose::may(seen, described, to)
}

/// RDS has no switchover: a promotion takes minutes in which nobody could write, and the old writer could not follow.
fn of_rds(seen: &Observed, writer: &str, to: &str) -> String {
    let instead = if seen.card.aws_fails_over {
        format!(
            "possible is to let its own standby take over: aws rds reboot-db-instance --force-failover \
             --region {} --db-instance-identifier {writer}",
            seen.card.region
        )
    } else {
        "possible is a blue/green deployment (deploy-cluster), or a promotion once the writer is down".to_owned()
    };
    format!(
        "RDS cannot switch over to {to}: a promotion takes minutes in which nobody could write, has no way back, and \
         {writer} could not follow it; {instead}"
    )
}

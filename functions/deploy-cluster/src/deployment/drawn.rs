//! From a spec to the template that its part in this Region shall have: with the network, the certificate and the
//! roles as they are today.

use super::stack_name;
use crate::{
    answer::{Answer, Outcome},
    certificate::{self, Hold},
    managed::{other_region, upgrade},
    outside::{Outside, StackSeen},
    place, roles, store,
};
use domain::spec::Spec;
use reconcile::Failure;
use template::{Fleet, Part, Tls};

/// A template, and whose it is.
pub(crate) struct Drawn {
    pub(crate) part: Part,
    pub(crate) body: String,
}

/// Draws the template. To deploy it, what must be there before is made or waited for; to show it, nothing is touched.
pub(crate) async fn draw<O: Outside>(
    outside: &O,
    spec: &Spec,
    to_deploy: bool,
) -> Result<Result<Drawn, Answer>, Failure> {
    let cluster = &spec.name;
    let refused = |problems| Ok(Err(Answer::refused(Some(cluster), problems)));
    let part = match place::part(outside, spec) {
        Ok(part) => part,
        Err(problems) => return refused(problems),
    };
    let fleet = match place::fleet(outside, spec, part).await? {
        Ok(fleet) => fleet,
        Err(problems) => return refused(problems),
    };
    let held = |hold| match hold {
        Hold::Refused(sentence) => Ok(Err(Answer::new(cluster, Outcome::Refused, sentence))),
        Hold::Waiting(sentence) => Ok(Err(Answer::new(cluster, Outcome::Waiting, sentence))),
    };
    let tls = match tls(outside, spec, &fleet, part, to_deploy).await? {
        Ok(tls) => tls,
        Err(hold) => return held(hold),
    };
    let mut today = domain::managed::Roles::default();
    if spec.topology.is_managed() {
        let stack = outside.stack(&stack_name(outside, cluster)).await?.filter(stands);
        if let Err(hold) = managed(outside, spec, part, stack.as_ref(), to_deploy).await? {
            return held(hold);
        }
        if stack.is_some() {
            today = roles::today(outside, cluster).await?;
        }
    }
    let template = template::render(spec, &fleet, &tls, part, &today);
    let body = store::body(&template)?;
    match store::too_large(cluster, &template, &body) {
        Some(sentence) => held(Hold::Refused(sentence)),
        None => Ok(Ok(Drawn { part, body })),
    }
}

/// Whether a stack has, or may have, what it is to hold.
fn stands(stack: &StackSeen) -> bool {
    !matches!(stack.status.as_str(), "REVIEW_IN_PROGRESS" | "ROLLBACK_COMPLETE")
}

/// The certificate; none for servers of AWS, which have their own, unless PgBouncer's hosts are in front of them.
async fn tls<O: Outside>(
    outside: &O,
    spec: &Spec,
    fleet: &Fleet,
    part: Part,
    to_deploy: bool,
) -> Result<Result<Tls, Hold>, Failure> {
    let records = template::records(spec, fleet);
    let has_hosts = part == Part::Primary && spec.rds.as_ref().is_some_and(|rds| rds.pooler.is_some());
    match (spec.topology.is_managed(), to_deploy) {
        (true, true) => {
            // Before anything exists: a zone that this function may not read would be found too late.
            outside.names(&records).await?;
            if has_hosts {
                certificate::ensure(outside, spec, &records, part).await
            } else {
                Ok(Ok(certificate::none()))
            }
        }
        (true, false) if !has_hosts => Ok(Ok(certificate::none())),
        (false, true) => {
            if part == Part::Primary {
                outside.records(&records).await?;
            }
            certificate::ensure(outside, spec, &records, part).await
        }
        (_, false) => certificate::known(outside, spec).await.map(Ok),
    }
}

/// What must be so before a stack of databases is made or changed.
async fn managed<O: Outside>(
    outside: &O,
    spec: &Spec,
    part: Part,
    stack: Option<&StackSeen>,
    to_deploy: bool,
) -> Result<Result<(), Hold>, Failure> {
    if stack.is_some() {
        return upgrade::is_none(outside, spec).await;
    }
    if !to_deploy {
        return Ok(Ok(()));
    }
    // What an earlier cluster of this name left says nothing about this one.
    roles::forget(outside, &spec.name).await?;
    match part {
        Part::Primary => Ok(Ok(())),
        Part::Dr => other_region::has_begun(outside, spec).await,
    }
}

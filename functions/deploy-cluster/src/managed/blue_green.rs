//! The pass over a blue/green deployment, as far as it goes in one request.

use super::noted;
use crate::{
    answer::{Answer, Outcome},
    deployment::stack_name,
    outside::Outside,
};
use domain::{
    blue_green::{Action, Deployment, Limits, Observed, Reason, Request, Step, decide},
    card::{ManagedCard, Registered, Topology},
    managed::Described,
    spec::{MultiAz, Spec},
    state::State,
};
use reconcile::{End, Failure, World, pass};

/// Does what a person asks.
pub(crate) async fn answer<O: Outside>(outside: &O, request: &Request) -> Result<Answer, Failure> {
    let cluster = &request.cluster;
    let refused = |sentence: String| Ok(Answer::new(cluster, Outcome::Refused, sentence));
    let card = match outside.card(cluster).await? {
        Some(Registered::Managed(card)) => card,
        Some(Registered::Ec2(card)) => return refused(Reason::NotManaged(card.topology).to_string()),
        None => return refused(format!("there is no cluster {cluster}")),
    };
    if outside.deletion(cluster).await?.is_some() {
        return refused(format!("{cluster} is being deleted"));
    }
    let mut world = Turn { outside, card: &card, request, done: false, seen: None };
    let end = pass(&mut world, decide).await?;
    let (done, deployment) = (world.done, world.seen.and_then(|seen| seen.deployment));
    let answer = |outcome, sentence: String| Ok(Answer::new(cluster, outcome, sentence));
    match end {
        End::Wait(reason) if done => answer(Outcome::Started, reason.to_string()),
        End::Wait(reason) => answer(Outcome::Waiting, reason.to_string()),
        End::Refuse(_, reason) => answer(Outcome::Refused, reason.to_string()),
        End::Steady { .. } => {
            let outcome = match request.action {
                Action::Status => Outcome::Status,
                Action::Delete => Outcome::Deleted,
                _ => Outcome::Ready,
            };
            answer(outcome, told(cluster, &request.action, deployment.as_ref()))
        }
    }
}

/// How it stands, in words.
fn told(cluster: &str, action: &Action, deployment: Option<&Deployment>) -> String {
    let Some(Deployment { id, status, details, source, target, .. }) = deployment else {
        return format!("there is no blue/green deployment of {cluster} any more; databases called ...-old1 were kept");
    };
    let request =
        |action: &str| format!("{{\"blue_green\": {{\"cluster\": \"{cluster}\", \"action\": \"{action}\"}}}}");
    let target = target.as_deref().unwrap_or("nothing yet");
    let details = details.as_ref().map(|details| format!(" ({details})")).unwrap_or_default();
    let mut sentence = format!("{id} of {cluster} is {status}{details}: {source} -> {target}");
    match status.as_str() {
        "AVAILABLE" if *action != Action::SwitchOver => sentence.push_str(&format!(
            "; the green side follows: {} lets it take over, {} throws it away",
            request("switch_over"),
            request("delete")
        )),
        "SWITCHOVER_COMPLETED" => sentence.push_str(&format!(
            "; names have swapped: the green databases have the old ones' identifiers and endpoints, so that stack, card \
             and records are true as they are; the old databases are kept as ...-old1, cost what they did, and are yours \
             to delete. After a major upgrade set postgresql.version in the spec and deploy. {} forgets the deployment",
            request("delete")
        )),
        _ => {}
    }
    sentence
}

/// What a blue/green deployment cannot have, of this cluster; what only the server or RDS's secret says is left open.
pub(super) fn limits(card: &ManagedCard, rds: &Described, spec: Option<&Spec>) -> Limits {
    let is_cascade =
        |instance: &&domain::managed::InstanceSeen| instance.source.is_some() && !instance.replicas.is_empty();
    let multi_az = spec.map(|spec| spec.rds().multi_az);
    Limits {
        proxy: spec.is_some_and(|spec| spec.managed().proxy.is_some()),
        second_region: card.other.is_some(),
        multi_az_cluster: card.topology == Topology::RdsPostgres
            && (card.db_cluster.is_some() || multi_az == Some(MultiAz::Cluster)),
        cascade: rds.instances.iter().find(is_cascade).map(|instance| instance.id.clone()),
        managed_password: false,
        logical_replication: None,
    }
}

/// One request in one pass.
struct Turn<'a, O> {
    outside: &'a O,
    card: &'a ManagedCard,
    request: &'a Request,
    done: bool,
    seen: Option<Observed>,
}

impl<O: Outside> Turn<'_, O> {
    async fn limits(&self, rds: &Described) -> Result<Limits, Failure> {
        let (outside, card) = (self.outside, self.card);
        let template = outside.template(&stack_name(outside, &card.cluster)).await?;
        let spec = noted::spec(&template).and_then(Result::ok);
        let mut limits = limits(card, rds, spec.as_ref());
        limits.managed_password = outside.manages_password(card).await?;
        limits.logical_replication = outside.server(card).await?.map(|(logical, _)| logical);
        Ok(limits)
    }

    /// What CloudFormation or RDS is busy with.
    async fn busy(&self) -> Result<Option<String>, Failure> {
        let name = stack_name(self.outside, &self.card.cluster);
        let stack = self.outside.stack(&name).await?;
        let busy = stack.filter(|stack| stack.status.ends_with("_IN_PROGRESS"));
        Ok(busy.map(|stack| format!("CloudFormation is at work, {}", stack.status)))
    }
}

impl<O: Outside> World for Turn<'_, O> {
    type Seen = Observed;
    type Step = Step;

    async fn observe(&mut self) -> Result<Observed, Failure> {
        let (outside, card, action) = (self.outside, self.card, &self.request.action);
        let deployment = outside.blue_green(card).await?;
        let state = outside.state(&card.cluster).await?;
        let changes = matches!(action, Action::Create(_) | Action::SwitchOver);
        let makes = matches!(action, Action::Create(_)) && deployment.is_none();
        let rds = if makes { outside.described(card).await? } else { Described::default() };
        let waits = *action == Action::SwitchOver && deployment.is_some();
        let seen = Observed {
            cluster: card.cluster.clone(),
            topology: card.topology,
            action: action.clone(),
            done: self.done,
            paused: paused(state.as_ref(), outside.now_ms()),
            writer_changes: state.and_then(|state| state.change).map(|change| change.from),
            busy: if changes { self.busy().await? } else { None },
            limits: if makes { self.limits(&rds).await? } else { Limits::default() },
            source: if changes { outside.source(card).await? } else { None },
            lag_bytes: if waits { outside.green_lag(card).await? } else { None },
            deployment,
        };
        self.seen = Some(seen.clone());
        Ok(seen)
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Create { source, wanted } => self.outside.create_blue_green(self.card, source, wanted).await?,
            Step::SwitchOver { id, timeout_s } => self.outside.switch_over_blue_green(id, *timeout_s).await?,
            Step::Delete { id, with_target } => self.outside.delete_blue_green(id, *with_target).await?,
        }
        self.done = true;
        Ok(())
    }
}

fn paused(state: Option<&State>, now_ms: u64) -> Option<String> {
    let pause = state?.pause.as_ref().filter(|pause| pause.until_ms > now_ms)?;
    Some(pause.reason.clone())
}

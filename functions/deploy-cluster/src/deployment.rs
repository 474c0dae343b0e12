//! The pass over a cluster's stack: from a spec, or to finish what a change
//! set began.

mod change_sets;
mod drawn;

use crate::{
    answer::{Answer, Outcome},
    harm::{Templates, Today, instead, verdicts},
    operation::Operation,
    outside::{Change, ChangeSetPhase, ChangeSetSeen, Image, NewChangeSet, Outside, StackSeen, TemplateAt},
    roles,
    stack::{self, Drop, Observed, Step},
    store, telling,
};
use change_sets::{Kind, Name};
use domain::{events::prefix, spec::Spec, state::State};
use reconcile::{End, Failure, World, pass};
use serde_json::Value;
use template::{IMAGE_PARAMETER, Part};

pub(crate) use change_sets::plan_name;
pub(crate) use drawn::{Drawn, draw};

/// How the pass over a stack ended.
pub(crate) enum Stacked {
    /// It is as wanted.
    Done(Part),
    /// It is not, yet or for good.
    Ended(Answer),
}

/// What a spec asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) part: Part,
    pub(crate) body: String,
}

/// Deploys a spec up to the stack; `whose` wish it is, as the beginning of a refusal.
pub(crate) async fn deploy<O: Outside>(outside: &O, spec: &Spec, whose: &'static str) -> Result<Stacked, Failure> {
    let cluster = &spec.name;
    if outside.deletion(cluster).await?.is_some() {
        let sentence = format!("{cluster} is being deleted: deploy it again when that is over");
        return Ok(Stacked::Ended(Answer::new(cluster, Outcome::Waiting, sentence)));
    }
    let Drawn { part, body } = match draw(outside, spec, true).await? {
        Ok(drawn) => drawn,
        Err(answer) => return Ok(Stacked::Ended(answer)),
    };
    if has_hosts(spec) {
        store::put_bundle(outside).await?;
    }
    let wanted = Some(Wanted { spec, part, body });
    Deployment { wanted, whose, ..Deployment::of(outside, cluster) }.run().await
}

/// Whether there are instances of EC2, which fetch what they run.
fn has_hosts(spec: &Spec) -> bool {
    !spec.topology.is_managed() || spec.rds().pooler.is_some()
}

/// Goes on with a change set that an earlier call made; without one there is nothing to do.
pub(crate) async fn finish<O: Outside>(outside: &O, cluster: &str) -> Result<Stacked, Failure> {
    Deployment::of(outside, cluster).run().await
}

/// Name of a cluster's stack.
pub(crate) fn stack_name(outside: &impl Outside, cluster: &str) -> String {
    prefix(&outside.settings().fleet) + cluster
}

/// What is unique in a stack's ARN: its last part.
pub(crate) fn unique(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// The stack of one cluster in one pass.
struct Deployment<'a, O> {
    outside: &'a O,
    cluster: &'a str,
    stack: String,
    /// `None` when a pass only finishes.
    wanted: Option<Wanted<'a>>,
    seen: Option<StackSeen>,
    dropped: Option<Drop>,
    executed: bool,
    whose: &'static str,
}

impl<'a, O: Outside> Deployment<'a, O> {
    fn of(outside: &'a O, cluster: &'a str) -> Self {
        Deployment {
            outside,
            cluster,
            stack: stack_name(outside, cluster),
            wanted: None,
            seen: None,
            dropped: None,
            executed: false,
            whose: "this spec",
        }
    }

    async fn run(&mut self) -> Result<Stacked, Failure> {
        let end = pass(self, stack::decide).await?;
        // A call with a spec has a person, who hears it anyway.
        if let (Some(stack), None) = (&self.seen, &self.wanted) {
            let news = stack.status != "REVIEW_IN_PROGRESS" && telling::is_news(self.outside, stack.changed_at_ms);
            if news {
                telling::tell(self.outside, self.cluster, &stack.id).await?;
            }
        }
        let answer = |outcome, sentence| Stacked::Ended(Answer::new(self.cluster, outcome, sentence));
        Ok(match end {
            End::Steady { .. } => Stacked::Done(self.part()),
            End::Wait(reason) if self.executed => answer(Outcome::Started, reason.to_string()),
            End::Wait(reason) => answer(Outcome::Waiting, reason.to_string()),
            End::Refuse(_, reason) => answer(Outcome::Refused, reason.to_string()),
        })
    }

    fn part(&self) -> Part {
        let wanted = self.wanted.as_ref().map(|wanted| wanted.part);
        wanted.or(self.seen.as_ref().map(|stack| stack.part)).unwrap_or(Part::Primary)
    }

    async fn is_wanted(&self, wanted: &Wanted<'_>, stack: Option<&StackSeen>) -> Result<bool, Failure> {
        if !stack.is_some_and(|stack| stack.status.ends_with("_COMPLETE")) {
            return Ok(false);
        }
        let live = self.outside.template(&self.stack).await?;
        Ok(serde_json::from_str::<Value>(&wanted.body).is_ok_and(|wanted| wanted == live))
    }

    async fn create(&self, name: &str, new_stack: bool, keeps_image: bool) -> Result<(), Failure> {
        let Some(wanted) = &self.wanted else {
            let what = format!("no spec of {} was given to make a change set from", self.cluster);
            return Err(Failure::Broken { call: "cloudformation:CreateChangeSet", what });
        };
        let template = store::put_template(self.outside, &wanted.body).await?;
        let new = change_set(self.outside, wanted, name, template, new_stack, keeps_image).await?;
        self.outside.create_change_set(&new).await
    }

    /// What executing a change set would do that it must not. Where the change set alone does not say so, the
    /// templates tell what of it is only feared.
    async fn harm(
        &self,
        change_set: Option<&ChangeSetSeen>,
        state: Option<&State>,
    ) -> Result<(Vec<String>, &'static str), Failure> {
        let Some(ChangeSetSeen { name, phase: ChangeSetPhase::Ready(changes) }) = change_set else {
            return Ok((vec![], ""));
        };
        if verdicts(changes, None, None).iter().all(|verdict| verdict.harm.is_none()) {
            return Ok((vec![], ""));
        }
        let live = self.outside.template(&self.stack).await?;
        let wanted = match &self.wanted {
            Some(wanted) => store::parsed(&wanted.body)?,
            None => self.outside.change_set_template(&self.stack, name).await?,
        };
        let today = today(self.outside, self.cluster, state).await?;
        let verdicts = verdicts(changes, Some(Templates { live: &live, wanted: &wanted }), Some(&today));
        let harmful = verdicts.into_iter().filter_map(|verdict| verdict.real.zip(verdict.harm));
        let (real, harm): (Vec<Change>, Vec<String>) = harmful.unzip();
        Ok((harm, instead(&real)))
    }

    /// What is left of a first creation that was rolled back, by logical id: what it was told to keep is no part of it.
    async fn left(&self, stack: Option<&StackSeen>) -> Result<Option<Vec<String>>, Failure> {
        if self.wanted.is_none() || stack.is_none_or(|stack| stack.status != "ROLLBACK_COMPLETE") {
            return Ok(None);
        }
        what_is_left(self.outside, &self.stack).await.map(Some)
    }

    async fn story(&self, stack: Option<&StackSeen>) -> Result<Option<String>, Failure> {
        let Some(stack) = stack.filter(|stack| is_stuck(&stack.status)) else { return Ok(None) };
        match Operation::read(&self.outside.last_change(&stack.id).await?) {
            Some(operation) => telling::story(self.outside, self.cluster, &operation).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Who is what today, for the judgement of a change.
pub(crate) async fn today<O: Outside>(outside: &O, cluster: &str, state: Option<&State>) -> Result<Today, Failure> {
    Ok(Today {
        fleet: outside.settings().fleet.clone(),
        cluster: cluster.to_owned(),
        roles: roles::today(outside, cluster).await?,
        writer: state.and_then(|state| state.writer.clone()),
    })
}

/// Whether a stack in this state goes nowhere without a person.
pub(crate) fn is_stuck(status: &str) -> bool {
    status.ends_with("_FAILED") || status == "ROLLBACK_COMPLETE"
}

/// What there still is of a stack, by logical id; what it was told to keep is no part of it.
pub(crate) async fn what_is_left<O: Outside>(outside: &O, stack: &str) -> Result<Vec<String>, Failure> {
    let resources = outside.resources(stack).await?;
    let left = resources.into_iter().filter(|resource| !resource.status.starts_with("DELETE_"));
    Ok(left.map(|resource| resource.logical_id).collect())
}

/// A change set for a wanted template.
pub(crate) async fn change_set<O: Outside>(
    outside: &O,
    wanted: &Wanted<'_>,
    name: &str,
    template: TemplateAt,
    new_stack: bool,
    keeps_image: bool,
) -> Result<NewChangeSet, Failure> {
    let Wanted { spec, part, body } = wanted;
    let asks = serde_json::from_str::<Value>(body).is_ok_and(|body| body["Parameters"][IMAGE_PARAMETER].is_object());
    let image = match (asks, keeps_image) {
        (false, _) => Image::InTemplate,
        (true, true) => Image::Kept,
        (true, false) => {
            let architecture = spec.architecture();
            Image::Is(outside.image(&spec.image.os.image_parameter(architecture)).await?)
        }
    };
    let mut tags: Vec<(String, String)> = spec.tags.clone().into_iter().collect();
    tags.push(("understudy:fleet".into(), outside.settings().fleet.clone()));
    tags.push(("understudy:cluster".into(), spec.name.clone()));
    if *part == Part::Dr {
        // By it the minute, which has no spec, knows that there is no card to look for.
        tags.push(("understudy:part".into(), "dr".into()));
    }
    let stack = stack_name(outside, &spec.name);
    Ok(NewChangeSet { stack, name: name.to_owned(), new_stack, template, image, tags })
}

impl<O: Outside> World for Deployment<'_, O> {
    type Seen = Observed;
    type Step = Step;

    async fn observe(&mut self) -> Result<Observed, Failure> {
        let stack = self.outside.stack(&self.stack).await?;
        let open = match &stack {
            Some(_) => change_sets::open(self.outside, &self.stack).await?,
            None => Vec::new(),
        };
        let wanted = match &self.wanted {
            Some(wanted) => Some(Name::of(wanted, stack.as_ref())),
            None => open.iter().find(|name| matches!(name.kind, Kind::Deploy { .. })).cloned(),
        };
        let change_set = match (&stack, &wanted) {
            (Some(_), Some(name)) => self.outside.change_set(&self.stack, &name.text).await?,
            _ => None,
        };
        let is_wanted = match &self.wanted {
            Some(wanted) => self.is_wanted(wanted, stack.as_ref()).await?,
            None => change_set.is_none(),
        };
        let stale = open.into_iter().filter(|name| wanted.as_ref() != Some(name)).map(|name| name.text).collect();
        let left = self.left(stack.as_ref()).await?;
        let story = self.story(stack.as_ref()).await?;
        self.seen.clone_from(&stack);
        let state = self.outside.state(self.cluster).await?;
        let (harm, instead) = self.harm(change_set.as_ref(), state.as_ref()).await?;
        Ok(Observed {
            harm,
            instead,
            whose: self.whose,
            name: self.stack.clone(),
            stack,
            is_wanted,
            change_set,
            protection: wanted.as_ref().and_then(Name::protection),
            wanted_change_set: wanted.map(|name| name.text),
            stale,
            has_spec: self.wanted.is_some(),
            left,
            story,
            state,
            dropped: self.dropped.clone(),
        })
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Unclaim => self.outside.unclaim(self.cluster).await,
            Step::Create { name, new_stack, keeps_image } => self.create(name, *new_stack, *keeps_image).await,
            Step::Protect(protected) => self.outside.protect(&self.stack, *protected).await,
            Step::Clear(id) => self.outside.delete_stack(id, &format!("clear-{}", unique(id))).await,
            Step::Execute(name) => {
                self.outside.execute_change_set(&self.stack, name).await?;
                self.executed = true;
                Ok(())
            }
            Step::Drop(name, why) => {
                self.outside.delete_change_set(&self.stack, name).await?;
                self.dropped = Some(why.clone());
                Ok(())
            }
        }
    }
}

//! The pass over a cluster's stack: from a spec, or to finish what a change
//! set began.

use crate::{
    answer::{Answer, Outcome},
    outside::{Image, NetworkSeen, NewChangeSet, Outside, StackSeen},
    stack::{self, Drop, Observed, Step},
};
use domain::{
    events::prefix,
    spec::{Architecture, Problem, Spec},
};
use reconcile::{End, Failure, World, pass};
use serde_json::Value;
use sha2::{Digest, Sha256};
use template::{BODY_LIMIT, Fleet, Template, Tls, USER_DATA_LIMIT};

/// What all change sets of Understudy are named.
const CHANGE_SETS: &str = "understudy-";

/// How the pass over a stack ended.
pub(crate) enum Stacked {
    /// It is as wanted.
    Done,
    /// It is not, yet or for good.
    Ended(Answer),
}

/// Deploys a spec up to the stack.
pub(crate) async fn deploy<O: Outside>(outside: &O, spec: &Spec) -> Result<Stacked, Failure> {
    let cluster = &spec.name;
    let fleet = match fleet(outside, spec).await? {
        Ok(fleet) => fleet,
        Err(problems) => return Ok(Stacked::Ended(Answer::refused(Some(cluster), problems))),
    };
    // Before anything exists: a zone that this function may not read would be found too late.
    let records = template::records(spec, &fleet);
    outside.records(&records).await?;
    let tls = match tls(outside, cluster, &[records.writer, records.reader]).await? {
        Ok(tls) => tls,
        Err(sentence) => return Ok(Stacked::Ended(Answer::new(cluster, Outcome::Refused, sentence))),
    };
    let template = template::ec2_streaming(spec, &fleet, &tls);
    let body = body(&template)?;
    let sizes = [
        ("template", body.len(), BODY_LIMIT, "CloudFormation"),
        ("user data", template.longest_user_data(), USER_DATA_LIMIT, "EC2"),
    ];
    if let Some((what, size, limit, who)) = sizes.into_iter().find(|(_, size, limit, _)| size > limit) {
        let sentence = format!(
            "the {what} of {cluster} would have {size} bytes and {who} takes {limit}: \
             use fewer members, networks or tags; nothing was changed"
        );
        return Ok(Stacked::Ended(Answer::new(cluster, Outcome::Refused, sentence)));
    }
    let mut world = Deployment { wanted: Some(Wanted { spec, body }), ..Deployment::of(outside, cluster) };
    world.run().await
}

/// Goes on with a change set that an earlier call made; without one there is nothing to do.
pub(crate) async fn finish<O: Outside>(outside: &O, cluster: &str) -> Result<Stacked, Failure> {
    Deployment::of(outside, cluster).run().await
}

/// Name of a cluster's stack.
pub(crate) fn stack_name(outside: &impl Outside, cluster: &str) -> String {
    prefix(&outside.settings().fleet) + cluster
}

fn body(template: &Template) -> Result<String, Failure> {
    template.body().map_err(|error| Failure::Broken { call: "render", what: error.to_string() })
}

/// The fleet as this spec's template needs it.
async fn fleet<O: Outside>(outside: &O, spec: &Spec) -> Result<Result<Fleet, Vec<Problem>>, Failure> {
    let settings = outside.settings();
    let own = !spec.network.subnet_ids.is_empty();
    let ids = if own { &spec.network.subnet_ids } else { &settings.subnet_ids };
    let NetworkSeen { cidrs, subnets } = outside.network(ids).await?;
    let missing: Vec<(usize, &String)> =
        ids.iter().enumerate().filter(|(at, _)| subnets.get(*at).is_none_or(Option::is_none)).collect();
    if let (false, Some((_, id))) = (own, missing.first()) {
        let what = format!("subnet {id} of this function's SUBNET_IDS is not in VPC {}", settings.vpc_id);
        return Err(Failure::Broken { call: "ec2:DescribeSubnets", what });
    }
    if !missing.is_empty() {
        let problem = |(at, id): (usize, &String)| Problem {
            path: format!("/network/subnet_ids/{at}"),
            found: format!("\"{id}\""),
            allowed: format!("a subnet of the fleet's VPC {}", settings.vpc_id),
        };
        return Ok(Err(missing.into_iter().map(problem).collect()));
    }
    Ok(Ok(Fleet {
        name: settings.fleet.clone(),
        region: settings.region.clone(),
        vpc_id: settings.vpc_id.clone(),
        client_cidrs: cidrs,
        subnets: subnets.into_iter().flatten().collect(),
        zone: settings.zone.clone(),
        functions_security_group_id: settings.functions_security_group_id.clone(),
        pages_topic_arn: settings.pages_topic_arn.clone(),
        state_table: settings.state_table.clone(),
    }))
}

/// The cluster's certificate, made once; or a sentence why what is there cannot be used.
async fn tls<O: Outside>(outside: &O, cluster: &str, names: &[String]) -> Result<Result<Tls, String>, Failure> {
    if outside.tls(cluster).await?.is_none() {
        match outside.create_tls(cluster, names).await {
            // Another call made it first: then that one is it.
            Ok(()) | Err(Failure::LostRace { .. }) => {}
            Err(failure) => return Err(failure),
        }
    }
    let secret = format!("understudy/{}/{cluster}/tls", outside.settings().fleet);
    let Some(seen) = outside.tls(cluster).await? else {
        let what = format!("secret {secret}, which is not readable yet");
        return Err(Failure::LostRace { call: "secretsmanager:GetSecretValue", what });
    };
    if seen.names != names {
        return Ok(Err(format!(
            "secret {secret} holds a certificate for {} and the records are {}; \
             if no cluster uses it: aws secretsmanager delete-secret --force-delete-without-recovery --secret-id {secret}",
            seen.names.join(" and "),
            names.join(" and "),
        )));
    }
    Ok(Ok(seen.tls))
}

/// What a spec asks for.
struct Wanted<'a> {
    spec: &'a Spec,
    body: String,
}

/// The stack of one cluster in one pass.
struct Deployment<'a, O> {
    outside: &'a O,
    cluster: &'a str,
    stack: String,
    /// `None` when a pass only finishes.
    wanted: Option<Wanted<'a>>,
    dropped: Option<Drop>,
    executed: bool,
}

impl<'a, O: Outside> Deployment<'a, O> {
    fn of(outside: &'a O, cluster: &'a str) -> Self {
        Deployment {
            outside,
            cluster,
            stack: stack_name(outside, cluster),
            wanted: None,
            dropped: None,
            executed: false,
        }
    }

    async fn run(&mut self) -> Result<Stacked, Failure> {
        let end = pass(self, stack::decide).await?;
        let answer = |outcome, sentence| Stacked::Ended(Answer::new(self.cluster, outcome, sentence));
        Ok(match end {
            End::Steady { .. } => Stacked::Done,
            End::Wait(reason) if self.executed => answer(Outcome::Started, reason.to_string()),
            End::Wait(reason) => answer(Outcome::Waiting, reason.to_string()),
            End::Refuse(_, reason) => answer(Outcome::Refused, reason.to_string()),
        })
    }

    /// The same name for the same change: of this template, of the stack as it is.
    fn change_set_name(&self, wanted: &Wanted<'_>, stack: Option<&StackSeen>) -> String {
        let mut hash = Sha256::new();
        hash.update(&wanted.body);
        // A stack that is still to be made is the same before and after its change set was.
        if let Some(stack) = stack.filter(|stack| stack.status != "REVIEW_IN_PROGRESS") {
            hash.update(&stack.id);
            hash.update(&stack.changed_at);
        }
        let hash = hash.finalize();
        let digits: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{CHANGE_SETS}{digits}")
    }

    async fn is_wanted(&self, wanted: &Wanted<'_>, stack: Option<&StackSeen>) -> Result<bool, Failure> {
        if !stack.is_some_and(|stack| stack.status.ends_with("_COMPLETE")) {
            return Ok(false);
        }
        let live = self.outside.template(&self.stack).await?;
        Ok(serde_json::from_str::<Value>(&wanted.body).is_ok_and(|wanted| wanted == live))
    }

    async fn create(&self, name: &str, new_stack: bool, keeps_image: bool) -> Result<(), Failure> {
        let Some(Wanted { spec, body }) = &self.wanted else {
            let what = format!("no spec of {} was given to make a change set from", self.cluster);
            return Err(Failure::Broken { call: "cloudformation:CreateChangeSet", what });
        };
        let image = match &spec.image.ami {
            Some(_) => Image::InTemplate,
            None if keeps_image => Image::Kept,
            None => {
                let architecture = Architecture::of_instance_type(&spec.members.instance_type);
                Image::Is(self.outside.image(&spec.image.os.image_parameter(architecture)).await?)
            }
        };
        let mut tags: Vec<(String, String)> = spec.tags.clone().into_iter().collect();
        tags.push(("understudy:fleet".into(), self.outside.settings().fleet.clone()));
        tags.push(("understudy:cluster".into(), self.cluster.to_owned()));
        let new = NewChangeSet {
            stack: self.stack.clone(),
            name: name.to_owned(),
            new_stack,
            body: body.clone(),
            image,
            tags,
        };
        self.outside.create_change_set(&new).await
    }
}

impl<O: Outside> World for Deployment<'_, O> {
    type Seen = Observed;
    type Step = Step;

    async fn observe(&mut self) -> Result<Observed, Failure> {
        let stack = self.outside.stack(&self.stack).await?;
        let mut open = match &stack {
            Some(_) => self.outside.open_change_sets(&self.stack).await?,
            None => Vec::new(),
        };
        open.retain(|name| name.starts_with(CHANGE_SETS));
        let wanted_change_set = match &self.wanted {
            Some(wanted) => Some(self.change_set_name(wanted, stack.as_ref())),
            None => open.first().cloned(),
        };
        let change_set = match (&stack, &wanted_change_set) {
            (Some(_), Some(name)) => self.outside.change_set(&self.stack, name).await?,
            _ => None,
        };
        let is_wanted = match &self.wanted {
            Some(wanted) => self.is_wanted(wanted, stack.as_ref()).await?,
            None => change_set.is_none(),
        };
        open.retain(|name| wanted_change_set.as_ref() != Some(name));
        Ok(Observed {
            name: self.stack.clone(),
            stack,
            is_wanted,
            change_set,
            wanted_change_set,
            stale: open,
            state: self.outside.state(self.cluster).await?,
            dropped: self.dropped.clone(),
        })
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Unclaim => self.outside.unclaim(self.cluster).await,
            Step::Create { name, new_stack, keeps_image } => self.create(name, *new_stack, *keeps_image).await,
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

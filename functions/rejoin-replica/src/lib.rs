//! Makes an old writer that comes back a standby (I13).
//!
//! Woken by `watch-clusters` when PostgreSQL on a member does not run, by
//! instances that start, and every five minutes; see `RejoinReplicaFunction` in
//! `infra/template.yaml`. Whatever woke it, it looks for itself;
//! [`domain::rejoin`] decides for each member; `rejoin.sh` on the member acts.
//!
//! Where Patroni owns a cluster (I15), old writers come back by themselves; what
//! is left are hosts that are dead ([`repair()`]; [`domain::repair`] decides).
//!
//! A pass ends while the script runs: any later one goes on from the item
//! `rejoin#<instance id>` in the state table and from what SSM says.

mod hosts;

pub use hosts::repair;

use domain::{
    decision::Decision,
    failover::{Member, Observed, Page},
    rejoin::{Ledger, Rejoin, Sent, Step, Way, decide},
    time::stamp,
};
use reconcile::{Failure, Looks, Members, Report, Silences, Turn, Waking};
use std::sync::Arc;

/// What this function may call, in IAM's words: the same set as its policy in
/// `infra/template.yaml`, proven equal by a test.
pub const CALLS: [&str; 16] = [
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "ec2:DescribeInstanceStatus",
    "ec2:DescribeInstances",
    "ec2:RebootInstances",
    "ec2:StartInstances",
    // By EC2, to start a host whose volumes have a key of their owner's; and by Secrets Manager.
    "kms:CreateGrant",
    "kms:Decrypt",
    "secretsmanager:GetSecretValue",
    "sns:Publish",
    "ssm:GetCommandInvocation",
    "ssm:GetParameter",
    "ssm:GetParametersByPath",
    "ssm:ListCommandInvocations",
    "ssm:SendCommand",
];

/// While one pass tells something, others leave it to that one for so long:
/// longer than a pass lives (60 s), so that what it could not tell is told again.
const TELLING_MS: u64 = 120_000;

/// Steps of one member in one pass: find the command, note how it failed, begin
/// anew; then nothing is left that needs no time.
const MOST_STEPS: u32 = 5;

/// One pass over one cluster.
pub struct Pass<O> {
    looks: Looks<O>,
    turn: Turn,
}

/// What a pass did about a member, or why it waits.
enum Line {
    Did(String),
    Waits(String),
}

/// How a step ended.
enum Done {
    /// What is known of its way has changed: it is looked up again.
    Next,
    /// Its way is at its end. The look at the member is older than that, so
    /// nothing new is begun by it.
    Over,
    /// Nothing more can be done about it now, and why.
    Enough(String),
}

impl<O: Members> Pass<O> {
    /// Begins a pass.
    pub fn new(outside: O, waking: Waking, silences: Arc<Silences>, turn: Turn) -> Self {
        Pass { looks: Looks::new(outside, waking, turn.pass.clone(), silences).without_records(), turn }
    }

    /// What is known of a member's way back.
    async fn way(&self, id: &str) -> Result<Way, Failure> {
        let outside = &self.looks.outside;
        let Some(item) = outside.rejoin(id).await? else { return Ok(Way::default()) };
        let command = match item.command.as_ref().filter(|_| item.failed.is_none()) {
            Some(command) => Some(outside.command(id, command).await?),
            None => None,
        };
        let found = if item.is_unsure() { outside.find_command(id, &item.order()).await? } else { None };
        Ok(Way { item: Some(item), command, found })
    }

    /// Goes as far as it can with one member; what was done, or why it waits.
    async fn bring(&self, seen: &Observed, member: &Member) -> Result<Vec<Line>, Failure> {
        let id = &member.card.id;
        let mut story = Vec::new();
        for _ in 0..MOST_STEPS {
            let way = self.way(id).await?;
            let steps = match decide(seen, member, &way) {
                Decision::Steady => return Ok(story),
                Decision::Wait(reason) | Decision::Refuse(reason) => {
                    story.push(Line::Waits(format!("{id}: {reason}")));
                    return Ok(story);
                }
                Decision::Act(steps) => steps,
            };
            for step in steps {
                self.turn.in_time(self.looks.outside.now_ms())?;
                tracing::info!("{id}: {step}");
                story.push(Line::Did(format!("{id}: {step}")));
                match self.perform(id, &step).await? {
                    Done::Next => {}
                    Done::Over => return Ok(story),
                    Done::Enough(why) => {
                        story.push(Line::Waits(format!("{id}: {why}")));
                        return Ok(story);
                    }
                }
            }
        }
        Ok(story)
    }

    async fn perform(&self, id: &str, step: &Step) -> Result<Done, Failure> {
        match step {
            Step::Begin { before, after } => self.begin(id, before.as_ref(), after).await,
            Step::Note { before, after, page: Some(page) } => {
                let told = self.tell(id, before, page, async || Ok(())).await?;
                let Done::Next = told else { return Ok(told) };
                self.note(id, before, after).await
            }
            Step::Note { before, after, page: None } => self.note(id, before, after).await,
            Step::Finish { item, ledger, page } => {
                let told = self.tell(id, item, page, async || self.append(ledger).await).await?;
                let Done::Next = told else { return Ok(told) };
                self.forget(id, item).await
            }
            Step::Forget(item) => self.forget(id, item).await,
        }
    }

    /// The note before the command: a pass that dies in between leaves a note
    /// of a command that may have been sent, never a command without a note.
    async fn begin(&self, id: &str, before: Option<&Rejoin>, after: &Rejoin) -> Result<Done, Failure> {
        let outside = &self.looks.outside;
        // I2: a change of writer may have begun since the look.
        if outside.state().await? != self.looks.state {
            let what = format!("the state of {}", outside.card().cluster);
            return Err(Failure::LostRace { call: "dynamodb:GetItem", what });
        }
        outside.note_rejoin(id, before, after).await?;
        let same_epoch = before.filter(|before| before.epoch == after.epoch);
        let noted = match outside.send_command(id, &after.order()).await? {
            Sent::Command(command) => {
                tracing::info!("{id}: command {command} at {}", stamp(outside.now_ms()));
                Rejoin { command: Some(command), told_long: false, ..after.clone() }
            }
            Sent::NoAgent(why) => {
                let since = same_epoch.and_then(|before| before.no_agent_since_ms).unwrap_or(after.began_at_ms);
                let noted = Rejoin { no_agent_since_ms: Some(since), ..after.clone() };
                outside.note_rejoin(id, Some(after), &noted).await?;
                return Ok(Done::Enough(format!("SSM has no agent there: {why}")));
            }
        };
        outside.note_rejoin(id, Some(after), &noted).await?;
        Ok(Done::Next)
    }

    async fn note(&self, id: &str, before: &Rejoin, after: &Rejoin) -> Result<Done, Failure> {
        self.looks.outside.note_rejoin(id, Some(before), after).await?;
        Ok(Done::Next)
    }

    async fn forget(&self, id: &str, item: &Rejoin) -> Result<Done, Failure> {
        self.looks.outside.forget_rejoin(id, item).await?;
        Ok(Done::Over)
    }

    /// Tells a person, once: of two passes that see the same end, one tells. The
    /// page before the note: a pass that dies in between tells twice, which is
    /// better than never.
    async fn tell(
        &self,
        id: &str,
        item: &Rejoin,
        page: &Page,
        first: impl AsyncFnOnce() -> Result<(), Failure>,
    ) -> Result<Done, Failure> {
        let outside = &self.looks.outside;
        let long = if item.told_long { "#long" } else { "" };
        let what = format!("rejoin#{id}#{}{long}", item.began_at_ms);
        if !outside.tell_once(&what, outside.now_ms(), TELLING_MS).await? {
            return Ok(Done::Enough("another pass is telling of it".to_owned()));
        }
        tracing::info!("page: {}", page.subject);
        let told = match first().await {
            Ok(()) => outside.send(page).await,
            Err(failure) => Err(failure),
        };
        let Err(failure) = told else { return Ok(Done::Next) };
        if let Err(failure) = outside.untell(&what).await {
            tracing::warn!("{}", failure.story());
        }
        Err(failure)
    }

    async fn append(&self, ledger: &Ledger) -> Result<(), Failure> {
        let entry = ledger.entry().map_err(reconcile::failed("dynamodb:PutItem"))?;
        self.looks.outside.append(&ledger.item(), &entry).await.map(drop)
    }
}

/// Runs one pass over one cluster: each member that is on its way back, or
/// waits for it, is brought as far as it goes now.
///
/// # Errors
///
/// The first [`Failure`], after every member was looked at; the next pass goes
/// on from what was done.
pub async fn bring_back<O: Members>(cluster: &mut Pass<O>) -> Result<Report, Failure> {
    let seen = cluster.looks.look().await?;
    let (mut story, mut problem) = (Vec::new(), None);
    for member in &seen.members {
        match cluster.bring(&seen, member).await {
            Ok(done) => story.extend(done),
            Err(failure) => {
                tracing::warn!("{}: {}", member.card.id, failure.story());
                problem.get_or_insert(failure);
            }
        }
    }
    match problem {
        Some(failure) => Err(failure),
        None if story.is_empty() => {
            Ok(Report::new(&seen.cluster, "steady", "no member waits to be made a standby".to_owned()))
        }
        None => {
            let acted = story.iter().any(|line| matches!(line, Line::Did(_)));
            let lines: Vec<String> = story.into_iter().map(|(Line::Did(line) | Line::Waits(line))| line).collect();
            Ok(Report::new(&seen.cluster, if acted { "acted" } else { "waits" }, lines.join("; ")))
        }
    }
}

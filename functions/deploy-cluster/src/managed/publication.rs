//! The pass over what a cluster of AWS's has beside its stack: roles and database by SQL, first records, and a page
//! that it is ready.

use super::{
    anew,
    names::{Observed, Step, decide},
    noted::{self, SetUp},
};
use crate::{
    answer::{Answer, Outcome},
    deployment::{stack_name, unique},
    outside::{Outside, StackSeen},
    roles::{self, SET_UP},
    telling,
};
use domain::{
    card::{ManagedCard, Side},
    failover::Page,
};
use reconcile::{End, Failure, World, pass};
use serde_json::Value;

/// How long a cluster may be without its records when its stack is complete, before a person is told, in milliseconds:
/// longer than a first adoption by `promote-replica` takes, which looks every minute.
const LATE_MS: u64 = 10 * 60 * 1_000;

/// Makes what is missing beside a stack that is complete.
pub(crate) async fn publish<O: Outside>(outside: &O, card: &ManagedCard) -> Result<Answer, Failure> {
    let cluster = &card.cluster;
    let name = stack_name(outside, cluster);
    let Some(stack) = outside.stack(&name).await? else {
        return Ok(Answer::new(cluster, Outcome::Waiting, format!("cluster {cluster} has a card and no stack")));
    };
    let template = outside.template(&name).await?;
    if let Some(answer) = anew::catch_up(outside, card, &template).await? {
        return Ok(answer);
    }
    let mut world = Publication { outside, card, set_up: set_up(card, &template, &stack), trouble: None, seen: None };
    let end = pass(&mut world, decide).await?;
    let seen = world.seen;
    match end {
        End::Steady { .. } => {
            let sentence = seen.map(|seen| sentence(&seen)).unwrap_or_default();
            tell_ready(outside, card, &stack, &sentence).await?;
            Ok(Answer::new(cluster, Outcome::Ready, sentence))
        }
        End::Wait(reason) => {
            tell_late(outside, card, &stack, &reason.to_string()).await?;
            Ok(Answer::new(cluster, Outcome::Waiting, reason.to_string()))
        }
        End::Refuse(_, reason) => {
            tell_late(outside, card, &stack, &reason.to_string()).await?;
            Ok(Answer::new(cluster, Outcome::Refused, reason.to_string()))
        }
    }
}

/// What SQL shall have made; `None` on the second side, which gets it from the first, and for a template that does not
/// say of what it was made.
fn set_up(card: &ManagedCard, template: &Value, stack: &StackSeen) -> Option<SetUp> {
    let spec = noted::spec(template)?.ok()?;
    (card.side == Side::Primary).then(|| SetUp::of(&spec, unique(&stack.id)))
}

fn sentence(seen: &Observed) -> String {
    let writer = seen.names.writer.as_deref().unwrap_or_default();
    let readers = match seen.names.readers.as_slice() {
        [] => "nobody".to_owned(),
        readers => readers.join(", "),
    };
    format!("{} names {writer}, {} names {readers}", seen.card.records.writer, seen.card.records.reader)
}

/// That a cluster can be used, once in its life.
async fn tell_ready<O: Outside>(
    outside: &O,
    card: &ManagedCard,
    stack: &StackSeen,
    sentence: &str,
) -> Result<(), Failure> {
    let ManagedCard { cluster, records, port, database, pooler, .. } = card;
    let next = match (card.side, pooler) {
        (Side::Dr, _) => format!("it follows the primary side; {{\"status\": \"{cluster}\"}} says how far"),
        (Side::Primary, Some(pooler)) => {
            format!(
                "clients: host={pooler} dbname={database} sslmode=verify-ca; without pool: host={} port={port}",
                records.writer
            )
        }
        (Side::Primary, None) => format!(
            "clients: host={} port={port} dbname={database} sslmode=verify-ca; reading: host={}",
            records.writer, records.reader
        ),
    };
    let page = Page::about(&format!("{cluster}: ready"))
        .line("Done", &format!("{cluster} ({}) is set up and has its records", card.topology))
        .line("Now", sentence)
        .line("Next", &next);
    telling::once(outside, cluster, &format!("ready#{}", unique(&stack.id)), &page).await
}

/// That it should be usable by now and is not.
async fn tell_late<O: Outside>(outside: &O, card: &ManagedCard, stack: &StackSeen, why: &str) -> Result<(), Failure> {
    let since = outside.now_ms().saturating_sub(stack.changed_at_ms);
    if since < LATE_MS || stack.status.ends_with("_IN_PROGRESS") {
        return Ok(());
    }
    let cluster = &card.cluster;
    let page = Page::about(&format!("{cluster}: not ready"))
        .line("Seen", why)
        .line("Now", &format!("its stack was last changed {} min ago; every minute tries again", since / 60_000))
        .line("Next", &format!("look at the databases, and at {{\"status\": \"{cluster}\"}}"));
    telling::once(outside, cluster, &format!("late#{}#{}", unique(&stack.id), stack.changed_at_ms), &page).await
}

/// One pass.
struct Publication<'a, O> {
    outside: &'a O,
    card: &'a ManagedCard,
    set_up: Option<SetUp>,
    trouble: Option<String>,
    seen: Option<Observed>,
}

impl<O: Outside> Publication<'_, O> {
    fn wanted(&self) -> Result<Option<Value>, Failure> {
        let wanted = self.set_up.as_ref().map(serde_json::to_value).transpose();
        wanted.map_err(|error| Failure::Broken { call: "set up", what: error.to_string() })
    }
}

impl<O: Outside> World for Publication<'_, O> {
    type Seen = Observed;
    type Step = Step;

    async fn observe(&mut self) -> Result<Observed, Failure> {
        let (outside, card) = (self.outside, self.card);
        let wanted = self.wanted()?;
        let is_set_up = wanted.is_none() || wanted == outside.kept(&card.cluster, SET_UP).await?;
        let mut seen = Observed {
            card: card.clone(),
            rds: outside.described(card).await?,
            names: outside.names(&card.records).await?,
            state: outside.state(&card.cluster).await?,
            roles: roles::today(outside, &card.cluster).await?,
            is_set_up,
            trouble: self.trouble.clone(),
            answers: None,
        };
        let to_ask = seen.to_ask();
        if !to_ask.is_empty() {
            seen.answers = Some(outside.ask(card, &to_ask).await?);
        }
        self.seen = Some(seen.clone());
        Ok(seen)
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        let (outside, card) = (self.outside, self.card);
        let records = &card.records;
        match step {
            Step::SetUp(endpoint) => {
                let (Some(set_up), Some(wanted)) = (&self.set_up, self.wanted()?) else { return Ok(()) };
                match outside.set_up(card, endpoint, set_up).await {
                    Ok(made) => {
                        tracing::info!("{} made at {endpoint}: {}", card.cluster, made.join(", "));
                        let before = outside.kept(&card.cluster, SET_UP).await?;
                        outside.keep(&card.cluster, SET_UP, before.as_ref(), Some(&wanted)).await
                    }
                    // A server that has just been made may need another minute; if it needs more, a page says so.
                    Err(failure @ Failure::Transient { call: "postgres:set-up", .. }) => {
                        tracing::warn!("{}", failure.story());
                        self.trouble = Some(failure.story());
                        Ok(())
                    }
                    Err(failure) => Err(failure),
                }
            }
            Step::PointWriter { from, to } => {
                let from = from.as_ref().map(|(name, epoch)| (name.as_str(), *epoch));
                outside.move_name(records, from, (to.0.as_str(), to.1)).await
            }
            Step::PointReaders(readers) => outside.set_reader_names(records, readers).await,
        }
    }
}

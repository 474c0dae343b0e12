//! The pass over a cluster's records.

use crate::{
    answer::{Answer, Outcome},
    outside::Outside,
    records::{Observed, Step, decide, needs_members},
};
use domain::card::Card;
use reconcile::{End, Failure, World, pass};

/// Creates the records of a cluster whose stack is complete, as soon as it serves.
pub(crate) async fn publish<O: Outside>(outside: &O, card: &Card) -> Result<Answer, Failure> {
    let cluster = &card.cluster;
    let mut world = Publication { outside, card };
    Ok(match pass(&mut world, decide).await? {
        End::Steady { .. } => {
            let records = outside.records(&card.records).await?;
            let writer = card.members.iter().find(|member| records.writer.contains(&member.address));
            let at = writer.map(|member| format!("{} at {}", member.name, member.address)).unwrap_or_default();
            let sentence = format!(
                "{} names {at}, {} names {} standbys",
                card.records.writer,
                card.records.reader,
                records.reader.len()
            );
            Answer::new(cluster, Outcome::Ready, sentence)
        }
        End::Wait(reason) => Answer::new(cluster, Outcome::Waiting, reason.to_string()),
        End::Refuse(_, reason) => Answer::new(cluster, Outcome::Refused, reason.to_string()),
    })
}

/// The records of one cluster in one pass.
struct Publication<'a, O> {
    outside: &'a O,
    card: &'a Card,
}

impl<O: Outside> World for Publication<'_, O> {
    type Seen = Observed;
    type Step = Step;

    async fn observe(&mut self) -> Result<Observed, Failure> {
        let records = self.outside.records(&self.card.records).await?;
        let state = self.outside.state(&self.card.cluster).await?;
        let asks = state.as_ref().is_some_and(|state| needs_members(self.card, state, &records));
        let members = if asks { Some(self.outside.probe(self.card).await?) } else { None };
        Ok(Observed { card: self.card.clone(), records, state, members })
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        let records = &self.card.records;
        match step {
            Step::PointWriter { from, to } => self.outside.move_writer(records, *from, *to).await,
            Step::PointReaders(addresses) => self.outside.set_readers(records, addresses).await,
        }
    }
}

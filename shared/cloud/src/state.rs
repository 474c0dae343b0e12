//! The state table: who may act on a cluster, on what epoch (I1).
//!
//! Every write is conditional. A write whose answer was lost is repeated by the
//! SDK, and the repetition then meets its own effect: so each carries a
//! `write_id`, and a refusal by an item that holds this very id is a success.

mod deploy;
mod item;
mod kept;
mod once;
mod person;
mod rejoin;
mod write;

pub use deploy::SetupProblem;

use crate::{
    SdkConfig,
    failure::{Subject, classify},
    now_ms,
};
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use domain::{
    lsn::Lsn,
    state::{Change, ChangeKind, Finished, GuardSeen, Holder, State, Synchronous},
};
use item::{number, text};
use reconcile::Failure;
use write::Write;

const GET: &str = "dynamodb:GetItem";
const UPDATE: &str = "dynamodb:UpdateItem";

/// The sort key of a cluster's state item.
const STATE: &str = "state";

/// The lease is free for `:me`: nobody's, mine, or expired.
const FREE: &str = "(attribute_not_exists(#holder) OR #holder = :me OR #expires_at_ms < :now)";

/// I10: nobody paused the cluster, or that is over.
const AWAKE: &str = "(attribute_not_exists(#paused_until_ms) OR #paused_until_ms <= :now)";

/// `<fleet>-state`.
#[derive(Debug, Clone)]
pub struct StateTable {
    client: Client,
    table: String,
}

impl StateTable {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig, table: &str) -> Self {
        StateTable { client: Client::new(config), table: table.to_owned() }
    }

    /// Reads the state of a cluster, as of now; `None` when it never had one.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:GetItem`; [`Failure::Broken`] also for an item
    /// that makes no sense, since acting on half of it could promote a second writer.
    pub async fn read(&self, cluster: &str) -> Result<Option<State>, Failure> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let request = request.key("cluster", text(cluster)).key("item", text(STATE));
        let output = request.send().await.map_err(|error| classify(GET, self.subject(&self.what()), error))?;
        output.item.map(|item| item::state(&item)).transpose().map_err(|problem| Failure::Broken {
            call: GET,
            what: format!("the state of {cluster} in {} makes no sense: {problem}", self.what()),
        })
    }

    /// What a member's boot guard wrote; `None` when it never did.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:GetItem`; [`Failure::Broken`] for an item that
    /// makes no sense.
    pub async fn guard(&self, cluster: &str, member: &str) -> Result<Option<GuardSeen>, Failure> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let request = request.key("cluster", text(cluster)).key("item", text(&format!("guard#{member}")));
        let output = request.send().await.map_err(|error| classify(GET, self.subject(&self.what()), error))?;
        output.item.map(|item| item::guard(&item)).transpose().map_err(|problem| Failure::Broken {
            call: GET,
            what: format!("the guard item of {member} in {} makes no sense: {problem}", self.what()),
        })
    }

    /// I1: takes the lease of a steady cluster and advances its epoch by one,
    /// before any side effect. A person's approval goes with it: it is for one
    /// change of writer only.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:UpdateItem`; [`Failure::LostRace`] unless the
    /// epoch is `expected_epoch`, the phase steady, the lease free and the
    /// cluster not paused. A change that is only followed has happened, pause or not.
    pub async fn begin(
        &self,
        cluster: &str,
        expected_epoch: u64,
        holder: &Holder,
        change: &Change,
    ) -> Result<(), Failure> {
        let awake = if change.kind == ChangeKind::Followed { String::new() } else { format!(" AND {AWAKE}") };
        let write = Write {
            set: "#epoch = :next, #phase = :changing, #holder = :me, #expires_at_ms = :expires, #change = :change",
            remove: "#approval",
            only_if: &format!("#epoch = :epoch AND #phase = :steady AND {FREE}{awake}"),
            values: vec![
                (":epoch", number(expected_epoch)),
                (":next", number(expected_epoch + 1)),
                (":steady", text(item::STEADY)),
                (":changing", text(item::CHANGING)),
                (":me", text(&holder.id)),
                (":expires", number(holder.expires_at_ms)),
                (":now", number(now_ms())),
                (":change", told(change)?),
            ],
        };
        self.write(cluster, write).await
    }

    /// Writes the state of a cluster that has no writer: whoever assigns its
    /// roles has made one. The epoch is advanced by one.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:UpdateItem`; [`Failure::LostRace`] when there is
    /// a writer by now, or the epoch is not `epoch` (0: there is no item).
    pub async fn adopt(
        &self,
        cluster: &str,
        epoch: u64,
        writer: &str,
        timeline: u32,
        synchronous: &Synchronous,
    ) -> Result<(), Failure> {
        let names = synchronous.names.iter().map(|name| text(name)).collect();
        let write = Write {
            set: "#epoch = :next, #phase = :steady, #writer = :writer, #timeline = :timeline, \
                  #synchronous_required = :required, #synchronous_names = :names",
            remove: "",
            only_if: "attribute_not_exists(#writer) AND (attribute_not_exists(#epoch) OR \
                      (#epoch = :epoch AND #phase = :steady))",
            values: vec![
                (":epoch", number(epoch)),
                (":next", number(epoch + 1)),
                (":steady", text(item::STEADY)),
                (":writer", text(writer)),
                (":timeline", number(u64::from(timeline))),
                (":required", number(u64::from(synchronous.required))),
                (":names", AttributeValue::L(names)),
            ],
        };
        self.write(cluster, write).await
    }

    /// Takes the lease and leaves everything else as it is: to finish a change
    /// that another pass left, or to mend something in the steady phase.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:UpdateItem`; [`Failure::LostRace`] unless the
    /// epoch is `epoch` and the lease free.
    pub async fn resume(&self, cluster: &str, epoch: u64, holder: &Holder) -> Result<(), Failure> {
        let write = Write {
            set: "#holder = :me, #expires_at_ms = :expires",
            remove: "",
            only_if: &format!("#epoch = :epoch AND {FREE}"),
            values: vec![
                (":epoch", number(epoch)),
                (":me", text(&holder.id)),
                (":expires", number(holder.expires_at_ms)),
                (":now", number(now_ms())),
            ],
        };
        self.write(cluster, write).await
    }

    /// Notes how far the change of the holder has come.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:UpdateItem`; [`Failure::LostRace`] when the
    /// lease is no longer the holder's.
    pub async fn note(&self, cluster: &str, epoch: u64, holder_id: &str, change: &Change) -> Result<(), Failure> {
        let mut write = Write::of_changer(epoch, holder_id);
        write.set = "#change = :change";
        write.values.push((":change", told(change)?));
        self.write(cluster, write).await
    }

    /// Publishes the set of standbys that the writer's commits wait for (I9),
    /// with a new floor when one is given.
    ///
    /// # Errors
    ///
    /// As [`note`](Self::note).
    pub async fn publish_synchronous(
        &self,
        cluster: &str,
        epoch: u64,
        holder_id: &str,
        synchronous: &Synchronous,
        floor: Option<Lsn>,
    ) -> Result<(), Failure> {
        let mut write = Write::of_holder(epoch, holder_id);
        write.set = "#synchronous_required = :required, #synchronous_names = :names";
        if let Some(floor) = floor {
            write.set = "#synchronous_required = :required, #synchronous_names = :names, #floor = :floor";
            write.values.push((":floor", text(&floor.to_string())));
        }
        let names = synchronous.names.iter().map(|name| text(name)).collect();
        write.values.push((":required", number(u64::from(synchronous.required))));
        write.values.push((":names", AttributeValue::L(names)));
        self.write(cluster, write).await
    }

    /// Ends the change: the phase is steady, the lease is free.
    ///
    /// # Errors
    ///
    /// As [`note`](Self::note).
    pub async fn finish(&self, cluster: &str, epoch: u64, holder_id: &str, finished: &Finished) -> Result<(), Failure> {
        let mut write = Write::of_changer(epoch, holder_id);
        write.set = "#writer = :writer, #phase = :steady, #changed_at_ms = :changed, #failovers_ms = :failovers, \
                     #timeline = :timeline, #timeline_began = :began";
        write.remove = "#holder, #expires_at_ms, #change";
        let failovers = finished.failovers_ms.iter().copied().map(number).collect();
        write.values.extend([
            (":writer", text(&finished.writer)),
            (":steady", text(item::STEADY)),
            (":changed", number(finished.at_ms)),
            (":failovers", AttributeValue::L(failovers)),
            (":timeline", number(u64::from(finished.timeline))),
            (":began", text(&finished.timeline_began.to_string())),
        ]);
        self.write(cluster, write).await
    }

    /// Gives the change up: the writer stays, the phase is steady, the lease is
    /// free. The epoch stays advanced.
    ///
    /// # Errors
    ///
    /// As [`note`](Self::note).
    pub async fn abandon(&self, cluster: &str, epoch: u64, holder_id: &str) -> Result<(), Failure> {
        let mut write = Write::of_changer(epoch, holder_id);
        write.set = "#phase = :steady";
        write.remove = "#holder, #expires_at_ms, #change";
        write.values.push((":steady", text(item::STEADY)));
        self.write(cluster, write).await
    }

    /// Lets the lease go and keeps the rest: a change goes on in the next pass.
    ///
    /// # Errors
    ///
    /// As [`note`](Self::note).
    pub async fn release(&self, cluster: &str, epoch: u64, holder_id: &str) -> Result<(), Failure> {
        let mut write = Write::of_holder(epoch, holder_id);
        write.remove = "#holder, #expires_at_ms";
        self.write(cluster, write).await
    }

    /// Forgets the writer of a stack that is gone, so that the first member of
    /// a new one may claim the cluster. The epoch stays: it only grows.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `dynamodb:GetItem` or `dynamodb:UpdateItem`;
    /// [`Failure::Broken`] while a change of writer is under way;
    /// [`Failure::LostRace`] when someone holds the lease.
    pub async fn unclaim(&self, cluster: &str) -> Result<(), Failure> {
        let Some(state) = self.read(cluster).await? else { return Ok(()) };
        if let Some(change) = &state.change {
            let (epoch, from) = (state.epoch, &change.from);
            let what =
                format!("the change of {cluster} away from {from} (epoch {epoch}) must be finished or given up first");
            return Err(Failure::Broken { call: UPDATE, what });
        }
        if state.writer.is_none() {
            return Ok(());
        }
        let write = Write {
            set: "",
            remove: "#writer",
            only_if: "#epoch = :epoch AND #phase = :steady AND (attribute_not_exists(#holder) OR #expires_at_ms < :now)",
            values: vec![(":epoch", number(state.epoch)), (":steady", text(item::STEADY)), (":now", number(now_ms()))],
        };
        self.write(cluster, write).await
    }

    fn what(&self) -> String {
        format!("table {}", self.table)
    }

    fn subject<'a>(&self, what: &'a str) -> Subject<'a> {
        Subject { what, check: "is STATE_TABLE of this function right?" }
    }
}

fn told(change: &Change) -> Result<AttributeValue, Failure> {
    serde_json::to_string(change).map(|json| text(&json)).map_err(|error| Failure::Broken {
        call: UPDATE,
        what: format!("the story of the change is not JSON: {error}"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests;

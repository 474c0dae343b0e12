//! What is known of one cluster, and what follows from each thing learnt.
//!
//! Pure: no clock and no calls; times are milliseconds since 1970.

mod led;
mod managed;
mod memory;
mod streak;
mod streams;
mod tellings;

pub(crate) use managed::{Answer, ManagedWatch};
pub(crate) use memory::{LastWrite, Memory};
pub(crate) use streak::Suspicion;

use crate::{finding::Finding, metrics::Sample};
use domain::{
    card::{Card, Topology},
    failover::Sql,
    state::{Holder, State},
};
use streak::{Streak, failed};
use tellings::{Due, Tellings};

/// One cluster, as this run knows it.
pub(crate) struct Watch {
    card: Card,
    /// In the order of the card's members.
    seen: Vec<Streak>,
    state: Option<Known>,
    /// The member whose guard said that its disk is full, when it said so last.
    full_disk: Option<String>,
    tellings: Tellings,
    memory: Memory,
    writer_probes_ms: Vec<u64>,
    /// Whether a probe ended since the last sample.
    probed: bool,
}

/// The state item, as last read.
struct Known {
    state: State,
    asked_ms: u64,
    answered_ms: u64,
}

/// A probe that ended.
pub(crate) struct Probe {
    /// Place of the member in the card.
    pub member: usize,
    pub asked_ms: u64,
    pub took_ms: u64,
    pub sql: Sql,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Tell that the writer is suspected.
    Suspect(Suspicion),
    /// Tell what was found.
    Tell(Finding),
    /// Read the state item now, not when its turn comes; and ask RDS, where AWS runs the cluster.
    ReadState,
}

impl Watch {
    pub(crate) fn new(card: Card, mut memory: Memory) -> Self {
        let tellings = Tellings::after(std::mem::take(&mut memory.told));
        let seen = card.members.iter().map(|_| Streak::default()).collect();
        Watch {
            card,
            seen,
            state: None,
            full_disk: None,
            tellings,
            memory,
            writer_probes_ms: Vec::new(),
            probed: false,
        }
    }

    /// What the next run should know.
    pub(crate) fn into_memory(self) -> Memory {
        Memory { told: self.tellings.into_told(), ..self.memory }
    }

    /// Learns what a probe found.
    pub(crate) fn probed(&mut self, probe: Probe) -> Vec<Act> {
        if probe.sql == Sql::NotAsked {
            return Vec::new();
        }
        self.probed = true;
        if let Some(member) = self.card.members.get(probe.member) {
            let called = format!("{} ({})", member.id, member.name);
            self.memory.remember(&self.card.cluster, &member.id, &called, probe.asked_ms, &probe.sql);
        }
        if self.writer() == Some(probe.member) && !failed(&probe.sql) {
            self.writer_probes_ms.push(probe.took_ms);
        }
        let Some(seen) = self.seen.get_mut(probe.member) else { return Vec::new() };
        seen.learn(probe.asked_ms, probe.sql);
        let suspicion = self.suspicion(probe.member);
        let mut acts: Vec<Act> =
            suspicion.into_iter().flat_map(|found| [Act::Suspect(found), Act::ReadState]).collect();
        acts.extend(self.find(probe.asked_ms + probe.took_ms));
        acts
    }

    /// Learns the state item, as asked for and answered at these times.
    pub(crate) fn told_state(&mut self, state: State, asked_ms: u64, answered_ms: u64) -> Vec<Act> {
        if let Some(old) = &self.state
            && (old.state.epoch, &old.state.writer) != (state.epoch, &state.writer)
        {
            let writer = state.writer.as_deref().unwrap_or("nobody");
            tracing::info!("{}: epoch {}, writer {writer}", self.card.cluster, state.epoch);
        }
        self.state = Some(Known { state, asked_ms, answered_ms });
        self.find(answered_ms)
    }

    /// Learns whether the guard of a member says that its disk is full.
    pub(crate) fn told_disk(&mut self, member: String, full: bool, now_ms: u64) -> Vec<Act> {
        self.full_disk = full.then_some(member);
        self.find(now_ms)
    }

    /// The metrics since the last call; `None` when no member was probed since:
    /// then nobody looks, and an alarm must be able to tell.
    pub(crate) fn sample(&mut self) -> Option<Sample> {
        if !std::mem::take(&mut self.probed) {
            return None;
        }
        let writer =
            self.writer().or_else(|| self.seen.iter().position(|seen| matches!(seen.sql, Some(Sql::Writer(_)))));
        let sql = |member: usize| self.seen.get(member).and_then(|seen| seen.sql.as_ref());
        Some(Sample {
            writer_up: Some(matches!(writer.and_then(sql), Some(Sql::Writer(_)))),
            members_up: self.seen.iter().filter(|seen| seen.sql.as_ref().is_some_and(Sql::answers)).count(),
            lag_bytes: writer.and_then(|writer| self.lag(writer)),
            probe_ms: std::mem::take(&mut self.writer_probes_ms),
        })
    }

    /// Place of the state item's writer in the card.
    fn writer(&self) -> Option<usize> {
        let writer = self.state.as_ref()?.state.writer.as_ref()?;
        self.card.members.iter().position(|member| &member.id == writer)
    }

    /// I3: only the writer of the state item is suspected, and only by probes in a row.
    fn suspicion(&mut self, member: usize) -> Option<Suspicion> {
        if self.writer() != Some(member) {
            return None;
        }
        let seen = self.seen.get_mut(member)?;
        let id = &self.card.members.get(member)?.id;
        let raised = seen.is_suspect(self.card.policy.failures);
        raised.then(|| seen.suspicion(id, self.memory.writes.get(id)))
    }

    /// Tells what is wrong and was not told a short time ago.
    fn find(&mut self, now_ms: u64) -> Vec<Act> {
        self.know_readers();
        // Somebody acts, or nothing is known: what is seen now says nothing.
        let Some(wrong) = self.wrong(now_ms) else { return Vec::new() };
        let mut due = Vec::new();
        let mut tellings = std::mem::take(&mut self.tellings);
        for found in tellings.due(wrong, now_ms, |finding, since| self.is_certain(finding, since)) {
            match found {
                Due::New => due.push(Act::ReadState),
                Due::Tell(finding) => {
                    self.telling(&finding);
                    due.push(self.act_of(finding));
                }
            }
        }
        self.tellings = tellings;
        due
    }

    /// What is wrong; `None` when that cannot be said now.
    fn wrong(&self, now_ms: u64) -> Option<Vec<Finding>> {
        let state = &self.state.as_ref()?.state;
        if self.card.topology == Topology::Ec2Patroni {
            return self.wrong_where_led(state, now_ms);
        }
        let writer = state.writer.as_ref()?;
        let live = |holder: &Holder| holder.expires_at_ms > now_ms;
        if state.holder.as_ref().is_some_and(live) {
            return None;
        }
        if state.change.is_some() {
            return Some(vec![Finding::ChangeUnfinished]);
        }
        let upstream = self.card.member(writer).map(|member| member.address);
        let writer_answers = self.answer().is_some();
        let of_member = |(member, seen): (&domain::card::CardMember, &Streak)| {
            let id = || member.id.clone();
            match seen.sql.as_ref()? {
                Sql::Writer(_) if &member.id != writer => Some(Finding::TwoWriters(id())),
                Sql::Standby(_) if &member.id == writer => Some(Finding::WriterInRecovery(id())),
                Sql::Standby(standby) if standby.upstream.is_none() => Some(Finding::StandbyFrozen(id())),
                Sql::Standby(standby) if writer_answers && standby.upstream != upstream => {
                    Some(Finding::StandbyAstray(id()))
                }
                Sql::Refused if &member.id != writer => Some(Finding::MemberDown(id())),
                _ => None,
            }
        };
        let mut wrong: Vec<Finding> = self.card.members.iter().zip(&self.seen).filter_map(of_member).collect();
        wrong.extend(self.wrong_with_streams(state, writer));
        let full = self.full_disk.as_ref().filter(|member| *member == writer);
        wrong.extend(full.map(|member| Finding::DiskFull(member.clone())));
        Some(wrong)
    }

    /// I2: seen, then the state item read anew, then seen again. A change that
    /// begins or ends in between must not look like a fault.
    fn is_certain(&self, finding: &Finding, since: u64) -> bool {
        let Some(known) = &self.state else { return false };
        let id = match finding {
            Finding::ChangeUnfinished | Finding::PauseOver => return true,
            // The writer says so.
            Finding::SynchronousSetBehind | Finding::ReadersChanged(_) => known.state.writer.as_deref(),
            of_member => of_member.member(),
        };
        let Some(id) = id else { return false };
        let seen = self.card.members.iter().zip(&self.seen).find(|(member, _)| member.id == id);
        known.asked_ms > since && seen.is_some_and(|(_, seen)| seen.asked_ms > known.answered_ms)
    }

    /// How far the standby furthest behind is behind the writer, by the
    /// writer's own account where it has one.
    fn lag(&self, writer: usize) -> Option<u64> {
        let Some(Sql::Writer(answer)) = self.seen.get(writer)?.sql.as_ref() else { return None };
        let standbys = self.card.members.iter().zip(&self.seen).enumerate().filter(|(place, _)| *place != writer);
        let behind = standbys.filter_map(|(_, (member, seen))| {
            let stream = answer.streams.iter().find(|stream| stream.name == member.name);
            let own = match &seen.sql {
                Some(Sql::Standby(standby)) => standby.furthest(),
                _ => None,
            };
            Some(stream.and_then(|stream| stream.flushed).or(own)?.behind(answer.lsn))
        });
        behind.max()
    }
}

#[cfg(test)]
mod tests;

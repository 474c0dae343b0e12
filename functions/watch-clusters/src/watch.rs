//! What is known of one cluster, and what follows from each thing learnt.
//!
//! Pure: no clock and no calls; times are milliseconds since 1970.

use crate::{
    finding::{Finding, TELL_AGAIN_MS},
    metrics::Sample,
};
use domain::{
    card::{Card, Topology},
    failover::Sql,
    lsn::Lsn,
    state::{Holder, State},
};
use std::collections::{BTreeMap, BTreeSet};

mod led;
mod streams;

/// A failed probe in so many after the first suspicion raises it again: what
/// `promote-replica` had to wait for (a witness, a local restart) may be there now.
const SUSPECT_AGAIN: u32 = 2;

/// One cluster, as this run knows it.
pub(crate) struct Watch {
    card: Card,
    /// In the order of the card's members.
    seen: Vec<Seen>,
    state: Option<Known>,
    /// The member whose guard said that its disk is full, when it said so last.
    full_disk: Option<String>,
    /// What is wrong now, and since when.
    wrong_since: BTreeMap<Finding, u64>,
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

/// One member, as last probed.
#[derive(Default)]
struct Seen {
    sql: Option<Sql>,
    asked_ms: u64,
    /// Failed probes in a row.
    failures: u32,
    /// When the first of them began.
    silent_since_ms: u64,
    /// Failures when a suspicion was raised last; 0 when none was.
    raised_at: u32,
}

/// What outlives a run, in a function that stays warm.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// Where each member that was out of recovery wrote last.
    writes: BTreeMap<String, LastWrite>,
    /// What each member's last answer was, in one word, for the log.
    words: BTreeMap<String, &'static str>,
    told: BTreeMap<Finding, Told>,
    /// The standbys that could be read from when that was told last, or first known.
    readers: Option<BTreeSet<String>>,
    /// Members that were told to be down and have not come back.
    down: BTreeSet<String>,
}

/// A writer's position, and whom its commits waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastWrite {
    pub lsn: Lsn,
    pub at_ms: u64,
    pub synchronous_setting: String,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    at_ms: u64,
    again_after_ms: u64,
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
    /// Read the state item now, not when its turn comes.
    ReadState,
}

/// A writer that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suspicion {
    pub member: String,
    pub failures: u32,
    pub silent_since_ms: u64,
    pub last_write: Option<LastWrite>,
    pub problem: String,
    /// Who leads in its place, where Patroni has made somebody leader.
    pub leader: Option<String>,
}

impl Watch {
    pub(crate) fn new(card: Card, memory: Memory) -> Self {
        let seen = card.members.iter().map(|_| Seen::default()).collect();
        Watch {
            card,
            seen,
            state: None,
            full_disk: None,
            wrong_since: BTreeMap::new(),
            memory,
            writer_probes_ms: Vec::new(),
            probed: false,
        }
    }

    /// What the next run should know.
    pub(crate) fn into_memory(self) -> Memory {
        self.memory
    }

    /// Learns what a probe found.
    pub(crate) fn probed(&mut self, probe: Probe) -> Vec<Act> {
        if probe.sql == Sql::NotAsked {
            return Vec::new();
        }
        self.probed = true;
        self.remember(&probe);
        let failed = matches!(probe.sql, Sql::Silent(_) | Sql::Refused);
        if self.writer() == Some(probe.member) && !failed {
            self.writer_probes_ms.push(probe.took_ms);
        }
        let Some(seen) = self.seen.get_mut(probe.member) else { return Vec::new() };
        if !failed {
            (seen.failures, seen.raised_at) = (0, 0);
        } else if seen.failures == 0 {
            (seen.failures, seen.silent_since_ms) = (1, probe.asked_ms);
        } else {
            seen.failures += 1;
        }
        seen.asked_ms = probe.asked_ms;
        seen.sql = Some(probe.sql);
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
            writer_up: matches!(writer.and_then(sql), Some(Sql::Writer(_))),
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

    fn remember(&mut self, probe: &Probe) {
        let Some(member) = self.card.members.get(probe.member) else { return };
        if let Sql::Writer(writer) = &probe.sql {
            let write = LastWrite {
                lsn: writer.lsn,
                at_ms: probe.asked_ms,
                synchronous_setting: writer.synchronous_setting.clone(),
            };
            self.memory.writes.insert(member.id.clone(), write);
        }
        let word = match &probe.sql {
            Sql::Writer(_) => "writer",
            Sql::Standby(_) => "standby",
            Sql::Alive(_) => "alive",
            Sql::Refused => "refused",
            Sql::Silent(_) => "silent",
            Sql::NotAsked => return,
        };
        // One line for each change. A member found well at first is no event.
        let before = self.memory.words.insert(member.id.clone(), word);
        let well = matches!(probe.sql, Sql::Writer(_) | Sql::Standby(_));
        if before.map_or(!well, |before| before != word) {
            tracing::info!("{}: {} ({}) {}", self.card.cluster, member.id, member.name, probe.sql);
        }
    }

    /// I3: only the writer of the state item is suspected, and only by probes in a row.
    fn suspicion(&mut self, member: usize) -> Option<Suspicion> {
        if self.writer() != Some(member) {
            return None;
        }
        let seen = self.seen.get_mut(member)?;
        let enough = seen.failures >= self.card.policy.failures;
        if !enough || (seen.raised_at > 0 && seen.failures < seen.raised_at + SUSPECT_AGAIN) {
            return None;
        }
        seen.raised_at = seen.failures;
        let id = &self.card.members.get(member)?.id;
        Some(Suspicion {
            member: id.clone(),
            failures: seen.failures,
            silent_since_ms: seen.silent_since_ms,
            last_write: self.memory.writes.get(id).cloned(),
            problem: match &seen.sql {
                Some(Sql::Silent(problem)) => problem.clone(),
                _ => "the port refuses connections".to_owned(),
            },
            leader: None,
        })
    }

    /// Tells what is wrong and was not told a short time ago.
    fn find(&mut self, now_ms: u64) -> Vec<Act> {
        self.know_readers();
        // Somebody acts, or nothing is known: what is seen now says nothing.
        let Some(wrong) = self.wrong(now_ms) else { return Vec::new() };
        self.wrong_since.retain(|finding, _| wrong.contains(finding));
        self.memory.told.retain(|finding, _| wrong.contains(finding));
        let mut acts = Vec::new();
        for finding in wrong {
            let since = *self.wrong_since.entry(finding.clone()).or_insert_with(|| {
                acts.push(Act::ReadState);
                now_ms
            });
            let lasted = now_ms.saturating_sub(since) >= finding.lasting_ms();
            if lasted && self.is_certain(&finding, since) && self.is_due(&finding, now_ms) {
                self.telling(&finding);
                acts.push(self.act_of(finding));
            }
        }
        acts
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
        let of_member = |(member, seen): (&domain::card::CardMember, &Seen)| {
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

    fn is_due(&mut self, finding: &Finding, now_ms: u64) -> bool {
        let again_after_ms = match self.memory.told.get(finding) {
            None => TELL_AGAIN_MS,
            Some(told) if now_ms.saturating_sub(told.at_ms) >= told.again_after_ms => told.again_after_ms * 2,
            Some(_) => return false,
        };
        let again_after_ms = again_after_ms.min(finding.longest_gap_ms());
        self.memory.told.insert(finding.clone(), Told { at_ms: now_ms, again_after_ms });
        true
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

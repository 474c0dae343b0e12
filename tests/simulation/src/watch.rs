//! `watch-clusters`, as `functions/watch-clusters/src/watch.rs` has it: probes
//! every second, suspicions, findings. It looks from its own place in the
//! network, by its own clock.

use crate::{
    clock::{Event, Ms},
    member::{Process, Writer},
    network::{MOST, WATCH},
    passes::Asked,
    story,
    world::World,
};
use domain::{
    lsn::Lsn,
    state::{State, Synchronous},
};
use reconcile::{Suspected, Waking};
use std::collections::BTreeMap;

const STATE_EVERY: Ms = 5_000;
const SUSPECT_AGAIN: u32 = 2;
const TELL_AGAIN: Ms = 10_000;
const TELL_AGAIN_AT_LAST: Ms = 300_000;
/// As in `promote-replica`'s `main.rs`.
const LAST_POSITION_KEEPS: u64 = 5_000;

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Writer { waits: bool, behind: bool, readers: u8 },
    Standby { upstream: Option<usize> },
    Alive,
    Refused,
    Failed,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    look: Option<Look>,
    asked: Ms,
    failures: u32,
    silent_since: Ms,
    raised_at: u32,
}

#[derive(Debug, Clone)]
struct LastWrite {
    lsn: u64,
    at: Ms,
    setting: String,
}

/// What `promote-replica` should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    ChangeUnfinished,
    CommitsWait,
    TwoWriters(usize),
    WriterInRecovery(usize),
    StandbyFrozen(usize),
    StandbyAstray(usize),
    SynchronousSetBehind,
    MemberDown(usize),
    MemberBack(usize),
    ReadersChanged(u8),
}

/// One process of `watch-clusters`.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub runs: bool,
    run: u32,
    skew: i64,
    seen: [Seen; MOST],
    state: Option<(State, Ms)>,
    reads_at: Ms,
    writes: [Option<LastWrite>; MOST],
    wrong_since: BTreeMap<Finding, Ms>,
    told: BTreeMap<Finding, (Ms, Ms)>,
    /// Members that were told to be down, and the readers that were told last, a bit each.
    was_down: u8,
    readers: Option<u8>,
}

impl World {
    pub(crate) fn watch_starts(&mut self) {
        let run = self.watch.run + 1;
        self.watch = Watch { runs: true, run, skew: self.skew(), ..Watch::default() };
        for member in 0..self.members.len() {
            self.queue.after(100 + 300 * member as u64, Event::Probe { member, run });
        }
        self.queue.after(10, Event::ReadState { run });
    }

    /// The process ends, and all that it knew.
    pub(crate) fn watch_ends(&mut self) {
        self.watch.runs = false;
        self.watch.run += 1;
    }

    pub(crate) fn watch_reads(&mut self, run: u32) {
        let now = self.now();
        // Read in the meantime: this turn has been moved.
        if self.watch.run != run || !self.watch.runs || now < self.watch.reads_at {
            return;
        }
        let ill = self.aws.ill[0];
        if ill.down == 0 && !(ill.throttled > 0 && self.chance(50)) {
            self.watch.state = Some((self.aws.table.state.clone(), now));
            self.watch_finds();
        }
        self.watch.reads_at = now + STATE_EVERY;
        self.queue.after(STATE_EVERY, Event::ReadState { run });
    }

    /// The state item is read at the next second, not when its turn comes.
    fn watch_reads_soon(&mut self) {
        let (now, run) = (self.now(), self.watch.run);
        if self.watch.reads_at > now + 1_000 {
            self.watch.reads_at = now + 1_000;
            self.queue.after(1_000, Event::ReadState { run });
        }
    }

    fn watch_looks(&mut self, member: usize) -> Look {
        let me = &self.members[member];
        if !self.net.reaches(WATCH, member) || !me.runs() {
            return Look::Failed;
        }
        let streaming =
            |writer: &Writer, down: usize| writer.streams[down].as_ref().is_some_and(|stream| stream.flushed.is_some());
        let frozen = self.seem_frozen.contains(&member);
        match &me.process {
            Process::Down => Look::Refused,
            Process::Starting => Look::Alive,
            Process::Standby(_) => Look::Standby { upstream: me.data.upstream.filter(|_| !frozen) },
            Process::Writer(writer) => {
                let streams: Vec<usize> = (0..self.members.len()).filter(|down| streaming(writer, *down)).collect();
                let counted = streams.iter().filter(|down| self.counts_for(&writer.applied, **down)).count();
                let waits = writer.applied.is_on() && counted < writer.applied.required as usize;
                let published = &self.aws.table.state.synchronous;
                let missing = streams.iter().any(|down| !self.counts_for(published, *down));
                let behind = self.setup.required > 0 && missing;
                let readers = streams.iter().fold(0, |bits, down| bits | 1 << down);
                Look::Writer { waits, behind, readers }
            }
        }
    }

    pub(crate) fn watch_probes(&mut self, member: usize, run: u32) {
        if self.watch.run != run || !self.watch.runs {
            return;
        }
        let asked = self.now();
        let mut look = self.watch_looks(member);
        if self.setup.flaky > 0 && self.rng.u64(0..1_000) < self.setup.flaky {
            look = Look::Failed;
        }
        if let Look::Writer { readers, .. } = look {
            self.watch.readers = self.watch.readers.or(Some(readers));
            let (lsn, branch) = (self.members[member].data.lsn, self.members[member].data.branch);
            let setting = self.members[member].writer().map_or_else(String::new, |writer| writer.applied.setting());
            self.branches[branch].is_probed(asked, lsn);
            self.watch.writes[member] = Some(LastWrite { lsn, at: asked, setting });
        }
        let failed = matches!(look, Look::Failed | Look::Refused);
        let seen = &mut self.watch.seen[member];
        if !failed {
            (seen.failures, seen.raised_at) = (0, 0);
        } else if seen.failures == 0 {
            (seen.failures, seen.silent_since) = (1, asked);
        } else {
            seen.failures += 1;
        }
        (seen.look, seen.asked) = (Some(look), asked);
        self.watch_suspects(member);
        self.watch_finds();
        self.queue.after(self.setup.policy.probe_interval_ms, Event::Probe { member, run });
    }

    fn named_writer(&self) -> Option<usize> {
        let (state, _) = self.watch.state.as_ref()?;
        self.place(state.writer.as_deref()?)
    }

    fn watch_suspects(&mut self, member: usize) {
        if self.named_writer() != Some(member) {
            return;
        }
        let failures = self.setup.policy.failures;
        let skew = self.watch.skew;
        let seen = &mut self.watch.seen[member];
        let early = seen.raised_at > 0 && seen.failures < seen.raised_at + SUSPECT_AGAIN;
        if seen.failures < failures || early {
            return;
        }
        seen.raised_at = seen.failures;
        let (failures, since) = (seen.failures, seen.silent_since);
        let write = self.watch.writes[member].clone();
        let fresh = write.as_ref().is_some_and(|write| write.at + LAST_POSITION_KEEPS >= since);
        let suspicion = Suspected {
            member: self.id(member).to_owned(),
            failures,
            silent_since_ms: (self.clock(skew) + since).saturating_sub(self.now()),
            raised_at_ms: self.clock(skew),
            last_seen_ms: write.as_ref().map(|write| (self.clock(skew) + write.at).saturating_sub(self.now())),
            last_lsn: write.as_ref().filter(|_| fresh).map(|write| Lsn(write.lsn)),
            synchronous_setting: write.map(|write| write.setting),
        };
        let last = suspicion.last_lsn.map(|lsn| lsn.0);
        story!(self, "watch-clusters: {} failed {failures} probes, last position {last:?}", self.id(member));
        let waking = Waking { by: "by watch-clusters".to_owned(), suspicion: Some(suspicion), ..Waking::default() };
        // The last probe failed only when its time was over.
        self.wakes(Asked::Pass(waking), 900);
        self.watch_reads_soon();
    }

    fn watch_finds(&mut self) {
        let Some(wrong) = self.watch_wrong() else { return };
        let now = self.now();
        self.watch.wrong_since.retain(|finding, _| wrong.contains(finding));
        self.watch.told.retain(|finding, _| wrong.contains(finding));
        for finding in wrong {
            let new = !self.watch.wrong_since.contains_key(&finding);
            let since = *self.watch.wrong_since.entry(finding).or_insert(now);
            if new {
                self.watch_reads_soon();
            }
            if self.watch_is_certain(finding, since) && self.watch_is_due(finding) {
                self.watch_tells(finding);
            }
        }
    }

    /// What is wrong; `None` when that cannot be said now.
    fn watch_wrong(&self) -> Option<Vec<Finding>> {
        let (state, _) = self.watch.state.as_ref()?;
        let writer = self.named_writer()?;
        let clock = self.clock(self.watch.skew);
        if state.holder.as_ref().is_some_and(|holder| holder.expires_at_ms > clock) {
            return None;
        }
        if state.change.is_some() {
            return Some(vec![Finding::ChangeUnfinished]);
        }
        let answers = matches!(self.watch.seen[writer].look, Some(Look::Writer { .. }));
        let of_member = |member: usize| match self.watch.seen[member].look? {
            Look::Writer { .. } if member != writer => Some(Finding::TwoWriters(member)),
            Look::Writer { waits: true, .. } => Some(Finding::CommitsWait),
            Look::Writer { behind: true, .. } => Some(Finding::SynchronousSetBehind),
            Look::Refused if member != writer => Some(Finding::MemberDown(member)),
            Look::Standby { .. } if member == writer => Some(Finding::WriterInRecovery(member)),
            Look::Standby { upstream: None } => Some(Finding::StandbyFrozen(member)),
            Look::Standby { upstream } if answers && upstream != Some(writer) => Some(Finding::StandbyAstray(member)),
            _ => None,
        };
        let mut wrong: Vec<Finding> = (0..self.members.len()).filter_map(of_member).collect();
        if let Some(Look::Writer { readers, .. }) = self.watch.seen[writer].look {
            let back = (0..self.members.len()).filter(|member| self.watch.was_down & readers & (1 << member) != 0);
            wrong.extend(back.map(Finding::MemberBack));
            if self.watch.readers.is_some_and(|before| before != readers) {
                wrong.push(Finding::ReadersChanged(readers));
            }
        }
        Some(wrong)
    }

    fn watch_is_certain(&self, finding: Finding, since: Ms) -> bool {
        let read = self.watch.state.as_ref().map_or(0, |(_, read)| *read);
        match finding {
            Finding::ChangeUnfinished | Finding::SynchronousSetBehind => true,
            Finding::CommitsWait | Finding::MemberBack(_) | Finding::ReadersChanged(_) => self.now() - since >= 10_000,
            Finding::TwoWriters(member)
            | Finding::WriterInRecovery(member)
            | Finding::MemberDown(member)
            | Finding::StandbyFrozen(member)
            | Finding::StandbyAstray(member) => read > since && self.watch.seen[member].asked > read,
        }
    }

    fn watch_is_due(&mut self, finding: Finding) -> bool {
        let now = self.now();
        let again = match self.watch.told.get(&finding) {
            None => TELL_AGAIN,
            Some((at, again)) if now - at >= *again => again * 2,
            Some(_) => return false,
        };
        let most = if finding == Finding::ChangeUnfinished { TELL_AGAIN } else { TELL_AGAIN_AT_LAST };
        self.watch.told.insert(finding, (now, again.min(most)));
        true
    }

    fn watch_tells(&mut self, finding: Finding) {
        story!(self, "watch-clusters: {finding:?}");
        self.tally.count("findings", finding_name(finding));
        match finding {
            Finding::MemberDown(member) => self.watch.was_down |= 1 << member,
            Finding::MemberBack(member) => self.watch.was_down &= !(1 << member),
            Finding::ReadersChanged(readers) => self.watch.readers = Some(readers),
            _ => {}
        }
        let commits_wait = finding == Finding::CommitsWait;
        let waking = Waking { by: format!("by watch-clusters: {finding:?}"), commits_wait, ..Waking::default() };
        let asked = match finding {
            Finding::MemberDown(_) | Finding::MemberBack(_) => Asked::Rejoin(waking),
            Finding::ReadersChanged(_) => Asked::Dns(waking),
            _ => Asked::Pass(waking),
        };
        self.wakes(asked, 0);
    }

    /// What a person sets by hand is what the next probe sees.
    pub(crate) fn by_hand(&mut self, kind: usize) {
        let Some(writer) = self.aws.table.state.writer.as_deref().and_then(|id| self.place(id)) else { return };
        if self.members[writer].writer().is_none() || !self.members[writer].runs() {
            return;
        }
        let others: Vec<usize> = (0..self.members.len()).filter(|other| *other != writer).collect();
        let names = |some: &[usize]| some.iter().map(|other| self.name(*other)).collect::<Vec<_>>();
        let set = match kind {
            0 => Synchronous::default(),
            1 => Synchronous { required: 1, names: names(&others) },
            2 => Synchronous { required: 1, names: names(&others[..1]) },
            _ => Synchronous { required: others.len() as u32, names: names(&others) },
        };
        story!(self, "a person sets synchronous_standby_names on {} to {:?}", self.id(writer), set.setting());
        self.check.by_hand[writer] = true;
        self.members[writer].data.setting = Some(set.setting());
        if let Some(process) = self.members[writer].writer_mut() {
            process.applied = set;
        }
        self.releases(writer);
        self.changed();
    }
}

fn finding_name(finding: Finding) -> &'static str {
    match finding {
        Finding::ChangeUnfinished => "ChangeUnfinished",
        Finding::CommitsWait => "CommitsWait",
        Finding::TwoWriters(_) => "TwoWriters",
        Finding::WriterInRecovery(_) => "WriterInRecovery",
        Finding::StandbyFrozen(_) => "StandbyFrozen",
        Finding::StandbyAstray(_) => "StandbyAstray",
        Finding::SynchronousSetBehind => "SynchronousSetBehind",
        Finding::MemberDown(_) => "MemberDown",
        Finding::MemberBack(_) => "MemberBack",
        Finding::ReadersChanged(_) => "ReadersChanged",
    }
}

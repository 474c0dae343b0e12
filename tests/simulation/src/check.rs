//! What must hold, looked at after every step.

use crate::{
    clock::Ms,
    member::{Ec2, Process},
    network::{FUNCTIONS, MOST, WATCH},
    story,
    world::World,
};
use domain::{
    failover::Page,
    state::{Change, ChangeKind, Loss, Pause},
};
use std::collections::BTreeMap;

/// A writer is called healthy after this long without a blemish.
const HEALTHY: Ms = 6_000;

/// What a probe saw so long before a change began, the change must know; where
/// events come late, a suspicion may be 10 s old, by clocks that differ by 4 s.
const TELLING: Ms = 4_000;
const TELLING_LATE: Ms = 18_000;

/// What the checker remembers.
#[derive(Debug, Default)]
pub struct Checker {
    /// What did not hold.
    pub violations: Vec<String>,
    /// The history that the last promotion began.
    official: usize,
    /// The highest epoch so far.
    epoch: u64,
    /// Members whose setting a person altered last.
    pub(crate) by_hand: [bool; MOST],
    /// Members that somebody else stopped last.
    by_somebody: [bool; MOST],
    /// Changes that ended with a new writer, by epoch: failover or not.
    ended: BTreeMap<u64, bool>,
    /// Pages that told them.
    told: BTreeMap<u64, u32>,
    /// Calls that a pass died in or got no answer from, by epoch of that moment.
    mishaps: BTreeMap<u64, u32>,
    /// Members that stood still when their guard was believed to have stopped them.
    stood_still: [bool; MOST],
    /// What probes had seen of the old writer a moment before the change began.
    known: u64,
    /// Safe rows may be on no successor: a person said so.
    forgiven: bool,
}

impl Checker {
    /// PostgreSQL on a member has ended, however late.
    pub(crate) fn ended(&mut self, member: usize) {
        self.stood_still[member] = false;
    }

    pub(crate) fn stopped_by_hand(&mut self, member: usize) {
        self.by_somebody[member] = true;
    }
}

impl World {
    pub(crate) fn violates(&mut self, what: String) {
        story!(self, "VIOLATION: {what}");
        self.check.violations.push(what);
    }

    /// Whether a commit on this member can be acknowledged now or later, without
    /// anything but time.
    fn can_acknowledge(&self, member: usize) -> bool {
        let me = &self.members[member];
        let Process::Writer(writer) = &me.process else { return false };
        if !me.host.up || self.check.stood_still[member] {
            return false;
        }
        let able = |down: usize| {
            let data = &self.members[down].data;
            down != member
                && data.standby
                && data.upstream == Some(member)
                && self.counts_for(&writer.applied, down)
                && self.can_follow(down, member)
        };
        let standbys = (0..self.members.len()).filter(|down| able(*down)).count();
        !writer.applied.is_on() || standbys >= writer.applied.required as usize
    }

    /// (2) Never two members that can acknowledge a commit.
    pub(crate) fn check_writers(&mut self) {
        let writers = self.members.iter().filter(|member| member.writer().is_some()).count();
        if writers < 2 {
            return;
        }
        let able = |member: &usize| !self.check.by_hand[*member] && self.can_acknowledge(*member);
        let able: Vec<usize> = (0..self.members.len()).filter(able).collect();
        if able.len() > 1 {
            let ids: Vec<&str> = able.iter().map(|member| self.id(*member)).collect();
            self.violates(format!("two members can acknowledge commits: {}", ids.join(", ")));
        }
    }

    /// A client was told that its row is there.
    pub(crate) fn check_acknowledged(&mut self, member: usize, lsn: u64) {
        let branch = self.members[member].data.branch;
        let waits = self.members[member].writer().is_some_and(|writer| writer.applied.is_on());
        let safe = waits && self.aws.table.state.synchronous.is_on() && !self.check.by_hand[member];
        let history = &mut self.branches[branch];
        history.acked = history.acked.max(lsn);
        if safe {
            history.acked_safe = history.acked_safe.max(lsn);
        }
        let official = self.check.official;
        let kept = self.shared(branch, official, u64::MAX).is_some_and(|limit| lsn <= limit);
        let known = self.check.by_hand[member] || self.check.stood_still[member];
        if branch == official || kept || known {
            return;
        }
        if self.branches[official].acked == 0 {
            // A promotion that was given up, and on which nobody built anything.
            self.check.official = branch;
        } else {
            let text = format!("{} acknowledged a row at {lsn} after another took over without it", self.id(member));
            self.violates(text);
        }
    }

    /// (1), (3), (6): somebody has just left recovery.
    pub(crate) fn check_promotion(&mut self, member: usize) {
        let tip = self.members[member].data.branch;
        let end = self.members[member].data.lsn;
        self.tally.count("events", "promotions");
        let Some(change) = self.aws.table.state.change.clone() else {
            return self.violates(format!("{} left recovery without a change of writer", self.id(member)));
        };
        self.check_pause(member);
        self.check_evidence(&change);
        let before = self.check.official;
        self.check.official = tip;
        for branch in 0..self.branches.len() {
            let kept = self.common(branch, tip, end);
            let history = &self.branches[branch];
            let lost = |acked: u64| acked > kept;
            let (safe, any) = (lost(history.acked_safe), lost(history.acked));
            let (acked_safe, acked) = (history.acked_safe, history.acked);
            let is_before = branch == before;
            if any && is_before {
                self.check_loss(&change, member, [kept, acked_safe, acked], safe);
            }
            // What is lost is lost once.
            let history = &mut self.branches[branch];
            history.acked = history.acked.min(kept);
            history.acked_safe = history.acked_safe.min(kept);
        }
    }

    fn check_loss(&mut self, change: &Change, member: usize, at: [u64; 3], safe: bool) {
        let [kept, acked_safe, acked] = at;
        let from = self.place(&change.from);
        self.tally.count("events", "promotions that lose rows");
        let approved = change.approval.is_some();
        let by_hand = from.is_some_and(|from| self.check.by_hand[from]);
        let stood_still = from.is_some_and(|from| self.check.stood_still[from]);
        if approved || by_hand || self.check.forgiven {
            self.check.forgiven |= approved;
            return;
        }
        let id = self.id(member);
        if safe {
            return self.violates(format!(
                "{id} takes over at {kept} and lacks rows acknowledged up to {acked_safe} (said: {:?})",
                change.loss
            ));
        }
        let said = match change.loss {
            Some(Loss::Bytes(bytes)) => bytes,
            // Sent by a pass that is no more; another says it again.
            None => return,
            Some(Loss::Nothing) if !stood_still => {
                return self.violates(format!("{id} takes over at {kept}, lost up to {acked}, and said: nothing"));
            }
            Some(_) => return,
        };
        if said > self.setup.policy.max_lost_bytes {
            self.violates(format!("{id} takes over and loses {said} bytes, more than the policy allows"));
        } else if kept + said < self.check.known.min(acked) {
            self.violates(format!(
                "{id} takes over at {kept}; {said} bytes were said to be lost, probes had seen {}, acked {acked}",
                self.check.known
            ));
        }
    }

    fn check_pause(&mut self, member: usize) {
        let until = self.aws.table.state.pause.as_ref().map_or(0, |pause: &Pause| pause.until_ms);
        if until > self.clock(0) + self.setup.skew {
            self.violates(format!("{} is promoted while the cluster is paused", self.id(member)));
        }
    }

    /// (3) What the pass was sure of is true, as the world knows it.
    fn check_evidence(&mut self, change: &Change) {
        let Some(from) = self.place(&change.from) else { return };
        let sure = change.sure.clone().unwrap_or_default();
        let host = &self.members[from].host;
        let running = host.up && !matches!(self.members[from].process, Process::Down | Process::Starting);
        let (kind, holds) = if sure.starts_with("EC2 reads") {
            ("Stopped", !running)
        } else if sure.starts_with("PostgreSQL on") {
            ("PostgresDown", !running)
        } else if sure.starts_with("commits frozen") {
            ("CommitsFrozen", !self.can_acknowledge(from))
        } else if sure.contains("its guard stops PostgreSQL after") {
            // A host whose time stands still obeys no guard: documented, and counted here.
            let just = host.went_on.is_some_and(|at| self.now() - at < 4_000);
            let stands = running && (host.hung || just);
            self.check.stood_still[from] |= stands;
            if stands {
                self.tally.count("events", "self-fenced by a host that stands still");
            }
            ("SelfFenced", !running || stands)
        } else {
            ("none", false)
        };
        self.tally.count("evidence", kind);
        if !holds && !self.check.by_hand[from] {
            self.violates(format!("promoted although it is not true that: {sure:?}"));
        }
    }

    /// (4) The epoch only grows.
    pub(crate) fn check_epoch(&mut self) {
        let now = self.aws.table.state.epoch;
        if now < self.check.epoch {
            self.violates(format!("the epoch fell from {} to {now}", self.check.epoch));
        }
        self.check.epoch = now;
    }

    /// Twice a second: who is a healthy writer, and who is heard by a standby
    /// that the functions see.
    pub(crate) fn check_health(&mut self) {
        let now = self.now();
        for member in 0..self.members.len() {
            let me = &self.members[member];
            let writes = me.runs() && me.writer().is_some_and(|writer| !writer.stopping);
            let machine = me.host.ec2 == Ec2::Running && !me.disk_full;
            let seen = self.net.reaches(FUNCTIONS, member) && self.net.reaches(WATCH, member);
            let heard = writes && (0..self.members.len()).any(|down| self.is_heard_by(member, down));
            if !(heard && seen && machine) {
                self.members[member].unwell_at = now;
            }
            if !(heard && machine) {
                self.members[member].unheard_at = now;
            }
        }
    }

    fn is_heard_by(&self, up: usize, down: usize) -> bool {
        let standby = self.members[down].standby().and_then(|standby| standby.receiver.as_ref());
        self.members[down].runs()
            && standby.is_some_and(|receiver| receiver.up == up && self.now() - receiver.heard < 2_500)
            && self.net.reaches(up, down)
            && self.net.reaches(FUNCTIONS, down)
    }

    /// (5) A healthy writer is never fenced; nor one that standbys hear.
    pub(crate) fn check_begin(&mut self, change: &Change) {
        let word = if change.kind == ChangeKind::Failover { "failovers begun" } else { "switchovers begun" };
        self.tally.count("events", word);
        let Some(from) = self.place(&change.from) else { return };
        let late = self.setup.loss > 0 || self.setup.flaky > 0 || self.setup.cut > 0;
        let before = self.now().saturating_sub(if late { TELLING_LATE } else { TELLING });
        self.check.known = self.branches[self.members[from].data.branch].probed_by(before);
        // A call that takes seconds acts on a look that is seconds old.
        if change.kind == ChangeKind::Switchover || self.aws.ill[0].slow > 0 {
            return;
        }
        let now = self.now();
        let me = &self.members[from];
        if me.writer().is_none() {
            return;
        }
        if now - me.unwell_at.min(now) > HEALTHY {
            self.violates(format!("a failover begins although {} is a healthy writer", me.id));
        } else if now - me.unheard_at.min(now) > HEALTHY + 2_000 && self.setup.flaky == 0 {
            // With lost packets, the one standby that hears it may not answer the one look that counts.
            self.violates(format!("a failover begins although standbys hear {}", me.id));
        }
    }

    /// (5) An order to stop a host.
    pub(crate) fn check_stop(&mut self, member: usize) {
        let named = self.aws.table.state.writer.as_deref() == Some(self.id(member));
        let me = &self.members[member];
        let slow = self.aws.ill[0].slow > 0 || self.aws.ill[1].slow > 0;
        if named && !slow && self.now() - me.unwell_at.min(self.now()) > HEALTHY {
            self.violates(format!("the healthy writer {} is stopped", me.id));
        }
        self.check.by_somebody[member] = false;
    }

    pub(crate) fn check_finish(&mut self, epoch: u64, kind: ChangeKind) {
        self.check.ended.insert(epoch, kind == ChangeKind::Failover);
        let word = if kind == ChangeKind::Failover { "failovers" } else { "switchovers" };
        self.tally.count("events", word);
    }

    pub(crate) fn check_page(&mut self, page: &Page) {
        let moved = page.subject.contains("writer moved to") || page.subject.contains("the writer is");
        let epoch = page.text.split("epoch ").nth(1).and_then(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u64>().ok()
        });
        if let (true, Some(epoch)) = (moved, epoch) {
            *self.check.told.entry(epoch).or_default() += 1;
        }
    }

    /// A pass died, or was not told that a call of it was done.
    pub(crate) fn check_mishap(&mut self) {
        let epoch = self.aws.table.state.epoch;
        *self.check.mishaps.entry(epoch).or_default() += 1;
    }

    /// (7) Whether all is as it must be in the end; if not, what is not.
    ///
    /// # Errors
    ///
    /// The first thing that is not.
    pub fn settled(&self) -> Result<(), String> {
        let state = &self.aws.table.state;
        let writers: Vec<usize> =
            (0..self.members.len()).filter(|member| self.members[*member].writer().is_some()).collect();
        let &[writer] = writers.as_slice() else { return Err(format!("{} members out of recovery", writers.len())) };
        let id = self.id(writer);
        let leased = state.holder.as_ref().filter(|holder| holder.expires_at_ms > self.clock(0));
        if state.change.is_some() || leased.is_some() {
            let change = state.change.as_ref().map(|change| &change.from);
            return Err(format!("a change away from {change:?} or the lease of {leased:?} is open"));
        }
        if state.writer.as_deref() != Some(id) {
            return Err(format!("the state item names {:?}, {id} writes", state.writer));
        }
        if self.aws.writer_record() != Some(writer) {
            return Err(format!("the record names {:?}, {id} writes", self.aws.zone.writer));
        }
        for member in (0..self.members.len()).filter(|member| *member != writer) {
            let me = &self.members[member];
            let streams = me.standby().and_then(|standby| standby.receiver.as_ref());
            if streams.is_none_or(|receiver| receiver.up != writer) {
                return Err(format!("{} does not stream from {id} (upstream {:?})", me.id, me.data.upstream));
            }
        }
        match self.members[writer].writer() {
            Some(process) if !process.pending.is_empty() && process.pending.len() > self.clients.len() => {
                Err(format!("commits on {id} wait for {:?}", process.applied.setting()))
            }
            _ => Ok(()),
        }
    }

    /// (7) One page for each change that ended, and a ledger item.
    pub(crate) fn check_telling(&mut self) {
        let ended: Vec<(u64, bool)> = self.check.ended.iter().map(|(epoch, failover)| (*epoch, *failover)).collect();
        for (epoch, failover) in ended {
            let told = self.check.told.get(&epoch).copied().unwrap_or(0);
            let mishaps = self.check.mishaps.get(&epoch).copied().unwrap_or(0);
            if told == 0 || told > 1 + mishaps {
                self.violates(format!("epoch {epoch} (failover: {failover}) was told {told} times, {mishaps} mishaps"));
            }
            let suffix = format!("#{epoch}");
            if !self.aws.table.ledger.keys().any(|item| item.ends_with(&suffix)) {
                self.violates(format!("epoch {epoch} has no item in the ledger"));
            }
        }
    }

    /// A pass sets the synchronous set: from here it is nobody's by hand.
    pub(crate) fn check_set_by_pass(&mut self, member: usize) {
        self.check.by_hand[member] = false;
    }
}

#[cfg(test)]
mod tests;

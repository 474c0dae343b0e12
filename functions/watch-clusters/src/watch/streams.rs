//! What the writer says of its standbys: who streams, and whom commits wait for.

use super::{Finding, Watch};
use domain::{
    card::CardMember,
    failover::{Sql, WriterSeen},
    state::{State, Synchronous},
};
use std::collections::BTreeSet;

impl Watch {
    /// What the writer of the state item answered last, when it did as one.
    pub(super) fn answer(&self) -> Option<&WriterSeen> {
        match self.seen.get(self.writer()?)?.sql.as_ref()? {
            Sql::Writer(answer) => Some(answer),
            _ => None,
        }
    }

    /// What is wrong by the writer's own account; nothing while it gives none.
    pub(super) fn wrong_with_streams(&self, state: &State, writer: &str) -> Vec<Finding> {
        let Some(answer) = self.answer() else { return Vec::new() };
        let mut wrong = self.back_and_readers(answer, writer);
        if commits_wait(answer) {
            wrong.push(Finding::CommitsWait(writer.to_owned()));
        }
        if self.set_is_behind(state, writer, answer) {
            wrong.push(Finding::SynchronousSetBehind);
        }
        wrong
    }

    /// Who is back, and who can be read from: whoever steers the cluster.
    pub(super) fn back_and_readers(&self, answer: &WriterSeen, writer: &str) -> Vec<Finding> {
        let mut wrong = Vec::new();
        let back = self.others(writer).filter(|member| self.memory.down.contains(&member.id));
        let back = back.filter(|member| streams(answer, &member.name));
        wrong.extend(back.map(|member| Finding::MemberBack(member.id.clone())));
        if let (Some(now), Some(before)) = (self.readers(), &self.memory.readers)
            && now != *before
        {
            wrong.push(Finding::ReadersChanged(now));
        }
        wrong
    }

    /// What is found for the first time is no change: `update-dns` looks by
    /// itself every few minutes, and at every run that begins cold would be more.
    pub(super) fn know_readers(&mut self) {
        if self.memory.readers.is_none() {
            self.memory.readers = self.readers();
        }
    }

    /// What must be remembered of a finding that is told now.
    pub(super) fn telling(&mut self, finding: &Finding) {
        match finding {
            Finding::MemberDown(id) | Finding::MemberSilent(id) => drop(self.memory.down.insert(id.clone())),
            Finding::MemberBack(id) => drop(self.memory.down.remove(id)),
            Finding::ReadersChanged(now) => self.memory.readers = Some(now.clone()),
            _ => {}
        }
    }

    /// Names of the standbys that stream from the writer and answer; `None`
    /// before everybody was asked, or when the writer does not say.
    fn readers(&self) -> Option<BTreeSet<String>> {
        let (answer, writer) = (self.answer()?, self.writer()?);
        let mut readers = BTreeSet::new();
        for (place, (member, seen)) in self.card.members.iter().zip(&self.seen).enumerate() {
            let answers = seen.sql.as_ref()?.answers();
            if place != writer && answers && streams(answer, &member.name) {
                readers.insert(member.name.clone());
            }
        }
        Some(readers)
    }

    fn others(&self, writer: &str) -> impl Iterator<Item = &CardMember> {
        self.card.members.iter().filter(move |member| member.id != writer)
    }

    /// Whether `promote-replica` would publish another set: it lets the set grow
    /// by standbys that stream, and never shrink.
    fn set_is_behind(&self, state: &State, writer: &str, answer: &WriterSeen) -> bool {
        if self.card.synchronous_required == 0 {
            return false;
        }
        let published = &state.synchronous;
        let counts =
            |name: &str| streams(answer, name) || (published.is_on() && published.names.iter().any(|n| n == name));
        let mut names: Vec<&String> =
            self.others(writer).map(|member| &member.name).filter(|name| counts(name)).collect();
        names.sort();
        let most = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let required = self.card.synchronous_required.max(published.required).min(most);
        required > 0 && (required != published.required || !names.into_iter().eq(&published.names))
    }
}

fn streams(answer: &WriterSeen, name: &str) -> bool {
    answer.streams.iter().any(|stream| stream.streaming && stream.name == name)
}

/// Whether fewer standbys stream than a commit waits for, by the setting as it is.
fn commits_wait(answer: &WriterSeen) -> bool {
    let Some(applied) = Synchronous::parse(&answer.synchronous_setting).filter(Synchronous::is_on) else {
        return false;
    };
    let streaming = applied.names.iter().filter(|name| streams(answer, name)).count();
    streaming < applied.required as usize
}

#[cfg(test)]
mod tests {
    use super::super::{
        Act,
        tests::{Kit, address, changing, held, silent, standby, state},
    };
    use super::*;
    use domain::{events::Function, failover::StreamSeen, lsn::Lsn};

    fn writer(setting: &str, streaming: &[&str]) -> Sql {
        let stream = |name: &&str| StreamSeen { name: (*name).to_owned(), streaming: true, flushed: Some(Lsn(900)) };
        Sql::Writer(WriterSeen {
            timeline: 1,
            lsn: Lsn(900),
            system_id: 7,
            synchronous_setting: setting.to_owned(),
            streams: streaming.iter().map(stream).collect(),
            slots: vec![],
        })
    }

    fn published(required: u32, names: &[&str]) -> State {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        State { synchronous: Synchronous { required, names }, ..state() }
    }

    /// So many seconds of probes of all three members, the state read after each; what is told, and when.
    fn watched(kit: &mut Kit, seconds: u64, answers: &[Sql; 3], state: &State) -> Vec<(u64, Finding)> {
        let mut told = vec![];
        for _ in 0..seconds {
            let mut acts = vec![];
            for (member, sql) in answers.iter().enumerate() {
                acts.extend(kit.probe(member, sql.clone()));
                kit.now_ms -= 1_000;
            }
            kit.now_ms += 500;
            acts.extend(kit.watch.told_state(state.clone(), kit.now_ms, kit.now_ms + 10));
            kit.now_ms += 500;
            let found = acts.into_iter().filter_map(|act| match act {
                Act::Tell(finding) => Some((kit.now_ms / 1_000, finding)),
                _ => None,
            });
            told.extend(found);
        }
        told
    }

    fn well() -> [Sql; 3] {
        let up = || standby(Some(address(1)));
        [writer("ANY 1 (\"orders_2\", \"orders_3\")", &["orders_2", "orders_3"]), up(), up()]
    }

    fn both() -> State {
        published(1, &["orders_2", "orders_3"])
    }

    #[test]
    fn what_the_writer_says_of_its_standbys() {
        let up = || standby(Some(address(1)));
        let any_1 = "ANY 1 (orders_2, orders_3)";
        let wait = || vec![Finding::CommitsWait("i-1".to_owned())];
        let behind = || vec![Finding::SynchronousSetBehind];
        let table = [
            ("all is well", well(), both(), vec![]),
            ("one streams, one is enough", [writer(any_1, &["orders_2"]), up(), silent()], both(), vec![]),
            ("none streams", [writer(any_1, &[]), up(), up()], both(), wait()),
            (
                "one streams, two are needed",
                [writer("ANY 2 (orders_2, orders_3)", &["orders_2"]), up(), up()],
                published(2, &["orders_2", "orders_3"]),
                wait(),
            ),
            ("nobody is waited for", [writer("", &[]), up(), up()], published(0, &[]), vec![]),
            ("a stranger streams", [writer(any_1, &["other", "understudy"]), up(), up()], both(), wait()),
            ("a setting that is not understood", [writer("*", &["orders_2"]), up(), up()], both(), vec![]),
            ("one streams that is not published", well(), published(1, &["orders_2"]), behind()),
            ("nobody is published", well(), published(0, &[]), behind()),
            (
                "the one not published does not stream",
                [writer("orders_2", &["orders_2"]), up(), up()],
                published(1, &["orders_2"]),
                vec![],
            ),
            ("fewer are needed than could be", well(), published(0, &["orders_2", "orders_3"]), behind()),
            (
                "more are needed than the spec wants",
                [writer("ANY 2 (orders_2, orders_3)", &["orders_2", "orders_3"]), up(), up()],
                published(2, &["orders_2", "orders_3"]),
                vec![],
            ),
            ("while it changes", well(), held(u64::MAX, changing()), vec![]),
            ("while somebody mends", well(), held(u64::MAX, published(0, &[])), vec![]),
        ];
        for (name, answers, state, expected) in table {
            let mut kit = Kit::new(both());
            let told: Vec<Finding> =
                watched(&mut kit, 13, &answers, &state).into_iter().map(|(_, told)| told).collect();
            // A set that is behind is told at once, and again after ten seconds.
            let mut once = told.clone();
            once.dedup();
            assert_eq!(once, expected, "{name}: {told:?}");
        }
    }

    #[test]
    fn an_asynchronous_cluster_has_no_set_to_grow() {
        let mut kit = Kit::new(both());
        kit.watch.card.synchronous_required = 0;
        assert_eq!(watched(&mut kit, 20, &well(), &published(0, &[])), []);
    }

    #[test]
    fn waiting_commits_are_told_when_they_have_waited_ten_seconds() {
        let mut none = well();
        none[0] = writer("ANY 1 (orders_2, orders_3)", &[]);
        let mut kit = Kit::new(both());
        assert_eq!(watched(&mut kit, 10, &none, &both()), [], "a restart of a standby");
        assert_eq!(watched(&mut kit, 1, &well(), &both()), []);
        assert_eq!(watched(&mut kit, 10, &none, &both()), [], "counted anew");
        let told = watched(&mut kit, 60, &none, &both());
        let times: Vec<u64> =
            told.iter().filter(|(_, told)| matches!(told, Finding::CommitsWait(_))).map(|(at, _)| *at).collect();
        assert_eq!(times.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>(), [10, 20], "{told:?}");
        assert!(told.iter().all(|(_, told)| told.function()
            == if matches!(told, Finding::ReadersChanged(_)) {
                Function::UpdateDns
            } else {
                Function::PromoteReplica
            }));
    }

    #[test]
    fn a_member_that_refuses_is_told_after_two_probes_and_when_it_is_back() {
        let mut down = well();
        (down[0], down[2]) = (writer("ANY 1 (orders_2, orders_3)", &["orders_2"]), Sql::Refused);
        let mut kit = Kit::new(both());
        watched(&mut kit, 3, &well(), &both());
        let told = watched(&mut kit, 80, &down, &both());
        let of_member: Vec<u64> = told
            .iter()
            .filter(|(_, told)| *told == Finding::MemberDown("i-3".to_owned()))
            .map(|(at, _)| *at - 3)
            .collect();
        assert_eq!(of_member, [2, 12, 32, 72], "{told:?}");
        // Silent is not down: nobody knows whether PostgreSQL runs there.
        down[2] = silent();
        assert_eq!(watched(&mut kit, 30, &down, &both()), []);
        let back = watched(&mut kit, 30, &well(), &both());
        let expected = [
            Finding::MemberBack("i-3".to_owned()),
            Finding::ReadersChanged(["orders_2", "orders_3"].map(str::to_owned).into()),
        ];
        assert_eq!(back.iter().map(|(_, told)| told.clone()).collect::<Vec<_>>(), expected);
        assert_eq!(expected[0].function(), Function::RejoinReplica);
        assert_eq!(watched(&mut kit, 30, &well(), &both()), [], "once");
    }

    #[test]
    fn the_writer_and_members_during_a_change_are_not_told_to_be_down() {
        let mut answers = well();
        answers[0] = Sql::Refused;
        assert_eq!(watched(&mut Kit::new(both()), 30, &answers, &both()), []);
        let mut answers = well();
        answers[2] = Sql::Refused;
        assert_eq!(watched(&mut Kit::new(both()), 30, &answers, &held(u64::MAX, changing())), []);
    }

    #[test]
    fn readers_that_change_are_told_once_after_ten_seconds() {
        let up = || standby(Some(address(1)));
        let set = |names: &[&str]| Finding::ReadersChanged(names.iter().map(|name| (*name).to_owned()).collect());
        let one = || [writer("ANY 1 (orders_2, orders_3)", &["orders_2"]), up(), up()];
        let mut kit = Kit::new(both());
        assert_eq!(watched(&mut kit, 30, &well(), &both()), [], "found so at first");
        assert_eq!(watched(&mut kit, 10, &one(), &both()), [], "a stream that breaks");
        assert_eq!(watched(&mut kit, 5, &well(), &both()), [], "and is back");
        let told = watched(&mut kit, 40, &one(), &both());
        assert_eq!(told.iter().map(|(_, told)| told.clone()).collect::<Vec<_>>(), [set(&["orders_2"])]);
        // It streams, but the functions do not reach it; a crowded one is one that answers.
        let unreached =
            [writer("ANY 1 (orders_2, orders_3)", &["orders_2", "orders_3"]), silent(), Sql::Alive("53300".to_owned())];
        let told = watched(&mut kit, 20, &unreached, &both());
        assert_eq!(told.iter().map(|(_, told)| told.clone()).collect::<Vec<_>>(), [set(&["orders_3"])]);
        // Without the writer's word nothing is known.
        let deaf = [silent(), up(), up()];
        assert_eq!(watched(&mut kit, 20, &deaf, &both()), []);
    }
}

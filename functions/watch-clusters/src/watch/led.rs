//! What is wrong with a cluster whose roles Patroni assigns (I15).

use super::{Act, Finding, Watch, streak::Streak};
use domain::{
    card::CardMember,
    failover::Sql,
    state::{Holder, State},
};

impl Watch {
    /// What is wrong; `None` when that cannot be said now.
    pub(super) fn wrong_where_led(&self, state: &State, now_ms: u64) -> Option<Vec<Finding>> {
        let live = |holder: &Holder| holder.expires_at_ms > now_ms;
        if state.holder.as_ref().is_some_and(live) {
            return None;
        }
        if state.change.is_some() {
            return Some(vec![Finding::ChangeUnfinished]);
        }
        let Some(writer) = &state.writer else {
            return Some(self.leads().map(|id| Finding::NotAdopted(id.to_owned())).into_iter().collect());
        };
        let writes = self.answer().is_some();
        let led = self.leads().is_some();
        let of_member = |(member, seen): (&CardMember, &Streak)| {
            let id = || member.id.clone();
            match seen.sql.as_ref()? {
                Sql::Writer(_) if &member.id != writer && writes => Some(Finding::TwoWriters(id())),
                Sql::Writer(_) if &member.id != writer => Some(Finding::LeaderMoved(id())),
                Sql::Standby(_) if &member.id == writer && !led => Some(Finding::WriterInRecovery(id())),
                Sql::Refused if &member.id != writer => Some(Finding::MemberDown(id())),
                Sql::Silent(_) if &member.id != writer => Some(Finding::MemberSilent(id())),
                _ => None,
            }
        };
        let mut wrong: Vec<Finding> = self.card.members.iter().zip(&self.seen).filter_map(of_member).collect();
        if let Some(answer) = self.answer() {
            wrong.extend(self.back_and_readers(answer, writer));
        }
        let over = |until_ms: u64| until_ms > 0 && until_ms <= now_ms;
        if state.pause.as_ref().is_some_and(|pause| over(pause.until_ms)) {
            wrong.push(Finding::PauseOver);
        }
        Some(wrong)
    }

    /// A member that was found out of recovery by its last probe.
    fn leads(&self) -> Option<&str> {
        let mut members = self.card.members.iter().zip(&self.seen);
        let leader = members.find(|(_, seen)| matches!(seen.sql, Some(Sql::Writer(_))));
        leader.map(|(member, _)| member.id.as_str())
    }

    /// A leader that moved is told with all that is known of the one before it:
    /// what was lost can be judged by nothing else.
    pub(super) fn act_of(&self, finding: Finding) -> Act {
        let Finding::LeaderMoved(leader) = &finding else { return Act::Tell(finding) };
        let place = self.writer();
        let old = place.and_then(|place| self.card.members.get(place).zip(self.seen.get(place)));
        // The one on record is no member any more.
        let Some((member, seen)) = old else { return Act::Tell(Finding::NotAdopted(leader.clone())) };
        let last_write = self.memory.writes.get(&member.id);
        Act::Suspect(seen.moved(&member.id, last_write, leader, finding.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        LastWrite,
        tests::{Kit, address, changing, held, silent, standby, state},
    };
    use super::*;
    use domain::{
        card::Topology,
        failover::{StreamSeen, WriterSeen},
        lsn::Lsn,
        state::Pause,
    };

    fn led(state: State) -> Kit {
        let mut kit = Kit::new(state);
        kit.watch.card.topology = Topology::Ec2Patroni;
        kit
    }

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

    /// So many seconds of probes of all three members, the state read after each; what is told.
    fn told(kit: &mut Kit, seconds: u64, answers: &[Sql; 3], state: &State) -> Vec<Act> {
        let mut told = vec![];
        for _ in 0..seconds {
            for (member, sql) in answers.iter().enumerate() {
                told.extend(kit.probe(member, sql.clone()));
                kit.now_ms -= 1_000;
            }
            kit.now_ms += 500;
            told.extend(kit.watch.told_state(state.clone(), kit.now_ms, kit.now_ms + 10));
            kit.now_ms += 500;
        }
        told.retain(|act| *act != Act::ReadState);
        told.dedup();
        told
    }

    #[test]
    fn what_is_patronis_is_not_told_and_the_rest_is() {
        let up = || standby(Some(address(1)));
        let w = || writer("orders_2", &["orders_2", "orders_3"]);
        let id = |number: u8| format!("i-{number}");
        let paused = |until_ms| State { pause: Some(Pause { until_ms, reason: "x".into() }), ..state() };
        let table = [
            ("all is well", [w(), up(), up()], state(), vec![]),
            ("frozen, astray", [w(), standby(None), standby(Some(address(2)))], state(), vec![]),
            ("commits wait, set behind", [writer("orders_2", &[]), up(), up()], state(), vec![]),
            ("two writers", [w(), w(), up()], state(), vec![Finding::TwoWriters(id(2))]),
            ("the writer in recovery", [up(), up(), up()], state(), vec![Finding::WriterInRecovery(id(1))]),
            (
                "nobody on record",
                [up(), w(), up()],
                State { writer: None, ..state() },
                vec![Finding::NotAdopted(id(2))],
            ),
            ("nobody on record, nobody leads", [up(), up(), up()], State { writer: None, ..state() }, vec![]),
            (
                "a member does not run",
                [writer("", &["orders_2"]), up(), Sql::Refused],
                state(),
                vec![Finding::MemberDown(id(3))],
            ),
            (
                "a member is silent",
                [writer("", &["orders_2"]), up(), silent()],
                state(),
                vec![Finding::MemberSilent(id(3))],
            ),
            ("a change nobody is at", [w(), up(), up()], changing(), vec![Finding::ChangeUnfinished]),
            ("a change somebody is at", [w(), w(), up()], held(u64::MAX, changing()), vec![]),
            ("a pause that lasts", [w(), up(), up()], paused(u64::MAX), vec![]),
            ("a pause that is over", [w(), up(), up()], paused(1), vec![Finding::PauseOver]),
            ("a pause that was ended", [w(), up(), up()], paused(0), vec![]),
        ];
        for (name, answers, state, expected) in table {
            let mut kit = led(state.clone());
            let mut found: Vec<Finding> = told(&mut kit, 13, &answers, &state)
                .into_iter()
                .filter_map(|act| match act {
                    Act::Tell(Finding::ReadersChanged(_)) => None,
                    Act::Tell(finding) => Some(finding),
                    other => panic!("{name}: {other:?}"),
                })
                .collect();
            found.dedup();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_silent_member_is_told_after_ten_seconds_and_when_it_is_back() {
        let up = || standby(Some(address(1)));
        let mut kit = led(state());
        let away = [writer("", &["orders_2"]), up(), silent()];
        assert_eq!(told(&mut kit, 10, &away, &state()), []);
        let acts = told(&mut kit, 3, &away, &state());
        assert!(acts.contains(&Act::Tell(Finding::MemberSilent("i-3".to_owned()))), "{acts:?}");
        let acts = told(&mut kit, 20, &[writer("", &["orders_2", "orders_3"]), up(), up()], &state());
        assert!(acts.contains(&Act::Tell(Finding::MemberBack("i-3".to_owned()))), "{acts:?}");
    }

    #[test]
    fn a_leader_that_moved_is_told_with_what_the_old_one_wrote_last() {
        let up = || standby(Some(address(2)));
        let mut kit = led(state());
        told(&mut kit, 3, &[writer("orders_2", &["orders_2"]), up(), up()], &state());
        let last = LastWrite { lsn: Lsn(900), at_ms: 3_000, synchronous_setting: "orders_2".to_owned() };
        // It answers as a standby: a switchover. Its last word is where the time begins.
        let acts = told(&mut kit, 3, &[up(), writer("", &["orders_1"]), up()], &state());
        let [Act::Suspect(found)] = &acts[..] else { panic!("{acts:?}") };
        assert_eq!((found.leader.as_deref(), found.member.as_str(), found.failures), (Some("i-2"), "i-1", 0));
        assert_eq!((found.silent_since_ms, found.last_write.as_ref()), (3_000, Some(&last)));
        // It is silent: suspected as any writer; then another leads.
        let mut kit = led(state());
        told(&mut kit, 3, &[writer("orders_2", &["orders_2"]), up(), up()], &state());
        let acts = told(&mut kit, 5, &[silent(), up(), up()], &state());
        assert!(matches!(&acts[..], [Act::Suspect(first), ..] if first.leader.is_none()), "{acts:?}");
        let acts = told(&mut kit, 2, &[silent(), writer("", &[]), up()], &state());
        let moved = acts.iter().find_map(|act| match act {
            Act::Suspect(found) if found.leader.is_some() => Some(found),
            _ => None,
        });
        let Some(moved) = moved else { panic!("{acts:?}") };
        assert_eq!((moved.silent_since_ms, moved.last_write.as_ref()), (4_000, Some(&last)));
        // The one on record is no member any more.
        let stranger = State { writer: Some("i-9".to_owned()), ..state() };
        let acts = told(&mut led(stranger.clone()), 3, &[up(), writer("", &[]), up()], &stranger);
        assert_eq!(acts, [Act::Tell(Finding::NotAdopted("i-2".to_owned()))]);
    }
}

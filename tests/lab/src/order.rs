//! Whether a cluster that Patroni leads is as a run must find it.

use crate::{
    cluster::{Cluster, Now, READER_PORT, WRITER_PORT},
    control,
    error::Error,
    lab::Lab,
    patroni::{Agent, Patroni},
    sql::Member,
};
use domain::card::PatroniCard;

/// A cluster, as far as it can be in disorder.
#[derive(Debug, Clone)]
struct Seen {
    now: Now,
    /// How many standbys a commit shall wait for.
    required: usize,
    /// Name, instance id, address, what its agent says and what PostgreSQL answered.
    members: Vec<(String, String, String, Option<Agent>, Member)>,
    /// The healthy targets of the load balancer's two ports, by instance id.
    writers: Vec<String>,
    readers: Vec<String>,
}

/// What keeps the cluster from being as new, in a sentence each; empty when it is.
pub async fn disorder(lab: &Lab, cluster: &Cluster, card: &PatroniCard) -> Result<Vec<String>, Error> {
    let mut members = Vec::new();
    for (member, agent) in Patroni::of(&lab.place, cluster, card)?.agents().await {
        let answer = cluster.database.ask(member.address).await;
        members.push((member.name, member.id, member.address.to_string(), agent, answer));
    }
    let front = control::fronts().await?.into_iter().find(|front| front.dns_name == card.balancer);
    let healthy = |port| {
        let front = front.as_ref().map(|front| front.healthy(port)).unwrap_or_default();
        let mut ids: Vec<String> = front.into_iter().map(|(id, _)| id).collect();
        ids.sort();
        ids
    };
    let required = usize::try_from(cluster.card.synchronous_required).unwrap_or(usize::MAX);
    let now = cluster.now(&lab.owner, &lab.zone).await?;
    Ok(judge(&Seen { now, required, members, writers: healthy(WRITER_PORT), readers: healthy(READER_PORT) }))
}

fn judge(seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut demand = |kept: bool, what: String| {
        if !kept {
            wrong.push(what);
        }
    };
    let leads = |agent: &Option<Agent>| agent.as_ref().is_some_and(Agent::leads);
    let leaders: Vec<_> = seen.members.iter().filter(|(_, _, _, agent, _)| leads(agent)).collect();
    let [(name, id, address, Some(leader), answer)] = leaders[..] else {
        return vec![format!("{} members lead by Patroni's word", leaders.len())];
    };
    demand(!leader.pause, "Patroni is paused".to_owned());
    demand(matches!(answer, Member::Writable(_)), format!("the leader {name} answers {answer:?}"));
    let mut waited_for = 0;
    let mut standbys = Vec::new();
    for (name, standby, _, agent, answer) in seen.members.iter().filter(|(_, other, ..)| other != id) {
        standbys.push(standby.clone());
        demand(*answer == Member::Standby, format!("{name} answers {answer:?}"));
        let streams =
            |receiver: &crate::patroni::Receiver| receiver.application_name == *name && receiver.state == "streaming";
        demand(leader.replication.iter().any(streams), format!("{name} does not stream from the leader"));
        waited_for += usize::from(agent.as_ref().is_some_and(|agent| agent.sync_standby));
    }
    let wanted = seen.required.min(standbys.len());
    demand(waited_for >= wanted, format!("commits wait for {waited_for} standbys of {wanted}"));
    standbys.sort();
    demand(seen.writers == [id.clone()], format!("the load balancer sends writers to {:?}", seen.writers));
    demand(seen.readers == standbys, format!("the load balancer sends readers to {:?}", seen.readers));
    demand(seen.now.steady, "a change of writer is open".to_owned());
    let writer = seen.now.writer.as_deref().unwrap_or("no member");
    demand(writer == id, format!("the state item names {writer} as writer, Patroni {id}"));
    let record = seen.now.record.as_deref().unwrap_or("nothing");
    demand(record == address, format!("the writer record points at {record}, the leader is {address}"));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patroni::Receiver;

    fn clean() -> Seen {
        let receiver = |name: &str| Receiver { application_name: name.to_owned(), state: "streaming".to_owned() };
        let agent = |role: &str, sync_standby| Agent {
            role: role.to_owned(),
            state: "running".to_owned(),
            timeline: Some(2),
            pause: false,
            sync_standby,
            replication: Vec::new(),
        };
        let member = |number: u8, agent, answer| {
            (format!("shop_{number}"), format!("i-{number}"), format!("127.0.1{number}.10"), Some(agent), answer)
        };
        let mut leader = agent("primary", false);
        leader.replication = vec![receiver("shop_1"), receiver("shop_3")];
        Seen {
            now: Now {
                writer: Some("i-2".to_owned()),
                state_epoch: Some(2),
                steady: true,
                record: Some("127.0.12.10".to_owned()),
                epoch: Some(2),
                ..Now::default()
            },
            required: 1,
            members: vec![
                member(1, agent("replica", true), Member::Standby),
                member(2, leader, Member::Writable(2)),
                member(3, agent("replica", false), Member::Standby),
            ],
            writers: vec!["i-2".to_owned()],
            readers: vec!["i-1".to_owned(), "i-3".to_owned()],
        }
    }

    #[test]
    fn every_disorder_is_told() {
        assert_eq!(judge(&clean()), Vec::<String>::new());
        type Damage = fn(&mut Seen);
        let leader = |seen: &mut Seen, damage: fn(&mut Agent)| {
            if let Some(agent) = &mut seen.members[1].3 {
                damage(agent);
            }
        };
        let table: [(&str, Damage); 10] = [
            ("0 members lead by Patroni's word", |seen| seen.members[1].3 = None),
            ("2 members lead by Patroni's word", |seen| seen.members[0].3 = seen.members[1].3.clone()),
            ("the leader shop_2 answers Waiting(2)", |seen| seen.members[1].4 = Member::Waiting(2)),
            ("shop_3 answers Writable(2)", |seen| seen.members[2].4 = Member::Writable(2)),
            ("commits wait for 0 standbys of 1", |seen| {
                if let Some(agent) = &mut seen.members[0].3 {
                    agent.sync_standby = false;
                }
            }),
            ("the load balancer sends writers to []", |seen| seen.writers.clear()),
            ("the load balancer sends readers to [\"i-1\"]", |seen| drop(seen.readers.pop())),
            ("a change of writer is open", |seen| seen.now.steady = false),
            ("the state item names i-3 as writer, Patroni i-2", |seen| seen.now.writer = Some("i-3".to_owned())),
            ("the writer record points at nothing, the leader is 127.0.12.10", |seen| seen.now.record = None),
        ];
        for (expected, damage) in table {
            let mut seen = clean();
            damage(&mut seen);
            assert_eq!(judge(&seen), [expected]);
        }
        let mut seen = clean();
        leader(&mut seen, |agent| agent.pause = true);
        assert_eq!(judge(&seen), ["Patroni is paused"]);
        let mut seen = clean();
        leader(&mut seen, |agent| agent.replication[1].state = "catchup".to_owned());
        assert_eq!(judge(&seen), ["shop_3 does not stream from the leader"]);
    }
}

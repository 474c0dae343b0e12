//! SSM and the members' own shell, as far as `rejoin.sh` is concerned.

use super::{Inner, World, lost, standby, writer};
use domain::{
    failover::Sql,
    rejoin::{CommandSeen, Order, Rejoin, Sent},
};
use reconcile::{Failure, Members};

/// A command that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// SSM's id.
    pub id: String,
    /// The instance.
    pub member: String,
    /// What it was sent with.
    pub comment: String,
    /// When.
    pub sent_at_ms: u64,
    /// How it ends: what it prints, or why it fails.
    pub ending: Result<String, String>,
    /// Whether it has ended.
    pub ended: bool,
}

impl Inner {
    /// Ends commands whose time is over; a success leaves a standby behind.
    pub fn tick(&mut self) {
        let (now, runs) = (self.now_ms, self.runs_ms);
        self.databases.tick(now);
        let due = self.commands.iter_mut().filter(|command| !command.ended && command.sent_at_ms + runs <= now);
        let mut back = Vec::new();
        for command in due {
            command.ended = true;
            if command.ending.is_ok() {
                back.push(command.member.clone());
            }
        }
        for member in back {
            self.sql.insert(member.clone(), standby());
            self.guards.remove(&member);
            self.sql.insert("i-a".to_owned(), writer(&["i-b", &member]));
        }
    }
}

impl Members for World {
    async fn rejoin(&self, member: &str) -> Result<Option<Rejoin>, Failure> {
        self.call("rejoin", |inner| Ok(inner.rejoin.get(member).cloned())).await
    }

    async fn note_rejoin(&self, member: &str, before: Option<&Rejoin>, after: &Rejoin) -> Result<(), Failure> {
        self.call("note_rejoin", |inner| {
            if inner.rejoin.get(member) != before {
                return Err(lost("dynamodb:PutItem"));
            }
            inner.rejoin.insert(member.to_owned(), after.clone());
            Ok(())
        })
        .await
    }

    async fn forget_rejoin(&self, member: &str, before: &Rejoin) -> Result<(), Failure> {
        self.call("forget_rejoin", |inner| match inner.rejoin.get(member) {
            Some(now) if now != before => Err(lost("dynamodb:DeleteItem")),
            _ => {
                inner.rejoin.remove(member);
                Ok(())
            }
        })
        .await
    }

    async fn send_command(&self, member: &str, order: &Order) -> Result<Sent, Failure> {
        self.call("send_command", |inner| {
            if !inner.has_agent {
                return Ok(Sent::NoAgent("InvalidInstanceId".to_owned()));
            }
            let running = inner.commands.iter().find(|command| command.member == member && !command.ended);
            assert_eq!(running, None, "a second command at once on {member}");
            assert_eq!(inner.sql.get(member), Some(&Sql::Refused), "a command on a member that is well");
            let id = format!("c-{}", inner.commands.len() + 1);
            let ending = if inner.endings.is_empty() { Ok(String::new()) } else { inner.endings.remove(0) };
            let (member, comment, sent_at_ms) = (member.to_owned(), order.comment.clone(), inner.now_ms);
            inner.commands.push(Command { id: id.clone(), member, comment, sent_at_ms, ending, ended: false });
            Ok(Sent::Command(id))
        })
        .await
    }

    async fn find_command(&self, member: &str, order: &Order) -> Result<Option<String>, Failure> {
        self.call("find_command", |inner| {
            let same = |command: &&Command| command.member == member && command.comment == order.comment;
            Ok(inner.commands.iter().find(same).map(|command| command.id.clone()))
        })
        .await
    }

    async fn command(&self, member: &str, command: &str) -> Result<CommandSeen, Failure> {
        self.call("command", |inner| {
            let found = inner.commands.iter().find(|found| found.member == member && found.id == command);
            Ok(match found.map(|found| (found.ended, &found.ending)) {
                None => CommandSeen::Unknown,
                Some((false, _)) => CommandSeen::Running("InProgress".to_owned()),
                Some((true, Ok(printed))) => CommandSeen::Succeeded(printed.clone()),
                Some((true, Err(why))) => CommandSeen::Failed { status: "Failed".to_owned(), stderr: why.clone() },
            })
        })
        .await
    }
}

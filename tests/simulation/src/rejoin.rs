//! SSM Run Command, and `rejoin.sh` on a member.

use crate::{
    aws::Service,
    calls::{Port, To},
    clock::Ms,
    member::Process,
    network::AWS,
    world::World,
};
use domain::rejoin::{CommandSeen, Order, Outcome, Rejoin, Report, Sent};
use reconcile::{Failure, Members};

const SSM: To = To::Service(Service::Commands);
const TABLE: To = To::Service(Service::Table);

/// SSM gives a command up that does not answer for this long.
const LOST: Ms = 90_000;

/// A command that SSM took.
#[derive(Debug)]
pub struct Command {
    member: usize,
    comment: String,
    began: Ms,
    ended: Option<Result<String, String>>,
}

impl World {
    /// The agent on the member runs the script.
    fn runs_script(&mut self, command: usize) {
        let member = self.aws.commands[command].member;
        let me = &self.members[member];
        if !me.host.up || me.host.hung {
            return;
        }
        let boot = me.host.boot;
        match self.may_rejoin(member) {
            Err(why) => self.aws.commands[command].ended = Some(Err(why)),
            Ok(writer) => {
                let copying = self.between(300, 12_000);
                self.soon(copying, move |world| world.ends_script(command, writer, boot));
            }
        }
    }

    /// The writer to copy from, if the script may go on.
    fn may_rejoin(&self, member: usize) -> Result<usize, String> {
        let state = &self.aws.table.state;
        let me = &self.members[member];
        if !self.net.reaches(member, AWS) || self.aws.ill[0].down > 0 {
            return Err("the state table does not answer".to_owned());
        }
        let writer = state.writer.as_deref().and_then(|id| self.place(id)).filter(|writer| *writer != member);
        let writer = writer.ok_or("the state names this member as writer")?;
        if state.change.is_some() {
            return Err("a change of writer is open".to_owned());
        }
        if me.disk_full {
            return Err("the disk is full".to_owned());
        }
        let reached = self.net.reaches(member, writer) && self.members[writer].runs();
        if !reached || self.members[writer].writer().is_none() {
            return Err(format!("the writer {} does not answer", self.id(writer)));
        }
        Ok(writer)
    }

    fn ends_script(&mut self, command: usize, writer: usize, boot: u32) {
        let member = self.aws.commands[command].member;
        if self.members[member].host.boot != boot || !self.members[member].host.up {
            return;
        }
        if self.members[member].host.hung {
            return self.soon(500, move |world| world.ends_script(command, writer, boot));
        }
        let data = &self.members[member].data;
        let (standby, down) = (data.standby, matches!(self.members[member].process, Process::Down));
        let outcome = match self.may_rejoin(member) {
            Err(why) => Err(why),
            Ok(now) if now != writer => Err("the writer moved during the copy".to_owned()),
            Ok(_) if standby => Ok(Outcome::AlreadyStandby),
            Ok(_) if !down => Err("PostgreSQL runs".to_owned()),
            Ok(_) => {
                self.copies(member, writer);
                Ok(Outcome::Rewound)
            }
        };
        let printed = |outcome| {
            let report = Report { outcome, diverged: false, loss: None, saved: None, seconds: 3 };
            serde_json::to_string(&report).unwrap_or_default()
        };
        self.aws.commands[command].ended = Some(outcome.map(printed));
    }

    fn command_seen(&self, command: usize) -> CommandSeen {
        let Some(command) = self.aws.commands.get(command) else { return CommandSeen::Unknown };
        match &command.ended {
            Some(Ok(printed)) => CommandSeen::Succeeded(printed.clone()),
            Some(Err(why)) => CommandSeen::Failed { status: "Failed".to_owned(), stderr: why.clone() },
            None if self.now() - command.began > LOST => {
                CommandSeen::Failed { status: "DeliveryTimedOut".to_owned(), stderr: String::new() }
            }
            None => CommandSeen::Running("InProgress".to_owned()),
        }
    }
}

fn changed(member: &str) -> Failure {
    Failure::LostRace { call: "dynamodb:PutItem", what: format!("rejoin#{member}") }
}

impl Members for Port {
    async fn rejoin(&self, member: &str) -> Result<Option<Rejoin>, Failure> {
        let member = member.to_owned();
        self.call("dynamodb:GetItem", TABLE, move |world| Ok(world.aws.rejoins.get(&member).cloned())).await
    }

    async fn note_rejoin(&self, member: &str, before: Option<&Rejoin>, after: &Rejoin) -> Result<(), Failure> {
        let (member, before, after) = (member.to_owned(), before.cloned(), after.clone());
        self.call("dynamodb:PutItem", TABLE, move |world| {
            let now = world.aws.rejoins.get(&member);
            // A repeated write finds what it wrote itself.
            if now != before.as_ref() && now != Some(&after) {
                return Err(changed(&member));
            }
            world.aws.rejoins.insert(member, after);
            Ok(())
        })
        .await
    }

    async fn forget_rejoin(&self, member: &str, before: &Rejoin) -> Result<(), Failure> {
        let (member, before) = (member.to_owned(), before.clone());
        self.call("dynamodb:DeleteItem", TABLE, move |world| {
            match world.aws.rejoins.get(&member) {
                Some(now) if *now != before => return Err(changed(&member)),
                _ => drop(world.aws.rejoins.remove(&member)),
            }
            Ok(())
        })
        .await
    }

    async fn send_command(&self, member: &str, order: &Order) -> Result<Sent, Failure> {
        let (member, comment) = (member.to_owned(), order.comment.clone());
        self.call("ssm:SendCommand", SSM, move |world| {
            let place = world.place(&member).unwrap_or(0);
            if !world.members[place].runs() || !world.net.reaches(place, AWS) {
                return Ok(Sent::NoAgent(format!("InvalidInstanceId: {member}")));
            }
            let number = world.aws.commands.len();
            world.tally.count("people", "rejoin.sh sent");
            let began = world.now();
            world.aws.commands.push(Command { member: place, comment, began, ended: None });
            let starts = world.between(100, 2_000);
            world.soon(starts, move |world| world.runs_script(number));
            Ok(Sent::Command(number.to_string()))
        })
        .await
    }

    async fn find_command(&self, _member: &str, order: &Order) -> Result<Option<String>, Failure> {
        let comment = order.comment.clone();
        self.call("ssm:ListCommandInvocations", SSM, move |world| {
            let found = world.aws.commands.iter().position(|command| command.comment == comment);
            Ok(found.map(|number| number.to_string()))
        })
        .await
    }

    async fn command(&self, _member: &str, command: &str) -> Result<CommandSeen, Failure> {
        let number = command.parse().unwrap_or(usize::MAX);
        self.call("ssm:GetCommandInvocation", SSM, move |world| Ok(world.command_seen(number))).await
    }
}

//! Faults begin and end.

use crate::{
    clock::Ms,
    member::Ec2,
    network::{AWS, CLIENTS, FUNCTIONS, NODES, WATCH},
    passes::Asked,
    setup::{Ill, What, Who},
    story,
    world::World,
};
use domain::request::Request;
use reconcile::Waking;

impl World {
    fn who(&self, who: Who) -> usize {
        let writer = self.aws.table.state.writer.as_deref().and_then(|id| self.place(id)).unwrap_or(0);
        let count = self.members.len();
        match who {
            Who::Writer => writer,
            Who::Standby(place) => (writer + 1 + place % (count - 1)) % count,
        }
    }

    pub(crate) fn fault_begins(&mut self, index: usize) {
        let Some((number, fault)) = self.setup.faults.get(index).cloned() else { return };
        if self.calm {
            return;
        }
        story!(self, "FAULT {number}: {:?} for {:.1} s", fault.what, fault.span as f64 / 1000.0);
        self.tally.count("faults", word(&fault.what));
        let span = fault.span;
        match fault.what {
            What::Crash(who) => self.crash(self.who(who)),
            What::Die(who) => self.die(self.who(who), span),
            What::Stop(who) => {
                let member = self.who(who);
                self.check.stopped_by_hand(member);
                self.stop_host(member);
                self.starts_again(member, span);
            }
            What::Hang(who) => self.hang(self.who(who), span),
            What::CutFunctions(who) => self.cuts(&[self.who(who)], &[FUNCTIONS, WATCH], span),
            What::CutWatch(who) => self.cuts(&[self.who(who)], &[WATCH], span),
            What::CutAws(who) => self.cuts(&[self.who(who)], &[AWS], span),
            What::CutClients(who) => self.cuts(&[self.who(who)], &[CLIENTS], span),
            What::CutPair(one, other) => self.cuts(&[self.who(one)], &[self.who(other)], span),
            What::CutOneWay(one, other) => self.cut_one_way(self.who(one), self.who(other), span),
            What::Isolate(who) => {
                let member = self.who(who);
                let others: Vec<usize> = (0..NODES).filter(|other| *other != member).collect();
                self.cuts(&[member], &others, span);
            }
            What::Ill(service, how) => self.falls_ill(service, how, span),
            What::DiskFull(who) => {
                let member = self.who(who);
                self.members[member].disk_full = true;
                self.soon(span, move |world| world.members[member].disk_full = false);
            }
            What::WatchDead => {
                self.watch_ends();
                self.soon(span, |world| {
                    if !world.watch.runs {
                        world.watch_starts();
                    }
                });
            }
            What::Burst(bytes) => self.burst = Some(bytes),
            What::Conflict(who) => {
                let (member, until) = (self.who(who), self.now() + span.min(2_500));
                if let Some(standby) = self.members[member].standby_mut() {
                    standby.conflict_until = until;
                }
            }
            What::SlowLink(who) => {
                let member = self.who(who);
                self.members[member].lag = 2_000 + span % 5_000;
                self.soon(span, move |world| world.members[member].lag = 0);
            }
            What::DieOnFloor => {
                self.by_hand(0);
                self.dies_on_floor = true;
                for member in 0..self.members.len() {
                    self.members[member].lag = 6_000;
                }
            }
            What::SwitchoverInRush(who) => {
                let member = self.who(who);
                self.members[member].lag = 5_000;
                self.burst = Some(4_000_000);
                let asked = What::Switchover(who);
                self.soon(2_000, move |world| world.person(&asked, 0));
                self.soon(span, move |world| world.members[member].lag = 0);
            }
            What::ByHand(kind) => self.by_hand(kind),
            person => self.person(&person, span),
        }
        self.changed();
    }

    fn person(&mut self, what: &What, span: Ms) {
        let cluster = || "orders".to_owned();
        let state = &self.aws.table.state;
        let asked = match what {
            What::Pause(_) => {
                Asked::Answer(Request::Pause { cluster: cluster(), minutes: 1, reason: "a test".to_owned() })
            }
            What::Approve(bytes, stale) => Asked::Answer(Request::Approve {
                cluster: cluster(),
                epoch: state.epoch.saturating_sub(u64::from(*stale)),
                data_loss_bytes: *bytes,
            }),
            What::Explain => Asked::Explain,
            What::Switchover(who) => Asked::Pass(Waking {
                by: "by a person".to_owned(),
                switchover: Some(self.id(self.who(*who)).to_owned()),
                ..Waking::default()
            }),
            _ => Asked::Pass(Waking {
                by: "by a person".to_owned(),
                switchover: Some("i-nobody".to_owned()),
                ..Waking::default()
            }),
        };
        self.invokes(asked, 0);
        if *what == What::Pause(true) {
            let resume = Asked::Answer(Request::Resume { cluster: cluster() });
            self.soon(span.min(50_000), move |world| world.invokes(resume, 0));
        }
    }

    fn crash(&mut self, member: usize) {
        if self.members[member].runs() {
            self.crashes(member);
            let restart = self.between(200, 1_500);
            self.boots_after(member, restart);
        }
    }

    /// A set with a floor was published: see `What::DieOnFloor`.
    pub(crate) fn floor_is_published(&mut self) {
        if std::mem::take(&mut self.dies_on_floor) && !self.calm {
            let writer = self.who(Who::Writer);
            let soon = self.between(0, 3_000);
            self.soon(soon, move |world| {
                world.die(writer, 20_000);
                for member in &mut world.members {
                    member.lag = 0;
                }
            });
        }
    }

    fn die(&mut self, member: usize, span: Ms) {
        let host = &mut self.members[member].host;
        if host.ec2 != Ec2::Running || !host.up {
            return;
        }
        host.dead = true;
        host.boot += 1;
        self.power_off(member);
        // Somebody stops it one day, and starts it again.
        self.soon(span, move |world| {
            world.check.stopped_by_hand(member);
            world.stop_host(member);
        });
        self.starts_again(member, span);
    }

    fn starts_again(&mut self, member: usize, span: Ms) {
        let later = span + self.between(1_000, 30_000);
        self.soon(later, move |world| world.start_host(member));
    }

    fn hang(&mut self, member: usize, span: Ms) {
        if !self.members[member].runs() {
            return;
        }
        self.members[member].host.hung = true;
        let boot = self.members[member].host.boot;
        self.soon(span, move |world| {
            if world.members[member].host.boot == boot && world.members[member].host.hung {
                story!(world, "{} goes on", world.id(member));
                world.members[member].host.hung = false;
                world.members[member].host.went_on = Some(world.now());
                world.changed();
            }
        });
    }

    fn cuts(&mut self, ones: &[usize], others: &[usize], span: Ms) {
        for &one in ones {
            for &other in others {
                self.cut_one_way(one, other, span);
                self.cut_one_way(other, one, span);
            }
        }
    }

    fn cut_one_way(&mut self, from: usize, to: usize, span: Ms) {
        if from == to {
            return;
        }
        self.net.cut(from, to);
        self.soon(span, move |world| {
            if !world.calm {
                world.net.heal(from, to);
                world.changed();
            }
        });
    }

    fn falls_ill(&mut self, service: usize, how: Ill, span: Ms) {
        let change = move |world: &mut World, sick: bool| {
            let illness = &mut world.aws.ill[service];
            let count = match how {
                Ill::Down => &mut illness.down,
                Ill::Throttled => &mut illness.throttled,
                Ill::Mute => &mut illness.mute,
                Ill::Slow => &mut illness.slow,
            };
            *count = if sick { *count + 1 } else { count.saturating_sub(1) };
        };
        change(self, true);
        self.soon(span, move |world| {
            if !world.calm {
                change(world, false);
            }
        });
    }
}

fn word(what: &What) -> &'static str {
    match what {
        What::Crash(_) => "PostgreSQL crashes",
        What::Die(_) => "hardware dies",
        What::Stop(_) => "instance stopped",
        What::Hang(_) => "host hangs",
        What::CutFunctions(_) => "cut from the functions",
        What::CutWatch(_) => "cut from watch-clusters",
        What::CutAws(_) => "cut from AWS",
        What::CutClients(_) => "cut from the clients",
        What::CutPair(..) => "two members cut",
        What::CutOneWay(..) => "one direction cut",
        What::Isolate(_) => "isolated",
        What::Ill(_, Ill::Down) => "service down",
        What::Ill(_, Ill::Throttled) => "service throttles",
        What::Ill(_, Ill::Mute) => "service loses answers",
        What::Ill(_, Ill::Slow) => "service slow",
        What::Pause(_) => "pause",
        What::Switchover(_) => "switchover asked",
        What::DieOnFloor => "hardware dies after a setting was put back",
        What::SwitchoverInRush(_) => "switchover asked in a rush",
        What::SwitchoverToNobody => "switchover to nobody",
        What::Approve(..) => "approval",
        What::Explain => "explain",
        What::DiskFull(_) => "disk full",
        What::WatchDead => "watch-clusters dies",
        What::Burst(_) => "large transaction",
        What::Conflict(_) => "replay waits",
        What::SlowLink(_) => "log comes late",
        What::ByHand(_) => "setting by hand",
    }
}

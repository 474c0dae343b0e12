//! A world of databases that changes by what is done to it, and by itself as time passes. It refuses what AWS or the
//! state table would refuse, and panics when clients could write in two places.

use crate::kit::*;
use domain::{
    decision::Decision,
    failover::{Lease, Ledger, Seen, Sql, Suspicion},
    follow::Waiting,
    lsn::Lsn,
    managed::{Described, InstanceSeen, NamesSeen, Observed, Reason, Roles, Step, decide, refusal, undo},
    state::{Change, ChangeKind, Holder, Promoted, State},
};
use std::time::Duration;

/// A pass that is cut short keeps its lease for so long.
const LEASE_MS: u64 = 30_000;

pub struct Server {
    pub rds: InstanceSeen,
    /// Out of recovery.
    pub writes: bool,
    /// Whether its process runs; one that we do not reach may well serve clients.
    pub runs: bool,
    /// Whether Understudy and other databases reach it.
    pub reached: bool,
    /// Whether clients are connected from before, so that a security group does not stop them.
    pub sessions: bool,
}

type Event = Box<dyn FnOnce(&mut World)>;

pub struct World {
    pub start: Observed,
    pub now: u64,
    pub state: State,
    pub waiting: Option<Waiting>,
    pub roles: Option<Roles>,
    pub names: NamesSeen,
    pub route53_down_until: u64,
    pub servers: Vec<Server>,
    pub cluster_status: String,
    pub cluster_writer: Option<String>,
    /// How long RDS takes for a promotion; `None`: for ever.
    pub promotion_ms: Option<u64>,
    /// Whether an order to fail over or to restart has an effect.
    pub obeys: bool,
    pub switchover: Option<String>,
    pub silent_since: Option<u64>,
    pub orders: Vec<String>,
    pub pages: Vec<String>,
    pub ledgers: Vec<Ledger>,
    pub steps: usize,
    events: Vec<(u64, Event)>,
}

impl World {
    pub fn new(start: Observed) -> World {
        let Seen::Known(described) = start.rds.clone() else { panic!("no RDS") };
        let Seen::Known(names) = start.records.clone() else { panic!("no records") };
        let cluster = described.db_cluster.clone();
        let servers = described.instances.into_iter().map(|rds| {
            let writes = matches!(start.sql_of(&rds.id), Sql::Writer(_));
            Server { rds, writes, runs: true, reached: true, sessions: writes }
        });
        World {
            now: NOW,
            state: start.state.clone(),
            waiting: None,
            roles: None,
            names,
            route53_down_until: 0,
            servers: servers.collect(),
            cluster_status: "available".to_owned(),
            cluster_writer: cluster.and_then(|cluster| cluster.writer),
            promotion_ms: Some(40_000),
            obeys: true,
            switchover: None,
            silent_since: None,
            orders: Vec::new(),
            pages: Vec::new(),
            ledgers: Vec::new(),
            steps: 0,
            events: Vec::new(),
            start,
        }
    }

    pub fn server(&mut self, id: &str) -> &mut Server {
        self.servers.iter_mut().find(|server| server.rds.id == id).unwrap_or_else(|| panic!("no server {id}"))
    }

    /// Something happens so much later.
    pub fn after(&mut self, ms: u64, event: impl FnOnce(&mut World) + 'static) {
        self.events.push((self.now + ms, Box::new(event)));
    }

    pub fn pass_time(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(index) =
            (0..self.events.len()).filter(|i| self.events[*i].0 <= until).min_by_key(|i| self.events[*i].0)
        {
            let (at, event) = self.events.swap_remove(index);
            self.now = self.now.max(at);
            event(self);
            self.invariants();
        }
        self.now = until;
    }

    /// Who accepts writes of clients, at worst: also one that nobody but them reaches.
    pub fn open(&self) -> Vec<&str> {
        let isolated = |server: &Server| server.rds.security_groups == [(ISOLATED.to_owned(), "active".to_owned())];
        let cut = |server: &Server| server.rds.network_acl.as_deref() == Some("acl-isolated");
        let open =
            |server: &&Server| server.writes && server.runs && !cut(server) && (server.sessions || !isolated(server));
        self.servers.iter().filter(open).map(|server| server.rds.id.as_str()).collect()
    }

    pub fn invariants(&self) {
        assert!(self.open().len() <= 1, "clients can write to {:?}", self.open());
        let orders = self.orders.iter().filter(|order| order.starts_with("promote") || order.starts_with("fail over"));
        assert!(orders.count() <= 1, "{:?}", self.orders);
    }

    pub fn look(&mut self, pass: &str) -> Observed {
        let mut seen = self.start.clone();
        seen.looked_at_ms = self.now;
        seen.state = self.state.clone();
        seen.lease = match &self.state.holder {
            Some(holder) if holder.expires_at_ms <= self.now => Lease::Free,
            Some(holder) if holder.id == pass => Lease::Mine,
            Some(holder) => Lease::Other(Duration::from_millis(holder.expires_at_ms - self.now)),
            None => Lease::Free,
        };
        let Seen::Known(Described { db_cluster, .. }) = &self.start.rds else { panic!("no RDS") };
        let mut db_cluster = db_cluster.clone();
        if let Some(cluster) = &mut db_cluster {
            (cluster.status, cluster.writer) = (self.cluster_status.clone(), self.cluster_writer.clone());
        }
        let instances = self.servers.iter().map(|server| server.rds.clone()).collect();
        seen.rds = Seen::Known(Described { instances, db_cluster, global: None });
        seen.sql = self.servers.iter().map(|server| (server.rds.id.clone(), self.sql(server))).collect();
        seen.records = if self.now < self.route53_down_until {
            Seen::Unavailable("503".to_owned())
        } else {
            Seen::Known(self.names.clone())
        };
        (seen.waiting, seen.roles, seen.switchover) =
            (self.waiting.clone(), self.roles.clone(), self.switchover.clone());
        let writer = self.state.writer.clone().unwrap_or_default();
        let silent = matches!(seen.sql_of(&writer), Sql::Silent(_));
        self.silent_since = if silent { self.silent_since.or(Some(self.now)) } else { None };
        seen.suspicion = self.silent_since.map(|since| Suspicion {
            member: writer,
            failures: u32::try_from((self.now - since) / 1_000).unwrap_or(u32::MAX),
            silent_for: Duration::from_millis(self.now - since),
            last_lsn: Some(Lsn(900)),
            synchronous_setting: None,
        });
        seen
    }

    fn sql(&self, server: &Server) -> Sql {
        let source = server.rds.source.as_deref();
        let heard = self.servers.iter().any(|it| Some(it.rds.id.as_str()) == source && it.runs && it.reached);
        match (server.runs && server.reached, server.writes, source) {
            (false, ..) => silent(),
            (true, true, _) => writer(900),
            (true, false, None) => reader(),
            (true, false, Some(_)) => standby(900, heard.then_some(100)),
        }
    }

    /// One pass; cut short after so many steps. Whether it ended by itself, and how.
    pub fn pass(&mut self, most: usize) -> Option<String> {
        let pass = format!("pass-{}-{}", self.now, self.steps);
        let mut done = 0;
        for _ in 0..24 {
            let seen = self.look(&pass);
            let (steps, end) = match decide(&seen) {
                Decision::Act(steps) => (steps, None),
                Decision::Steady => (Vec::new(), Some("steady".to_owned())),
                Decision::Wait(reason) => (Vec::new(), Some(format!("wait: {}", reason.kind()))),
                Decision::Refuse(reason) => (undo(&seen, &reason), Some(self.tell(&seen, &reason))),
            };
            for step in &steps {
                if done == most {
                    return None;
                }
                if let Err(refused) = self.perform(step, &pass) {
                    self.release(&pass);
                    return Some(format!("failed: {refused}"));
                }
                (done, self.steps) = (done + 1, self.steps + 1);
                self.invariants();
            }
            if end.is_some() {
                self.release(&pass);
                return end;
            }
        }
        panic!("it did not settle: {:?}", self.orders);
    }

    fn release(&mut self, pass: &str) {
        if self.state.holder.as_ref().is_some_and(|holder| holder.id == pass) {
            self.state.holder = None;
        }
    }

    fn tell(&mut self, seen: &Observed, reason: &Reason) -> String {
        if !reason.is_answer() && !self.pages.iter().any(|page| page.ends_with(reason.kind())) {
            self.pages.push(refusal(seen, reason).subject);
        }
        format!("refuse: {}", reason.kind())
    }

    fn held_by(&self, pass: &str) -> bool {
        self.state.holder.as_ref().is_some_and(|holder| holder.id == pass && holder.expires_at_ms > self.now)
    }

    fn change(&mut self, pass: &str) -> &mut Change {
        assert!(self.held_by(pass), "a step of a change without its lease");
        self.state.change.as_mut().expect("no change")
    }

    /// What AWS or the table would refuse is an error; what must never be asked is a panic.
    fn perform(&mut self, step: &Step, pass: &str) -> Result<(), String> {
        self.now += 50;
        let holder = Holder { id: pass.to_owned(), expires_at_ms: self.now + LEASE_MS };
        match step {
            Step::LookAgain => self.pass_time(1_000),
            Step::Note(waiting) => self.waiting = Some(waiting.clone()),
            Step::Forget => self.waiting = None,
            Step::Adopt { .. } => panic!("there is a writer"),
            Step::Begin { epoch, change } => {
                assert!(*epoch == self.state.epoch && self.state.change.is_none(), "two changes at once");
                (self.state.epoch, self.state.holder, self.switchover) = (epoch + 1, Some(holder), None);
                let change = Change { began_at_ms: self.now, woken_at_ms: self.now, ..(**change).clone() };
                (self.state.change, self.state.approval) = (Some(change), None);
            }
            Step::Hold { epoch } => {
                assert_eq!(*epoch, self.state.epoch);
                self.state.holder = Some(holder);
            }
            Step::NoteChange(noted) => *self.change(pass) = (**noted).clone(),
            Step::Abandon { .. } => {
                assert!(self.held_by(pass));
                (self.state.change, self.state.holder) = (None, None);
            }
            Step::Finish { writer, kind, ledger, page } => {
                assert!(self.held_by(pass));
                self.ledgers.push((**ledger).clone());
                self.pages.push(page.subject.clone());
                (self.state.change, self.state.holder, self.state.writer) = (None, None, Some(writer.clone()));
                if *kind != ChangeKind::Switchover {
                    self.state.failovers_ms.push(self.now);
                }
            }
            Step::KeepRoles { before, after } => {
                assert_eq!(*before, self.roles);
                self.roles = Some(after.clone());
            }
            Step::RenderAnew => self.orders.push("render anew".to_owned()),
            Step::Prove { instance, .. } => {
                assert!(self.server(instance).writes && self.server(instance).reached, "a write was refused");
                let at_ms = self.now;
                let promoted = Promoted { member: instance.clone(), at: Lsn(900), timeline: [1, 2], at_ms };
                self.change(pass).promoted = Some(promoted);
            }
            Step::MoveWriterRecord { from, to } => return self.move_record(from.as_ref(), to, pass),
            Step::SetReaders(readers) => {
                self.names.readers = readers.iter().map(|(_, target)| target.clone()).collect();
            }
            step => return self.order(step, pass),
        }
        Ok(())
    }

    fn move_record(&mut self, from: Option<&(String, u64)>, to: &(String, u64), pass: &str) -> Result<(), String> {
        let now = self.names.writer.clone().zip(self.names.epoch);
        if now.as_ref() != from {
            return Err("LostRace".to_owned());
        }
        (self.names.writer, self.names.epoch) = (Some(to.0.clone()), Some(to.1));
        let at = self.now;
        if self.state.change.is_some() {
            self.change(pass).record_moved_at_ms = Some(at);
        }
        Ok(())
    }

    /// What RDS and EC2 are told.
    fn order(&mut self, step: &Step, pass: &str) -> Result<(), String> {
        self.orders.push(word(step));
        match step {
            Step::Isolate { instance, groups } => {
                let (id, group) = (instance.clone(), groups[0].clone());
                self.server(instance).rds.security_groups = vec![(group.clone(), "adding".to_owned())];
                self.after(4_000, move |world| {
                    world.server(&id).rds.security_groups = vec![(group, "active".to_owned())]
                });
            }
            Step::SetNetworkAcl { subnet, acl } => {
                for server in self.servers.iter_mut().filter(|server| server.rds.subnet.as_ref() == Some(subnet)) {
                    server.rds.network_acl = Some(acl.clone());
                }
            }
            Step::Reboot { instance } if self.obeys => {
                let id = instance.clone();
                self.status_after(instance, "rebooting", 0);
                self.after(15_000, move |world| world.server(&id).sessions = false);
                self.status_after(instance, "available", 15_000);
            }
            Step::Stop { instance } => {
                if self.servers.iter().any(|server| server.rds.source.as_ref() == Some(instance)) {
                    return Err("InvalidDBInstanceState".to_owned());
                }
                let id = instance.clone();
                self.status_after(instance, "stopping", 0);
                self.after(30_000, move |world| world.server(&id).runs = false);
                self.status_after(instance, "stopped", 30_000);
            }
            Step::FailOver { to, .. } => {
                let noted = self.change(pass).ordered_at_ms;
                assert!(noted.is_some() && self.cluster_status == "available", "an order that was not noted");
                if self.obeys {
                    self.cluster_status = "failing-over".to_owned();
                    let to = to.clone();
                    self.after(20_000, move |world| world.failed_over(&to));
                }
            }
            Step::Promote { instance, .. } => {
                assert!(self.change(pass).ordered_at_ms.is_some(), "an order that was not noted");
                let server = self.server(instance);
                if server.rds.source.is_none() || !server.rds.is_available() {
                    return Err("InvalidDBInstanceState".to_owned());
                }
                self.status_after(instance, "modifying", 0);
                if let Some(ms) = self.promotion_ms {
                    self.status_after(instance, "rebooting", ms / 2);
                    let id = instance.clone();
                    self.after(ms, move |world| {
                        let server = world.server(&id);
                        (server.rds.source, server.writes, server.rds.backup_retention_days) = (None, true, 30);
                        server.rds.status = "available".to_owned();
                    });
                }
            }
            Step::SetBackups { instance, retention_days, .. } => {
                self.server(instance).rds.backup_retention_days = *retention_days;
            }
            _ => {}
        }
        Ok(())
    }

    pub fn status_after(&mut self, id: &str, status: &str, ms: u64) {
        let (id, status) = (id.to_owned(), status.to_owned());
        if ms == 0 {
            self.server(&id).rds.status = status;
        } else {
            self.after(ms, move |world| world.server(&id).rds.status = status);
        }
    }

    /// AWS made this instance of the DB cluster its writer.
    pub fn failed_over(&mut self, to: &str) {
        for server in &mut self.servers {
            server.writes = server.rds.id == to;
        }
        (self.cluster_writer, self.cluster_status) = (Some(to.to_owned()), "available".to_owned());
    }
}

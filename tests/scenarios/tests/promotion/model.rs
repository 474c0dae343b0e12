//! A cluster that changes as it is told: members, state item, records, pages.
//!
//! Every call can be made to fail, before or after its effect. After each
//! effect the one invariant that matters is checked: no two members can
//! acknowledge a commit, and no acknowledged commit is on no survivor.

use domain::{
    card::CardMember,
    failover::{
        Host, Lease, Ledger, Member, Observed, Page, ReceiverSeen, Seen, Sql, StandbySeen, Step, Suspicion, WriterSeen,
    },
    lsn::Lsn,
    policy::Policy,
    records::RecordsSeen,
    state::{Change, Holder, Promoted, State, Synchronous},
};
use promote_replica::Cluster;
use reconcile::{Failure, World};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

/// Lambda's time for a pass, in this world's milliseconds.
const PASS_MS: u64 = 60_000;

#[derive(Debug, Clone)]
pub struct Node {
    pub up: bool,
    pub host: Host,
    pub writes: bool,
    pub upstream: Option<IpAddr>,
    pub lsn: u64,
    pub timeline: u32,
    pub slots: BTreeSet<String>,
    pub synchronous: Synchronous,
}

/// How the next calls go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All succeed.
    Never,
    /// The call after so many others has no effect, and the pass dies.
    Before(u32),
    /// It has its effect, its answer is lost, and the pass dies.
    After(u32),
}

pub struct Model {
    pub now_ms: u64,
    pub state: State,
    pub nodes: BTreeMap<String, Node>,
    pub records: RecordsSeen,
    pub suspicion: Option<Suspicion>,
    pub ledger: BTreeMap<u64, Ledger>,
    pub pages: Vec<Page>,
    pub told: BTreeSet<String>,
    pub done: Vec<String>,
    pub cut: Cut,
    pub pass: String,
    pub policy: Policy,
    calls: u32,
    dead: bool,
    /// Since when each writer's host is dead, for the witnesses.
    silent_for: Duration,
}

pub fn address(id: &str) -> IpAddr {
    let last = id.bytes().last().unwrap_or_default() - b'a' + 1;
    IpAddr::from([10, 0, last, 10])
}

fn name(id: &str) -> String {
    id.replace("i-", "orders_")
}

impl Model {
    /// `i-a` writes, `i-b` and `i-c` follow, `ANY 1` of them.
    pub fn healthy() -> Self {
        let peers = |id: &str| Synchronous {
            required: 1,
            names: ["i-a", "i-b", "i-c"].iter().filter(|other| **other != id).map(|other| name(other)).collect(),
        };
        let node = |id: &str, lsn| Node {
            up: true,
            host: Host::Running,
            writes: id == "i-a",
            upstream: (id != "i-a").then(|| address("i-a")),
            lsn,
            timeline: 1,
            slots: if id == "i-a" { [name("i-b"), name("i-c")].into() } else { BTreeSet::new() },
            synchronous: peers(id),
        };
        let nodes = [("i-a", 900), ("i-b", 900), ("i-c", 880)];
        Model {
            now_ms: 1_774_840_330_000,
            state: State {
                epoch: 6,
                writer: Some("i-a".to_owned()),
                synchronous: peers("i-a"),
                holder: None,
                change: None,
                changed_at_ms: 0,
            },
            nodes: nodes.map(|(id, lsn)| (id.to_owned(), node(id, lsn))).into(),
            records: RecordsSeen {
                writer: vec![address("i-a")],
                epoch: Some(6),
                reader: vec![address("i-b"), address("i-c")],
                ..RecordsSeen::default()
            },
            suspicion: None,
            ledger: BTreeMap::new(),
            pages: Vec::new(),
            told: BTreeSet::new(),
            done: Vec::new(),
            cut: Cut::Never,
            pass: "pass-1".to_owned(),
            policy: Policy::default(),
            calls: 0,
            dead: false,
            silent_for: Duration::ZERO,
        }
    }

    /// `i-a` is gone: AWS says `host`, and `watch-clusters` suspects it.
    pub fn without_writer(host: Host) -> Self {
        let mut model = Model::healthy();
        model.node("i-a").up = false;
        model.node("i-a").host = host;
        model.silent_for = Duration::from_millis(3_300);
        model.suspicion = Some(Suspicion {
            member: "i-a".to_owned(),
            failures: 3,
            silent_for: Duration::from_millis(3_300),
            last_lsn: Some(Lsn(900)),
            synchronous_setting: Some("ANY 1 (orders_b, orders_c)".to_owned()),
        });
        model
    }

    pub fn node(&mut self, id: &str) -> &mut Node {
        self.nodes.get_mut(id).unwrap_or_else(|| panic!("no member {id}"))
    }

    /// Another pass, after the time of a dead one is over.
    pub fn next_pass(&mut self, pass: &str, cut: Cut) {
        self.now_ms += PASS_MS + 5_000;
        self.pass = pass.to_owned();
        self.cut = cut;
        self.calls = 0;
        self.dead = false;
    }

    pub fn writers(&self) -> Vec<&str> {
        self.nodes.iter().filter(|(_, node)| node.up && node.writes).map(|(id, _)| id.as_str()).collect()
    }

    /// Whether a commit on this member can be acknowledged to a client now.
    fn acknowledges(&self, id: &str) -> bool {
        let node = &self.nodes[id];
        let acknowledging = self
            .nodes
            .iter()
            .filter(|(other, standby)| {
                standby.up
                    && !standby.writes
                    && standby.upstream == Some(address(id))
                    && node.synchronous.names.contains(&name(other))
            })
            .count();
        // A host that only we cannot reach may still be up.
        let may_be_up = node.up || matches!(node.host, Host::Running | Host::Stopping);
        may_be_up && node.writes && (!node.synchronous.is_on() || acknowledging >= node.synchronous.required as usize)
    }

    fn check(&self) {
        let able: Vec<&String> = self.nodes.keys().filter(|id| self.acknowledges(id)).collect();
        assert!(able.len() <= 1, "two members can acknowledge: {able:?} after {:#?}", self.done);
    }

    fn lives(&self) -> Result<(), Failure> {
        if self.dead { Err(Failure::Transient { call: "cut", source: "the pass is dead".into() }) } else { Ok(()) }
    }

    /// Does `effect`, unless this call is the one that is cut.
    fn call(&mut self, what: String, effect: impl FnOnce(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        self.lives()?;
        let this = self.calls;
        self.calls += 1;
        if self.cut == Cut::Before(this) {
            self.dead = true;
            return self.lives();
        }
        effect(self)?;
        self.done.push(what);
        self.check();
        if self.cut == Cut::After(this) {
            self.dead = true;
            return self.lives();
        }
        Ok(())
    }

    fn live_holder(&self) -> Option<&Holder> {
        self.state.holder.as_ref().filter(|holder| holder.expires_at_ms > self.now_ms)
    }

    fn take(&mut self, epoch: u64) -> Result<(), Failure> {
        if self.state.epoch != epoch || self.live_holder().is_some_and(|holder| holder.id != self.pass) {
            return Err(Failure::LostRace { call: "dynamodb:UpdateItem", what: "the state item".to_owned() });
        }
        self.state.holder = Some(Holder { id: self.pass.clone(), expires_at_ms: self.now_ms + PASS_MS });
        Ok(())
    }

    fn change(&mut self) -> Result<&mut Change, Failure> {
        let mine = self.live_holder().is_some_and(|holder| holder.id == self.pass);
        self.state
            .change
            .as_mut()
            .filter(|_| mine)
            .ok_or(Failure::LostRace { call: "dynamodb:UpdateItem", what: "the lease".to_owned() })
    }

    fn see(&self, id: &str) -> Sql {
        let node = &self.nodes[id];
        if !node.up {
            return Sql::Silent("no answer within 900 ms".to_owned());
        }
        if node.writes {
            return Sql::Writer(WriterSeen {
                timeline: node.timeline,
                lsn: Lsn(node.lsn),
                system_id: 42,
                synchronous_setting: node.synchronous.setting(),
                streams: Vec::new(),
                slots: node.slots.iter().cloned().collect(),
            });
        }
        let upstream_up = node
            .upstream
            .is_some_and(|upstream| self.nodes.iter().any(|(other, node)| address(other) == upstream && node.up));
        Sql::Standby(StandbySeen {
            timeline: node.timeline,
            received: Some(Lsn(node.lsn)),
            replayed: Some(Lsn(node.lsn)),
            system_id: 42,
            receiver: node.upstream.map(|upstream| ReceiverSeen {
                streaming: true,
                silent_for: if upstream_up { Duration::ZERO } else { self.silent_for },
                upstream: Some(upstream),
            }),
            upstream: node.upstream,
        })
    }

    fn promote(&mut self, id: &str) {
        let timeline = self.nodes.values().map(|node| node.timeline).max().unwrap_or_default();
        let node = self.node(id);
        if !node.writes {
            *node = Node { writes: true, upstream: None, timeline: timeline + 1, ..node.clone() };
        }
    }

    fn note_promotion(&mut self, id: &str, sure: Option<String>, lost_bytes: Option<u64>) -> Result<(), Failure> {
        let node = self.nodes[id].clone();
        let at_ms = self.now_ms;
        let change = self.change()?;
        change.sure = sure.or(change.sure.take());
        change.lost_bytes = lost_bytes.or(change.lost_bytes);
        change.promoted = Some(Promoted {
            member: id.to_owned(),
            at: Lsn(node.lsn),
            timeline: [node.timeline - 1, node.timeline],
            at_ms,
        });
        Ok(())
    }
}

impl World for Model {
    type Seen = Observed;
    type Step = Step;

    async fn observe(&mut self) -> Result<Observed, Failure> {
        self.lives()?;
        self.now_ms += 10;
        let members = self.nodes.iter().map(|(id, node)| Member {
            card: CardMember {
                name: name(id),
                id: id.clone(),
                address: address(id),
                zone: id.replace("i-", "eu-west-1"),
                never_promote: false,
                tier: 0,
            },
            host: node.host.clone(),
            sql: self.see(id),
        });
        Ok(Observed {
            cluster: "orders".to_owned(),
            silent_since_ms: None,
            writer_record: "orders-rw.db.internal".to_owned(),
            looked_at_ms: self.now_ms,
            lease: match self.live_holder() {
                Some(holder) if holder.id == self.pass => Lease::Mine,
                Some(holder) => Lease::Other(Duration::from_millis(holder.expires_at_ms - self.now_ms)),
                None => Lease::Free,
            },
            since_change: (self.state.changed_at_ms > 0)
                .then(|| Duration::from_millis(self.now_ms - self.state.changed_at_ms)),
            members: members.collect(),
            records: Seen::Known(self.records.clone()),
            suspicion: self.suspicion.clone(),
            policy: self.policy,
            state: self.state.clone(),
        })
    }

    /// The calls of each step are cut one by one, as in AWS each is a call of its own.
    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        let what = step.to_string();
        match step.clone() {
            Step::Begin { epoch, from, seen, silent_since_ms, last_writer_lsn, synchronous_setting } => {
                self.call(what, |world| {
                    world.take(epoch)?;
                    world.state.epoch += 1;
                    world.state.change = Some(Change {
                        from,
                        seen,
                        last_writer_lsn,
                        silent_since_ms,
                        woken_at_ms: world.now_ms,
                        woken_by: "by a test".to_owned(),
                        began_at_ms: world.now_ms,
                        synchronous: world.state.synchronous.clone(),
                        synchronous_setting,
                        ..Change::default()
                    });
                    Ok(())
                })
            }
            Step::Hold { epoch } => self.call(what, |world| world.take(epoch)),
            Step::Freeze(who) => self.call(what, |world| {
                world.node(&who.id).upstream = None;
                Ok(())
            }),
            Step::Follow { standby, upstream } => self.call(what, |world| {
                world.node(&standby.id).upstream = Some(upstream);
                Ok(())
            }),
            Step::StopHost(who) => self.call(what, |world| {
                world.node(&who.id).host = Host::Stopping;
                world.node(&who.id).up = false;
                Ok(())
            }),
            Step::Promote { member, evidence, lost_bytes, .. } => {
                let promoting = member.id.clone();
                self.call(format!("note whom: {promoting}"), |world| {
                    world.change()?.promoting = Some(promoting);
                    Ok(())
                })?;
                self.call(what, |world| {
                    world.promote(&member.id);
                    Ok(())
                })?;
                self.call(format!("note promotion of {}", member.id), |world| {
                    world.note_promotion(&member.id, Some(evidence.to_string()), lost_bytes)
                })
            }
            Step::Prove { member, .. } => self.call(what, |world| world.note_promotion(&member.id, None, None)),
            Step::NoteSilence(since) => self.call(what, |world| {
                world.change()?.new_silent_since_ms = since;
                Ok(())
            }),
            Step::SetSynchronous { member, synchronous } => {
                self.call(what, |world| {
                    world.node(&member.id).synchronous = synchronous.clone();
                    Ok(())
                })?;
                self.call("publish the set".to_owned(), |world| {
                    world.change()?;
                    world.state.synchronous = synchronous;
                    Ok(())
                })
            }
            Step::PrepareSlots { member, slots } => self.call(what, |world| {
                world.node(&member.id).slots.extend(slots);
                Ok(())
            }),
            Step::MoveWriterRecord { from, to } => {
                self.call(what, |world| {
                    let now = world.records.writer.first().copied().zip(world.records.epoch);
                    if now != from {
                        return Err(Failure::LostRace { call: "route53", what: "the record".to_owned() });
                    }
                    assert!(world.nodes.iter().any(|(id, node)| address(id) == to.0 && node.writes), "to a writer");
                    world.records.writer = vec![to.0];
                    world.records.epoch = Some(to.1);
                    Ok(())
                })?;
                self.call("note the move".to_owned(), |world| {
                    let now = world.now_ms;
                    world.change()?.record_moved_at_ms = Some(now);
                    Ok(())
                })
            }
            Step::SetReaderRecord(addresses) => self.call(what, |world| {
                world.records.reader = addresses;
                Ok(())
            }),
            Step::Abandon { .. } => self.call(what, |world| {
                world.change()?;
                world.state.change = None;
                world.state.holder = None;
                Ok(())
            }),
            Step::Finish { writer, ledger, page } => {
                self.call("write the ledger".to_owned(), |world| {
                    world.ledger.entry(ledger.epoch).or_insert(*ledger);
                    Ok(())
                })?;
                self.call("send the page".to_owned(), |world| {
                    world.pages.push(page);
                    Ok(())
                })?;
                self.call(what, |world| {
                    world.change()?;
                    world.state.writer = Some(writer.id.clone());
                    world.state.change = None;
                    world.state.holder = None;
                    world.state.changed_at_ms = world.now_ms;
                    Ok(())
                })
            }
        }
    }
}

impl Cluster for Model {
    async fn release(&mut self) -> Result<(), Failure> {
        // A pass that is dead releases nothing: its lease has to expire.
        self.lives()?;
        if self.state.holder.as_ref().is_some_and(|holder| holder.id == self.pass) {
            self.state.holder = None;
        }
        Ok(())
    }

    async fn page(&mut self, kind: &str, page: &Page) -> Result<(), Failure> {
        self.lives()?;
        if self.told.insert(kind.to_owned()) {
            self.pages.push(page.clone());
        }
        Ok(())
    }
}

//! One cluster in AWS, and everything around it.

use crate::{
    aws::Aws,
    check::Checker,
    client::Client,
    clock::{BEGINNING, Event, Ms, Queue},
    member::{Branch, Data, Ec2, Guards, Host, Member, Process},
    mutation::Mutation,
    network::Network,
    passes::Start,
    setup::Setup,
    story,
    table::Table,
    tally::Tally,
    watch::Watch,
};
use domain::{
    card::{Card, CardMember, Records, Topology},
    records::RecordsSeen,
    state::{State, Synchronous},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
};

/// Everything there is.
pub struct World {
    pub(crate) queue: Queue,
    pub(crate) rng: fastrand::Rng,
    /// What this run is.
    pub setup: Setup,
    /// The card of the cluster.
    pub card: Rc<Card>,
    /// Its members, in the card's order.
    pub members: Vec<Member>,
    /// The histories of the log.
    pub branches: Vec<Branch>,
    /// Who reaches whom.
    pub net: Network,
    /// AWS.
    pub aws: Aws,
    pub(crate) clients: Vec<Client>,
    pub(crate) watch: Watch,
    pub(crate) check: Checker,
    /// What was seen how often.
    pub tally: Tally,
    /// A deliberate bug.
    pub mutation: Option<Mutation>,
    /// Numbers of streams.
    pub(crate) connections: u32,
    /// Bytes of the next transaction.
    pub(crate) burst: Option<u64>,
    /// The writer dies when a floor is published.
    pub(crate) dies_on_floor: bool,
    /// Passes that begin now.
    pub(crate) starts: Vec<Start>,
    /// Passes whose time is over.
    pub(crate) ends: Vec<usize>,
    /// Members that a mutation shows as frozen.
    pub(crate) seem_frozen: BTreeSet<usize>,
    /// The epoch that the record carried last.
    pub(crate) record_epoch: u64,
    /// No fault begins any more.
    pub(crate) calm: bool,
    /// Something changed that the checker must look at.
    pub(crate) dirty: bool,
}

/// The instance id of a member.
fn id(place: usize) -> String {
    format!("i-{}", char::from(b'a' + place as u8))
}

fn card(setup: &Setup) -> Card {
    let member = |place: usize| CardMember {
        name: format!("orders_{}", char::from(b'a' + place as u8)),
        id: id(place),
        address: IpAddr::from([10, 0, place as u8 + 1, 10]),
        zone: format!("eu-west-1{}", char::from(b'a' + place as u8)),
        never_promote: setup.never_promote & (1 << place) != 0,
        tier: 0,
    };
    Card {
        patroni: None,
        version: 1,
        fleet: "prod".to_owned(),
        cluster: "orders".to_owned(),
        topology: Topology::Ec2Streaming,
        database: "orders".to_owned(),
        port: 5432,
        records: Records {
            zone_id: "Z1".to_owned(),
            writer: "orders-rw.db.internal".to_owned(),
            reader: "orders-ro.db.internal".to_owned(),
            ttl_s: 1,
        },
        operator_secret: String::new(),
        certificate_authority: String::new(),
        synchronous_required: setup.required,
        members: (0..setup.members).map(member).collect(),
        policy: setup.policy,
    }
}

fn member(place: usize) -> Member {
    let standby = place > 0;
    Member {
        id: id(place),
        host: Host {
            ec2: Ec2::Running,
            before: Ec2::Running,
            changed: 0,
            up: true,
            hung: false,
            went_on: None,
            boot: 0,
            dead: false,
        },
        data: Data {
            branch: 0,
            lsn: 50_000_000,
            checkpoint: 49_990_000,
            clean: false,
            standby,
            upstream: standby.then_some(0),
            setting: None,
            slots: if standby { 0 } else { 0xFE },
        },
        process: Process::Down,
        life: 0,
        disk_full: false,
        lag: 0,
        guards: Guards::default(),
        unwell_at: 0,
        unheard_at: 0,
    }
}

impl World {
    /// The first member writes, the others are its standbys, and all is well.
    #[must_use]
    pub fn new(setup: Setup, mutation: Option<Mutation>) -> Self {
        let card = card(&setup);
        let addresses: Vec<IpAddr> = card.members.iter().map(|member| member.address).collect();
        let names: Vec<String> = card.members.iter().skip(1).map(|member| member.name.clone()).collect();
        let synchronous = if setup.required == 0 {
            Synchronous { required: 0, names }
        } else {
            Synchronous { required: setup.required, names }
        };
        let state = State { epoch: 1, writer: Some(id(0)), synchronous, ..State::unclaimed() };
        let zone = RecordsSeen {
            writer: vec![addresses[0]],
            epoch: Some(1),
            reader: addresses[1..].to_vec(),
            ..RecordsSeen::default()
        };
        let table = Table {
            state,
            told: BTreeMap::new(),
            ledger: BTreeMap::new(),
            forgets: mutation == Some(Mutation::ForgetEpoch),
            leases_free: mutation == Some(Mutation::ForgetLease),
            pauses_off: mutation == Some(Mutation::IgnorePause),
        };
        let first = Branch::new(1, None);
        let mut world = World {
            queue: Queue::default(),
            rng: fastrand::Rng::with_seed(setup.seed ^ 0x5157_1e5d),
            members: (0..setup.members).map(member).collect(),
            branches: vec![first],
            net: Network::default(),
            aws: Aws {
                table,
                zone,
                pages: Vec::new(),
                ill: Default::default(),
                commands: Vec::new(),
                rejoins: BTreeMap::new(),
                addresses,
            },
            clients: vec![Client::default(), Client::default(), Client::stubborn()],
            watch: Watch::default(),
            check: Checker::default(),
            tally: Tally::default(),
            mutation,
            connections: 0,
            burst: None,
            dies_on_floor: false,
            starts: Vec::new(),
            ends: Vec::new(),
            seem_frozen: BTreeSet::new(),
            record_epoch: 1,
            calm: false,
            dirty: true,
            card: Rc::new(card),
            setup,
        };
        world.opens();
        world
    }

    fn opens(&mut self) {
        self.starts_as_writer(0);
        for standby in 1..self.members.len() {
            self.starts_as_standby(standby);
        }
        self.queue.after(700, Event::Turn);
        for client in 0..self.clients.len() {
            self.queue.after(2_000 + 100 * client as u64, Event::Commit { client });
        }
        for (index, (_, fault)) in self.setup.faults.iter().enumerate() {
            self.queue.at(fault.at, Event::Fault { index });
        }
    }

    /// Milliseconds since the run began.
    #[must_use]
    pub fn now(&self) -> Ms {
        self.queue.now()
    }

    /// Things that happened or are planned.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.queue.steps()
    }

    /// A clock that is wrong by `skew`, in milliseconds since 1970.
    pub(crate) fn clock(&self, skew: i64) -> u64 {
        (BEGINNING + self.now()).saturating_add_signed(skew)
    }

    /// A clock's error.
    pub(crate) fn skew(&mut self) -> i64 {
        let most = self.setup.skew as i64;
        if most == 0 { 0 } else { self.rng.i64(-most..=most) }
    }

    /// A number from `low` up to `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.rng.u64(low..=high.max(low))
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.rng.u64(0..100) < percent
    }

    pub(crate) fn id(&self, member: usize) -> &str {
        &self.members[member].id
    }

    pub(crate) fn name(&self, member: usize) -> String {
        self.card.members[member].name.clone()
    }

    pub(crate) fn place(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| member.id == id)
    }

    /// Whether a member is in a set that commits wait for.
    pub(crate) fn counts_for(&self, set: &Synchronous, member: usize) -> bool {
        set.names.iter().any(|name| *name == self.card.members[member].name)
    }

    /// The checker looks after this event.
    pub(crate) fn changed(&mut self) {
        self.dirty = true;
    }

    /// Something happens.
    pub(crate) fn happens(&mut self, event: Event) {
        match event {
            Event::Wake { .. } => {}
            Event::Do(what) => what(self),
            Event::Commit { client } => self.client_turn(client),
            Event::Log { up, down, conn, to, again } => self.log_arrives(up, down, conn, to, again),
            Event::Ack { up, down, conn, to, again } => self.ack_arrives(up, down, conn, to, again),
            Event::Beat { up, down, conn } => self.beats(up, down, conn),
            Event::Connect { down, life } => self.connects(down, life),
            Event::Boot { member, host, turn } => self.boot_turn(member, host, turn),
            Event::Guard { member, life } => self.guard_turn(member, life),
            Event::Probe { member, run } => self.watch_probes(member, run),
            Event::ReadState { run } => self.watch_reads(run),
            Event::Turn => self.turn(),
            Event::Fault { index } => self.fault_begins(index),
        }
        if self.dirty {
            self.dirty = false;
            self.check_writers();
        }
    }

    /// Twice a second.
    fn turn(&mut self) {
        self.check_health();
        let now = self.now();
        if now / 5_000 != (now + 500) / 5_000 {
            self.people_look();
        }

        self.queue.after(500, Event::Turn);
    }

    /// What did not hold so far.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.check.violations
    }

    /// Whether the run's faults are over.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.calm
    }

    /// All faults end, stopped hosts are started, dead ones too.
    pub(crate) fn calms_down(&mut self) {
        story!(self, "all faults end");
        self.calm = true;
        self.net.heal_all();
        self.aws.ill = Default::default();
        (self.setup.loss, self.setup.cut, self.setup.flaky) = (0, 0, 0);
        for member in 0..self.members.len() {
            self.members[member].disk_full = false;
            self.members[member].lag = 0;
            if std::mem::take(&mut self.members[member].host.hung) {
                self.members[member].host.went_on = Some(self.now());
            }
            self.recovers(member);
        }
        if !self.watch.runs {
            self.watch_starts();
        }
        self.changed();
    }

    /// Somebody sees to it that a host runs again: dead hardware is stopped first.
    fn recovers(&mut self, member: usize) {
        let host = &self.members[member].host;
        match host.ec2 {
            Ec2::Running if host.dead => self.stop_host(member),
            Ec2::Stopped => self.start_host(member),
            _ => {}
        }
        let host = &self.members[member].host;
        if !(host.up && host.ec2 == Ec2::Running) || self.aws.table.state.change.is_some() {
            // Also one that a change stops only now.
            return self.soon(5_000, move |world| world.recovers(member));
        }
        self.soon(10_000, move |world| world.recovers(member));
    }
}

//! One run: the cluster, its temper, and what will go wrong. All of it follows
//! from the seed.

use crate::clock::Ms;
use crate::network::MOST;
use domain::policy::Policy;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// Faults begin within this time.
pub const TROUBLE: Ms = 200_000;

/// Faults of one run, at most.
const MOST_FAULTS: usize = 9;

/// Whom a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The member that the state item names when the fault begins.
    Writer,
    /// One of the others, counted from it.
    Standby(usize),
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// PostgreSQL's processes are killed; the host is fine.
    Crash(Who),
    /// The hardware dies; EC2 says running. Somebody stops and starts it at the end.
    Die(Who),
    /// Somebody stops the instance, and starts it at the end.
    Stop(Who),
    /// All processes stand still.
    Hang(Who),
    /// The functions do not reach it.
    CutFunctions(Who),
    /// `watch-clusters` alone does not reach it.
    CutWatch(Who),
    /// It does not reach AWS's API.
    CutAws(Who),
    /// Clients do not reach it.
    CutClients(Who),
    /// Two members do not reach each other.
    CutPair(Who, Who),
    /// Nothing passes from one to the other; the other way round it does.
    CutOneWay(Who, Who),
    /// It reaches nobody, and nobody reaches it.
    Isolate(Who),
    /// A service is ill: which, and how.
    Ill(usize, Ill),
    /// A person pauses the cluster, for this long, and resumes or forgets it.
    Pause(bool),
    /// A person asks for a switchover.
    Switchover(Who),
    /// The same in the middle of a large transaction, and log takes seconds to the target.
    SwitchoverInRush(Who),
    /// A person asks for a switchover to nobody.
    SwitchoverToNobody,
    /// A person approves of losing so many bytes (or any), told of this epoch or an old one.
    Approve(Option<u64>, bool),
    /// A person asks what would be done.
    Explain,
    /// Its disk is full.
    DiskFull(Who),
    /// `watch-clusters` does not run, and forgets.
    WatchDead,
    /// One transaction writes this much.
    Burst(u64),
    /// Replay on a standby waits for a query.
    Conflict(Who),
    /// Log takes seconds to a standby.
    SlowLink(Who),
    /// A person lets commits wait for nobody, log takes seconds to all standbys, and
    /// the writer dies just after a pass has put the setting back.
    DieOnFloor,
    /// A person sets `synchronous_standby_names` on the writer by hand.
    ByHand(usize),
}

/// What is wrong with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ill {
    /// Nothing is done.
    Down,
    /// Half of the calls are refused.
    Throttled,
    /// Calls are done, their answers are lost.
    Mute,
    /// Answers take seconds.
    Slow,
}

/// Something that goes wrong at a time, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When it begins.
    pub at: Ms,
    /// How long it lasts; it may outlast the trouble, and then ends with it.
    pub span: Ms,
    /// What.
    pub what: What,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its seed.
    pub seed: u64,
    /// Members.
    pub members: usize,
    /// How many standbys a commit waits for.
    pub required: u32,
    /// Members that may never be promoted, a bit each.
    pub never_promote: u8,
    /// What the owner allows.
    pub policy: Policy,
    /// Of a hundred passes, so many are cut short.
    pub cut: u64,
    /// Of a hundred events, so many are lost, and as many come twice or late.
    pub loss: u64,
    /// Of a thousand calls, so many fail without a cause.
    pub flaky: u64,
    /// Of a hundred answers of EC2, so many are old.
    pub lagging: u64,
    /// Clocks are wrong by up to so much, in milliseconds.
    pub skew: u64,
    /// Instances take long to stop.
    pub slow_stops: bool,
    /// What goes wrong, by its number.
    pub faults: Vec<(usize, Fault)>,
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![3 => Just(Who::Writer), 2 => (0..MOST - 1).prop_map(Who::Standby)]
}

fn ill() -> impl Strategy<Value = What> {
    let how = prop_oneof![3 => Just(Ill::Down), 1 => Just(Ill::Throttled), 2 => Just(Ill::Mute), 1 => Just(Ill::Slow)];
    (0..5_usize, how).prop_map(|(service, how)| What::Ill(service, how))
}

fn person() -> impl Strategy<Value = What> {
    let bytes = prop_oneof![Just(None), (0..4_000_000_u64).prop_map(Some)];
    prop_oneof![
        2 => any::<bool>().prop_map(What::Pause),
        5 => (0..MOST - 1).prop_map(|place| What::Switchover(Who::Standby(place))),
        1 => (0..MOST - 1).prop_map(|place| What::SwitchoverInRush(Who::Standby(place))),
        1 => Just(What::Switchover(Who::Writer)),
        1 => Just(What::SwitchoverToNobody),
        2 => (bytes, any::<bool>()).prop_map(|(bytes, stale)| What::Approve(bytes, stale)),
        1 => Just(What::Explain),
        1 => (0..4_usize).prop_map(What::ByHand),
    ]
}

fn what() -> impl Strategy<Value = What> {
    let cut = prop_oneof![
        3 => who().prop_map(What::CutFunctions),
        1 => who().prop_map(What::CutWatch),
        2 => who().prop_map(What::CutAws),
        1 => who().prop_map(What::CutClients),
        3 => (who(), who()).prop_map(|(one, other)| What::CutPair(one, other)),
        2 => (who(), who()).prop_map(|(one, other)| What::CutOneWay(one, other)),
        4 => who().prop_map(What::Isolate),
    ];
    prop_oneof![
        4 => who().prop_map(What::Crash),
        7 => who().prop_map(What::Die),
        4 => who().prop_map(What::Stop),
        4 => who().prop_map(What::Hang),
        9 => cut,
        5 => ill(),
        5 => person(),
        2 => who().prop_map(What::DiskFull),
        1 => Just(What::WatchDead),
        2 => (100_000..6_000_000_u64).prop_map(What::Burst),
        2 => (0..MOST - 1).prop_map(|place| What::Conflict(Who::Standby(place))),
        3 => (0..MOST - 1).prop_map(|place| What::SlowLink(Who::Standby(place))),
        1 => Just(What::DieOnFloor),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let span = prop_oneof![2 => 200..4_000_u64, 3 => 4_000..20_000_u64, 3 => 20_000..90_000_u64];
    // Faults that meet are worth more than faults that follow each other.
    let meeting = (3_000..TROUBLE).prop_map(|at| at / 30_000 * 30_000 + at % 7_000 + 3_000);
    let at = prop_oneof![1 => 3_000..TROUBLE, 1 => 5_000..45_000_u64, 1 => meeting];
    (at, span, what()).prop_map(|(at, span, what)| Fault { at: at.min(TROUBLE), span, what })
}

/// Where proptest's random numbers begin for a seed.
fn runner(seed: u64) -> TestRunner {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng)
}

/// A fault as proptest made it, and can make simpler.
pub type FaultTree = Box<dyn ValueTree<Value = Fault>>;

impl Setup {
    /// What a seed means, with the trees of its faults.
    #[must_use]
    pub fn of(seed: u64) -> (Setup, Vec<FaultTree>) {
        let mut runner = runner(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let members = *pick(&mut rng, &[2, 3, 3, 3, 3, 4, 4]);
        let required = match rng.u32(0..10) {
            0..3 => 0,
            3..8 => 1,
            _ => 2.min(members as u32 - 1),
        };
        let policy = Policy {
            cool_down_s: *pick(&mut rng, &[0, 10, 60]),
            failovers_per_hour: *pick(&mut rng, &[1, 3, 60]),
            grace_s: *pick(&mut rng, &[0, 10]),
            ttl_s: *pick(&mut rng, &[10, 20]),
            stop_old_writer: rng.u32(0..4) > 0,
            ..Policy::default()
        };
        let count = rng.usize(1..=MOST_FAULTS);
        let trees: Vec<FaultTree> = (0..count)
            .filter_map(|_| fault().new_tree(&mut runner).ok().map(|tree| Box::new(tree) as FaultTree))
            .collect();
        let setup = Setup {
            seed,
            members,
            required,
            never_promote: if rng.u32(0..5) == 0 { 1 << rng.usize(1..members) } else { 0 },
            policy,
            cut: *pick(&mut rng, &[0, 0, 15, 40]),
            loss: *pick(&mut rng, &[0, 2, 20]),
            flaky: *pick(&mut rng, &[0, 2, 20]),
            lagging: *pick(&mut rng, &[0, 30]),
            skew: *pick(&mut rng, &[0, 500, 2_000]),
            slow_stops: rng.bool(),
            faults: trees.iter().enumerate().map(|(number, tree)| (number, tree.current())).collect(),
        };
        (setup, trees)
    }

    /// A cluster in which nothing goes wrong by itself.
    #[must_use]
    pub fn quiet(members: usize, required: u32) -> Setup {
        Setup {
            seed: 1,
            members,
            required,
            never_promote: 0,
            policy: Policy { cool_down_s: 0, ..Policy::default() },
            cut: 0,
            loss: 0,
            flaky: 0,
            lagging: 0,
            skew: 0,
            slow_stops: false,
            faults: Vec::new(),
        }
    }
}

fn pick<'a, T>(rng: &mut fastrand::Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(0..of.len())]
}

//! Runs the passes over simulated clusters, seed by seed.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use simulation::{Mutation, Outcome, Tally, run, setup::Setup, shrink, story};
use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

/// Violations after which no further seed is begun.
const ENOUGH: usize = 5;

#[derive(Parser)]
#[command(about = "Runs the shipped passes over simulated clusters in AWS, with faults by seed")]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One JSON object on stdout, nothing else there.
    #[arg(long)]
    json: bool,
    /// Replays one seed and tells its whole story.
    #[arg(long)]
    seed: Option<u64>,
    /// Of the faults of that seed, only these.
    #[arg(long, value_delimiter = ',', requires = "seed")]
    keep: Option<Vec<usize>>,
    /// A deliberate bug.
    #[arg(long, value_enum)]
    mutate: Option<Mutation>,
    /// Threads; all cores by default.
    #[arg(long)]
    jobs: Option<usize>,
}

/// What all threads found.
#[derive(Default)]
struct Found {
    tally: Tally,
    steps: u64,
    seeds: u64,
    failing: Vec<(u64, Vec<String>)>,
}

fn main() -> ExitCode {
    story::listen();
    let options = Options::parse();
    let failed = match options.seed {
        Some(seed) => replay(&options, seed),
        None => sweep(&options),
    };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn replay(options: &Options, seed: u64) -> bool {
    let (mut setup, _) = Setup::of(seed);
    if let Some(keep) = &options.keep {
        setup.faults.retain(|(number, _)| keep.contains(number));
    }
    let outcome = tell(setup, options.mutate);
    if options.json {
        println!("{}", json!({ "seed": seed, "violations": outcome.violations }));
    }
    !outcome.violations.is_empty()
}

/// The story of one run, on stderr.
fn tell(setup: Setup, mutation: Option<Mutation>) -> Outcome {
    eprintln!("{}", describe(&setup));
    story::begin(true);
    let outcome = run(setup, mutation);
    for line in story::lines() {
        eprintln!("{line}");
    }
    story::begin(false);
    match outcome.violations.as_slice() {
        [] => eprintln!("nothing was violated"),
        violations => violations.iter().for_each(|violation| eprintln!("VIOLATED: {violation}")),
    }
    outcome
}

fn describe(setup: &Setup) -> String {
    let mut text = format!("seed {}: {:?}\n", setup.seed, Setup { faults: Vec::new(), ..setup.clone() });
    for (number, fault) in &setup.faults {
        text.push_str(&format!(
            "  fault {number}: at {:.1} s for {:.1} s: {:?}\n",
            fault.at as f64 / 1e3,
            fault.span as f64 / 1e3,
            fault.what
        ));
    }
    text
}

fn sweep(options: &Options) -> bool {
    let began = Instant::now();
    let jobs = options.jobs.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let (next, stop) = (AtomicU64::new(options.from), AtomicBool::new(false));
    let found = Mutex::new(Found::default());
    // Hidden when stderr is no terminal.
    let progress = ProgressBar::new(options.seeds).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left")
            .unwrap_or(ProgressStyle::default_bar()),
    );
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                let mut mine = Found::default();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.from + options.seeds {
                        break;
                    }
                    one(seed, options.mutate, &mut mine);
                    progress.inc(1);
                    if mine.failing.len() >= if options.mutate.is_some() { 1 } else { ENOUGH } {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                add(&found, mine);
            });
        }
    });
    progress.finish_and_clear();
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.failing.sort();
    report(options, &found, began.elapsed().as_secs_f64());
    !found.failing.is_empty()
}

fn one(seed: u64, mutation: Option<Mutation>, found: &mut Found) {
    let outcome = run(Setup::of(seed).0, mutation);
    found.seeds += 1;
    found.steps += outcome.steps;
    found.tally.take_in(outcome.tally);
    if !outcome.violations.is_empty() {
        found.failing.push((seed, outcome.violations));
    }
}

fn add(found: &Mutex<Found>, mine: Found) {
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    found.tally.take_in(mine.tally);
    found.steps += mine.steps;
    found.seeds += mine.seeds;
    found.failing.extend(mine.failing);
}

fn report(options: &Options, found: &Found, seconds: f64) {
    let events = |name: &str| found.tally.of("events", name);
    let failing: Vec<Value> =
        found.failing.iter().map(|(seed, violations)| json!({ "seed": seed, "violations": violations })).collect();
    let report = json!({
        "seeds": found.seeds,
        "steps": found.steps,
        "failovers": events("failovers"),
        "violations": found.failing.len(),
        "switchovers": events("switchovers"),
        "passes": events("passes"),
        "cuts": events("passes that died"),
        "seconds": seconds.round(),
        "failing": failing,
        "seen": found.tally.0,
    });
    if options.json {
        println!("{report}");
    } else {
        println!(
            "{} seeds, {} steps, {} failovers, {} switchovers, {} passes: {} seeds with violations, in {seconds:.0} s",
            found.seeds,
            found.steps,
            events("failovers"),
            events("switchovers"),
            events("passes"),
            found.failing.len()
        );
    }
    if let Some((seed, violations)) = found.failing.first() {
        smallest(*seed, violations, options.mutate);
    }
}

/// The first failing seed's smallest story, and how to see it again.
fn smallest(seed: u64, violations: &[String], mutation: Option<Mutation>) {
    eprintln!("seed {seed} violates: {}", violations.join("; "));
    let (setup, kept) = shrink(seed, mutation);
    drop(tell(setup, mutation));
    let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
    let keep = if kept.is_empty() { String::new() } else { format!(" --keep {}", kept.join(",")) };
    let mutate = mutation.map_or_else(String::new, |mutation| {
        let name =
            clap::ValueEnum::to_possible_value(&mutation).map_or_else(String::new, |value| value.get_name().to_owned());
        format!(" --mutate {name}")
    });
    eprintln!("replay: cargo run -q --release -p simulation -- --seed {seed}{keep}{mutate}");
}

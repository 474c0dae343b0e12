//! What happened, in lines; and how often the shipped code said what.
//!
//! The passes log through `tracing`; here its lines go into the story, and its
//! steps are counted.

use crate::clock::Ms;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Write as _,
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

thread_local! {
    static TOLD: Cell<bool> = const { Cell::new(false) };
    static NOW: Cell<Ms> = const { Cell::new(0) };
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static STEPS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Tells what happened, if anybody listens.
#[macro_export]
macro_rules! story {
    ($world:expr, $($text:tt)*) => {
        if $crate::story::is_told() {
            $crate::story::tell($world.now(), &format!($($text)*));
        }
    };
}

/// Whether lines are kept on this thread.
#[must_use]
pub fn is_told() -> bool {
    TOLD.get()
}

/// Begins a story on this thread, or lets it be.
pub fn begin(told: bool) {
    TOLD.set(told);
    LINES.with_borrow_mut(Vec::clear);
}

/// The lines so far.
#[must_use]
pub fn lines() -> Vec<String> {
    LINES.with_borrow(Clone::clone)
}

/// One line.
pub fn tell(now: Ms, text: &str) {
    LINES.with_borrow_mut(|lines| lines.push(format!("{:>9.3} s  {text}", now as f64 / 1000.0)));
}

/// The time that lines of passes carry.
pub(crate) fn it_is(now: Ms) {
    NOW.set(now);
}

/// Steps that passes performed on this thread so far, by kind; the count begins anew.
pub(crate) fn take_steps() -> BTreeMap<&'static str, u64> {
    STEPS.with_borrow_mut(std::mem::take)
}

/// The first words of each step's line, and its name.
const STEPS_BY_WORDS: [(&str, &str); 22] = [
    ("take the lease and advance", "Begin"),
    ("take the lease of", "Hold"),
    ("freeze", "Freeze"),
    ("let commits on", "Apply"),
    ("publish", "Publish"),
    ("let the reader record", "SetReaderRecord"),
    ("let ", "Follow"),
    ("stop instance", "StopHost"),
    ("promote", "Promote"),
    ("prove", "Prove"),
    ("look again", "LookAgain"),
    ("note that the new writer", "NoteSilence"),
    ("note that every standby", "NoteFrozen"),
    ("note that a standby was not cut", "NoteFrozen"),
    ("note", "NotePromoted"),
    ("checkpoint", "Checkpoint"),
    ("wait until", "AwaitGuard"),
    ("create slots", "PrepareSlots"),
    ("move the writer record", "MoveWriterRecord"),
    ("give the change up", "Abandon"),
    ("write the ledger", "Finish"),
    ("", "another step"),
];

/// Puts the lines of passes where the story is.
pub struct Listener;

/// Once for the process.
pub fn listen() {
    // A second listener in one process (tests) hears the same.
    drop(tracing::subscriber::set_global_default(Listener));
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let told = is_told();
        let step = event.metadata().fields().field("look").is_some();
        if !told && !step {
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        if let Some(what) = message.0.strip_prefix("step: ") {
            let kind = STEPS_BY_WORDS.iter().find(|(words, _)| what.starts_with(words));
            STEPS.with_borrow_mut(|steps| *steps.entry(kind.map_or("?", |(_, kind)| kind)).or_default() += 1);
        }
        if told {
            tell(NOW.get(), &format!("  pass: {}", message.0));
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

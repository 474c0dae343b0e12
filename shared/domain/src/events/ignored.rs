//! Why an event leads to nothing.

use super::{Function, database};
use std::fmt;

/// Why nothing is done. Prints as one sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignored {
    /// It is no JSON object.
    NotAnObject,
    /// It has no source and kind, as events have.
    NotAnEvent,
    /// An event inside a notification or a queue's message, which is how no
    /// function of the fleet is woken.
    Wrapped,
    /// A kind of event that no function knows.
    Unknown {
        /// Who sent it.
        source: String,
        /// Its kind.
        kind: String,
    },
    /// A managed database is well: it pauses at 0 ACU, say.
    DatabaseWell {
        /// Its identifier in RDS.
        database: String,
        /// The event's id.
        event: String,
    },
    /// The database is not one of this fleet's clusters'.
    OtherDatabase {
        /// Its identifier in RDS.
        database: String,
    },
    /// An event of RDS, Aurora, Neptune or DocumentDB that tells of no
    /// trouble, or not of PostgreSQL's.
    ManagedDatabase {
        /// Who sent it.
        source: String,
        /// Its kind.
        kind: String,
        /// The engine, when it says so.
        engine: Option<String>,
    },
    /// A field that this kind of event always has is missing or malformed.
    Malformed {
        /// The field, as a JSON pointer into the event's detail.
        field: &'static str,
    },
    /// The event is about another account's resource.
    ForeignAccount {
        /// The account that the event is from, when it says so.
        event: Option<String>,
        /// The account that the resource is in.
        resource: String,
    },
    /// The alarm did not go to ALARM. INSUFFICIENT_DATA is no alarm: those that
    /// must notice silence treat missing data as breaching.
    AlarmState {
        /// The alarm.
        alarm: String,
        /// The state it went to.
        state: String,
    },
    /// The alarm's actions are suppressed: it comes again when they no longer are.
    Suppressed {
        /// The alarm.
        alarm: String,
        /// `WaitPeriod`, `ExtensionPeriod` or `Alarm`.
        by: String,
    },
    /// The alarm's actions are muted.
    Muted {
        /// The alarm.
        alarm: String,
        /// The rule that mutes it.
        by: String,
    },
    /// The alarm was made, changed or deleted: it says nothing about a cluster.
    AlarmChanged {
        /// The alarm.
        alarm: String,
        /// What was done to it.
        operation: String,
    },
    /// One of an alarm's many series: no alarm of a cluster has several.
    Contributor {
        /// The alarm.
        alarm: String,
    },
    /// The alarm is not one of this fleet's clusters'.
    OtherAlarm {
        /// The alarm.
        alarm: String,
    },
    /// The alarm is named like one of ours, but watches a metric that none of
    /// ours watches: Neptune and DocumentDB clusters have writers too.
    OtherMetric {
        /// The alarm.
        alarm: String,
        /// The metric's namespace.
        namespace: String,
    },
    /// The stack is not one of this fleet's clusters'.
    OtherStack {
        /// The stack.
        stack: String,
    },
    /// The stack's change has not ended.
    StackBusy {
        /// The stack.
        stack: String,
        /// CloudFormation's word for what it does.
        status: String,
    },
    /// Another function's business.
    NotFor {
        /// The function that was asked.
        function: Function,
        /// What happened.
        what: String,
    },
}

/// Longest piece of an event that goes into a sentence, in characters.
const LONGEST: usize = 80;

/// A text from an event as it goes into a log line: short, and on one line.
pub(super) fn short(text: &str) -> String {
    let mut piece: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        piece.push_str("...");
    }
    piece
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ignored::NotAnObject => f.write_str("this is no JSON object"),
            Ignored::NotAnEvent => f.write_str("this is no event: it has no source and detail-type"),
            Ignored::Wrapped => f.write_str("this is a batch of records, and no queue or topic wakes this fleet"),
            Ignored::Unknown { source, kind } => {
                write!(f, "nothing is done about {} from {}", short(kind), short(source))
            }
            Ignored::ManagedDatabase { source, kind, engine } => {
                write!(f, "{} from {} is about a managed database", short(kind), short(source))?;
                engine.as_ref().map_or(Ok(()), |engine| write!(f, " ({})", short(engine)))?;
                f.write_str(", and calls for nothing")
            }
            Ignored::OtherDatabase { database } => {
                write!(f, "database {} is not of a cluster of this fleet", short(database))
            }
            Ignored::DatabaseWell { database, event } => {
                let words = database::words(event);
                write!(f, "RDS says that {} {words} ({}): that is no trouble", short(database), short(event))
            }
            Ignored::Malformed { field } => write!(f, "{field} in its detail is missing or malformed"),
            Ignored::ForeignAccount { event: Some(event), resource } => {
                write!(f, "it is from account {}, but about account {}", short(event), short(resource))
            }
            Ignored::ForeignAccount { event: None, resource } => {
                write!(f, "it does not say which account it is from, and is about account {}", short(resource))
            }
            Ignored::AlarmState { alarm, state } => {
                write!(f, "alarm {} went to {}, not to ALARM", short(alarm), short(state))
            }
            Ignored::Suppressed { alarm, by } => {
                write!(f, "alarm {} is in ALARM, but its actions are suppressed by {}", short(alarm), short(by))
            }
            Ignored::Muted { alarm, by } => {
                write!(f, "alarm {} is in ALARM, but its actions are muted by {}", short(alarm), short(by))
            }
            Ignored::AlarmChanged { alarm, operation } => {
                write!(f, "the configuration of alarm {} changed ({})", short(alarm), short(operation))
            }
            Ignored::Contributor { alarm } => write!(f, "this is one of several series of alarm {}", short(alarm)),
            Ignored::OtherAlarm { alarm } => write!(f, "alarm {} is not about a cluster of this fleet", short(alarm)),
            Ignored::OtherMetric { alarm, namespace } => {
                write!(f, "alarm {} watches {}, which is no metric of this fleet", short(alarm), short(namespace))
            }
            Ignored::OtherStack { stack } => write!(f, "stack {} is not of a cluster of this fleet", short(stack)),
            Ignored::StackBusy { stack, status } => write!(f, "stack {} is still in {}", short(stack), short(status)),
            Ignored::NotFor { function, what } => write!(f, "{what}, which is not for {function}"),
        }
    }
}

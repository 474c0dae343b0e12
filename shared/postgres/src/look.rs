//! Looking at a member.

use crate::{
    conninfo,
    session::{Connector, Session, Target},
    trouble::Trouble,
};
use domain::{
    failover::{ReceiverSeen, Sql, StandbySeen, StreamSeen, WriterSeen},
    lsn::Lsn,
};
use serde::Deserialize;
use std::time::Duration;

const LOOK: &str = include_str!("look.sql");

/// What `look.sql` answers.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Blind(String),
    Standby(Standby),
    Writer(Writer),
}

#[derive(Deserialize)]
struct Standby {
    received: Option<Lsn>,
    replayed: Option<Lsn>,
    system_id: i64,
    conninfo: String,
    receiver: Option<Receiver>,
    timeline: u32,
    known_timeline: u32,
}

#[derive(Deserialize)]
struct Receiver {
    timeline: u32,
    streaming: bool,
    silent_ms: u64,
    conninfo: String,
}

#[derive(Deserialize)]
struct Writer {
    timeline: u32,
    lsn: Lsn,
    system_id: i64,
    synchronous_setting: String,
    streams: Vec<Stream>,
    slots: Vec<String>,
}

#[derive(Deserialize)]
struct Stream {
    name: String,
    streaming: bool,
    flushed: Option<Lsn>,
}

impl Connector {
    /// Looks at a member once.
    ///
    /// Never an error: whatever happens, up to nothing at all, is something
    /// seen. [`Sql::NotAsked`] when this side could not even send the question.
    pub async fn probe(&self, target: &Target, timeout: Duration) -> Sql {
        self.session(target, timeout, Session::look).await.unwrap_or_else(Trouble::seen)
    }
}

impl Session {
    /// Looks at the member of this connection.
    pub(crate) async fn look(&self) -> Result<Sql, Trouble> {
        self.look_by(LOOK).await
    }

    /// Looks with this question, whose answer has the shape of `look.sql`'s.
    pub(crate) async fn look_by(&self, question: &str) -> Result<Sql, Trouble> {
        let text = self.text("the answer to a look", question, &[]).await?.unwrap_or_default();
        match serde_json::from_str(&text) {
            Ok(Answer::Blind(role)) => {
                Err(Trouble::Odd(format!("the role {role:?} may not see replication: grant it pg_monitor")))
            }
            Ok(Answer::Standby(seen)) => Ok(Sql::Standby(seen.into())),
            Ok(Answer::Writer(seen)) => Ok(Sql::Writer(seen.into())),
            Err(error) => Err(Trouble::Odd(format!("an answer of an unknown shape: {error}"))),
        }
    }
}

impl From<Standby> for StandbySeen {
    fn from(seen: Standby) -> Self {
        let timeline = seen.receiver.as_ref().map_or(0, |receiver| receiver.timeline).max(seen.timeline);
        StandbySeen {
            timeline,
            known_timeline: seen.known_timeline.max(timeline),
            received: seen.received,
            replayed: seen.replayed,
            system_id: seen.system_id.cast_unsigned(),
            receiver: seen.receiver.map(|receiver| ReceiverSeen {
                streaming: receiver.streaming,
                silent_for: Duration::from_millis(receiver.silent_ms),
                // Not `sender_host`: with both host and hostaddr it shows the name.
                upstream: conninfo::upstream(&receiver.conninfo),
            }),
            upstream: conninfo::upstream(&seen.conninfo),
        }
    }
}

impl From<Writer> for WriterSeen {
    fn from(seen: Writer) -> Self {
        let stream =
            |stream: Stream| StreamSeen { name: stream.name, streaming: stream.streaming, flushed: stream.flushed };
        WriterSeen {
            timeline: seen.timeline,
            lsn: seen.lsn,
            system_id: seen.system_id.cast_unsigned(),
            synchronous_setting: seen.synchronous_setting,
            streams: seen.streams.into_iter().map(stream).collect(),
            slots: seen.slots,
        }
    }
}

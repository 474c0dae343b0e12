//! What a change of writer is told by: the ledger item and the page.

use super::{
    Host, Observed, Phases, Reason, Sql,
    phases::{in_seconds, rpo_ms},
};
use crate::{
    lsn::Lsn,
    state::{Approval, Change, ChangeKind, Loss, Promoted, Synchronous},
    time::{bytes, clock, seconds},
};
use serde::{Deserialize, Serialize};
use std::{fmt::Write as _, time::Duration};

/// A message to the person on call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most 100 ASCII characters, as SNS wants of a subject.
    pub subject: String,
    /// The whole story.
    pub text: String,
}

/// One failover as the ledger keeps it. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// `failover` or `switchover`.
    pub kind: ChangeKind,
    /// The cluster.
    pub cluster: String,
    /// The epoch that the change made.
    pub epoch: u64,
    /// Instance id of the old writer.
    pub from: String,
    /// Instance id of the new writer.
    pub to: String,
    /// Timeline before and after.
    pub timeline: [u32; 2],
    /// Where the new timeline begins.
    pub promoted_at_lsn: Lsn,
    /// Why the old writer could acknowledge no more writes.
    pub evidence: String,
    /// What was seen.
    pub seen: Vec<String>,
    /// The set that commits waited for before the change.
    pub synchronous: bool,
    /// When the writer was first found silent, or its stop was first seen.
    pub silent_since_ms: u64,
    /// When the pass that began the change was woken.
    pub woken_at_ms: u64,
    /// By what.
    pub woken_by: String,
    /// When the lease was taken.
    pub began_at_ms: u64,
    /// When the new writer had accepted a write.
    pub promoted_at_ms: u64,
    /// When the record was moved; `None` when it was not.
    pub record_moved_at_ms: Option<u64>,
    /// When all was done.
    pub finished_at_ms: u64,
    /// From the first silence until the record was moved, in milliseconds.
    pub rto_ms: Option<u64>,
    /// What that was made of.
    #[serde(default)]
    pub phases: Phases,
    /// Acknowledged log that the new writer lacks, in bytes, up to the last
    /// position that a probe saw of the old writer; `None` when it is not known.
    pub rpo_bytes: Option<u64>,
    /// The same in milliseconds of writes; `None` when it is not known.
    #[serde(default)]
    pub rpo_ms: Option<u64>,
    /// Whether nothing acknowledged was lost for certain: `rpo_bytes` is then 0.
    pub lossless: bool,
    /// Why nothing, or so much, was lost; only of a change that was followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_because: Option<String>,
    /// The approval that a person gave, when one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

impl Ledger {
    /// The entry of a change whose promotion was noted; `None` before that.
    #[must_use]
    pub fn of(seen: &Observed, change: &Change, finished_at_ms: u64) -> Option<Self> {
        Some(Self::of_promoted(seen, change, change.promoted.as_ref()?, finished_at_ms))
    }

    /// The entry of a change that made this member writer.
    pub(crate) fn of_promoted(seen: &Observed, change: &Change, promoted: &Promoted, finished_at_ms: u64) -> Self {
        let moved = change.record_moved_at_ms;
        Ledger {
            kind: change.kind,
            cluster: seen.cluster.clone(),
            epoch: seen.state.epoch,
            from: change.from.clone(),
            to: promoted.member.clone(),
            timeline: promoted.timeline,
            promoted_at_lsn: promoted.at,
            evidence: change.sure.clone().unwrap_or_default(),
            seen: change.seen.clone(),
            synchronous: change.synchronous.is_on(),
            silent_since_ms: change.silent_since_ms,
            woken_at_ms: change.woken_at_ms,
            woken_by: change.woken_by.clone(),
            began_at_ms: change.began_at_ms,
            promoted_at_ms: promoted.at_ms,
            record_moved_at_ms: moved,
            finished_at_ms,
            rto_ms: moved.map(|moved| moved.saturating_sub(change.silent_since_ms)),
            phases: Phases::of(change, promoted.at_ms),
            rpo_ms: rpo_ms(change),
            rpo_bytes: match change.loss {
                Some(Loss::Nothing) => Some(0),
                Some(Loss::Bytes(lost)) => Some(lost),
                Some(Loss::Unknown) | None => None,
            },
            lossless: change.loss == Some(Loss::Nothing),
            loss_because: change.loss_because.clone(),
            approval: change.approval.clone(),
        }
    }

    /// The page that tells this failover.
    #[must_use]
    pub fn page(&self, seen: &Observed, record: &str) -> Page {
        let place =
            |id: &str| seen.member(id).map_or_else(|| id.to_owned(), |member| format!("{id} ({})", member.card.zone));
        let (priority, took) = match (self.kind, self.rto_ms) {
            (_, None) => ("P1", "its record waits".to_owned()),
            (ChangeKind::Failover, Some(ms)) => {
                ("P1", format!("{} after it fell silent", seconds(Duration::from_millis(ms))))
            }
            (ChangeKind::Switchover | ChangeKind::Followed, Some(_)) => ("P3", "as asked".to_owned()),
        };
        let mut text = String::new();
        line(&mut text, "Seen", &self.seen.join("; "));
        line(&mut text, "Sure", &self.evidence);
        line(&mut text, "Done", &self.done(seen, record));
        line(&mut text, "Lost", &self.lost());
        line(&mut text, "Took", &self.took());
        line(&mut text, "Now", &self.now(seen));
        line(&mut text, "Next", &self.next(seen));
        let subject = format!("{priority} {}: writer moved to {}, {took}", self.cluster, place(&self.to));
        Page { subject: ascii(&subject), text }
    }

    fn done(&self, seen: &Observed, record: &str) -> String {
        let moved = self
            .record_moved_at_ms
            .map_or_else(|| format!("record {record} NOT moved"), |at| format!("record {record} moved {}", clock(at)));
        let followers: Vec<&str> = followers(seen, &self.to).collect();
        let follow = match followers.as_slice() {
            [] => "no standby is left to follow".to_owned(),
            [one] => format!("{one} follows"),
            many => format!("{} follow", many.join(", ")),
        };
        format!(
            "promoted {} at {}, timeline {}, epoch {}, {}; {moved}; {follow}",
            self.to,
            self.promoted_at_lsn,
            self.timeline[1],
            self.epoch,
            clock(self.promoted_at_ms)
        )
    }

    fn lost(&self) -> String {
        let lost = match (self.lossless, self.rpo_bytes) {
            (true, _) => "nothing that was acknowledged".to_owned(),
            (false, Some(0)) => "nothing up to the last position that a probe saw of the old writer".to_owned(),
            (false, Some(lost)) => {
                let span = in_seconds(self.rpo_ms);
                format!("{} of log up to the last position that a probe saw of the old writer{span}", bytes(lost))
            }
            (false, None) => "not known: no probe saw the old writer's last position".to_owned(),
        };
        match &self.approval {
            Some(Approval { data_loss_bytes: Some(allowed), .. }) => {
                format!("{lost}; a loss of up to {} was approved", bytes(*allowed))
            }
            Some(_) => format!("{lost}; any loss was approved"),
            None => lost,
        }
    }

    fn took(&self) -> String {
        let span = |from: u64, to: u64| seconds(Duration::from_millis(to.saturating_sub(from)));
        let found = if self.kind == ChangeKind::Failover { "found down" } else { "begun" };
        let mut text = format!("{found} in {} ({})", span(self.silent_since_ms, self.began_at_ms), self.woken_by);
        let ordered = self.phases.ordered_ms.map(|ms| self.silent_since_ms + ms).filter(|at| *at >= self.began_at_ms);
        let _ = match ordered {
            Some(at) => {
                let (fenced, promoted) = (span(self.began_at_ms, at), span(at, self.promoted_at_ms));
                write!(text, ", fenced in {fenced}, promoted in {promoted}")
            }
            None => write!(text, ", promoted in {}", span(self.began_at_ms, self.promoted_at_ms)),
        };
        if let Some(moved) = self.record_moved_at_ms {
            let _ = write!(text, ", record moved in {}", span(self.promoted_at_ms, moved));
        }
        text
    }

    fn now(&self, seen: &Observed) -> String {
        let left = followers(seen, &self.to).count();
        let standbys = match left {
            0 => "no standby left".to_owned(),
            1 => "one standby left".to_owned(),
            _ => format!("{left} standbys left"),
        };
        let Synchronous { required, names } = &seen.state.synchronous;
        let commits = if seen.state.synchronous.is_on() {
            format!("commits wait for {required} of {}", names.len())
        } else if self.synchronous {
            "commits wait for NO standby until one is rebuilt: the next loss of the writer loses data".to_owned()
        } else {
            "replication is asynchronous".to_owned()
        };
        let old = seen.member(&self.from).map_or_else(String::new, |member| {
            format!(". Old writer {}: EC2 says {}; it will not start as writer again", self.from, member.host)
        });
        format!("{standbys}; {commits}{old}")
    }

    fn next(&self, seen: &Observed) -> String {
        let from = &self.from;
        let host = seen.member(from).map(|member| &member.host);
        if matches!(host, Some(Host::Running | Host::Pending)) {
            return format!("nothing urgent. {from} is made a standby by itself; a page follows with what only it had");
        }
        let region = seen.member(from).map(|member| member.card.zone.trim_end_matches(char::is_alphabetic));
        let region = region.filter(|region| !region.is_empty()).map(|region| format!(" --region {region}"));
        format!(
            "nothing urgent. {from} rejoins as a standby by itself once it runs again: \
             aws ec2 start-instances --instance-ids {from}{}",
            region.unwrap_or_default()
        )
    }
}

/// The page of a refusal: what was seen, why nothing is done, what a person can do.
#[must_use]
pub fn refusal(seen: &Observed, reason: &Reason) -> Page {
    let mut text = String::new();
    let members: Vec<String> = seen
        .members
        .iter()
        .map(|member| {
            format!("{} ({}): EC2 says {}, PostgreSQL {}", member.card.id, member.card.zone, member.host, member.sql)
        })
        .collect();
    line(&mut text, "Seen", &members.join("; "));
    line(&mut text, "Why", &reason.to_string());
    line(&mut text, "Done", "nothing was promoted by this pass");
    line(&mut text, "Next", &advice(seen, reason));
    let kind = match reason {
        Reason::AliveAfterAll(_) => "change of writer given up",
        Reason::RecordWaits { .. } => "writer promoted, record waits",
        Reason::TwoWriters { .. } => "TWO WRITERS",
        Reason::SwitchoverFailed(_) => "switchover given up",
        _ => "not acting",
    };
    Page { subject: ascii(&format!("P1 {}: {kind}: {}", seen.cluster, reason.kind())), text }
}

/// The next safe command, exact where there is one.
fn advice(seen: &Observed, reason: &Reason) -> String {
    let writer = seen.state.writer.clone().unwrap_or_default();
    match reason {
        Reason::NoEvidence { member, .. } => {
            format!(
                "make sure that {member} is off: aws ec2 stop-instances --force --instance-ids {member}; promotion follows by itself"
            )
        }
        Reason::NoStandbyAnswers => format!("bring back a standby, or the writer: {}", start_the_silent(seen)),
        Reason::QuorumMissing { .. } => format!(
            "bring back a standby, or the writer: {}; or promote what is left, whatever is lost: {}",
            start_the_silent(seen),
            approve(seen, "\"data_loss_bytes\":\"any\"")
        ),
        Reason::TwoWriters { other, .. } => {
            format!("stop the one that nobody should write to: aws ec2 stop-instances --force --instance-ids {other}")
        }
        Reason::ProbePathBroken { .. } => format!(
            "look at routes, security groups and PostgreSQL's pg_hba.conf between the functions and {writer}; clients may be well"
        ),
        Reason::RecordWaits { address, .. } => {
            format!(
                "until Route 53 answers, clients can use a host list: host={address} target_session_attrs=read-write; the next pass moves the record"
            )
        }
        Reason::CoolDown(_) => {
            "look why the writer failed again so soon; after the cool-down the next pass acts".to_owned()
        }
        Reason::TooMany { .. } => format!(
            "look why writers fail again and again; to allow one more: {}",
            approve(seen, "\"data_loss_bytes\":0")
        ),
        Reason::WouldLose { bytes: lost, .. } => format!(
            "bring {writer} back, which loses nothing: aws ec2 start-instances --instance-ids {writer}; \
             or promote all the same and lose that much: {}",
            approve(seen, &format!("\"data_loss_bytes\":{lost}"))
        ),
        Reason::OtherHistory { .. }
        | Reason::LossUnknown { .. }
        | Reason::BelowFloor { .. }
        | Reason::NotAsPublished { .. } => format!(
            "bring {writer} back, which loses nothing; or promote all the same, whatever is lost: {}",
            approve(seen, "\"data_loss_bytes\":\"any\"")
        ),
        Reason::TimelineUnknown { member, taken } => format!(
            "bring {writer} back, or a standby that followed it: {}; if they are lost for good, on {member}: \
             sudo -u postgres touch /var/lib/understudy/data/pg_wal/{taken:08X}.history, which marks the number as taken",
            start_the_silent(seen)
        ),
        Reason::Paused { .. } => format!(
            "to end the pause: {}",
            invoke(seen, &format!("{{\"resume\":{{\"cluster\":\"{}\"}}}}", seen.cluster))
        ),
        Reason::DiskFull(id) => format!(
            "make room on the data volume of {id} (grow it: aws ec2 modify-volume; then growpart and resize2fs), \
             PostgreSQL starts again by itself; to let another member take over all the same: {}",
            approve(seen, "\"data_loss_bytes\":0")
        ),
        Reason::CommitsWait { writer, .. } => format!(
            "bring a standby back; to give durability up instead, on {writer}: \
             ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf()"
        ),
        _ => "a person must look: the state above is not one that can be mended without risk to data".to_owned(),
    }
}

fn start_the_silent(seen: &Observed) -> String {
    let silent = seen.members.iter().filter(|member| !member.sql.answers());
    let ids: Vec<&str> = silent.map(|member| member.card.id.as_str()).collect();
    format!("aws ec2 start-instances --instance-ids {}", ids.join(" "))
}

/// The command that approves, for this epoch only.
fn approve(seen: &Observed, what: &str) -> String {
    let payload = format!("{{\"approve\":{{\"cluster\":\"{}\",\"epoch\":{},{what}}}}}", seen.cluster, seen.state.epoch);
    invoke(seen, &payload)
}

fn invoke(seen: &Observed, payload: &str) -> String {
    format!(
        "aws lambda invoke --function-name {}-promote-replica --cli-binary-format raw-in-base64-out \
         --payload '{payload}' /dev/stdout",
        seen.fleet
    )
}

fn followers<'a>(seen: &'a Observed, writer: &str) -> impl Iterator<Item = &'a str> {
    let address = seen.member(writer).map(|member| member.card.address);
    seen.members.iter().filter_map(move |member| match &member.sql {
        Sql::Standby(standby) if standby.upstream.is_some() && standby.upstream == address => {
            Some(member.card.id.as_str())
        }
        _ => None,
    })
}

fn line(text: &mut String, name: &str, what: &str) {
    let _ = writeln!(text, "{name:<8}{what}");
}

fn ascii(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii() && !letter.is_ascii_control()).take(100).collect()
}

impl Promoted {
    /// `i-0b2 at 0/4372C78, timeline 2`.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} at {}, timeline {}", self.member, self.at, self.timeline[1])
    }
}

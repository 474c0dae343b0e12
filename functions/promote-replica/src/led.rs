//! A pass over a cluster whose roles Patroni assigns (I15): what Patroni did is
//! verified, the records follow, the ledger and the page tell.
//!
//! No call that touches a server can be made here: the outside of such a
//! cluster has none ([`Keeper`]).

use crate::{Pass, Report, and_release};
use domain::{
    failover::Page,
    follow::{APART, Led, Reason, Step, decide, explain, handover, refusal},
    state::{Change, ChangeKind, Pause},
    time::seconds,
};
use reconcile::{End, Failure, Keeper, Silences, Waking, World, look_led, note_waiting, page_every, pass};
use std::{sync::Arc, time::Duration};

/// After a handover the new leader is looked for so often, one second apart: a
/// promotion takes less, the agent's next look at most `loop_wait`.
const LOOKS_AFTER_HANDOVER: u32 = 10;

/// One pass over one cluster with a keeper.
pub struct LedPass<O> {
    pass: Pass<O>,
    /// The looks of this pass, the newest last.
    seen: Vec<Led>,
    /// When a handover was asked for, in milliseconds since 1970.
    asked_at_ms: Option<u64>,
}

impl<O: Keeper> LedPass<O> {
    /// Begins a pass, as [`Pass::new`].
    pub fn new(outside: O, waking: Waking, pass: String, silences: Arc<Silences>, deadline_ms: u64) -> Self {
        let pass = Pass::new(outside, waking, pass, silences, deadline_ms);
        LedPass { pass, seen: Vec::new(), asked_at_ms: None }
    }

    fn outside(&self) -> &O {
        &self.pass.looks.outside
    }

    fn cluster(&self) -> String {
        self.outside().card().cluster.clone()
    }

    async fn look(&mut self) -> Result<Led, Failure> {
        let led = look_led(&mut self.pass.looks).await?;
        self.seen.push(led.clone());
        Ok(led)
    }

    /// A change that a person asked for began when it was asked for.
    async fn begin(&mut self, epoch: u64, change: &Change) -> Result<(), Failure> {
        let asked = self.asked_at_ms.filter(|_| change.to.is_some());
        let silent_since_ms = asked.unwrap_or(change.silent_since_ms);
        self.pass.at_desk().begin(epoch, &Change { silent_since_ms, ..change.clone() }).await
    }

    async fn page(&mut self, reason: &Reason, page: &Page) -> Result<(), Failure> {
        let epoch = self.pass.at_desk().state()?.epoch;
        page_every(self.outside(), reason.tell_again(), reason.kind(), epoch, page).await
    }
}

impl<O: Keeper> World for LedPass<O> {
    type Seen = Vec<Led>;
    type Step = Step;

    async fn observe(&mut self) -> Result<Vec<Led>, Failure> {
        self.look().await?;
        Ok(self.seen.clone())
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        self.pass.at_desk().in_time()?;
        match step {
            Step::LookAgain => {
                self.outside().sleep(APART).await;
                self.pass.looks.ask_anew();
                Ok(())
            }
            Step::Note(waiting) => note_waiting(self.outside(), Some(waiting)).await,
            Step::Forget => note_waiting(self.outside(), None).await,
            Step::Adopt { epoch, writer, timeline, synchronous } => {
                self.outside().adopt(*epoch, &writer.id, *timeline, synchronous).await
            }
            Step::Begin { epoch, change } => self.begin(*epoch, change).await,
            Step::Hold { epoch } => self.pass.at_desk().hold(*epoch).await,
            Step::Publish(synchronous) => self.pass.publish(synchronous, None).await,
            Step::EndPause { epoch } => {
                self.outside().set_paused(false).await?;
                // Zero: it has been ended, and whoever pauses next is somebody else.
                self.outside().pause(*epoch, &Pause { until_ms: 0, reason: String::new() }).await
            }
            Step::MoveWriterRecord { from, to } => self.pass.move_record(*from, *to).await,
            Step::SetReaderRecord(addresses) => self.pass.set_readers(addresses).await,
            Step::Abandon => self.pass.at_desk().abandon().await,
            Step::Finish { writer, ledger, page } => {
                self.pass.at_desk().finish(writer, ChangeKind::Followed, ledger, page).await
            }
        }
    }
}

/// Runs one pass over one cluster with a keeper.
///
/// # Errors
///
/// The first [`Failure`]; the lease is given back all the same, and the next
/// pass goes on from what was done.
pub async fn follow_leader<O: Keeper>(cluster: &mut LedPass<O>) -> Result<Report, Failure> {
    let report = settle(cluster).await;
    and_release(report, cluster.pass.at_desk()).await
}

async fn settle<O: Keeper>(cluster: &mut LedPass<O>) -> Result<Report, Failure> {
    let name = cluster.cluster();
    match pass(cluster, |looks: &Vec<Led>| decide(looks)).await? {
        End::Steady { steps: 0 } => {
            Ok(Report::new(&name, "steady", "the writer of record leads, and nothing is left to do".to_owned()))
        }
        End::Steady { steps } => Ok(Report::new(&name, "acted", format!("{steps} steps; nothing is left to do"))),
        End::Wait(reason) => Ok(Report::new(&name, "waits", reason.to_string())),
        End::Refuse(looks, reason) => {
            if let Some(led) = looks.last().filter(|_| !reason.is_answer()) {
                cluster.page(&reason, &refusal(led, &reason)).await?;
            }
            Ok(Report::new(&name, "refused", reason.to_string()))
        }
    }
}

/// What a pass would do now, and what would happen if the leader failed.
///
/// # Errors
///
/// The [`Failure`] of the look.
pub async fn explain_led<O: Keeper>(cluster: &mut LedPass<O>) -> Result<Report, Failure> {
    let led = cluster.look().await?;
    Ok(Report::explained(&cluster.cluster(), explain(&led)))
}

/// Asks the keeper to hand the lead to a member, and follows it.
///
/// # Errors
///
/// The [`Failure`] of a look, or of what follows the handover.
pub async fn hand_over<O: Keeper>(cluster: &mut LedPass<O>, to: &str) -> Result<Report, Failure> {
    let (name, keeper) = (cluster.cluster(), cluster.outside().name());
    let led = cluster.look().await?;
    let handover = match handover(&led, to) {
        Ok(handover) => handover,
        Err(reason) => return Ok(Report::new(&name, "refused", reason.to_string())),
    };
    let asked_at_ms = cluster.outside().now_ms();
    cluster.asked_at_ms = Some(asked_at_ms);
    let said = match cluster.outside().hand_over(&handover).await {
        Ok(said) => said,
        // It may have happened: what is true is looked up.
        Err(failure @ Failure::Transient { .. }) => failure.story(),
        Err(failure) => {
            return Ok(Report::new(&name, "refused", format!("{keeper} hands nothing over: {}", failure.story())));
        }
    };
    let mut report = Report::new(&name, "waits", said.clone());
    for _ in 0..LOOKS_AFTER_HANDOVER {
        cluster.seen.clear();
        cluster.pass.looks.ask_anew();
        report = follow_leader(cluster).await?;
        let writer = cluster.seen.last().and_then(|led| led.seen.state.writer.clone());
        if writer.as_ref() == Some(&handover.to.id) {
            let took = Duration::from_millis(cluster.outside().now_ms().saturating_sub(asked_at_ms));
            let because =
                format!("{} leads, {} after it was asked for; {keeper} said: {said}", handover.to.name, seconds(took));
            return Ok(Report::new(&name, "acted", because));
        }
        cluster.pass.at_desk().in_time()?;
        cluster.outside().sleep(APART).await;
    }
    let because = format!("{} does not lead: {}; {keeper} said: {said}", handover.to.name, report.because);
    Ok(Report::new(&name, "refused", because))
}

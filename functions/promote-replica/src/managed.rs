//! A pass over a cluster that AWS runs: AWS's own failover is verified and told, a gray failure is failed over once,
//! and where RDS has no standby left a read replica is promoted, after the old writer is proven to be cut off.
//!
//! RDS's calls have no token: whoever orders something has noted it before, and looks once more right before the call.

use crate::{AtDesk, Cluster, Report, and_release, records::waits, refuse};
use domain::{
    decision::Decision,
    failover::Page,
    follow::APART,
    managed::{Course, Described, NamesSeen, ROLES, Reason, Roles, Step, decide, explain, refusal, undo},
    state::{Change, Promoted},
};
use reconcile::{
    End, Failure, Managed, ManagedLooks, ManagedSeen, Silences, Turn, Waking, World, note_waiting, page_every,
    page_once, pass,
};
use std::{sync::Arc, time::Duration};

/// One pass over one managed cluster.
pub struct ManagedPass<O> {
    looks: ManagedLooks<O>,
    /// When Lambda ends this invocation, in milliseconds since 1970.
    deadline_ms: u64,
    holds_lease: bool,
}

impl<O: Managed> ManagedPass<O> {
    /// Begins a pass, as [`crate::Pass::new`].
    pub fn new(outside: O, waking: Waking, pass: String, silences: Arc<Silences>, deadline_ms: u64) -> Self {
        let looks = ManagedLooks::new(outside, waking, pass, silences);
        ManagedPass { looks, deadline_ms, holds_lease: false }
    }

    fn at_desk(&mut self) -> AtDesk<'_, O> {
        AtDesk {
            desk: &self.looks.outside,
            turn: Turn { pass: self.looks.pass.clone(), deadline_ms: self.deadline_ms },
            waking: &mut self.looks.waking,
            state: &mut self.looks.state,
            change: &mut self.looks.change,
            holds_lease: &mut self.holds_lease,
        }
    }

    fn outside(&self) -> &O {
        &self.looks.outside
    }

    async fn move_record(&mut self, from: Option<(&str, u64)>, to: (&str, u64)) -> Result<(), Failure> {
        match self.outside().move_writer(from, to).await {
            Ok(()) => {
                tracing::info!("record {} moved to {}, epoch {}", self.outside().card().records.writer, to.0, to.1);
                self.looks.changed_names(Ok(|names: &mut NamesSeen| {
                    (names.writer, names.epoch) = (Some(to.0.to_owned()), Some(to.1));
                }));
                self.at_desk().note_moved().await
            }
            Err(failure) => self.record_waits(failure),
        }
    }

    async fn set_readers(&mut self, readers: &[(String, String)]) -> Result<(), Failure> {
        match self.outside().set_readers(readers).await {
            Ok(()) => {
                let mut targets: Vec<String> = readers.iter().map(|(_, target)| target.clone()).collect();
                targets.sort();
                self.looks.changed_names(Ok(|names: &mut NamesSeen| names.readers = targets));
                Ok(())
            }
            Err(failure) => self.record_waits(failure),
        }
    }

    fn record_waits(&mut self, failure: Failure) -> Result<(), Failure> {
        self.looks.changed_names(Err::<fn(&mut NamesSeen), _>(waits(failure)?));
        Ok(())
    }

    /// I2: a second order would fail over a second time.
    async fn fail_over(&mut self, db_cluster: &str, to: &str) -> Result<(), Failure> {
        let now = self.outside().describe().await?;
        let from = self.looks.change.as_ref().map(|change| change.from.clone());
        let ready = now.db_cluster.filter(|seen| seen.id == db_cluster && seen.status == "available");
        match ready {
            // Not a third one, which AWS has chosen meanwhile and which is well.
            Some(seen) if seen.writer == from => self.outside().fail_over(db_cluster, to).await,
            _ => {
                tracing::warn!("{db_cluster} is not ordered to fail over to {to}: it has begun, or has done so");
                Ok(())
            }
        }
    }

    /// Whether an old writer can be stopped holds nothing else up: it is cut off, and asked for again.
    async fn stop(&mut self, instance: &str) -> Result<(), Failure> {
        if let Err(failure) = self.outside().stop(instance).await {
            tracing::warn!("{instance} is not stopped yet: {}", failure.story());
        }
        Ok(())
    }

    /// I2: one that replicates from nobody has been promoted.
    async fn promote(&mut self, instance: &str, retention_days: u32, window: &str) -> Result<(), Failure> {
        let now: Described = self.outside().describe().await?;
        match now.instance(instance) {
            Some(seen) if seen.source.is_some() => self.outside().promote(instance, retention_days, window).await,
            Some(_) => {
                tracing::warn!("{instance} is not promoted: it replicates from nobody any more");
                Ok(())
            }
            None => Err(Failure::LostRace { call: "rds:PromoteReadReplica", what: instance.to_owned() }),
        }
    }

    async fn prove(&mut self, instance: &str, endpoint: &str, epoch: u64) -> Result<(), Failure> {
        let seen = self.outside().prove(endpoint, epoch).await?;
        let at_ms = self.outside().now_ms();
        let timeline = [seen.timeline.saturating_sub(1), seen.timeline];
        let promoted = Promoted { member: instance.to_owned(), at: seen.lsn, timeline, at_ms };
        tracing::info!("promoted {}", promoted.sentence());
        self.at_desk().note(|change| change.promoted = Some(promoted)).await
    }

    /// What the change has come to; what this pass itself put into it stays.
    async fn note_change(&mut self, noted: &Change) -> Result<(), Failure> {
        let course: &Option<Course> = &noted.managed;
        tracing::info!("noted: {course:?}");
        let edit = |change: &mut Change| {
            let began = (change.woken_at_ms, std::mem::take(&mut change.woken_by), change.began_at_ms);
            *change = noted.clone();
            (change.woken_at_ms, change.woken_by, change.began_at_ms) = began;
        };
        self.at_desk().note(edit).await
    }

    async fn keep_roles(&self, before: Option<&Roles>, after: &Roles) -> Result<(), Failure> {
        let json = |roles: &Roles| serde_json::to_value(roles).map_err(reconcile::failed("dynamodb:PutItem"));
        let (before, after) = (before.map(json).transpose()?, json(after)?);
        self.outside().keep(ROLES, before.as_ref(), Some(&after)).await
    }

    /// The new writer serves, whatever becomes of the stack: a stack that cannot be rendered must not keep the change
    /// open, in which no failover begins. A person is told.
    async fn render_anew(&mut self) -> Result<(), Failure> {
        let Err(failure) = self.outside().render_anew().await else { return Ok(()) };
        if let Failure::Transient { .. } = failure {
            return Err(failure);
        }
        tracing::error!("{}", failure.story());
        let (epoch, outside) = (self.at_desk().state()?.epoch, &self.looks.outside);
        let page = not_rendered(outside.fleet(), outside.cluster(), &failure);
        page_once(outside, "managed-not-rendered", epoch, &page).await
    }
}

fn not_rendered(fleet: &str, cluster: &str, failure: &Failure) -> Page {
    let order = format!(
        "aws lambda invoke --function-name {fleet}-deploy-cluster --cli-binary-format raw-in-base64-out \
         --payload '{{\"render_anew\":\"{cluster}\"}}' /dev/stdout"
    );
    Page::about(&format!("P2 {cluster}: its stack does not know the new roles"))
        .line("Seen", &failure.story())
        .line("Done", "the new writer serves, and the item roles names it")
        .line("Now", "no replica is made anew before the stack is rendered")
        .line("Next", &order)
}

impl<O: Managed> World for ManagedPass<O> {
    type Seen = ManagedSeen;
    type Step = Step;

    async fn observe(&mut self) -> Result<ManagedSeen, Failure> {
        self.looks.look().await
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        self.at_desk().in_time()?;
        match step {
            Step::LookAgain => {
                self.outside().sleep(APART).await;
                self.looks.ask_anew();
                Ok(())
            }
            Step::Note(waiting) => note_waiting(self.outside(), Some(waiting)).await,
            Step::Forget => note_waiting(self.outside(), None).await,
            Step::Adopt { epoch, writer, timeline } => {
                self.outside().adopt(*epoch, writer, *timeline, &Default::default()).await
            }
            Step::Begin { epoch, change } => self.at_desk().begin(*epoch, change).await,
            Step::Hold { epoch } => self.at_desk().hold(*epoch).await,
            Step::NoteChange(change) => self.note_change(change).await,
            Step::Isolate { instance, groups } => self.outside().set_security_groups(instance, groups).await,
            Step::SetNetworkAcl { subnet, acl } => self.outside().set_network_acl(subnet, acl).await,
            Step::Reboot { instance } => self.outside().reboot(instance).await,
            Step::Stop { instance } => self.stop(instance).await,
            Step::FailOver { db_cluster, to } => self.fail_over(db_cluster, to).await,
            Step::Promote { instance, retention_days, window, evidence } => {
                tracing::info!("evidence: {evidence}");
                self.promote(instance, *retention_days, window).await
            }
            Step::Prove { instance, endpoint, epoch } => self.prove(instance, endpoint, *epoch).await,
            Step::SetBackups { instance, retention_days, window } => {
                self.outside().set_backups(instance, *retention_days, window).await
            }
            Step::KeepRoles { before, after } => self.keep_roles(before.as_ref(), after).await,
            Step::RenderAnew => self.render_anew().await,
            Step::MoveWriterRecord { from, to } => {
                let from = from.as_ref().map(|(target, epoch)| (target.as_str(), *epoch));
                self.move_record(from, (&to.0, to.1)).await
            }
            Step::SetReaders(readers) => self.set_readers(readers).await,
            Step::Abandon { because } => {
                tracing::warn!("the change is given up: {because}");
                self.at_desk().abandon().await
            }
            Step::Finish { writer, kind, ledger, page } => self.at_desk().finish(writer, *kind, ledger, page).await,
        }
    }
}

impl<O: Managed> Cluster for ManagedPass<O> {
    async fn page(&mut self, kind: &str, again: Duration, page: &Page) -> Result<(), Failure> {
        let epoch = self.at_desk().state()?.epoch;
        page_every(self.outside(), again, kind, epoch, page).await
    }
}

/// Runs one pass over one managed cluster.
///
/// # Errors
///
/// The first [`Failure`]; the lease is given back all the same, and the next pass goes on from what was done.
pub async fn change_managed_writer<O: Managed>(cluster: &mut ManagedPass<O>) -> Result<Report, Failure> {
    let report = settle(cluster).await;
    and_release(report, cluster.at_desk()).await
}

/// What a look calls for; nothing, where another Region serves the cluster.
fn decide_where_served(looked: &ManagedSeen) -> Decision<Step, Reason> {
    if looked.serves { decide(&looked.seen) } else { Decision::Steady }
}

async fn settle<O: Managed>(cluster: &mut ManagedPass<O>) -> Result<Report, Failure> {
    let name = cluster.outside().cluster().to_owned();
    match pass(cluster, decide_where_served).await? {
        End::Steady { steps: 0 } => {
            Ok(Report::new(&name, "steady", "the writer of record writes here, or another Region serves".to_owned()))
        }
        End::Steady { steps } => Ok(Report::new(&name, "acted", format!("{steps} steps; nothing is left to do"))),
        End::Wait(reason) => Ok(Report::new(&name, "waits", reason.to_string())),
        End::Refuse(_, reason) if reason.is_answer() => Ok(Report::new(&name, "refused", reason.to_string())),
        End::Refuse(ManagedSeen { seen, .. }, reason) => {
            let page = refusal(&seen, &reason);
            let ends = |step: &Step| matches!(step, Step::Abandon { .. });
            let again = (reason.kind(), reason.tell_again());
            refuse(cluster, undo(&seen, &reason), ends, again, &page).await?;
            Ok(Report::new(&name, "refused", reason.to_string()))
        }
    }
}

/// What a pass would do now, and what would happen if the writer failed.
///
/// # Errors
///
/// The [`Failure`] of the look.
pub async fn explain_managed<O: Managed>(cluster: &mut ManagedPass<O>) -> Result<Report, Failure> {
    let looked = cluster.observe().await?;
    let name = cluster.outside().cluster().to_owned();
    if !looked.serves {
        let because = "now: nothing, since another Region serves it; ask the fail-over-region of the second Region";
        return Ok(Report::new(&name, "explained", because.to_owned()));
    }
    Ok(Report::explained(&name, explain(&looked.seen)))
}

/// What a person wants is refused where another Region serves: there is no writer here to move.
///
/// # Errors
///
/// As [`change_managed_writer`].
pub async fn switch_over<O: Managed>(cluster: &mut ManagedPass<O>) -> Result<Report, Failure> {
    let looked = cluster.observe().await?;
    if !looked.serves {
        let because = "another Region serves this cluster: nothing can be switched over here".to_owned();
        return Ok(Report::new(cluster.outside().cluster(), "refused", because));
    }
    change_managed_writer(cluster).await
}

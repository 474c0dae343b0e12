//! Hosts of members, and network ACLs in a file of their own.

mod acl;

use crate::{
    SdkConfig,
    failure::{Subject, classify},
};
use aws_sdk_ec2::{
    error::ProvideErrorMetadata,
    types::{Filter, Instance, InstanceStateName, InstanceStatus, SummaryStatus},
};
use domain::failover::Host;
use reconcile::Failure;
use std::collections::BTreeMap;

/// EC2 takes at most so many values in one filter.
const FILTER_VALUES: usize = 200;

/// EC2 takes at most so many ids in one DescribeInstanceStatus.
const STATUS_IDS: usize = 100;

const DESCRIBE: &str = "ec2:DescribeInstances";
const STATUS: &str = "ec2:DescribeInstanceStatus";
const STOP: &str = "ec2:StopInstances";
const START: &str = "ec2:StartInstances";
const REBOOT: &str = "ec2:RebootInstances";

/// Calls that read are about all instances that the fleet can see.
const REGION: Subject<'static> = Subject { what: "instances", check: "is this the right Region?" };

/// The EC2 calls the fleet makes.
#[derive(Debug, Clone)]
pub struct Ec2(aws_sdk_ec2::Client);

impl Ec2 {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Ec2(aws_sdk_ec2::Client::new(config))
    }

    /// What EC2 says of these instances: one entry for each id asked.
    ///
    /// They are asked for by a filter, not by id: one id that EC2 does not know
    /// would make the other form fail for all of them.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ec2:DescribeInstances`.
    pub async fn hosts(&self, ids: &[String]) -> Result<BTreeMap<String, Host>, Failure> {
        let mut hosts: BTreeMap<String, Host> = ids.iter().map(|id| (id.clone(), Host::Missing)).collect();
        for some in ids.chunks(FILTER_VALUES) {
            let filter = Filter::builder().name("instance-id").set_values(Some(some.to_vec())).build();
            let mut pages = self.0.describe_instances().filters(filter).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| classify(DESCRIBE, REGION, error))?;
                for instance in page.reservations().iter().flat_map(|reservation| reservation.instances()) {
                    // Only what was asked for: an emulator or a proxy that ignores the filter adds no member.
                    if let Some(host) = instance.instance_id().and_then(|id| hosts.get_mut(id)) {
                        *host = state(instance);
                    }
                }
            }
        }
        Ok(hosts)
    }

    /// Which of these instances fail a status check now, and which check, in
    /// words. Instances that are not running have no checks and are not listed.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ec2:DescribeInstanceStatus`, and of `ec2:DescribeInstances`
    /// when EC2 does not know one of the ids.
    pub async fn impaired(&self, ids: &[String]) -> Result<BTreeMap<String, String>, Failure> {
        let mut impaired = BTreeMap::new();
        for some in ids.chunks(STATUS_IDS) {
            match self.statuses(some).await {
                Err(Unanswered::UnknownId) => {
                    let hosts = self.hosts(some).await?;
                    let known: Vec<String> =
                        some.iter().filter(|id| hosts.get(*id) != Some(&Host::Missing)).cloned().collect();
                    // Nothing to ask about when none is known: without ids EC2 would answer for all instances.
                    if !known.is_empty() {
                        impaired.extend(self.statuses(&known).await.map_err(|why| why.into_failure(&known))?);
                    }
                }
                answer => impaired.extend(answer.map_err(|why| why.into_failure(some))?),
            }
        }
        Ok(impaired)
    }

    async fn statuses(&self, ids: &[String]) -> Result<BTreeMap<String, String>, Unanswered> {
        let mut pages = self.0.describe_instance_status().set_instance_ids(Some(ids.to_vec())).into_paginator().send();
        let mut impaired = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| match error.code() {
                Some("InvalidInstanceID.NotFound") => Unanswered::UnknownId,
                _ => Unanswered::Failed(classify(STATUS, REGION, error)),
            })?;
            for status in page.instance_statuses() {
                if let (Some(id), Some(text)) = (status.instance_id(), failing(status)) {
                    impaired.insert(id.to_owned(), text);
                }
            }
        }
        Ok(impaired)
    }

    /// Stops an instance without waiting for its operating system, which may
    /// hang: PostgreSQL recovers from that as from a power cut. Returns when EC2
    /// has taken the order: `stopping` is not `stopped`.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ec2:StopInstances`; stopping a stopped instance succeeds.
    pub async fn stop(&self, id: &str) -> Result<(), Failure> {
        let what = instance(id);
        let subject = Subject { what: &what, check: CHECK };
        let request = self.0.stop_instances().instance_ids(id).force(true).skip_os_shutdown(true);
        request.send().await.map_err(|error| classify(STOP, subject, error))?;
        Ok(())
    }

    /// Starts a stopped instance. Returns when EC2 has taken the order.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ec2:StartInstances`, such as a lack of capacity in the
    /// zone; starting a running instance succeeds.
    pub async fn start(&self, id: &str) -> Result<(), Failure> {
        let what = instance(id);
        let subject = Subject { what: &what, check: CHECK };
        self.0.start_instances().instance_ids(id).send().await.map_err(|error| classify(START, subject, error))?;
        Ok(())
    }

    /// Reboots an instance; EC2 does it hard when the operating system has not
    /// done it within a few minutes. Returns when EC2 has taken the order.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ec2:RebootInstances`.
    pub async fn reboot(&self, id: &str) -> Result<(), Failure> {
        let what = instance(id);
        let subject = Subject { what: &what, check: CHECK };
        self.0.reboot_instances().instance_ids(id).send().await.map_err(|error| classify(REBOOT, subject, error))?;
        Ok(())
    }
}

/// What to look at when EC2 does not take an order for an instance.
const CHECK: &str = "is it of this Region and account, and still there?";

fn instance(id: &str) -> String {
    format!("instance {id}")
}

/// Why statuses are not known.
enum Unanswered {
    /// EC2 does not know one of the ids, and therefore says nothing of the others.
    UnknownId,
    Failed(Failure),
}

impl Unanswered {
    fn into_failure(self, ids: &[String]) -> Failure {
        match self {
            Unanswered::Failed(failure) => failure,
            Unanswered::UnknownId => Failure::LostRace { call: STATUS, what: format!("one of {}", ids.join(", ")) },
        }
    }
}

fn state(instance: &Instance) -> Host {
    match instance.state().and_then(|state| state.name()) {
        Some(InstanceStateName::Pending) => Host::Pending,
        Some(InstanceStateName::Running) => Host::Running,
        Some(InstanceStateName::Stopping) => Host::Stopping,
        Some(InstanceStateName::Stopped) => Host::Stopped,
        Some(InstanceStateName::ShuttingDown) => Host::ShuttingDown,
        Some(InstanceStateName::Terminated) => Host::Terminated,
        Some(other) => Host::Unknown(other.as_str().to_owned()),
        None => Host::Unknown("EC2 gave no state".to_owned()),
    }
}

/// What fails, in words; `None` when no check does. `initializing` and
/// `insufficient-data` are not failures.
fn failing(status: &InstanceStatus) -> Option<String> {
    let bad = |summary: Option<&SummaryStatus>| summary == Some(&SummaryStatus::Impaired);
    let system = bad(status.system_status().and_then(|summary| summary.status()));
    let instance = bad(status.instance_status().and_then(|summary| summary.status()));
    let text = match (system, instance) {
        (true, true) => "system and instance status checks fail",
        (true, false) => "system status check fails",
        (false, true) => "instance status check fails",
        (false, false) => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests;

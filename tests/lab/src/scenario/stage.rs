//! What scenarios are made of: a cluster, a client that writes to it, and things done to both.

use crate::{
    client::{Row, Writer},
    clock::Moment,
    cluster::{Cluster, Now},
    control::{self, Answer},
    error::{Error, cannot},
    fleet::Fleet,
    inside::Inside,
    lab::Lab,
    names,
    owner::{Owner, text},
    pages::{self, Page},
    progress::Step,
    sql::Member,
    steady,
};
use domain::card::CardMember;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{net::IpAddr, time::Duration};
use tokio::time::{Instant, sleep};

/// Why a scenario ends before its end.
pub enum Stop {
    /// Something that had to be seen was not.
    Unmet(String),
    /// This machine cannot do what the scenario needs.
    Unable(String),
    /// The lab itself failed.
    Lab(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Lab(error)
    }
}

/// A cluster, a client that writes to it, and what was seen so far.
pub struct Stage<'l> {
    /// The lab.
    pub lab: &'l Lab,
    /// The cluster.
    pub cluster: Cluster,
    /// The members' own sockets.
    pub inside: Inside,
    /// Writer and epochs when the scenario began.
    pub before: Now,
    /// The writer's timeline then.
    pub timeline: u32,
    /// When the fault that counts happened.
    pub struck: Moment,
    /// Pages since the scenario began.
    pub pages: Vec<Page>,
    pub(super) step: &'l Step,
    // Its own: a call that takes a minute must not hold up the looks.
    pub(super) asker: Owner,
    pub(super) client: Writer,
    pub(super) seen: Vec<String>,
    pub(super) unmet: Vec<String>,
}

/// What `promote-replica` answers to a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// `acted`, `refused` ...
    pub outcome: String,
    /// Why, in one sentence.
    pub because: String,
}

/// A change of writer that is over.
pub struct Over {
    /// Who writes now.
    pub after: Now,
    /// The ledger's entry.
    pub entry: Value,
}

impl Over {
    /// A time of the ledger's entry.
    pub fn moment(&self, field: &str) -> Option<Moment> {
        self.entry[field].as_u64().map(Moment::from_ms)
    }
}

/// What became of the client's rows.
pub struct Rows {
    /// All that were acknowledged.
    pub acknowledged: Vec<Row>,
    /// Those of them that the new writer lacks.
    pub lost: Vec<Row>,
}

impl<'l> Stage<'l> {
    /// Begins: a client writes through the record, and pages sent so far are forgotten.
    pub async fn begin(lab: &'l Lab, cluster: Cluster, step: &'l Step) -> Result<Stage<'l>, Error> {
        let before = cluster.now(&lab.owner, &lab.zone).await?;
        let rows = format!("scenario-{}", Moment::now().0);
        let (database, name) = cluster.entrance();
        let client = Writer::start(database, names::resolver()?, name, rows);
        pages::take(&lab.owner, &lab.fleet.pages).await?;
        let inside = Inside::of(&lab.place, &cluster)?;
        let asker = Owner::start(&lab.place)?;
        let mut stage = Stage {
            lab,
            cluster,
            inside,
            before,
            timeline: 0,
            struck: Moment::now(),
            pages: Vec::new(),
            step,
            asker,
            client,
            seen: Vec::new(),
            unmet: Vec::new(),
        };
        let address = stage.writer()?.address;
        stage.timeline = match stage.cluster.database.ask(address).await {
            Member::Writable(timeline) => timeline,
            other => return Err(cannot("begin a scenario")(format!("the writer is not writable: {other:?}"))),
        };
        let until = Instant::now() + Duration::from_secs(20);
        while stage.client.tally().rows.len() < 50 {
            if Instant::now() > until {
                return Err(cannot("begin a scenario")("no rows are accepted"));
            }
            sleep(Duration::from_millis(50)).await;
        }
        stage.struck = Moment::now();
        Ok(stage)
    }

    /// What was seen, and what was not as expected, each as one text; the second is empty when all was.
    pub fn told(&self) -> (String, String) {
        (self.seen.join("; "), self.unmet.join("; "))
    }

    /// Notes something seen.
    pub fn saw(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.step.tell(what.clone());
        self.seen.push(what);
    }

    /// Notes what a judge found not to be as promised.
    pub fn expect(&mut self, broken: Vec<String>) {
        self.unmet.extend(broken);
    }

    /// Notes `what` when it is not so.
    pub fn demand(&mut self, kept: bool, what: impl Into<String>) {
        if !kept {
            self.unmet.push(what.into());
        }
    }

    // -- who ------------------------------------------------------------

    /// The member that wrote when the scenario began.
    pub fn writer(&self) -> Result<CardMember, Error> {
        let id = self.before.writer.as_deref().unwrap_or_default();
        let writer = self.cluster.card.member(id).cloned();
        writer.ok_or_else(|| cannot("begin a scenario")("the state item names no member as writer"))
    }

    /// The others, those first that would take over among equals.
    pub fn standbys(&self) -> Vec<CardMember> {
        let members = self.cluster.card.members.iter();
        let others = members.filter(|member| Some(&member.id) != self.before.writer.as_ref());
        let mut others: Vec<CardMember> = others.cloned().collect();
        others.sort_by_key(|member| (member.never_promote, member.tier, member.id.clone()));
        others
    }

    /// The address of the member that the state item names now.
    pub async fn address(&self) -> Result<IpAddr, Error> {
        let now = self.now().await?;
        let member = self.cluster.card.member(now.writer.as_deref().unwrap_or_default());
        member.map(|member| member.address).ok_or_else(|| cannot("find the writer")("the state item names none"))
    }

    /// State and records now.
    pub async fn now(&self) -> Result<Now, Error> {
        self.cluster.now(&self.lab.owner, &self.lab.zone).await
    }

    // -- what is done ---------------------------------------------------

    /// Does a fault to a member's machine.
    pub async fn fault(&mut self, id: &str, fault: &str) -> Result<(), Stop> {
        self.step.tell(format!("{fault}: {id}"));
        match control::fault(id, fault).await? {
            Answer::Done(_) => Ok(()),
            Answer::Unable(why) => Err(Stop::Unable(why)),
        }
    }

    /// Does the fault that counts: what follows is measured from here.
    pub async fn strike(&mut self, id: &str, fault: &str) -> Result<(), Stop> {
        self.struck = Moment::now();
        self.fault(id, fault).await
    }

    /// Starts what is stopped, and stops what is dead, as a person does.
    pub async fn power_on(&mut self) -> Result<usize, Stop> {
        Ok(steady::power_on(self.lab, &self.cluster).await?)
    }

    /// Calls EC2 about one instance, as its owner: `stop_instances`, `start_instances`.
    pub async fn ec2(&mut self, call: &str, id: &str) -> Result<(), Stop> {
        self.step.tell(format!("{call} {id}"));
        self.lab.owner.call("ec2", call, json!({"InstanceIds": [id]})).await?;
        Ok(())
    }

    /// Has calls to AWS fail; `count` of them, or all.
    pub async fn spoil(
        &mut self,
        call: &str,
        fault: &str,
        count: Option<u32>,
        caller: Option<&str>,
    ) -> Result<(), Stop> {
        let (service, action) = call.split_once(':').unwrap_or((call, "*"));
        let caller = caller.map(Fleet::function);
        let rule = json!({"service": service, "action": action, "fault": fault, "count": count, "caller": caller});
        control::rule(&rule).await?;
        Ok(())
    }

    /// Invokes a function with a payload and waits for its answer.
    pub async fn invoke(&mut self, function: &str, payload: &Value) -> Result<Value, Stop> {
        let with = json!({"FunctionName": Fleet::function(function), "Payload": payload.to_string()});
        let answer = self.asker.call("lambda", "invoke", with).await?;
        let said = text(&answer, "/Payload")?;
        if let Some(kind) = answer["FunctionError"].as_str() {
            return Err(Stop::Unmet(format!("{function} failed on {payload} ({kind}): {said}")));
        }
        serde_json::from_str(&said).map_err(|error| Stop::Lab(cannot(format!("read the answer of {function}"))(error)))
    }

    /// Asks `promote-replica` for something, as a person does.
    pub async fn ask(&mut self, payload: &Value) -> Result<Said, Stop> {
        let answer = self.invoke("promote-replica", payload).await?;
        let first = answer.get(0).cloned().unwrap_or(answer);
        serde_json::from_value(first).map_err(|error| Stop::Lab(cannot("read the answer to a request")(error)))
    }

    /// Hands events to a function without waiting, all at once.
    pub async fn send(&mut self, function: &str, events: &[Value]) -> Result<(), Stop> {
        for event in events {
            let name = Fleet::function(function);
            let with = json!({"FunctionName": name, "InvocationType": "Event", "Payload": event.to_string()});
            self.asker.call("lambda", "invoke", with).await?;
        }
        Ok(())
    }
}

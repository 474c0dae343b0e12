//! A pass over the hosts of a cluster that Patroni owns.

use domain::{
    decision::Decision,
    failover::{Host, Page},
    rejoin::Sent,
    repair::{Act, HostSeen, Incident, Ledger, Step, Taken, Ward, decide},
};
use reconcile::{Failure, Looks, Mends, Report, Silences, Turn, Waking, look_led};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::sync::Arc;

/// Whose turn it is.
const TURN: &str = "repair-turn";

/// While one pass tells something, others leave it to that one for so long:
/// longer than a pass lives (60 s), so that what it could not tell is told again.
const TELLING_MS: u64 = 120_000;

/// Steps for one host in one pass: note how a command ended, note what ails it
/// now, order; then nothing is left that needs no time.
const MOST_STEPS: u32 = 4;

/// What the passes of one cluster's hosts share.
struct Pass<'a, O> {
    outside: &'a O,
    turn: &'a Turn,
}

/// What a pass did for a host, or why it waits.
enum Line {
    Did(String),
    Waits(String),
}

/// Runs one pass over the hosts of one cluster.
///
/// # Errors
///
/// The first [`Failure`], after every host was looked at; the next pass goes on
/// from what was done.
pub async fn repair<O: Mends>(
    outside: O,
    waking: &Waking,
    silences: &Arc<Silences>,
    turn: &Turn,
) -> Result<Report, Failure> {
    let mut looks = Looks::new(outside, waking.clone(), turn.pass.clone(), silences.clone()).without_records();
    let led = look_led(&mut looks).await?;
    let pass = Pass { outside: &looks.outside, turn };
    let cluster = led.seen.cluster.clone();
    let mut ward = pass.ward(led).await?;
    let (mut story, mut problem) = (Vec::new(), None);
    for place in 0..ward.hosts.len() {
        let id = ward.hosts[place].id.clone();
        match pass.treat(&mut ward, place).await {
            Ok(done) => story.extend(done),
            Err(failure) => {
                tracing::warn!("{id}: {}", failure.story());
                problem.get_or_insert(failure);
            }
        }
    }
    match problem {
        Some(failure) => Err(failure),
        None if story.is_empty() => Ok(Report::new(&cluster, "steady", "every host is well".to_owned())),
        None => {
            let acted = story.iter().any(|line| matches!(line, Line::Did(_)));
            let lines: Vec<String> = story.into_iter().map(|(Line::Did(line) | Line::Waits(line))| line).collect();
            Ok(Report::new(&cluster, if acted { "acted" } else { "waits" }, lines.join("; ")))
        }
    }
}

fn item(id: &str) -> String {
    format!("repair#{id}")
}

/// A document that is not of this shape is one of another version: as if it were not there.
fn read<T: DeserializeOwned>(kept: Option<&Value>) -> Option<T> {
    kept.and_then(|kept| serde_json::from_value(kept.clone()).ok())
}

impl<O: Mends> Pass<'_, O> {
    /// Everything that the decisions need, looked up once.
    async fn ward(&self, led: domain::follow::Led) -> Result<Ward, Failure> {
        let account = match &led.account {
            domain::failover::Seen::Known(account) => Some(account),
            _ => None,
        };
        let mut hosts: Vec<HostSeen> = Vec::new();
        for (place, member) in led.seen.members.iter().enumerate() {
            hosts.push(HostSeen {
                id: member.card.id.clone(),
                name: member.card.name.clone(),
                zone: member.card.zone.clone(),
                resource: format!("Member{}", place + 1),
                host: member.host.clone(),
                impaired: None,
                sql: Some(member.sql.clone()),
                role: account.and_then(|account| account.role(&member.card.id)).cloned(),
                incident: None,
                command: None,
                found: None,
            });
        }
        hosts.extend(led.store.iter().enumerate().map(|(place, store)| HostSeen {
            id: store.card.id.clone(),
            name: store.card.name.clone(),
            zone: store.card.zone.clone(),
            resource: format!("Etcd{}", place + 1),
            host: store.host.clone(),
            impaired: None,
            sql: None,
            role: None,
            incident: None,
            command: None,
            found: None,
        }));
        self.check_statuses(&mut hosts).await;
        let mut ward = Ward { led, hosts, taken: read(self.outside.kept(TURN).await?.as_ref()) };
        for place in 0..ward.hosts.len() {
            self.learn(&mut ward.hosts[place]).await?;
        }
        Ok(ward)
    }

    /// Without the checks the other signs of a dead host still count.
    async fn check_statuses(&self, hosts: &mut [HostSeen]) {
        let running: Vec<String> =
            hosts.iter().filter(|host| host.host == Host::Running).map(|host| host.id.clone()).collect();
        if running.is_empty() {
            return;
        }
        match self.outside.impaired(&running).await {
            Ok(mut impaired) => {
                for host in hosts {
                    host.impaired = impaired.remove(&host.id);
                }
            }
            Err(failure) => tracing::warn!("{}", failure.story()),
        }
    }

    /// What is known of a host's incident, and of its command.
    async fn learn(&self, host: &mut HostSeen) -> Result<(), Failure> {
        host.incident = read(self.outside.kept(&item(&host.id)).await?.as_ref());
        (host.command, host.found) = (None, None);
        let Some(incident) = &host.incident else { return Ok(()) };
        if incident.is_unsure() {
            host.found = self.outside.find_command(&host.id, &incident.order()).await?;
        } else if let Some(given) = incident.orders.last().filter(|given| given.ended.is_none())
            && let Some(command) = &given.command
        {
            host.command = Some(self.outside.command(&host.id, command).await?);
        }
        Ok(())
    }

    /// Goes as far as it can with one host.
    async fn treat(&self, ward: &mut Ward, place: usize) -> Result<Vec<Line>, Failure> {
        let id = ward.hosts[place].id.clone();
        let mut story = Vec::new();
        for _ in 0..MOST_STEPS {
            let step = match decide(ward, &ward.hosts[place]) {
                Decision::Steady => return Ok(story),
                Decision::Wait(reason) | Decision::Refuse(reason) => {
                    story.push(Line::Waits(format!("{id}: {reason}")));
                    return Ok(story);
                }
                Decision::Act(steps) => steps.into_iter().next(),
            };
            let Some(step) = step else { return Ok(story) };
            self.turn.in_time(self.outside.now_ms())?;
            tracing::info!("{id}: {step}");
            story.push(Line::Did(format!("{id}: {step}")));
            let over = self.perform(ward, place, &step).await?;
            if over {
                return Ok(story);
            }
            self.learn(&mut ward.hosts[place]).await?;
            ward.taken = read(self.outside.kept(TURN).await?.as_ref());
        }
        Ok(story)
    }

    /// Does one step; whether nothing is left for this pass.
    async fn perform(&self, ward: &Ward, place: usize, step: &Step) -> Result<bool, Failure> {
        let host = &ward.hosts[place];
        match step {
            Step::Note(after) => self.note(host, Some(after)).await.map(|()| false),
            Step::Forget => self.note(host, None).await.map(|()| true),
            Step::Order { after, act, page } => {
                self.order(ward, host, after, *act).await?;
                self.tell(&format!("repair#{}#{}#{act}", host.id, after.began_ms), None, page).await?;
                Ok(true)
            }
            Step::GiveUp { after, ledger, page } => {
                self.tell(
                    &format!("repair#{}#{}#given-up#{}", host.id, after.began_ms, after.ailment),
                    Some(ledger),
                    page,
                )
                .await?;
                self.note(host, Some(after)).await.map(|()| true)
            }
            Step::Finish { ledger, page } => {
                let began_ms = ledger.began_ms;
                self.tell(&format!("repair#{}#{began_ms}#well", host.id), Some(ledger), page).await?;
                self.note(host, None).await?;
                self.yield_turn(ward, &host.id).await.map(|()| true)
            }
        }
    }

    async fn note(&self, host: &HostSeen, after: Option<&Incident>) -> Result<(), Failure> {
        let before = host.incident.as_ref().map(|incident| json!(incident));
        self.outside.keep(&item(&host.id), before.as_ref(), after.map(|after| json!(after)).as_ref()).await
    }

    /// The note before the order: a pass that dies in between leaves a note of
    /// what may have been ordered, never an order without a note.
    async fn order(&self, ward: &Ward, host: &HostSeen, after: &Incident, act: Act) -> Result<(), Failure> {
        if act != Act::Start {
            let taken = Taken { id: host.id.clone(), at_ms: self.outside.now_ms() };
            self.keep(TURN, ward.taken.as_ref(), &taken).await?;
        }
        self.note(host, Some(after)).await?;
        let ordered = match act {
            Act::Start => self.outside.start_host(&host.id).await,
            Act::Reboot => self.outside.reboot_host(&host.id).await,
            Act::Remake => return self.send(host, after).await,
        };
        let Err(failure) = ordered else { return Ok(()) };
        // It was not given: the next pass gives it.
        let mut back = after.clone();
        back.orders.pop();
        self.keep(&item(&host.id), Some(after), &back).await?;
        Err(failure)
    }

    async fn send(&self, host: &HostSeen, after: &Incident) -> Result<(), Failure> {
        let mut noted = after.clone();
        match self.outside.send_command(&host.id, &after.order()).await? {
            Sent::Command(command) => {
                if let Some(given) = noted.orders.last_mut() {
                    given.command = Some(command);
                }
                self.keep(&item(&host.id), Some(after), &noted).await
            }
            Sent::NoAgent(why) => {
                noted.orders.pop();
                self.keep(&item(&host.id), Some(after), &noted).await?;
                Err(Failure::Transient {
                    call: "ssm:SendCommand",
                    source: format!("no agent on {}: {why}", host.id).into(),
                })
            }
        }
    }

    async fn keep<T: Serialize>(&self, item: &str, before: Option<&T>, after: &T) -> Result<(), Failure> {
        let before = before.map(|before| json!(before));
        self.outside.keep(item, before.as_ref(), Some(&json!(after))).await
    }

    async fn yield_turn(&self, ward: &Ward, id: &str) -> Result<(), Failure> {
        let Some(taken) = ward.taken.as_ref().filter(|taken| taken.id == id) else { return Ok(()) };
        match self.outside.keep(TURN, Some(&json!(taken)), None).await {
            Err(Failure::LostRace { .. }) => Ok(()),
            done => done,
        }
    }

    /// Tells a person, once: of two passes that see the same, one tells. The
    /// page before the note: a pass that dies in between tells twice, which is
    /// better than never.
    async fn tell(&self, what: &str, ledger: Option<&Ledger>, page: &Page) -> Result<(), Failure> {
        if !self.outside.tell_once(what, self.outside.now_ms(), TELLING_MS).await? {
            return Ok(());
        }
        tracing::info!("page: {}", page.subject);
        let told = async {
            if let Some(ledger) = ledger {
                self.outside.append(&ledger.item(), &json!(ledger)).await?;
            }
            self.outside.send(page).await
        };
        let Err(failure) = told.await else { return Ok(()) };
        if let Err(failure) = self.outside.untell(what).await {
            tracing::warn!("{}", failure.story());
        }
        Err(failure)
    }
}

//! Whole Regions: planned and lost, on real rows.

use super::{Managed, find, order};
use crate::{
    client::Writer,
    clock::Moment,
    cluster, control,
    error::{Error, cannot},
    failover::{outage, warm_up},
    fleet::Fleet,
    lab::{Lab, Second},
    names,
    owner::text,
    pages,
    place::{REGION, SECOND_REGION, ZONE},
    progress::{Progress, Step},
    sql::Member,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time for a takeover: AWS's own part takes seconds here, the health check of the pair looks every few.
const LIMIT: Duration = Duration::from_secs(240);
/// How long nothing may happen without a person, and nothing may move back once the lost Region is there again: two
/// runs of every function's schedule.
const QUIET: Duration = Duration::from_secs(130);

/// What a scenario came to.
#[derive(Debug, Default)]
pub struct Played {
    /// What was seen.
    pub seen: Vec<String>,
    /// What was not as expected.
    pub wrong: Vec<String>,
}

impl Played {
    fn demand(&mut self, kept: bool, what: impl Into<String>) {
        if !kept {
            self.wrong.push(what.into());
        }
    }
}

/// A cluster with two Regions, and an application that writes through the name that follows the serving one.
struct Scene<'a> {
    lab: &'a Lab,
    second: Second,
    name: String,
    primary: Managed,
    dr: Managed,
    client: Writer,
    step: Step,
    played: Played,
}

/// Plays one of the scenarios of whole Regions.
pub async fn play(lab: &Lab, id: &str, progress: Progress) -> Result<Played, Error> {
    let name = if matches!(id, "A24" | "region-rds") { "leads-dr" } else { "carts-global" };
    let mut scene = Scene::begin(lab, name, id, progress).await?;
    match id {
        "A24" => scene.planned().await?,
        "A25" => {
            scene.planned().await?;
            scene.back().await?;
        }
        _ => scene.lost().await?,
    }
    control::clear_rules().await?;
    Ok(scene.played)
}

impl<'a> Scene<'a> {
    async fn begin(lab: &'a Lab, name: &str, id: &str, progress: Progress) -> Result<Scene<'a>, Error> {
        let spec = cluster::spec(&lab.place, name)?;
        let primary = order::take(lab, name, &spec, progress).await?;
        let second = lab.second(progress).await?;
        let dr = find(&lab.place, &second.owner, name).await?;
        let dr = dr.ok_or_else(|| cannot("begin")(format!("{name} has no card in {SECOND_REGION}")))?;
        let step = progress.step(match id {
            "A24" => "A24",
            "A25" => "A25",
            "region-rds" => "region-rds",
            _ => "region",
        });
        let rows = format!("{id}-{}", Moment::now().0);
        let pair = format!("{name}.{ZONE}");
        let client = Writer::start(primary.database.clone(), names::resolver()?, pair, rows);
        warm_up(&client).await?;
        drop(pages::take(&lab.owner, &lab.fleet.pages).await?);
        drop(pages::take(&second.owner, &second.fleet.pages).await?);
        Ok(Scene { lab, second, name: name.to_owned(), primary, dr, client, step, played: Played::default() })
    }

    /// Asks `fail-over-region` of the second Region; its one answer.
    async fn ask(&self, request: &Value) -> Result<Value, Error> {
        let function = Fleet::function("fail-over-region");
        let with = json!({"FunctionName": function, "Payload": request.to_string()});
        let answer = self.second.owner.call("lambda", "invoke", with).await?;
        let payload = text(&answer, "/Payload")?;
        let doing = format!("ask {function} for {request}");
        if let Some(kind) = answer["FunctionError"].as_str() {
            return Err(cannot(doing)(format!("it failed ({kind}): {payload}")));
        }
        let answers: Value = serde_json::from_str(&payload).map_err(cannot(&doing))?;
        Ok(answers.get(0).cloned().unwrap_or(answers))
    }

    /// Who of both sides acknowledges a client's write.
    async fn writable(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for side in [&self.primary, &self.dr] {
            for server in side.servers().await? {
                if matches!(server.answer, Member::Writable(_)) {
                    found.push(format!("{} in {}", server.id, side.card.region));
                }
            }
        }
        Ok(found)
    }

    /// Waits until the function says that this Region serves, and rows are accepted again.
    async fn until_served_by(&mut self, region: &str, since: Moment) -> Result<(), Error> {
        let until = Instant::now() + LIMIT;
        loop {
            let status = self.ask(&json!({"status": self.name})).await?;
            // The second Region's word for its own side: it serves, or stands by again.
            let settled = matches!(status["status"]["phase"].as_str(), Some("serving" | "standby"));
            let serves = status["status"]["serving"] == region && settled;
            let resumed =
                outage(&self.client.tally().rows, since).is_some_and(|(_, first)| Moment::now().ms_since(first) > 500);
            if serves && resumed {
                return Ok(());
            }
            if Instant::now() > until {
                let because = status["because"].as_str().unwrap_or_default();
                let events = self.client.tally().events;
                self.played.demand(
                    false,
                    format!(
                        "{region} does not serve after {} s: {because}; client: {:?}",
                        LIMIT.as_secs(),
                        events.last()
                    ),
                );
                return Ok(());
            }
            self.step.tell(format!("{:.0} s, waiting until {region} serves", Moment::now().seconds_since(since)));
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Compares what was acknowledged with what is there, and with what the ledger states.
    async fn compare(&mut self, side: &'static str, since: Moment, lossless: bool) -> Result<(), Error> {
        let tally = self.client.tally();
        let gap = outage(&tally.rows, since).map(|(last, first)| first.ms_since(last));
        let resolver = names::resolver()?;
        let managed = if side == REGION { &self.primary } else { &self.dr };
        let (database, address) = managed.entrance(&resolver).await?;
        let lost = self.client.lost(&database, address).await?.len();
        let owner = if side == REGION { &self.lab.owner } else { &self.second.owner };
        let mut entries = cluster::ledger(owner, &self.name).await?;
        if side == REGION {
            // Whoever runs the takeover writes it down: the second Region's fleet.
            entries.extend(cluster::ledger(&self.second.owner, &self.name).await?);
        }
        let entry =
            entries.iter().rev().find(|entry| entry["began_at_ms"].as_u64().map(Moment::from_ms) >= Some(since));
        let stated = entry.and_then(|entry| entry["rpo_bytes"].as_u64());
        let words = gap.map_or("no row again".to_owned(), |ms| {
            format!("{:.1} s without a row", Duration::from_millis(ms).as_secs_f64())
        });
        let said = stated.map_or("no number".to_owned(), |bytes| format!("{bytes} bytes"));
        self.played.seen.push(format!("{words}, {} rows, {lost} lost, the ledger states {said}", tally.rows.len()));
        self.played.demand(gap.is_some(), "no row was accepted again");
        self.played.demand(entry.is_some(), "the ledger has no entry of it");
        if lossless {
            self.played.demand(
                lost == 0 && stated == Some(0),
                format!("{lost} rows lost, {said} stated, by a planned change"),
            );
        } else {
            self.played.demand(lost == 0 || stated != Some(0), format!("{lost} rows lost, and the ledger states none"));
        }
        Ok(())
    }

    /// A person moves a healthy cluster to the second Region.
    async fn planned(&mut self) -> Result<(), Error> {
        let since = Moment::now();
        let request = json!({"switchover": {"cluster": self.name, "to": SECOND_REGION}});
        let answer = self.ask(&request).await?;
        self.played
            .demand(answer["outcome"] != "refused", format!("the switchover was refused: {}", answer["because"]));
        self.until_served_by(SECOND_REGION, since).await?;
        let writable = self.writable().await?;
        self.played.demand(writable.len() == 1, format!("writable: {}", writable.join(", ")));
        let again = self.ask(&request).await?;
        self.played.demand(again["outcome"] == "refused", format!("asked twice, it answered {}", again["because"]));
        self.compare(SECOND_REGION, since, true).await
    }

    /// And back, by its own request.
    async fn back(&mut self) -> Result<(), Error> {
        let rows = format!("back-{}", Moment::now().0);
        let pair = format!("{}.{ZONE}", self.name);
        self.client = Writer::start(self.primary.database.clone(), names::resolver()?, pair, rows);
        warm_up(&self.client).await?;
        let since = Moment::now();
        let answer = self.ask(&json!({"failback": {"cluster": self.name, "to": REGION}})).await?;
        self.played.demand(answer["outcome"] != "refused", format!("the failback was refused: {}", answer["because"]));
        self.until_served_by(REGION, since).await?;
        let writable = self.writable().await?;
        self.played.demand(writable.len() == 1, format!("writable after the failback: {}", writable.join(", ")));
        self.compare(REGION, since, true).await
    }

    /// The primary Region is lost; the second takes over on approval, and nothing moves back.
    async fn lost(&mut self) -> Result<(), Error> {
        let since = Moment::now();
        control::rule(&json!({"region": REGION, "fault": "unavailable"})).await?;
        sleep(Duration::from_secs(10)).await;
        let early = self.dr.servers().await?.iter().any(|server| matches!(server.answer, Member::Writable(_)));
        self.played.demand(!early, "the second Region took over before anybody approved it");
        let answer = self.ask(&json!({"failover": {"cluster": self.name, "to": SECOND_REGION}})).await?;
        let offered = answer["status"]["token"].as_str().map(str::to_owned).or_else(|| token(&answer, &self.name));
        self.played.demand(answer["outcome"] == "refused", format!("without approval it answered {answer}"));
        let Some(token) = offered else {
            self.played.demand(false, format!("no approval was offered: {answer}"));
            return Ok(());
        };
        let wrong = self.ask(&json!({"approve": {"cluster": self.name, "token": format!("{token}0")}})).await?;
        self.played.demand(wrong["outcome"] == "refused", format!("a wrong approval: {wrong}"));
        let approved = self.ask(&json!({"approve": {"cluster": self.name, "token": token}})).await?;
        self.played
            .demand(approved["outcome"] != "refused", format!("the approval was refused: {}", approved["because"]));
        self.until_served_by(SECOND_REGION, since).await?;
        let told = pages::take(&self.second.owner, &self.second.fleet.pages).await?;
        self.played.seen.push(format!("{} pages in {SECOND_REGION}", told.len()));
        self.played.demand(!told.is_empty(), "nobody was paged");
        self.compare(SECOND_REGION, since, false).await?;
        self.healed().await
    }

    /// The lost Region answers again, for longer than two runs of every schedule: it must not write.
    async fn healed(&mut self) -> Result<(), Error> {
        control::clear_rules().await?;
        for server in self.primary.servers().await? {
            control::fault(&format!("{}@{REGION}", server.id), "heal").await?;
        }
        let until = Instant::now() + QUIET;
        let resolver = names::resolver()?;
        let pair = format!("{}.{ZONE}", self.name);
        while Instant::now() < until {
            self.step.tell("the lost Region is back; nothing may move");
            let leads = names::follow(&resolver, &pair).await.map(|(name, _)| name).unwrap_or_default();
            if !leads.contains(SECOND_REGION) {
                self.played.demand(false, format!("{pair} leads to {leads} once the lost Region is back"));
                return Ok(());
            }
            sleep(Duration::from_secs(2)).await;
        }
        let status = self.ask(&json!({"status": self.name})).await?;
        self.played
            .demand(status["status"]["serving"] == SECOND_REGION, format!("after the heal: {}", status["because"]));
        self.played.seen.push(format!("{} s after the heal {SECOND_REGION} still serves", QUIET.as_secs()));
        Ok(())
    }
}

/// The approval that a sentence offers: `<cluster>.<epoch>.<random>`.
fn token(answer: &Value, name: &str) -> Option<String> {
    let because = answer["because"].as_str()?;
    let begins = because.find(&format!("{name}."))?;
    let token: String =
        because[begins..].chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect();
    Some(token.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_found_in_its_sentence() {
        let answer = json!({"because": "a person must approve: approve with leads-dr.3.1a2b3c4d. It expires"});
        assert_eq!(token(&answer, "leads-dr"), Some("leads-dr.3.1a2b3c4d".to_owned()));
        assert_eq!(token(&json!({"because": "no"}), "leads-dr"), None);
    }
}

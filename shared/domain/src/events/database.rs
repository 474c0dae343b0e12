//! Events of RDS and Aurora: which of them are worth a look, and whose.
//!
//! They are best effort, late, doubled or missing, and say little: after a failover, the new writer stands in the text
//! of the message alone. So one only names a database; whoever is woken looks for itself.
//!
//! Sources: RDS and Aurora user guides, "Event categories and event messages".

use super::{Function, Ignored, Meaning, envelope, envelope::Envelope};

/// Who looks when a database may have got another writer, or lost it.
const WRITERS: &[Function] = &[Function::PromoteReplica];
/// The same, when it is over: the records must be right now.
const OVER: &[Function] = &[Function::PromoteReplica, Function::UpdateDns];
/// Who looks when other replicas can be read from.
const READERS: &[Function] = &[Function::UpdateDns];
/// The same of a global database: a change of Region is begun, or over.
const REGIONS: &[Function] = &[Function::PromoteReplica, Function::UpdateDns, Function::FailOverRegion];
/// A global database moves its writer: for whom Regions are a matter.
const GLOBAL: &[Function] = &[Function::FailOverRegion];
/// Nobody: it is no trouble.
const NOBODY: &[Function] = &[];

/// An event: its id after `RDS-EVENT-`, what it says of its database, and who looks.
type Row = (&'static str, &'static str, &'static [Function]);

/// The events that are known here. What is not in it is as one for nobody.
const EVENTS: &[Row] = &[
    // DB instances.
    ("0004", "was shut down", WRITERS),
    ("0006", "was restarted", WRITERS),
    ("0007", "has exhausted its storage", WRITERS),
    ("0013", "began a Multi-AZ failover", WRITERS),
    ("0015", "completed a Multi-AZ failover", OVER),
    ("0020", "began to recover", WRITERS),
    ("0021", "has recovered", OVER),
    ("0031", "has failed", WRITERS),
    ("0034", "abandoned a failover", WRITERS),
    ("0045", "does not replicate any more", OVER),
    ("0046", "replicates again", OVER),
    ("0049", "completed a Multi-AZ failover", OVER),
    ("0050", "began to activate its standby", WRITERS),
    ("0051", "activated its standby", OVER),
    ("0057", "lost its stream", WRITERS),
    ("0065", "recovered from half a failover", OVER),
    ("0087", "was stopped", WRITERS),
    ("0088", "was started", OVER),
    ("0089", "is low on storage", WRITERS),
    ("0154", "is started after seven days", OVER),
    ("0221", "is shut down: its storage is full", WRITERS),
    ("0222", "is about to be shut down: its storage is nearly full", WRITERS),
    // Serverless v2 at 0 ACU: a paused instance is not a failed one, and whoever asks it wakes it.
    ("0370", "pauses, or resumes", NOBODY),
    ("0371", "pauses, or resumes", NOBODY),
    ("0372", "pauses, or resumes", NOBODY),
    ("0373", "pauses, or resumes", NOBODY),
    ("0374", "pauses, or resumes", NOBODY),
    ("0385", "has another topology", READERS),
    ("0390", "takes no writes any more: another Region takes over", REGIONS),
    ("0391", "could not be kept from writing while another Region takes over", REGIONS),
    // DB clusters.
    ("0069", "failed to fail over", WRITERS),
    ("0070", "promoted its old writer again", OVER),
    ("0071", "completed a failover", OVER),
    ("0072", "began a failover in its zone", WRITERS),
    ("0073", "began a failover to another zone", WRITERS),
    ("0150", "was stopped", WRITERS),
    ("0151", "was started", OVER),
    ("0153", "is started after seven days", OVER),
    // Global databases: they move the writer to another Region.
    ("0181", "began a global switchover", GLOBAL),
    ("0182", "was shut down for a global switchover", GLOBAL),
    ("0183", "waits until all is replicated, for a global switchover", GLOBAL),
    ("0184", "was promoted by a global switchover", GLOBAL),
    ("0185", "completed a global switchover", GLOBAL),
    ("0186", "cancelled a global switchover", GLOBAL),
    ("0187", "failed to switch over globally", GLOBAL),
    ("0238", "completed a global failover", GLOBAL),
    ("0239", "failed to fail over globally", GLOBAL),
    ("0240", "is being resynchronised after a global failover", GLOBAL),
    ("0241", "was resynchronised after a global failover", GLOBAL),
    ("0397", "is what the global writer endpoint names", GLOBAL),
    ("0423", "has news of a global switchover", GLOBAL),
];

/// The row of an event.
fn row(event: &str) -> Option<&'static Row> {
    let id = event.strip_prefix("RDS-EVENT-")?;
    EVENTS.iter().find(|(known, ..)| *known == id)
}

/// Whether a function looks when it hears this event.
pub(super) fn hears(function: Function, event: &str) -> bool {
    row(event).is_some_and(|(_, _, who)| who.contains(&function))
}

/// What an event says of its database, in words.
pub(super) fn words(event: &str) -> &'static str {
    row(event).map_or("has an event", |(_, words, _)| words)
}

/// The ids of the events for which a function looks, as the rules of `infra/template.yaml` must have them.
#[must_use]
pub fn heard(function: Function) -> Vec<String> {
    let ids = EVENTS.iter().filter(|(_, _, who)| who.contains(&function));
    ids.map(|(id, ..)| format!("RDS-EVENT-{id}")).collect()
}

/// Reads an event of an instance or a cluster. Neptune and DocumentDB speak as RDS, too.
pub(super) fn read(fleet: &str, envelope: &Envelope) -> Result<Meaning, Ignored> {
    let ours = |engine: String| matches!(engine.as_str(), "postgres" | "aurora-postgresql");
    let event = envelope.detail("/EventID").ok().filter(|event| row(event).is_some());
    let (Some(event), true) = (event, envelope.engine().is_none_or(ours)) else { return Err(envelope.unknown()) };
    let database = database(envelope)?;
    if !database.strip_prefix(fleet).is_some_and(|rest| rest.starts_with('-')) {
        return Err(Ignored::OtherDatabase { database });
    }
    if row(event).is_some_and(|(_, _, who)| who.is_empty()) {
        return Err(Ignored::DatabaseWell { database, event: event.to_owned() });
    }
    Ok(Meaning::Database { database, event: event.to_owned() })
}

/// The database's identifier: what its ARN ends in. `SourceIdentifier` has a prefix `rds:` in AWS's samples, and none
/// in captures.
fn database(envelope: &Envelope) -> Result<String, Ignored> {
    let Some(arn) = envelope::text(envelope.payload, "/SourceArn") else {
        let id = envelope.detail("/SourceIdentifier")?;
        return Ok(id.strip_prefix("rds:").unwrap_or(id).to_owned());
    };
    envelope.at_home(arn)?;
    let id = arn.splitn(7, ':').nth(6).filter(|id| !id.is_empty());
    id.map(str::to_owned).ok_or(Ignored::Malformed { field: "/SourceArn" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::meaning_for;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn said(function: Function, detail: &Value) -> String {
        let event = json!({
            "source": "aws.rds", "detail-type": "RDS DB Cluster Event", "account": "111122223333", "detail": detail
        });
        meaning_for(function, "prod", &event).to_string()
    }

    fn detail(id: &str) -> Value {
        json!({"EventID": id, "SourceIdentifier": "prod-billing"})
    }

    #[test]
    fn an_event_is_heard_by_whom_it_is_for_when_it_is_postgresqls() {
        let heard = "RDS says that prod-billing completed a failover (RDS-EVENT-0071): look at its cluster";
        let mut of = [detail("RDS-EVENT-0071"), detail("RDS-EVENT-0071"), detail("RDS-EVENT-0071")];
        of[0]["Engine"] = json!("aurora-postgresql");
        of[1]["Engine"] = json!("docdb");
        of[2]["SourceArn"] = json!("arn:aws:rds:eu-west-1:444455556666:cluster:prod-billing");
        let [ours, documents, foreign] = of.map(|detail| said(Function::UpdateDns, &detail));
        assert_eq!(said(Function::UpdateDns, &detail("RDS-EVENT-0071")), heard);
        assert_eq!((ours.as_str(), said(Function::PromoteReplica, &detail("RDS-EVENT-0071")).as_str()), (heard, heard));
        assert!(documents.contains("about a managed database (docdb)"), "{documents}");
        assert_eq!(foreign, "ignored: it is from account 111122223333, but about account 444455556666");
        let rejoin = said(Function::RejoinReplica, &detail("RDS-EVENT-0071"));
        assert!(rejoin.starts_with("ignored: RDS says that prod-billing") && rejoin.contains("not for"), "{rejoin}");
    }

    #[test]
    fn what_began_is_no_business_of_the_records_and_a_pause_is_nobodys() {
        let table = [
            ("RDS-EVENT-0073", true, false),
            ("RDS-EVENT-0034", true, false),
            ("RDS-EVENT-0045", true, true),
            ("RDS-EVENT-0385", false, true),
            ("RDS-EVENT-0372", false, false),
            ("RDS-EVENT-0422", false, false),
            ("0071", false, false),
            ("", false, false),
        ];
        for (id, promotes, names) in table {
            for (function, expected) in [(Function::PromoteReplica, promotes), (Function::UpdateDns, names)] {
                let said = said(function, &detail(id));
                assert_eq!(said.starts_with("RDS says that prod-billing "), expected, "{function}, {id}: {said}");
                assert_eq!(said.starts_with("ignored: "), !expected, "{function}, {id}: {said}");
            }
        }
        let paused = said(Function::PromoteReplica, &detail("RDS-EVENT-0371"));
        assert_eq!(
            paused,
            "ignored: RDS says that prod-billing pauses, or resumes (RDS-EVENT-0371): that is no trouble"
        );
    }

    #[test]
    fn a_database_is_called_what_its_arn_ends_in() {
        let with = |id: &str, arn: &str| {
            let detail = json!({"EventID": "RDS-EVENT-0006", "SourceIdentifier": id, "SourceArn": arn});
            said(Function::PromoteReplica, &detail)
        };
        let begins = |text: String, name: &str| {
            assert!(text.starts_with(&format!("RDS says that {name} was restarted")), "{text}");
        };
        begins(with("rds:prod-db", "arn:aws:rds:eu-west-1:111122223333:db:prod-db"), "prod-db");
        begins(with("rds:prod-db", ""), "prod-db");
        begins(with("prod-db", "arn:aws:rds:eu-west-1:111122223333:db:prod-other"), "prod-other");
        let other = with("prod-db", "arn:aws:rds:eu-west-1:111122223333:db:product-db");
        assert_eq!(other, "ignored: database product-db is not of a cluster of this fleet");
        assert_eq!(with("prod-db", "arn:aws:rds"), "ignored: /SourceArn in its detail is missing or malformed");
    }

    #[test]
    fn no_event_is_there_twice() {
        let ids: BTreeSet<&str> = EVENTS.iter().map(|(id, ..)| *id).collect();
        assert_eq!(ids.len(), EVENTS.len());
        assert!(EVENTS.iter().all(|(id, ..)| id.len() == 4 && id.bytes().all(|digit| digit.is_ascii_digit())));
    }
}

//! The outer fields of an event, found wherever the three shapes put them.

use super::Ignored;
use serde_json::Value;

/// Where to find things in an event.
pub(super) struct Envelope<'event> {
    /// Who sent it.
    pub(super) source: &'event str,
    /// What kind of event it is.
    pub(super) kind: &'event str,
    /// What it tells: `detail`, or `alarmData` of an alarm's own Lambda action.
    pub(super) payload: &'event Value,
    account: Option<&'event str>,
}

/// The text at a JSON pointer, unless it is empty or no text.
pub(super) fn text<'value>(value: &'value Value, pointer: &str) -> Option<&'value str> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

/// The account in an ARN: `arn:aws:ec2:eu-west-1:111122223333:instance/i-1`.
/// Some ARNs have none, and old spot warnings and EBS events put other things
/// in its place, so only twelve digits count.
fn account_of(arn: &str) -> Option<&str> {
    let account = arn.split(':').nth(4).filter(|_| arn.starts_with("arn:"))?;
    (account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit())).then_some(account)
}

impl<'event> Envelope<'event> {
    /// Finds the outer fields.
    pub(super) fn read(event: &'event Value) -> Result<Envelope<'event>, Ignored> {
        if !event.is_object() {
            return Err(Ignored::NotAnObject);
        }
        if event.get("Records").is_some() {
            return Err(Ignored::Wrapped);
        }
        let envelope = match (text(event, "/source"), text(event, "/detail-type")) {
            (Some(source), Some(kind)) => Envelope {
                source,
                kind,
                payload: event.get("detail").unwrap_or(&Value::Null),
                account: text(event, "/account"),
            },
            // An alarm that has the function itself as its action.
            (Some(source), None) if event.get("alarmData").is_some() => Envelope {
                source,
                kind: super::alarm::STATE_CHANGE,
                payload: event.get("alarmData").unwrap_or(&Value::Null),
                account: text(event, "/accountId"),
            },
            _ => return Err(Ignored::NotAnEvent),
        };
        let resources = event.get("resources").and_then(Value::as_array).into_iter().flatten();
        for arn in resources.chain(event.get("alarmArn")).filter_map(Value::as_str) {
            envelope.at_home(arn)?;
        }
        Ok(envelope)
    }

    /// The text at a JSON pointer in what the event tells.
    pub(super) fn detail(&self, pointer: &'static str) -> Result<&'event str, Ignored> {
        text(self.payload, pointer).ok_or(Ignored::Malformed { field: pointer })
    }

    /// Refuses a resource of another account than the event's.
    pub(super) fn at_home(&self, arn: &str) -> Result<(), Ignored> {
        account_of(arn).map_or(Ok(()), |other| self.same_account(other))
    }

    /// Refuses an account that is not the event's.
    pub(super) fn same_account(&self, other: &str) -> Result<(), Ignored> {
        match self.account {
            Some(account) if account == other => Ok(()),
            account => Err(Ignored::ForeignAccount { event: account.map(str::to_owned), resource: other.to_owned() }),
        }
    }

    /// An event of a kind that no function knows.
    pub(super) fn unknown(&self) -> Ignored {
        let (source, kind) = (self.source.to_owned(), self.kind.to_owned());
        match self.source {
            "aws.rds" | "aws.neptune" | "aws.docdb" => Ignored::ManagedDatabase { source, kind, engine: self.engine() },
            _ => Ignored::Unknown { source, kind },
        }
    }

    /// The engine of a managed database, where the event says it. Neptune and
    /// DocumentDB send their events as `aws.rds`.
    pub(super) fn engine(&self) -> Option<String> {
        ["/Engine", "/engine", "/EngineName"].iter().find_map(|pointer| text(self.payload, pointer)).map(str::to_owned)
    }
}

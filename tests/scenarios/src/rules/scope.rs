//! What the parameters of the template stand for.

use super::Template;
use serde_json::{Map, Value};

/// Where an event has a name that a fleet is part of.
const NAMING_FLEET: [&str; 3] = ["/detail/alarmName", "/alarmData/alarmName", "/detail/stack-id"];

/// The fleet, and where it is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The parameter `Fleet`.
    pub fleet: String,
    /// `AWS::AccountId`.
    pub account: String,
    /// `AWS::Region`.
    pub region: String,
    /// `AWS::Partition`.
    pub partition: String,
}

impl Scope {
    /// The fleet that an event speaks of, in the account and Region of its
    /// resource. Where it says nothing: the template's default fleet, and the
    /// account and Region that the event is from.
    #[must_use]
    pub fn of(event: &Value, template: &Template) -> Scope {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let resources = event.get("resources").and_then(Value::as_array).into_iter().flatten();
        let arn: Vec<&str> = resources.filter_map(Value::as_str).find_map(whole).unwrap_or_default();
        let part = |index: usize, otherwise: Option<&str>, or: &str| {
            arn.get(index).copied().or(otherwise).unwrap_or(or).to_owned()
        };
        let fleet = NAMING_FLEET.iter().find_map(|pointer| fleet_in(text(pointer)?));
        Scope {
            fleet: fleet.or_else(|| template.default_of("Fleet")).unwrap_or("prod").to_owned(),
            account: part(4, text("/account"), "000000000000"),
            region: part(3, text("/region"), "eu-west-1"),
            partition: part(1, None, "aws"),
        }
    }

    /// A piece of the template with its references replaced.
    pub(super) fn resolve(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::Array(items) => items.iter().map(|item| self.resolve(item)).collect(),
            Value::Object(fields) => match (fields.len(), fields.get("Ref"), fields.get("Fn::Sub")) {
                (1, Some(Value::String(name)), None) => self.parameter(name).map(Value::from),
                (1, None, Some(Value::String(text))) => self.substitute(text).map(Value::from),
                (_, None, None) => fields
                    .iter()
                    .map(|(key, value)| match key.starts_with("Fn::") {
                        true => Err(format!("{key} is not understood in a pattern")),
                        false => Ok((key.clone(), self.resolve(value)?)),
                    })
                    .collect::<Result<Map<_, _>, _>>()
                    .map(Value::from),
                _ => Err(format!("{value} is not understood in a pattern")),
            },
            _ => Ok(value.clone()),
        }
    }

    fn parameter(&self, name: &str) -> Result<String, String> {
        match name {
            "Fleet" => Ok(self.fleet.clone()),
            "AWS::AccountId" => Ok(self.account.clone()),
            "AWS::Region" => Ok(self.region.clone()),
            "AWS::Partition" => Ok(self.partition.clone()),
            _ => Err(format!("{name} is not known in a pattern")),
        }
    }

    fn substitute(&self, text: &str) -> Result<String, String> {
        let mut pieces = text.split("${");
        let mut done = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').ok_or_else(|| format!("{text} has an open brace"))?;
            done.push_str(&self.parameter(name)?);
            done.push_str(rest);
        }
        Ok(done)
    }
}

/// The parts of an ARN that names an account and a Region. Not all do, and some
/// old ones have other things in those places.
fn whole(arn: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = arn.split(':').collect();
    let account = *parts.get(4)?;
    let is_account = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
    (parts[0] == "arn" && is_account && !parts[3].is_empty()).then_some(parts)
}

/// The fleet in the name of an alarm or in the ARN of a stack of one of its clusters.
fn fleet_in(text: &str) -> Option<&str> {
    let name = text.split_once(":stack/").map_or(text, |(_, name)| name);
    let (fleet, _) = name.strip_prefix("understudy-")?.split_once('-')?;
    let plain = fleet.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    (plain && !fleet.is_empty()).then_some(fleet)
}

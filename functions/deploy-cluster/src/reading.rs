//! Reads a spec: all of its problems at once, each with its place.

use domain::spec::{self, Problem, Spec};
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// Reads a spec from text.
///
/// # Errors
///
/// Every problem found; for a text that is not JSON, its line and column.
pub fn read(text: &str) -> Result<Spec, Vec<Problem>> {
    match serde_json::from_str(text) {
        Ok(value) => read_value(value),
        Err(error) => Err(vec![Problem {
            path: String::new(),
            found: format!("{error}, which is no JSON"),
            allowed: "a JSON object".into(),
        }]),
    }
}

/// Reads a spec from JSON that has been parsed.
///
/// The schema finds what is wrong with single fields. Where it finds something,
/// a stand-in takes the field's place, so that the checks between fields still
/// say what they can about the rest.
///
/// # Errors
///
/// Every problem found, in the order of the document's paths.
pub fn read_value(mut document: Value) -> Result<Spec, Vec<Problem>> {
    whole_numbers(&mut document);
    let faults = faults(&document);
    for fault in &faults {
        fault.mend(&mut document);
    }
    let mut problems: Vec<Problem> = faults.iter().map(|fault| fault.problem.clone()).collect();
    match serde_json::from_value::<Spec>(document) {
        Ok(spec) => {
            let is_sound = |path: &String| !faults.iter().any(|fault| overlap(&fault.problem.path, path));
            let sound = spec::check(&spec).into_iter().filter(|finding| finding.rests_on.iter().all(is_sound));
            problems.extend(sound.map(|finding| finding.problem));
            if problems.is_empty() {
                return Ok(spec);
            }
        }
        // A document that the schema accepts and the types do not; with faults
        // it may be the stand-ins' doing, and the faults say enough.
        Err(error) if faults.is_empty() => {
            problems.push(Problem { path: String::new(), found: error.to_string(), allowed: "a spec".into() });
        }
        Err(_) => {}
    }
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    Err(problems)
}

/// A field that its schema refuses.
struct Fault {
    problem: Problem,
    /// What may stand there; `None` for a field that may not be there at all.
    stand_in: Option<Value>,
}

impl Fault {
    fn mend(&self, document: &mut Value) {
        let path = &self.problem.path;
        let Some((parent, key)) = path.rsplit_once('/') else {
            *document = self.stand_in.clone().unwrap_or_default();
            return;
        };
        match (document.pointer_mut(parent), &self.stand_in) {
            (Some(Value::Object(fields)), Some(value)) => drop(fields.insert(unescape(key), value.clone())),
            (Some(Value::Object(fields)), None) => drop(fields.remove(&unescape(key))),
            (Some(Value::Array(items)), Some(value)) => {
                if let Some(item) = key.parse().ok().and_then(|at: usize| items.get_mut(at)) {
                    *item = value.clone();
                }
            }
            // The parent has been replaced already.
            _ => {}
        }
    }
}

/// The schema, and what checks it: made once.
#[expect(clippy::expect_used, reason = "the schema comes from the types; every test of this file compiles it")]
static SCHEMA: LazyLock<(Value, Validator)> = LazyLock::new(|| {
    let schema = spec::schema();
    let validator = jsonschema::validator_for(&schema).expect("the spec's schema is a schema");
    (schema, validator)
});

fn faults(document: &Value) -> Vec<Fault> {
    let (schema, validator) = &*SCHEMA;
    let mut faults: Vec<Fault> = validator.iter_errors(document).flat_map(|error| fault(schema, &error)).collect();
    // A value may break several rules of one field, whose description tells them all.
    faults.sort_by(|a, b| a.problem.path.cmp(&b.problem.path));
    faults.dedup_by(|a, b| a.problem.path == b.problem.path);
    faults
}

fn fault(schema: &Value, error: &ValidationError<'_>) -> Vec<Fault> {
    let path = error.instance_path().as_str();
    // The error's own path ends in the rule that was broken.
    let rule = error.schema_path().as_str();
    let field = rule.rsplit_once('/').and_then(|(field, _)| schema.pointer(field)).unwrap_or(schema);
    let child = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let missing = &field["properties"][name];
            let problem = Problem { path: child(name), found: "nothing".into(), allowed: allowed(missing) };
            vec![Fault { problem, stand_in: Some(stand_in(missing)) }]
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let fields = format!("one of the fields {}", names(field).join(", "));
            let unknown = |name: &String| Fault {
                problem: Problem { path: child(name), found: "an unknown field".into(), allowed: fields.clone() },
                stand_in: None,
            };
            unexpected.iter().map(unknown).collect()
        }
        _ => {
            let problem = Problem { path: path.into(), found: found(error.instance()), allowed: allowed(field) };
            vec![Fault { problem, stand_in: Some(stand_in(field)) }]
        }
    }
}

/// The longest value that a problem repeats.
const LONGEST_FOUND: usize = 60;

fn found(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST_FOUND) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn names(field: &Value) -> Vec<String> {
    field["properties"].as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

/// What a field's schema allows, in words.
fn allowed(field: &Value) -> String {
    if let Some(words) = field["x-allowed"].as_str() {
        return words.to_owned();
    }
    match choices(field).as_slice() {
        [] => {}
        [only] => return only.clone(),
        [most @ .., last] => return format!("{} or {last}", most.join(", ")),
    }
    match field["type"].as_str() {
        Some("integer") => match (&field["minimum"], &field["maximum"]) {
            (Value::Number(least), Value::Number(most)) => format!("a whole number from {least} to {most}"),
            (Value::Number(least), _) => format!("a whole number of at least {least}"),
            _ => "a whole number".into(),
        },
        Some("boolean") => "true or false".into(),
        Some("string") => "a text".into(),
        Some("array") => match field["maxItems"].as_u64() {
            Some(most) => format!("a list of at most {most}, each {}", allowed(&field["items"])),
            None => format!("a list, each {}", allowed(&field["items"])),
        },
        _ if field["additionalProperties"]["type"] == "string" => "an object whose values are texts".into(),
        _ => format!("an object with fields of {}", names(field).join(", ")),
    }
}

/// The values of an enumeration; schemars writes one whose values have
/// descriptions as `oneOf` constants.
fn choices(field: &Value) -> Vec<String> {
    let list = |key: &str| field[key].as_array().cloned().unwrap_or_default();
    let constants = list("oneOf").into_iter().map(|choice| choice["const"].clone());
    constants.chain(list("enum")).map(|choice| choice.to_string()).collect()
}

/// A value that the field's schema accepts.
fn stand_in(field: &Value) -> Value {
    if let Some(value) = field.get("default").or_else(|| field["examples"].get(0)) {
        return value.clone();
    }
    if let Some(value) = field["oneOf"].get(0).map(|choice| choice["const"].clone()) {
        return value;
    }
    match field["type"].as_str() {
        Some("integer") => field.get("minimum").cloned().unwrap_or_else(|| 0.into()),
        Some("boolean") => false.into(),
        Some("string") => "".into(),
        Some("array") => Value::Array(Vec::new()),
        _ => Value::Object(Map::new()),
    }
}

/// Whether one path leads to, or through, the other.
fn overlap(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(one, other) || within(other, one)
}

fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

/// JSON Schema takes 3.0 for a whole number, the types do not.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15 && number.is_f64());
            if let Some(whole) = whole {
                #[expect(clippy::cast_possible_truncation, reason = "whole, and far below the limits of i64")]
                let whole = whole as i64;
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

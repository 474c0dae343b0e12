//! EventBridge's patterns, as far as the template uses them.
//!
//! Source: EventBridge user guide, "Comparison operators for use in event
//! patterns". All fields must match; of a field's tests, one. Operators see
//! leaves only: an object or an empty list is not there for `exists`. A list is
//! seen through: one of its values must match, and where it holds objects, one
//! of them must match as a whole.

use serde_json::Value;

/// A pattern whose references are resolved.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pattern {
    /// Fields that must all match.
    Fields(Vec<(String, Pattern)>),
    /// Tests of which one must hold.
    Leaf(Vec<Test>),
}

/// What a leaf may be asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Is(Value),
    Prefix(String),
    Suffix(String),
    Wildcard(String),
    Exists(bool),
}

impl Pattern {
    /// Reads a pattern.
    pub(super) fn read(pattern: &Value) -> Result<Pattern, String> {
        match pattern {
            Value::Object(fields) if !fields.is_empty() => {
                let read = |(name, pattern): (&String, &Value)| match name.starts_with('$') || name.contains('.') {
                    true => Err(format!("the field {name} is not understood")),
                    false => Ok((name.clone(), Pattern::read(pattern)?)),
                };
                fields.iter().map(read).collect::<Result<_, _>>().map(Pattern::Fields)
            }
            Value::Array(tests) if !tests.is_empty() => {
                tests.iter().map(Test::read).collect::<Result<_, _>>().map(Pattern::Leaf)
            }
            _ => Err(format!("{pattern} is neither fields nor a list of values")),
        }
    }

    /// Whether the pattern matches an event, or a part of one.
    pub(super) fn matches(&self, value: &Value) -> bool {
        match self {
            Pattern::Fields(fields) => {
                let mut objects = Vec::new();
                collect(value, true, &mut objects);
                if objects.is_empty() {
                    objects.push(&Value::Null);
                }
                let all = |object: &Value| {
                    fields.iter().all(|(name, pattern)| pattern.matches(object.get(name).unwrap_or(&MISSING)))
                };
                objects.into_iter().any(all)
            }
            Pattern::Leaf(tests) => {
                let mut leaves = Vec::new();
                collect(value, false, &mut leaves);
                tests.iter().any(|test| test.holds(&leaves))
            }
        }
    }
}

/// What is not there looks like an empty list: it has neither leaves nor objects.
const MISSING: Value = Value::Array(Vec::new());

/// The objects in a value, or its leaves, seen through lists.
fn collect<'value>(value: &'value Value, objects: bool, found: &mut Vec<&'value Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, objects, found)),
        _ if value.is_object() == objects => found.push(value),
        _ => {}
    }
}

impl Test {
    fn read(test: &Value) -> Result<Test, String> {
        let Value::Object(fields) = test else {
            return match test {
                Value::Array(_) => Err(format!("{test} is a list within a list")),
                _ => Ok(Test::Is(test.clone())),
            };
        };
        let mut fields = fields.iter();
        match (fields.next().map(|(name, value)| (name.as_str(), value)), fields.next()) {
            (Some(("prefix", Value::String(text))), None) => Ok(Test::Prefix(text.clone())),
            (Some(("suffix", Value::String(text))), None) => Ok(Test::Suffix(text.clone())),
            (Some(("wildcard", Value::String(text))), None) if !text.contains(['\\']) && !text.contains("**") => {
                Ok(Test::Wildcard(text.clone()))
            }
            (Some(("exists", Value::Bool(exists))), None) => Ok(Test::Exists(*exists)),
            _ => Err(format!("{test} is an operator that is not understood")),
        }
    }

    fn holds(&self, leaves: &[&Value]) -> bool {
        let any_text = |holds: &dyn Fn(&str) -> bool| leaves.iter().filter_map(|leaf| leaf.as_str()).any(holds);
        match self {
            Test::Is(value) => leaves.contains(&value),
            Test::Prefix(prefix) => any_text(&|text| text.starts_with(prefix)),
            Test::Suffix(suffix) => any_text(&|text| text.ends_with(suffix)),
            Test::Wildcard(pattern) => any_text(&|text| wildcard(pattern, text)),
            Test::Exists(exists) => leaves.is_empty() != *exists,
        }
    }
}

/// Whether a text is the pattern's pieces in order, with anything for each `*`.
fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some((_, after)) = left.split_once(piece) else {
            return false;
        };
        left = after;
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(pattern: &Value, event: &Value) -> bool {
        Pattern::read(pattern).unwrap_or_else(|problem| panic!("{pattern}: {problem}")).matches(event)
    }

    #[test]
    fn as_eventbridge_does() {
        let absent = json!({"mute": {"by": [{"exists": false}]}});
        let own = json!({"metrics": {"account": [{"exists": false}, "1"]}});
        let table = [
            ("equal", json!({"a": ["x", "y"]}), json!({"a": "y"}), true),
            ("a number is no text", json!({"a": ["1"]}), json!({"a": 1}), false),
            ("all fields", json!({"a": ["x"], "b": ["y"]}), json!({"a": "x"}), false),
            ("one of a list", json!({"a": ["x"]}), json!({"a": ["w", "x"]}), true),
            ("prefix", json!({"a": [{"prefix": "x-"}]}), json!({"a": "x-1"}), true),
            ("prefix of nothing", json!({"a": [{"prefix": ""}]}), json!({"b": "x-1"}), false),
            ("suffix", json!({"a": [{"suffix": "-1"}]}), json!({"a": "x-1"}), true),
            ("suffix, not in the middle", json!({"a": [{"suffix": "x-"}]}), json!({"a": "x-1"}), false),
            ("wildcard", json!({"a": [{"wildcard": "u-*-end"}]}), json!({"a": "u-orders-1-end"}), true),
            ("wildcard, both ends", json!({"a": [{"wildcard": "u-*-end"}]}), json!({"a": "u-end"}), false),
            ("wildcard, whole text", json!({"a": [{"wildcard": "u-*-end"}]}), json!({"a": "u-x-end-2"}), false),
            ("wildcard, two stars", json!({"a": [{"wildcard": "*b*"}]}), json!({"a": "abc"}), true),
            ("exists", json!({"a": [{"exists": true}]}), json!({"a": null}), true),
            ("an object is no leaf", json!({"a": [{"exists": false}]}), json!({"a": {"b": 1}}), true),
            ("absent", absent.clone(), json!({}), true),
            ("absent, under a text", absent.clone(), json!({"mute": "x"}), true),
            ("present", absent, json!({"mute": {"by": "rule"}}), false),
            ("absent in a list", own.clone(), json!({"metrics": [{"id": "m1"}]}), true),
            ("our own in a list", own.clone(), json!({"metrics": [{"account": "1"}]}), true),
            ("another's in a list", own.clone(), json!({"metrics": [{"account": "2"}]}), false),
            ("no list", own, json!({}), true),
            ("no object", json!({"a": ["x"]}), json!(["a", "x"]), false),
        ];
        for (name, pattern, event, expected) in table {
            assert_eq!(matches(&pattern, &event), expected, "{name}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let table = [
            json!({}),
            json!({"a": []}),
            json!({"a": "x"}),
            json!({"a": [["x"]]}),
            json!({"a": [{"anything-but": "x"}]}),
            json!({"a": [{"prefix": {"equals-ignore-case": "x"}}]}),
            json!({"a": [{"prefix": "x", "suffix": "y"}]}),
            json!({"a": [{"wildcard": "x**"}]}),
            json!({"a": [{"wildcard": "x\\*"}]}),
            json!({"a": [{"exists": "yes"}]}),
            json!({"$or": [{"a": ["x"]}, {"b": ["y"]}]}),
        ];
        for pattern in table {
            assert!(Pattern::read(&pattern).is_err(), "{pattern}");
        }
    }
}

//! Property values.

use serde::Serialize;

/// A property value: text, or something that CloudFormation resolves.
///
/// References are made by [`Handle`](crate::Handle)s and [`Template`](crate::Template) only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Value(Form);

/// What a value is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum Form {
    Ref(String),
    #[serde(rename = "Fn::GetAtt")]
    GetAtt([String; 2]),
    #[serde(rename = "Fn::FindInMap")]
    FindInMap([String; 3]),
    #[serde(rename = "Fn::Join")]
    Join(String, Vec<Value>),
    #[serde(rename = "Fn::Base64")]
    Base64(Box<Value>),
    #[serde(rename = "Fn::Select")]
    Select(u32, Box<Value>),
    #[serde(rename = "Fn::GetAZs")]
    GetAzs(String),
    #[serde(untagged)]
    Text(String),
}

impl Value {
    pub(crate) fn reference(name: &str) -> Self {
        Value(Form::Ref(name.to_owned()))
    }

    pub(crate) fn attribute(resource: &str, name: &str) -> Self {
        Value(Form::GetAtt([resource.to_owned(), name.to_owned()]))
    }

    pub(crate) fn in_mapping(mapping: &str, key: &str, entry: &str) -> Self {
        Value(Form::FindInMap([mapping.to_owned(), key.to_owned(), entry.to_owned()]))
    }

    /// The account of the stack.
    #[must_use]
    pub fn account() -> Self {
        Value::reference("AWS::AccountId")
    }

    /// `aws`, or the name of one of the separate clouds.
    #[must_use]
    pub fn partition() -> Self {
        Value::reference("AWS::Partition")
    }

    /// The Region of the stack.
    #[must_use]
    pub fn region() -> Self {
        Value::reference("AWS::Region")
    }

    /// One of the Availability Zones of the stack's Region, in the order of their names, counted from 0.
    #[must_use]
    pub fn zone(number: u32) -> Self {
        Value(Form::Select(number, Box::new(Value(Form::GetAzs(String::new())))))
    }

    /// An ARN in the account and Region of the stack.
    #[must_use]
    pub fn arn(service: &str, resource: &str) -> Self {
        let service = format!(":{service}:");
        let resource = format!(":{resource}");
        Value::join([
            "arn:".into(),
            Value::partition(),
            service.into(),
            Value::region(),
            ":".into(),
            Value::account(),
            resource.into(),
        ])
    }

    /// Parts one after another; neighbouring texts become one.
    #[must_use]
    pub fn join(parts: impl IntoIterator<Item = Value>) -> Self {
        let mut joined: Vec<Value> = Vec::new();
        for part in parts {
            if let (Some(Value(Form::Text(before))), Value(Form::Text(text))) = (joined.last_mut(), &part) {
                before.push_str(text);
            } else {
                joined.push(part);
            }
        }
        match joined.len() {
            0 => "".into(),
            1 => joined.remove(0),
            _ => Value(Form::Join(String::new(), joined)),
        }
    }

    /// The value in base 64, as user data is passed.
    #[must_use]
    pub fn base64(self) -> Self {
        Value(Form::Base64(Box::new(self)))
    }

    pub(crate) fn form(&self) -> &Form {
        &self.0
    }

    /// A text in which every occurrence of a token stands for a value.
    #[must_use]
    pub fn substitute(text: &str, values: &[(String, Value)]) -> Self {
        let mut parts = vec![Value::from(text)];
        for (token, value) in values {
            parts = parts.into_iter().flat_map(|part| part.split(token, value)).collect();
        }
        Value::join(parts)
    }

    fn split(self, token: &str, value: &Value) -> Vec<Value> {
        let Value(Form::Text(text)) = &self else { return vec![self] };
        let mut parts = Vec::new();
        for (at, piece) in text.split(token).enumerate() {
            if at > 0 {
                parts.push(value.clone());
            }
            parts.push(piece.into());
        }
        parts.retain(|part| *part != Value::from(""));
        parts
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value(Form::Text(text.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Value(Form::Text(text.clone()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value(Form::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_cloudformation_reads_them() {
        let table = [
            (Value::from("a"), json!("a")),
            (Value::reference("A"), json!({ "Ref": "A" })),
            (Value::attribute("A", "Arn"), json!({ "Fn::GetAtt": ["A", "Arn"] })),
            (Value::in_mapping("M", "k", "Text"), json!({ "Fn::FindInMap": ["M", "k", "Text"] })),
            (
                Value::join(["a".into(), "b".into(), Value::region()]),
                json!({ "Fn::Join": ["", ["ab", { "Ref": "AWS::Region" }]] }),
            ),
            (Value::join(["a".into(), "b".into()]), json!("ab")),
            (Value::join([]), json!("")),
            (Value::from("a").base64(), json!({ "Fn::Base64": "a" })),
            (Value::zone(1), json!({ "Fn::Select": [1, { "Fn::GetAZs": "" }] })),
            (
                Value::substitute("<x>-<y>-<x>", &[("<x>".into(), Value::region()), ("<y>".into(), Value::account())]),
                json!({ "Fn::Join": ["", [
                    { "Ref": "AWS::Region" }, "-", { "Ref": "AWS::AccountId" }, "-", { "Ref": "AWS::Region" },
                ]] }),
            ),
        ];
        for (value, expected) in table {
            assert_eq!(json!(value), expected);
        }
    }
}

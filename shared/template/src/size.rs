//! What AWS takes, and how much of it a template needs.

use crate::{
    Template, Value,
    resource::{Resource, Secret, StringParameter},
    value::Form,
};

/// The largest template that CloudFormation takes in a request's body, in bytes.
///
/// Source: CloudFormation user guide, "CloudFormation quotas".
pub const BODY_LIMIT: usize = 51_200;

/// The most bytes of user data that EC2 takes, before base 64.
///
/// Source: EC2 user guide, "Run commands when you launch an EC2 instance".
pub const USER_DATA_LIMIT: usize = 16_384;

/// The longest of other ids: `vol-` and 17 digits.
const LONGEST_ID: usize = 21;

/// The longest beginning and end of a secret's ARN, around its name.
const AROUND_SECRET: usize = "arn:aws-us-gov:secretsmanager:ap-southeast-1:111122223333:secret:-AbCdEf".len();

impl Template {
    /// The most bytes of user data that an instance of this template can have,
    /// whatever its references turn out to be.
    #[must_use]
    pub fn longest_user_data(&self) -> usize {
        let instances = self.resources.values().filter_map(|node| match &node.resource {
            Resource::Instance(instance) => Some(self.longest(&instance.user_data)),
            _ => None,
        });
        instances.max().unwrap_or(0)
    }

    fn longest(&self, value: &Value) -> usize {
        match value.form() {
            Form::Text(text) => text.len(),
            Form::Join(separator, parts) => {
                parts.iter().map(|part| self.longest(part) + separator.len()).sum::<usize>()
            }
            Form::Base64(value) => self.longest(value),
            Form::FindInMap([mapping, key, entry]) => {
                let text = self.mappings.get(mapping).and_then(|keys| keys.get(key)?.get(entry));
                text.map_or(0, String::len)
            }
            Form::Ref(name) => match self.resources.get(name).map(|node| &node.resource) {
                Some(Resource::Secret(Secret { name, .. })) => AROUND_SECRET + name.len(),
                Some(Resource::StringParameter(StringParameter { name, .. })) => name.len(),
                _ => LONGEST_ID,
            },
            Form::GetAtt([name, _]) => match self.resources.get(name).map(|node| &node.resource) {
                Some(Resource::StringParameter(StringParameter { value, .. })) => self.longest(value),
                _ => LONGEST_ID,
            },
        }
    }
}

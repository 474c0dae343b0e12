//! What AWS takes, and how much of it a template needs.

use crate::{
    Template, Value,
    resource::{DbCluster, DbInstance, GlobalCluster, Resource, Secret, StringParameter},
    value::Form,
};

/// The largest template that CloudFormation takes in a request's body, in bytes.
///
/// Source: CloudFormation user guide, "CloudFormation quotas".
pub const BODY_LIMIT: usize = 51_200;

/// The largest template that CloudFormation takes from a bucket, in bytes.
///
/// Source: CloudFormation user guide, "CloudFormation quotas".
pub const OBJECT_LIMIT: usize = 1_048_576;

/// The longest value of a parameter, in bytes: the card's, the settings'. Up to 4096 one costs nothing, beyond that it
/// is an advanced one (0.05 USD a month), which `Intelligent-Tiering` makes of it by itself.
///
/// Source: Systems Manager user guide, "Managing parameter tiers".
pub const PARAMETER_LIMIT: usize = 8_192;

/// The most bytes of user data that EC2 takes, before base 64.
///
/// Source: EC2 user guide, "Run commands when you launch an EC2 instance".
pub const USER_DATA_LIMIT: usize = 16_384;

/// The longest of other ids: `vol-` and 17 digits.
const LONGEST_ID: usize = 21;

/// The longest address: `192.168.100.100`.
const LONGEST_ADDRESS: usize = 15;

/// The longest name of a bucket.
const LONGEST_BUCKET: usize = 63;

/// The longest name of a Network Load Balancer: its own, and what AWS puts around it.
const LONGEST_BALANCER: usize = 32 + "-0123456789abcdef.elb.ap-southeast-1.amazonaws.com".len();

/// The longest ARN of a topic whose name CloudFormation makes.
const LONGEST_TOPIC: usize = "arn:aws-us-gov:sns:ap-southeast-1:111122223333:".len() + 256;

/// The longest name of an endpoint of RDS: an identifier, and what AWS puts behind it.
const LONGEST_ENDPOINT: usize = 63 + ".cluster-custom-0123456789ab.ap-southeast-1.rds.amazonaws.com.cn".len();

/// A health check's id, a UUID.
const HEALTH_CHECK: usize = 36;

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

    /// The parameter of this template that can become longest, by name, and its most bytes.
    #[must_use]
    pub fn longest_parameter(&self) -> (String, usize) {
        let parameters = self.resources.values().filter_map(|node| match &node.resource {
            Resource::StringParameter(parameter) => Some((parameter.name.clone(), self.longest(&parameter.value))),
            _ => None,
        });
        parameters.max_by_key(|(_, size)| *size).unwrap_or_default()
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
            Form::Ref(name) => self.longest_of(name),
            Form::GetAtt([name, attribute]) => match attribute.as_str() {
                "PrimaryPrivateIpAddress" => LONGEST_ADDRESS,
                "DNSName" => LONGEST_BALANCER,
                "Endpoint" | "Endpoint.Address" | "ReadEndpoint.Address" => LONGEST_ENDPOINT,
                "HealthCheckId" => HEALTH_CHECK,
                _ => self.longest_of(name),
            },
            // Zones have names such as ap-southeast-1a.
            Form::Select(..) | Form::GetAzs(_) => LONGEST_ID,
        }
    }

    /// The longest of what a resource is referred to by.
    fn longest_of(&self, name: &str) -> usize {
        match self.resources.get(name).map(|node| &node.resource) {
            Some(Resource::Secret(Secret { name, .. })) => AROUND_SECRET + name.len(),
            Some(Resource::StringParameter(StringParameter { name, .. })) => name.len(),
            Some(Resource::DbCluster(DbCluster { identifier, .. })) => identifier.len(),
            Some(Resource::DbInstance(DbInstance { identifier, .. })) => identifier.len(),
            Some(Resource::GlobalCluster(GlobalCluster { global_cluster_identifier, .. })) => {
                global_cluster_identifier.len()
            }
            Some(Resource::Bucket(_)) => LONGEST_BUCKET,
            Some(Resource::Topic(_)) => LONGEST_TOPIC,
            _ => LONGEST_ID,
        }
    }
}

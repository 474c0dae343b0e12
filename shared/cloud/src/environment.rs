//! Settings, read once at cold start from the function's environment.

use std::net::SocketAddr;

/// A setting is absent, or not what it must be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// It is absent.
    #[error("environment variable {name} must be set: {meaning}")]
    Missing {
        /// Its name.
        name: String,
        /// What it is.
        meaning: &'static str,
    },
    /// It cannot be used.
    #[error("environment variable {name} cannot be used: {problem}")]
    Wrong {
        /// Its name.
        name: String,
        /// Why.
        problem: String,
    },
}

/// What each setting is, so that its absence explains itself.
const MEANINGS: [(&str, &str); 14] = [
    ("FLEET", "the fleet's name, the template's parameter Fleet"),
    ("STATE_TABLE", "the name of the DynamoDB table <fleet>-state"),
    ("PAGES_TOPIC_ARN", "the ARN of the SNS topic <fleet>-pages"),
    ("HOSTED_ZONE_ID", "the id of the private hosted zone of the clusters' records"),
    ("HOSTED_ZONE_NAME", "the name of the private hosted zone of the clusters' records"),
    ("VPC_ID", "the id of the VPC in which clusters are built"),
    ("SUBNET_IDS", "the ids of the subnets in which members are placed, separated by commas"),
    ("BUCKET", "the name of the fleet's bucket, in which templates and the members' scripts are"),
    ("STACK_ROLE_ARN", "the ARN of the role with which CloudFormation builds clusters"),
    ("FUNCTIONS_SECURITY_GROUP_ID", "the id of the security group of the functions that speak SQL"),
    ("PROMOTE_FUNCTION_NAME", "the name of the function <fleet>-promote-replica"),
    ("UPDATE_DNS_FUNCTION_NAME", "the name of the function <fleet>-update-dns"),
    ("DEPLOY_FUNCTION_NAME", "the name of the function <fleet>-deploy-cluster"),
    ("REJOIN_FUNCTION_NAME", "the name of the function <fleet>-rejoin-replica"),
];

/// The value of an environment variable.
///
/// # Errors
///
/// [`BadSetting`] when it is not set, or empty.
pub fn required(name: &str) -> Result<String, BadSetting> {
    check(name, std::env::var(name).ok())
}

/// The values of an environment variable that is a list separated by commas.
///
/// # Errors
///
/// [`BadSetting`] when it is not set, or holds nothing but commas and blanks.
pub fn list(name: &str) -> Result<Vec<String>, BadSetting> {
    split(name, std::env::var(name).ok())
}

/// The value of an environment variable that need not be set; empty is not set.
#[must_use]
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// An address and a port that need not be set: `10.0.0.2:53`.
///
/// # Errors
///
/// [`BadSetting::Wrong`] for anything else.
pub fn address(name: &str) -> Result<Option<SocketAddr>, BadSetting> {
    optional(name).map(|text| parse(name, &text)).transpose()
}

fn parse(name: &str, text: &str) -> Result<SocketAddr, BadSetting> {
    let problem = |_| format!("{text:?} is not an address and a port, such as 10.0.0.2:53");
    text.trim().parse().map_err(problem).map_err(|problem| BadSetting::Wrong { name: name.to_owned(), problem })
}

fn check(name: &str, found: Option<String>) -> Result<String, BadSetting> {
    found.filter(|value| !value.trim().is_empty()).ok_or_else(|| missing(name))
}

fn split(name: &str, found: Option<String>) -> Result<Vec<String>, BadSetting> {
    let text = check(name, found)?;
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let list: Vec<String> = parts.map(str::to_owned).collect();
    if list.is_empty() { Err(missing(name)) } else { Ok(list) }
}

fn missing(name: &str) -> BadSetting {
    let known = MEANINGS.iter().find(|(known, _)| *known == name);
    let meaning = known.map_or("see the function's environment in its template", |(_, meaning)| meaning);
    BadSetting::Missing { name: name.to_owned(), meaning }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;

    #[test]
    fn an_absent_setting_says_what_it_is() {
        for found in [None, Some(String::new()), Some(" ".to_owned())] {
            let error = check("STATE_TABLE", found).unwrap_err();
            assert_eq!(
                error.to_string(),
                "environment variable STATE_TABLE must be set: the name of the DynamoDB table <fleet>-state"
            );
        }
        assert_eq!(check("STATE_TABLE", Some("lab-state".to_owned())), Ok("lab-state".to_owned()));
    }

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(parse("DNS_SERVER", " 127.0.0.1:5335"), Ok(SocketAddr::from(([127, 0, 0, 1], 5335))));
        let error = parse("DNS_SERVER", "127.0.0.1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable DNS_SERVER cannot be used: \"127.0.0.1\" is not an address and a port, such as 10.0.0.2:53"
        );
        assert_eq!(address("UNDERSTUDY_NO_SUCH_SETTING"), Ok(None));
    }

    #[test]
    fn a_list_has_no_empty_parts() {
        let list = split("SUBNET_IDS", Some("subnet-1, subnet-2,,".to_owned()));
        assert_eq!(list, Ok(vec!["subnet-1".to_owned(), "subnet-2".to_owned()]));
        assert!(split("SUBNET_IDS", Some(" , ".to_owned())).is_err());
        assert!(split("SUBNET_IDS", None).is_err());
    }
}

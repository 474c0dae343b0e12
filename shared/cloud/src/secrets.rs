//! Passwords and keys. Nothing here prints one, not even a malformed one.

mod life;

pub use life::Described;

use crate::{
    SdkConfig,
    failure::{Subject, classify},
};
use aws_sdk_secretsmanager::types::Tag;
use reconcile::{Failure, Login};

const GET: &str = "secretsmanager:GetSecretValue";

/// The Secrets Manager calls the fleet makes.
#[derive(Debug, Clone)]
pub struct Secrets(aws_sdk_secretsmanager::Client);

impl Secrets {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Secrets(aws_sdk_secretsmanager::Client::new(config))
    }

    /// Reads a role and its password.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `secretsmanager:GetSecretValue`; [`Failure::Broken`] also
    /// when the secret is missing or is not `{"username","password"}`.
    pub async fn login(&self, arn: &str) -> Result<Login, Failure> {
        let broken = |problem: String| Failure::Broken { call: GET, what: format!("secret {arn} {problem}") };
        let text = self.find(arn).await?.ok_or_else(|| {
            broken("does not exist; is it the operator secret of the cluster's card, and was it deleted?".to_owned())
        })?;
        serde_json::from_str(&text).map_err(|error| {
            // Serde's own text may quote what it found, which may be the password.
            let (line, column) = (error.line(), error.column());
            broken(format!(r#"is not {{"username","password"}}: see line {line}, column {column} of it"#))
        })
    }

    /// Reads a secret's text, by name or ARN; `None` when there is no such secret.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `secretsmanager:GetSecretValue`; [`Failure::Broken`] also
    /// for a secret that is marked for deletion, or that is binary.
    pub async fn find(&self, name: &str) -> Result<Option<String>, Failure> {
        match self.0.get_secret_value().secret_id(name).send().await {
            Ok(output) => match output.secret_string {
                Some(text) => Ok(Some(text)),
                None => Err(Failure::Broken { call: GET, what: format!("secret {name} is binary, not text") }),
            },
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => Ok(None),
            Err(error) => Err(classify(GET, subject(&format!("secret {name}")), error)),
        }
    }

    /// Makes a secret, with tags as `(key, value)`, under a customer key or AWS's own.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `secretsmanager:CreateSecret` (and `secretsmanager:TagResource`,
    /// which AWS asks for beside it); [`Failure::LostRace`] when a secret of that name exists.
    pub async fn create(
        &self,
        name: &str,
        value: &str,
        tags: &[(&str, &str)],
        key_arn: Option<&str>,
    ) -> Result<(), Failure> {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
        let request = self.0.create_secret().name(name).secret_string(value).set_tags(Some(tags));
        let request = request.set_kms_key_id(key_arn.map(str::to_owned));
        let what = format!("secret {name}");
        request.send().await.map_err(|error| classify("secretsmanager:CreateSecret", subject(&what), error))?;
        Ok(())
    }
}

fn subject(what: &str) -> Subject<'_> {
    Subject { what, check: "was it deleted?" }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{answer, json_error, kind};
    use serde_json::json;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:understudy/lab/orders/operator-AbCdEf";
    const MISSING: &str = "ResourceNotFoundException";

    #[tokio::test]
    async fn a_login_is_read_and_never_shown() {
        let secret = json!({ "username": "understudy", "password": "hunter2" }).to_string();
        let (config, replay) = answer(200, json!({ "SecretString": secret }).to_string());
        let login = Secrets::new(&config).login(ARN).await.unwrap();
        assert_eq!((&*login.username, &*login.password), ("understudy", "hunter2"));
        assert!(!format!("{login:?}").contains("hunter2"));
        let asked = replay.only();
        assert_eq!(asked.header("x-amz-target"), Some("secretsmanager.GetSecretValue"));
        assert_eq!(asked.json(), json!({ "SecretId": ARN }));
    }

    #[tokio::test]
    async fn a_malformed_login_is_broken_and_never_shown() {
        for text in ["hunter2", "\"hunter2\"", r#"{"username":"u","password":["hunter2"]}"#, r#"{"hunter2":1}"#] {
            let (config, _) = answer(200, json!({ "SecretString": text }).to_string());
            let failure = Secrets::new(&config).login(ARN).await.unwrap_err();
            assert_eq!(kind(&failure), "broken");
            assert!(!format!("{failure:?} {}", failure.story()).contains("hunter2"), "{text}");
            assert!(failure.to_string().contains(ARN), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_missing_secret_is_broken_for_a_login_and_nothing_for_a_search() {
        let missing = || answer(400, json_error(MISSING, "Secrets Manager can't find the specified secret.")).0;
        let failure = Secrets::new(&missing()).login(ARN).await.unwrap_err();
        assert_eq!(kind(&failure), "broken");
        assert!(failure.to_string().contains("does not exist"), "{failure}");
        assert_eq!(Secrets::new(&missing()).find("understudy/lab/orders/tls").await.unwrap(), None);
        assert_eq!(Secrets::new(&missing()).describe("understudy/lab/orders/tls").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_read_is_not_taken_for_a_missing_one() {
        let table = [
            (json_error("InvalidRequestException", "it was marked for deletion"), "broken"),
            (json_error("DecryptionFailure", "the key is disabled"), "broken"),
            (json_error("AccessDeniedException", "not authorized"), "broken"),
        ];
        for (body, expected) in table {
            let (config, _) = answer(400, body);
            let failure = Secrets::new(&config).find("understudy/lab/orders/tls").await.unwrap_err();
            assert_eq!(kind(&failure), expected, "{failure}");
        }
        let (config, _) = answer(200, json!({ "SecretBinary": "aHVudGVyMg==" }).to_string());
        let failure = Secrets::new(&config).find("understudy/lab/orders/tls").await.unwrap_err();
        assert!(failure.to_string().contains("is binary"), "{failure}");
    }

    #[tokio::test]
    async fn a_secret_is_created_with_its_tags() {
        let (config, replay) = answer(200, "{}");
        let tags = [("understudy:fleet", "lab"), ("understudy:cluster", "orders")];
        Secrets::new(&config).create("understudy/lab/orders/tls", "{}", &tags, None).await.unwrap();
        let mut body = replay.only().json();
        // Made by the SDK: it lets a repeated attempt succeed.
        assert!(body.as_object_mut().unwrap().remove("ClientRequestToken").is_some());
        let expected = json!({
            "Name": "understudy/lab/orders/tls", "SecretString": "{}",
            "Tags": [
                { "Key": "understudy:fleet", "Value": "lab" },
                { "Key": "understudy:cluster", "Value": "orders" },
            ],
        });
        assert_eq!(body, expected);

        let (config, _) = answer(400, json_error("ResourceExistsException", "exists"));
        let key = Some("arn:key");
        let failure =
            Secrets::new(&config).create("understudy/lab/orders/tls", "hunter2", &tags, key).await.unwrap_err();
        assert_eq!(kind(&failure), "lost race");
        assert!(!format!("{failure:?}").contains("hunter2"));
    }
}

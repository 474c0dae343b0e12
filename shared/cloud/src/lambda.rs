//! Waking another function.

use crate::{
    SdkConfig,
    failure::{Subject, classify},
};
use aws_sdk_lambda::{primitives::Blob, types::InvocationType};
use reconcile::Failure;

/// The Lambda calls the fleet makes.
#[derive(Debug, Clone)]
pub struct Lambda(aws_sdk_lambda::Client);

impl Lambda {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Lambda(aws_sdk_lambda::Client::new(config))
    }

    /// Hands a function an event and does not wait for what it makes of it.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `lambda:InvokeFunction`.
    pub async fn wake(&self, function: &str, payload: &serde_json::Value) -> Result<(), Failure> {
        let what = format!("function {function}");
        let subject = Subject { what: &what, check: "is its name in this function's environment right?" };
        self.0
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload.to_string()))
            .send()
            .await
            .map_err(|error| classify("lambda:InvokeFunction", subject, error))?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{answer, json_error, kind};

    #[tokio::test]
    async fn a_function_is_woken_without_waiting_for_it() {
        let (config, replay) = answer(202, "");
        let payload = serde_json::json!({ "cluster": "orders" });
        Lambda::new(&config).wake("lab-promote-replica", &payload).await.unwrap();
        let asked = replay.only();
        assert_eq!(asked.header("x-amz-invocation-type"), Some("Event"));
        assert!(asked.uri.ends_with("/2015-03-31/functions/lab-promote-replica/invocations"), "{}", asked.uri);
        assert_eq!(asked.json(), payload);
    }

    #[tokio::test]
    async fn a_missing_function_is_broken_and_names_it() {
        let (config, _) = answer(404, json_error("ResourceNotFoundException", "Function not found"));
        let failure = Lambda::new(&config).wake("lab-promote-replica", &serde_json::json!({})).await.unwrap_err();
        assert_eq!(kind(&failure), "broken");
        let text = failure.to_string();
        assert!(text.contains("function lab-promote-replica does not exist"), "{text}");
        assert!(text.contains("is its name in this function's environment right?"), "{text}");
    }
}

//! Limits of the account.

use crate::{
    SdkConfig,
    failure::{Subject, classify},
};
use aws_sdk_servicequotas::Client;
use reconcile::Failure;

const GET: &str = "servicequotas:GetServiceQuota";

/// The Service Quotas calls the fleet makes.
#[derive(Debug, Clone)]
pub struct Quotas(Client);

impl Quotas {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Quotas(Client::new(config))
    }

    /// The value of a quota in this Region: `of("ec2", "L-1216C47A")`, vCPUs of standard on-demand instances.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `servicequotas:GetServiceQuota`; [`Failure::Broken`] also when it has no value.
    pub async fn of(&self, service: &str, quota: &str) -> Result<f64, Failure> {
        let what = format!("quota {quota} of {service}");
        let subject = Subject { what: &what, check: "is it a quota of this Region?" };
        let found = self.0.get_service_quota().service_code(service).quota_code(quota).send().await;
        let found = found.map_err(|error| classify(GET, subject, error))?;
        let value = found.quota().and_then(|quota| quota.value());
        value.ok_or_else(|| Failure::Broken { call: GET, what: format!("{what} has no value") })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{answer, json_error, kind};
    use serde_json::json;

    #[tokio::test]
    async fn a_quota_is_read() {
        let (config, replay) = answer(200, json!({ "Quota": { "Value": 64.0 } }).to_string());
        assert!((Quotas::new(&config).of("ec2", "L-1216C47A").await.unwrap() - 64.0).abs() < f64::EPSILON);
        assert_eq!(replay.only().json(), json!({ "ServiceCode": "ec2", "QuotaCode": "L-1216C47A" }));
        let (config, _) = answer(400, json_error("NoSuchResourceException", "no such quota"));
        let failure = Quotas::new(&config).of("ec2", "L-1").await.unwrap_err();
        assert_eq!(kind(&failure), "broken");
        assert!(failure.to_string().contains("quota L-1 of ec2 does not exist"), "{failure}");
    }
}

//! The pair of failover records that follows the serving Region, and its health check. Both are made in advance and
//! never changed: this only looks whether they are there.

use super::{LIST, Route53, sets, subject, zone};
use crate::failure::{Subject, classify};
use aws_sdk_route53::types::{ResourceRecordSetFailover, RrType};
use domain::card::Records;
use reconcile::Failure;

const HEALTH_CHECK: &str = "route53:GetHealthCheck";

/// What stands at the name of a pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairSeen {
    /// Target of the PRIMARY record.
    pub primary: Option<String>,
    /// Target of the SECONDARY record.
    pub secondary: Option<String>,
    /// Health check of the PRIMARY record.
    pub health_check: Option<String>,
}

impl Route53 {
    /// The failover CNAMEs of a name, in the zone of these records.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `route53:ListResourceRecordSets`.
    pub async fn pair(&self, records: &Records, name: &str) -> Result<PairSeen, Failure> {
        let page = self.page(records, name, &RrType::Cname, 10).await?;
        let mut seen = PairSeen::default();
        for set in page.iter().filter(|set| sets::is(set, name, &RrType::Cname)) {
            let target = set.resource_records().first().map(|record| record.value().trim_end_matches('.').to_owned());
            match set.failover() {
                Some(ResourceRecordSetFailover::Primary) => {
                    seen.primary = target;
                    seen.health_check = set.health_check_id().map(str::to_owned);
                }
                Some(ResourceRecordSetFailover::Secondary) => seen.secondary = target,
                _ => {
                    let what = format!("record {name} of {} is none of a pair: remove it", zone(records));
                    return Err(Failure::Broken { call: LIST, what });
                }
            }
        }
        Ok(seen)
    }

    /// Which alarm a health check reads, by Region and name; `None` when it reads none.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `route53:GetHealthCheck`; [`Failure::Broken`] also when there is no such health check.
    pub async fn health_check(&self, id: &str) -> Result<Option<(String, String)>, Failure> {
        let what = format!("health check {id}");
        let subject = Subject { what: &what, check: "was it deleted?" };
        let found = self.0.get_health_check().health_check_id(id).send().await;
        let found = found.map_err(|error| classify(HEALTH_CHECK, subject, error))?;
        let alarm = found.health_check().and_then(|check| check.health_check_config()?.alarm_identifier());
        Ok(alarm.map(|alarm| (alarm.region().as_str().to_owned(), alarm.name().to_owned())))
    }

    /// Whether the zone of these records can be read, without reading all of it: permission, zone and API in one call.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `route53:ListResourceRecordSets`.
    pub async fn is_reachable(&self, records: &Records) -> Result<(), Failure> {
        let request = self.0.list_resource_record_sets().hosted_zone_id(&records.zone_id).max_items(1);
        let what = zone(records);
        request.send().await.map_err(|error| classify(LIST, subject(&what), error))?;
        Ok(())
    }
}

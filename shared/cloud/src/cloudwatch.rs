//! Metrics and alarms.

use crate::{
    SdkConfig,
    failure::{Subject, classify},
    now_ms,
};
use aws_sdk_cloudwatch::{
    Client,
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, ScanBy, StateValue},
};
use reconcile::Failure;

const PUT: &str = "cloudwatch:PutMetricData";
const GET: &str = "cloudwatch:GetMetricData";
const ALARMS: &str = "cloudwatch:DescribeAlarms";

/// Seconds over which values are summed up: metrics of AWS come once a minute.
const PERIOD_S: i32 = 60;

/// The CloudWatch calls the fleet makes, in the Region of their configuration.
#[derive(Debug, Clone)]
pub struct CloudWatch(Client);

/// One metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its namespace: `AWS/RDS`.
    pub namespace: String,
    /// Its name: `AuroraGlobalDBReplicationLag`.
    pub name: String,
    /// Its dimensions, by name.
    pub dimensions: Vec<(String, String)>,
    /// How the values of a minute become one: `Average`, `Maximum`, `Minimum`.
    pub statistic: String,
}

/// A value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// The value, in the metric's own unit.
    pub value: f64,
    /// When its minute began, in milliseconds since 1970.
    pub at_ms: u64,
}

/// What CloudWatch says of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    /// `OK`.
    Ok,
    /// `ALARM`.
    Alarm,
    /// `INSUFFICIENT_DATA`, or a state that is not known here.
    Unknown,
}

impl CloudWatch {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        CloudWatch(Client::new(config))
    }

    /// Writes one value of a metric, as of now.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudwatch:PutMetricData`.
    pub async fn put(
        &self,
        namespace: &str,
        name: &str,
        dimensions: &[(String, String)],
        value: f64,
    ) -> Result<(), Failure> {
        let datum = MetricDatum::builder().metric_name(name).value(value).timestamp(at(now_ms()));
        let datum = datum.set_dimensions(Some(named(dimensions))).build();
        let what = format!("metric {name} of {namespace}");
        let subject = Subject { what: &what, check: "is the namespace one that this function may write?" };
        let sent = self.0.put_metric_data().namespace(namespace).metric_data(datum).send().await;
        sent.map_err(|error| classify(PUT, subject, error))?;
        Ok(())
    }

    /// The newest value of each metric in the last `within_s` seconds; `None` of one that has none. One call for all.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudwatch:GetMetricData`.
    pub async fn newest(&self, series: &[Series], within_s: u64) -> Result<Vec<Option<Value>>, Failure> {
        let now = now_ms();
        let queries = series.iter().enumerate().map(|(place, series)| {
            let metric = Metric::builder().namespace(&series.namespace).metric_name(&series.name);
            let metric = metric.set_dimensions(Some(named(&series.dimensions))).build();
            let stat = MetricStat::builder().metric(metric).period(PERIOD_S).stat(&series.statistic).build();
            MetricDataQuery::builder().id(id(place)).metric_stat(stat).build()
        });
        let request = self.0.get_metric_data().set_metric_data_queries(Some(queries.collect()));
        let request = request.start_time(at(now.saturating_sub(within_s * 1000))).end_time(at(now));
        let mut pages = request.scan_by(ScanBy::TimestampDescending).into_paginator().send();
        let mut newest: Vec<Option<Value>> = vec![None; series.len()];
        while let Some(page) = pages.next().await {
            let subject = Subject { what: "metrics", check: "is this the right Region?" };
            let page = page.map_err(|error| classify(GET, subject, error))?;
            for result in page.metric_data_results() {
                let place = (0..series.len()).find(|place| result.id() == Some(&id(*place)));
                let values = result.timestamps().iter().zip(result.values());
                let values = values.filter_map(|(time, value)| {
                    Some(Value { value: *value, at_ms: time.to_millis().ok()?.try_into().ok()? })
                });
                let latest = values.max_by_key(|value| value.at_ms);
                if let (Some(place), Some(latest)) = (place, latest) {
                    let kept = newest[place].filter(|kept| kept.at_ms >= latest.at_ms);
                    newest[place] = Some(kept.unwrap_or(latest));
                }
            }
        }
        Ok(newest)
    }

    /// The state of an alarm; `None` when there is none of this name.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `cloudwatch:DescribeAlarms`.
    pub async fn alarm(&self, name: &str) -> Result<Option<AlarmState>, Failure> {
        let what = format!("alarm {name}");
        let subject = Subject { what: &what, check: "is this the right Region?" };
        let found = self.0.describe_alarms().alarm_names(name).send().await;
        let found = found.map_err(|error| classify(ALARMS, subject, error))?;
        let alarm = found.metric_alarms().iter().find(|alarm| alarm.alarm_name() == Some(name));
        Ok(alarm.map(|alarm| match alarm.state_value() {
            Some(StateValue::Ok) => AlarmState::Ok,
            Some(StateValue::Alarm) => AlarmState::Alarm,
            _ => AlarmState::Unknown,
        }))
    }
}

/// CloudWatch wants a letter first.
fn id(place: usize) -> String {
    format!("m{place}")
}

fn at(ms: u64) -> DateTime {
    DateTime::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn named(dimensions: &[(String, String)]) -> Vec<Dimension> {
    dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests;

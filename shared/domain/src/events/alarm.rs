//! Alarms: a state change of an alarm of this fleet that came to ALARM, whose
//! actions are neither suppressed nor muted. EventBridge delivers all others too.

use super::{
    Alarm, Ignored, Meaning, Subject,
    envelope::{Envelope, text},
    prefix,
};
use serde_json::Value;

/// The one kind of alarm event that can lead to an action.
pub(super) const STATE_CHANGE: &str = "CloudWatch Alarm State Change";

/// Namespaces of the metrics that the alarms of a cluster watch.
const NAMESPACES: [&str; 2] = ["Understudy", "AWS/EC2"];

/// Reads an event of CloudWatch.
pub(super) fn read(fleet: &str, kind: &str, envelope: &Envelope) -> Result<Meaning, Ignored> {
    let name = envelope.detail("/alarmName")?;
    let alarm = || name.to_owned();
    match kind {
        STATE_CHANGE => {}
        "CloudWatch Alarm Configuration Change" => {
            let operation = text(envelope.payload, "/operation").unwrap_or("change").to_owned();
            return Err(Ignored::AlarmChanged { alarm: alarm(), operation });
        }
        "CloudWatch Alarm Contributor State Change" => return Err(Ignored::Contributor { alarm: alarm() }),
        _ => return Err(envelope.unknown()),
    }
    match envelope.detail("/state/value")? {
        "ALARM" => {}
        state => return Err(Ignored::AlarmState { alarm: alarm(), state: state.to_owned() }),
    }
    let payload = envelope.payload;
    if let Some(by) = present(payload, "/state/actionsSuppressedBy") {
        return Err(Ignored::Suppressed { alarm: alarm(), by });
    }
    if let Some(by) = present(payload, "/muteDetail") {
        return Err(Ignored::Muted { alarm: alarm(), by });
    }
    let metrics = Metrics::of(payload);
    for account in metrics.texts("/accountId") {
        envelope.same_account(account)?;
    }
    let subject = subject(fleet, name, &metrics).ok_or_else(|| Ignored::OtherAlarm { alarm: alarm() })?;
    if let Some(namespace) = metrics.texts("/metricStat/metric/namespace").find(|name| !NAMESPACES.contains(name)) {
        return Err(Ignored::OtherMetric { alarm: alarm(), namespace: namespace.to_owned() });
    }
    let resumed = present(payload, "/previousState/actionsSuppressedBy").is_some();
    Ok(Meaning::Alarm(Alarm { name: alarm(), subject, resumed }))
}

/// What is at a pointer, in words, when anything is.
fn present(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        // A mute: the ARN of its rule, when it says so.
        other => Some(text(other, "/mutedByArn").unwrap_or("something").to_owned()),
    }
}

/// Whom an alarm is about: names of alarms end in what they mean.
fn subject(fleet: &str, name: &str, metrics: &Metrics) -> Option<Subject> {
    let name = name.strip_prefix(&prefix(fleet))?;
    if let Some(cluster) = name.strip_suffix("-writer-silent").filter(|cluster| !cluster.is_empty()) {
        return Some(Subject::Cluster(cluster.to_owned()));
    }
    name.strip_suffix("-status-check").filter(|member| !member.is_empty())?;
    // One instance has one status; without its id the fleet is looked through.
    let instance = metrics.texts("/metricStat/metric/dimensions/InstanceId").next();
    Some(instance.map_or(Subject::Fleet, |id| Subject::Instance(id.to_owned())))
}

/// The metrics of an alarm: none in a composite alarm, several in an expression.
struct Metrics<'event>(&'event [Value]);

impl<'event> Metrics<'event> {
    fn of(payload: &'event Value) -> Metrics<'event> {
        Metrics(payload.pointer("/configuration/metrics").and_then(Value::as_array).map_or(&[], Vec::as_slice))
    }

    fn texts(&self, pointer: &'static str) -> impl Iterator<Item = &'event str> + use<'event> {
        self.0.iter().filter_map(move |metric| text(metric, pointer))
    }
}

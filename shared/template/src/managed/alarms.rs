//! Alarms on what RDS measures. All page; none wakes a function.

use super::logs::dimension;
use crate::{
    After, Handle, Template, Value,
    alarms::{self, Rule},
    resource::{Alarm, Dimension},
    site::Site,
};
use serde_json::Number;

/// Databases that are looked at together.
pub(crate) struct Watched {
    /// Begins the logical ids: `Writer`, `Reader`, `Instance2`.
    pub(crate) id: String,
    /// In the alarms' names and texts: `writer`, `reader`, an instance's identifier.
    pub(crate) name: String,
    /// Of their metrics.
    pub(crate) dimensions: Vec<Dimension>,
}

impl Watched {
    /// Whoever has this role in an Aurora cluster today: `WRITER` or `READER`. Instances change roles, and readers come
    /// and go without the stack.
    ///
    /// Source: Amazon Aurora User Guide, "Creating CloudWatch alarms to monitor Amazon Aurora".
    pub(crate) fn role(cluster: &Value, role: &'static str) -> Self {
        let (id, name) = if role == "WRITER" { ("Writer", "writer") } else { ("Reader", "reader") };
        let dimensions = vec![dimension("DBClusterIdentifier", cluster.clone()), dimension("Role", role)];
        Watched { id: id.into(), name: name.into(), dimensions }
    }

    /// One instance.
    pub(crate) fn instance(id: &str, name: &str, identifier: Value) -> Self {
        let dimensions = vec![dimension("DBInstanceIdentifier", identifier)];
        Watched { id: id.to_owned(), name: name.to_owned(), dimensions }
    }
}

/// A limit of a metric of RDS.
pub(crate) struct Limit {
    /// Ends the logical id, before `Alarm`.
    pub(crate) id: &'static str,
    /// Ends the name.
    pub(crate) ending: &'static str,
    pub(crate) metric: &'static str,
    /// What is so, after `<name> of <cluster>: `.
    pub(crate) says: String,
    pub(crate) statistic: &'static str,
    /// Whether more than this, or less.
    pub(crate) is_most: bool,
    pub(crate) threshold: Number,
    /// Minutes in a row.
    pub(crate) minutes: u32,
}

/// Adds the alarm of a limit.
pub(crate) fn add(template: &mut Template, site: &Site<'_>, of: &Watched, limit: Limit) -> Handle<Alarm> {
    let rule = Rule {
        ending: format!("{}-{}", of.name, limit.ending),
        description: format!("{} of {}: {}, for {} minutes", of.name, site.spec.name, limit.says, limit.minutes),
        namespace: "AWS/RDS".into(),
        metric: limit.metric,
        dimensions: of.dimensions.clone(),
        statistic: limit.statistic,
        period: 60,
        periods: limit.minutes,
        comparison: if limit.is_most { "GreaterThanThreshold" } else { "LessThanThreshold" },
        threshold: limit.threshold,
        // A database that says nothing has an alarm for that, and a role that nobody has is none.
        missing: "missing",
    };
    alarms::add(template, site, &format!("{}{}Alarm", of.id, limit.id), rule)
}

/// What every database has: processor, memory, connections on two levels, time of reads and writes.
pub(crate) fn load(template: &mut Template, site: &Site<'_>, of: &Watched) {
    let alarms = site.spec.managed().alarms;
    let max_connections = site.spec.postgresql.max_connections;
    let connections = |id, ending, percent: u32, urgent: &str| Limit {
        id,
        ending,
        metric: "DatabaseConnections",
        says: format!("more than {percent} % of {max_connections} connections are taken{urgent}"),
        statistic: "Maximum",
        is_most: true,
        threshold: (u64::from(max_connections) * u64::from(percent) / 100).into(),
        minutes: 5,
    };
    let latency = |id, ending, metric, what: &str, ms: u32| Limit {
        id,
        ending,
        metric,
        says: format!("a {what} takes more than {ms} ms"),
        statistic: "Maximum",
        is_most: true,
        threshold: seconds(ms),
        minutes: 5,
    };
    let (cpu, memory) = (alarms.cpu_percent, alarms.freeable_memory_mib);
    let limits = [
        Limit {
            id: "Cpu",
            ending: "cpu",
            metric: "CPUUtilization",
            says: format!("the processor is in use more than {cpu} %"),
            statistic: "Maximum",
            is_most: true,
            threshold: cpu.into(),
            minutes: 5,
        },
        Limit {
            id: "Memory",
            ending: "memory",
            metric: "FreeableMemory",
            says: format!("less than {memory} MiB of memory are free"),
            statistic: "Minimum",
            is_most: false,
            threshold: bytes(memory),
            minutes: 5,
        },
        connections("Connections", "connections", alarms.connections_percent, ""),
        connections("ConnectionsUrgent", "connections-urgent", alarms.connections_urgent_percent, ". Urgent"),
        latency("WriteLatency", "write-latency", "WriteLatency", "write", alarms.write_latency_ms),
        latency("ReadLatency", "read-latency", "ReadLatency", "read", alarms.read_latency_ms),
    ];
    for limit in limits {
        add(template, site, of, limit);
    }
}

/// Of whoever writes: the age of the oldest transaction id.
pub(crate) fn transaction_ids(template: &mut Template, site: &Site<'_>, of: &Watched) {
    let millions = site.spec.managed().alarms.transaction_ids_millions;
    let limit = Limit {
        id: "TransactionIds",
        ending: "transaction-ids",
        metric: "MaximumUsedTransactionIDs",
        says: format!(
            "the oldest transaction id is {millions} million old; at 2000 nobody writes. Look for a session or slot \
             that holds it, then VACUUM"
        ),
        statistic: "Maximum",
        is_most: true,
        threshold: (u64::from(millions) * 1_000_000).into(),
        minutes: 5,
    };
    add(template, site, of, limit);
}

/// Bytes of log that replicas lack, on two levels, as watch-clusters measures it.
pub(crate) fn lag_bytes(template: &mut Template, site: &Site<'_>, after: &[After]) {
    let alarms = site.spec.managed().alarms;
    for (id, ending, mib, urgent) in [
        ("LagBytesAlarm", "lag-bytes", alarms.lag_mib, ""),
        ("LagBytesUrgentAlarm", "lag-bytes-urgent", alarms.lag_urgent_mib, ". Urgent"),
    ] {
        let rule = Rule {
            ending: ending.into(),
            description: format!("A replica of {} lacks more than {mib} MiB of log{urgent}", site.spec.name),
            namespace: "Understudy".into(),
            metric: "ReplicationLagBytes",
            dimensions: alarms::of_cluster(site),
            statistic: "Maximum",
            period: 60,
            periods: 3,
            comparison: "GreaterThanThreshold",
            threshold: bytes(mib),
            missing: "missing",
        };
        let alarm = alarms::add(template, site, id, rule);
        template.create_after_all(&alarm, after);
    }
}

/// MiB in bytes, as RDS measures memory and storage.
pub(crate) fn bytes(mib: u32) -> Number {
    (u64::from(mib) * 1_048_576).into()
}

/// Milliseconds in seconds, as RDS measures times of storage and the lag of its replicas.
pub(crate) fn seconds(ms: u32) -> Number {
    if ms.is_multiple_of(1_000) {
        return (ms / 1_000).into();
    }
    // A whole number of thousandths is finite.
    Number::from_f64(f64::from(ms) / 1_000.0).unwrap_or_else(|| 0.into())
}

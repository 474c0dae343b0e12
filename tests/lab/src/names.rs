//! Names: answers DNS questions from the emulated Route 53, and for the names of load balancers and databases, as the
//! resolver of a VPC does.

mod responder;

use crate::{
    error::{Error, cannot, story},
    local_aws::busy,
    owner::{Owner, list, text},
    place::{DNS_PORT, local},
};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::RData,
};
use hickory_server::Server;
use responder::Responder;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::Mutex,
};

/// How old an answer may be before Route 53 is asked again. Real Route 53 takes up to a minute to spread a change;
/// the lab's measurements leave that out, and so does this.
const CACHE: Duration = Duration::from_millis(50);

/// How old the state of a health check may be: Route 53 looks at an alarm every few seconds.
const HEALTH_CACHE: Duration = Duration::from_millis(500);

/// One record set and its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordSet {
    /// Name without a final dot, in lower case.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Its values: texts without their quotes, names without a final dot.
    pub values: Vec<String>,
    /// Of a failover pair: `PRIMARY` or `SECONDARY`.
    pub failover: Option<String>,
    /// Its health check, when it has one.
    pub health_check: Option<String>,
}

/// The record types that the lab answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// An IPv4 address.
    #[default]
    A,
    /// Another name.
    Cname,
    /// A text.
    Txt,
}

/// The hosted zone as Route 53 has it now.
pub struct Zone {
    owner: Owner,
    id: String,
    seen: Mutex<Option<(Instant, Arc<Vec<RecordSet>>)>>,
    health: Mutex<BTreeMap<String, (Instant, bool)>>,
}

impl Zone {
    /// A zone that is read through its own connection to AWS, so that a question does not wait for other calls.
    pub fn new(owner: Owner, id: String) -> Zone {
        Zone { owner, id, seen: Mutex::new(None), health: Mutex::new(BTreeMap::new()) }
    }

    /// Whether a health check that reads an alarm passes: while the alarm is not in ALARM.
    pub async fn passes(&self, health_check: &str) -> Result<bool, Error> {
        let mut known = self.health.lock().await;
        if let Some((at, passes)) = known.get(health_check)
            && at.elapsed() < HEALTH_CACHE
        {
            return Ok(*passes);
        }
        let at = Instant::now();
        let answer = self.owner.call("route53", "get_health_check", json!({"HealthCheckId": health_check})).await?;
        let config = &answer["HealthCheck"]["HealthCheckConfig"];
        let region = text(config, "/AlarmIdentifier/Region")?;
        let alarm = text(config, "/AlarmIdentifier/Name")?;
        let owner = self.owner.within(&region);
        let answer = owner.call("cloudwatch", "describe_alarms", json!({"AlarmNames": [alarm]})).await?;
        let passes = text(&answer, "/MetricAlarms/0/StateValue")? != "ALARM";
        known.insert(health_check.to_owned(), (at, passes));
        Ok(passes)
    }

    /// All records of the zone, at most 50 ms old.
    pub async fn records(&self) -> Result<Arc<Vec<RecordSet>>, Error> {
        let mut seen = self.seen.lock().await;
        if let Some((at, records)) = seen.as_ref()
            && at.elapsed() < CACHE
        {
            return Ok(Arc::clone(records));
        }
        let at = Instant::now();
        let answer = self.owner.call("route53", "list_resource_record_sets", json!({"HostedZoneId": self.id})).await?;
        if answer["IsTruncated"] == json!(true) {
            return Err(cannot("read the hosted zone")("it has more records than one page holds"));
        }
        let records: Vec<_> = list(&answer, "/ResourceRecordSets").iter().filter_map(record_set).collect();
        let records = Arc::new(records);
        *seen = Some((at, Arc::clone(&records)));
        Ok(records)
    }

    /// The values of one record; empty when there is no such record.
    pub async fn values(&self, name: &str, kind: Kind) -> Result<Vec<String>, Error> {
        let records = self.records().await?;
        let found = records.iter().find(|set| set.name == name && set.kind == kind);
        Ok(found.map(|set| set.values.clone()).unwrap_or_default())
    }
}

/// One entry of `ListResourceRecordSets`; `None` for a type that the lab does not answer.
fn record_set(entry: &Value) -> Option<RecordSet> {
    let kind = match entry["Type"].as_str()? {
        "A" => Kind::A,
        "CNAME" => Kind::Cname,
        "TXT" => Kind::Txt,
        _ => return None,
    };
    let name = entry["Name"].as_str()?.trim_end_matches('.').to_lowercase();
    let ttl = u32::try_from(entry["TTL"].as_u64()?).ok()?;
    let values = list(entry, "/ResourceRecords").iter().filter_map(|value| value["Value"].as_str());
    let bare = |value: &str| match kind {
        Kind::Cname => value.trim_end_matches('.').to_lowercase(),
        Kind::A | Kind::Txt => value.trim_matches('"').to_owned(),
    };
    let word = |field: &str| entry[field].as_str().map(str::to_owned);
    let values = values.map(bare).collect();
    Some(RecordSet { name, kind, ttl, values, failover: word("Failover"), health_check: word("HealthCheckId") })
}

/// Begins to answer on 127.0.0.1; ends when the returned server is dropped.
pub async fn serve(zone: Arc<Zone>) -> Result<Names, Error> {
    let doing = "answer names";
    let address = local(DNS_PORT);
    let socket = UdpSocket::bind(address).await.map_err(|error| cannot(doing)(busy(DNS_PORT, &error)))?;
    let listener = TcpListener::bind(address).await.map_err(|error| cannot(doing)(busy(DNS_PORT, &error)))?;
    let mut server = Server::new(Responder::new(zone));
    server.register_socket(socket);
    server.register_listener(listener, Duration::from_secs(5), 64);
    Ok(Names { _server: server })
}

/// The running responder.
pub struct Names {
    _server: Server<Responder>,
}

/// Where a name leads now, by its CNAMEs: the last name, and an address of it.
pub async fn follow(resolver: &TokioResolver, name: &str) -> Result<(String, IpAddr), String> {
    // With the final dot the name is complete and no search list is tried.
    let answer = resolver.lookup_ip(format!("{name}.")).await.map_err(|error| story(&error))?;
    let address = answer.iter().next().ok_or("the record has no address")?;
    let mut targets = answer.as_lookup().answers().iter().filter_map(|record| match &record.data {
        RData::CNAME(target) => Some(target.0.to_ascii().trim_end_matches('.').to_lowercase()),
        _ => None,
    });
    Ok((targets.next_back().unwrap_or_else(|| name.to_owned()), address))
}

/// A resolver as an application has it: asks the responder, keeps an answer for its time to live and no longer.
pub fn resolver() -> Result<TokioResolver, Error> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = DNS_PORT;
        connection
    });
    let server = NameServerConfig::new(local(DNS_PORT).ip(), true, connections.into());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = Duration::from_secs(1);
    options.use_hosts_file = ResolveHosts::Never;
    builder.build().map_err(cannot("resolve names"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_set_is_read_as_route_53_lists_it() {
        let entry = json!({
            "Name": "_understudy.orders-rw.db.internal.", "Type": "TXT", "TTL": 1,
            "ResourceRecords": [{"Value": "\"epoch=7\""}],
        });
        let expected = RecordSet {
            name: "_understudy.orders-rw.db.internal".to_owned(),
            kind: Kind::Txt,
            ttl: 1,
            values: vec!["epoch=7".to_owned()],
            ..RecordSet::default()
        };
        assert_eq!(record_set(&entry), Some(expected));
        let entry = json!({
            "Name": "leads.db.internal.", "Type": "CNAME", "TTL": 1, "SetIdentifier": "primary", "Failover": "PRIMARY",
            "HealthCheckId": "h-1", "ResourceRecords": [{"Value": "leads-rw.DB.internal."}],
        });
        let expected = RecordSet {
            name: "leads.db.internal".to_owned(),
            kind: Kind::Cname,
            ttl: 1,
            values: vec!["leads-rw.db.internal".to_owned()],
            failover: Some("PRIMARY".to_owned()),
            health_check: Some("h-1".to_owned()),
        };
        assert_eq!(record_set(&entry), Some(expected));
        assert_eq!(record_set(&json!({"Name": "db.internal.", "Type": "SOA", "TTL": 900})), None);
    }
}

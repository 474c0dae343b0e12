//! Names: answers DNS questions from the emulated Route 53, and for the names of load balancers, as the resolver of a
//! VPC does.

use crate::{
    control,
    error::{Error, cannot},
    local_aws::busy,
    owner::{Owner, list},
    place::{DNS_PORT, local},
};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::{Time, TokioRuntimeProvider},
    proto::{
        op::{Metadata, ResponseCode},
        rr::{Name, RData, Record, RecordType, rdata},
    },
};
use hickory_server::{
    Server,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
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

/// One record set: an address or text record and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Name without a final dot, in lower case.
    pub name: String,
    /// `A` or `TXT`; other types are not kept.
    pub kind: Kind,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Its values, texts without their quotes.
    pub values: Vec<String>,
}

/// The record types that the lab answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// A text.
    Txt,
}

/// The hosted zone as Route 53 has it now.
pub struct Zone {
    owner: Owner,
    id: String,
    seen: Mutex<Option<(Instant, Arc<Vec<RecordSet>>)>>,
}

impl Zone {
    /// A zone that is read through its own connection to AWS, so that a question does not wait for other calls.
    pub fn new(owner: Owner, id: String) -> Zone {
        Zone { owner, id, seen: Mutex::new(None) }
    }

    /// All A and TXT records of the zone, at most 50 ms old.
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
        "TXT" => Kind::Txt,
        _ => return None,
    };
    let name = entry["Name"].as_str()?.trim_end_matches('.').to_lowercase();
    let ttl = u32::try_from(entry["TTL"].as_u64()?).ok()?;
    let values = list(entry, "/ResourceRecords").iter().filter_map(|value| value["Value"].as_str());
    let values = values.map(|value| value.trim_matches('"').to_owned()).collect();
    Some(RecordSet { name, kind, ttl, values })
}

/// Where the names of load balancers are.
const BALANCERS: &str = ".amazonaws.com";
/// What Elastic Load Balancing says with its addresses.
const BALANCER_TTL: u32 = 60;

/// Answers questions about the zone, and about load balancers.
struct Responder {
    zone: Arc<Zone>,
}

impl Responder {
    /// The records that answer a question; a response code when there are none for another reason than an empty zone.
    async fn answer(&self, name: &str, kind: RecordType) -> Result<Vec<Record>, ResponseCode> {
        let asked = name.trim_end_matches('.').to_lowercase();
        if asked.ends_with(BALANCERS) {
            return balancer(name, &asked, kind).await;
        }
        if !asked.ends_with(crate::place::ZONE) {
            return Err(ResponseCode::Refused);
        }
        let records = self.zone.records().await.map_err(|_| ResponseCode::ServFail)?;
        let of_name: Vec<&RecordSet> = records.iter().filter(|set| set.name == asked).collect();
        if of_name.is_empty() {
            return Err(ResponseCode::NXDomain);
        }
        let owner = Name::from_ascii(name).map_err(|_| ResponseCode::FormErr)?;
        let mut answers = Vec::new();
        for set in of_name {
            for value in &set.values {
                let data = match (set.kind, kind) {
                    (Kind::A, RecordType::A) => {
                        let address: Ipv4Addr = value.parse().map_err(|_| ResponseCode::ServFail)?;
                        RData::A(rdata::A(address))
                    }
                    (Kind::Txt, RecordType::TXT) => RData::TXT(rdata::TXT::new(vec![value.clone()])),
                    _ => continue,
                };
                answers.push(Record::from_rdata(owner.clone(), set.ttl, data));
            }
        }
        Ok(answers)
    }
}

/// The address of a load balancer's front.
async fn balancer(name: &str, asked: &str, kind: RecordType) -> Result<Vec<Record>, ResponseCode> {
    let fronts = control::fronts().await.map_err(|_| ResponseCode::ServFail)?;
    let front = fronts.iter().find(|front| front.dns_name.to_lowercase() == asked).ok_or(ResponseCode::NXDomain)?;
    let owner = Name::from_ascii(name).map_err(|_| ResponseCode::FormErr)?;
    Ok(match (front.address, kind) {
        (IpAddr::V4(address), RecordType::A) => {
            vec![Record::from_rdata(owner, BALANCER_TTL, RData::A(rdata::A(address)))]
        }
        _ => Vec::new(),
    })
}

#[async_trait::async_trait]
impl RequestHandler for Responder {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut handle: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let answers = match request.request_info() {
            Ok(info) => self.answer(&info.query.name().to_string(), info.query.query_type()).await,
            Err(_) => Err(ResponseCode::FormErr),
        };
        let answers = answers.unwrap_or_else(|code| {
            metadata.response_code = code;
            Vec::new()
        });
        let builder = MessageResponseBuilder::from_message_request(request);
        let response = builder.build(metadata, &answers, &[], &[], &[]);
        match handle.send_response(response).await {
            Ok(info) => info,
            // Whoever asked has gone; nobody is left to be told.
            Err(_) => ResponseInfo::from(hickory_resolver::proto::op::Header { metadata, counts: Default::default() }),
        }
    }
}

/// Begins to answer on 127.0.0.1; ends when the returned server is dropped.
pub async fn serve(zone: Arc<Zone>) -> Result<Names, Error> {
    let doing = "answer names";
    let address = local(DNS_PORT);
    let socket = UdpSocket::bind(address).await.map_err(|error| cannot(doing)(busy(DNS_PORT, &error)))?;
    let listener = TcpListener::bind(address).await.map_err(|error| cannot(doing)(busy(DNS_PORT, &error)))?;
    let mut server = Server::new(Responder { zone });
    server.register_socket(socket);
    server.register_listener(listener, Duration::from_secs(5), 64);
    Ok(Names { _server: server })
}

/// The running responder.
pub struct Names {
    _server: Server<Responder>,
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
        };
        assert_eq!(record_set(&entry), Some(expected));
        assert_eq!(record_set(&json!({"Name": "db.internal.", "Type": "SOA", "TTL": 900})), None);
    }
}

//! Answers DNS questions.

use super::{Kind, RecordSet, Zone};
use crate::{control, place::ZONE};
use hickory_resolver::{
    net::runtime::Time,
    proto::{
        op::{Header, Metadata, ResponseCode},
        rr::{Name, RData, Record, RecordType, rdata},
    },
};
use hickory_server::{
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Where AWS's own names are.
const AWS: &str = ".amazonaws.com";
/// Where those of databases are.
const DATABASES: &str = ".rds.amazonaws.com";
/// What Elastic Load Balancing says with its addresses.
const BALANCER_TTL: u32 = 60;
/// What RDS says with them; Aurora's cluster endpoint has 5 s.
const DATABASE_TTL: u32 = 5;
/// CNAMEs that are followed.
const MOST_HOPS: usize = 4;

/// Answers questions about the zone, and about AWS's own names.
pub(super) struct Responder {
    zone: Arc<Zone>,
    /// Weighted record sets of equal weight take turns.
    turn: AtomicUsize,
}

impl Responder {
    pub(super) fn new(zone: Arc<Zone>) -> Responder {
        Responder { zone, turn: AtomicUsize::new(0) }
    }

    /// The records that answer a question; a response code when there are none for another reason than an empty zone.
    async fn answer(&self, name: &str, kind: RecordType) -> Result<Vec<Record>, ResponseCode> {
        let mut asked = name.trim_end_matches('.').to_lowercase();
        let mut answers = Vec::new();
        for _ in 0..MOST_HOPS {
            if asked.ends_with(AWS) {
                answers.extend(of_aws(&asked, kind).await?);
                return Ok(answers);
            }
            if !asked.ends_with(ZONE) {
                return Err(ResponseCode::Refused);
            }
            let records = self.zone.records().await.map_err(|_| ResponseCode::ServFail)?;
            let of_name: Vec<&RecordSet> = records.iter().filter(|set| set.name == asked).collect();
            if of_name.is_empty() {
                return Err(ResponseCode::NXDomain);
            }
            let owner = Name::from_ascii(format!("{asked}.")).map_err(|_| ResponseCode::FormErr)?;
            let Some(chosen) = self.chosen(&of_name).await else {
                answers.extend(addresses_and_texts(&owner, &of_name, kind)?);
                return Ok(answers);
            };
            let target = chosen.values.first().ok_or(ResponseCode::ServFail)?;
            let data = Name::from_ascii(format!("{target}.")).map_err(|_| ResponseCode::ServFail)?;
            answers.push(Record::from_rdata(owner, chosen.ttl, RData::CNAME(rdata::CNAME(data))));
            if kind == RecordType::CNAME {
                return Ok(answers);
            }
            asked.clone_from(target);
        }
        Err(ResponseCode::ServFail)
    }

    /// Of several CNAMEs of one name, the one that Route 53 would answer with; `None`: the name has none.
    async fn chosen<'a>(&self, sets: &[&'a RecordSet]) -> Option<&'a RecordSet> {
        let names: Vec<&RecordSet> = sets.iter().copied().filter(|set| set.kind == Kind::Cname).collect();
        let primary = names.iter().find(|set| set.failover.as_deref() == Some("PRIMARY"));
        if let Some(primary) = primary {
            let passes = match &primary.health_check {
                // As Route 53: what cannot be looked up is as it was, and here that is well.
                Some(check) => self.zone.passes(check).await.unwrap_or(true),
                None => true,
            };
            let secondary = names.iter().find(|set| set.failover.as_deref() == Some("SECONDARY"));
            return if passes { Some(*primary) } else { secondary.or(Some(primary)).copied() };
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (!names.is_empty()).then(|| names[turn % names.len()])
    }
}

fn addresses_and_texts(owner: &Name, sets: &[&RecordSet], kind: RecordType) -> Result<Vec<Record>, ResponseCode> {
    let mut answers = Vec::new();
    for set in sets {
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

/// The address of a load balancer's front, or of a database.
async fn of_aws(asked: &str, kind: RecordType) -> Result<Vec<Record>, ResponseCode> {
    let (address, ttl) = if asked.ends_with(DATABASES) {
        let databases = control::databases().await.map_err(|_| ResponseCode::ServFail)?;
        (*databases.names.get(asked).ok_or(ResponseCode::NXDomain)?, DATABASE_TTL)
    } else {
        let fronts = control::fronts().await.map_err(|_| ResponseCode::ServFail)?;
        let front = fronts.iter().find(|front| front.dns_name.to_lowercase() == asked).ok_or(ResponseCode::NXDomain)?;
        (front.address, BALANCER_TTL)
    };
    let owner = Name::from_ascii(format!("{asked}.")).map_err(|_| ResponseCode::FormErr)?;
    Ok(match (address, kind) {
        (IpAddr::V4(address), RecordType::A) => vec![Record::from_rdata(owner, ttl, RData::A(rdata::A(address)))],
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
            Err(_) => ResponseInfo::from(Header { metadata, counts: Default::default() }),
        }
    }
}

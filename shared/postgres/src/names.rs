//! From a name to addresses, asked anew for every connection: AWS moves an endpoint by changing its record.
//!
//! The system's resolver is asked, as any client would. Where its answers are not the ones wanted (a laboratory, a
//! network with a resolver of its own), another server is asked for A records directly: one question, over UDP.

use crate::trouble::Trouble;
use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

/// Time after which a question is asked again: an answer inside a network takes a millisecond or two.
const PATIENCE: Duration = Duration::from_millis(200);

/// A chain of CNAMEs longer than this is a loop. Resolvers give up at 8 to 16.
const LONGEST_CHAIN: usize = 8;

const A: u16 = 1;
const CNAME: u16 = 5;
const INTERNET: u16 = 1;

/// Who is asked for addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Names {
    /// The system's resolver.
    #[default]
    System,
    /// This DNS server.
    Server(SocketAddr),
}

impl Names {
    /// The addresses of a name, in the order of the answer. Ends only with an answer: the caller has the clock.
    pub(crate) async fn addresses(self, name: &str) -> Result<Vec<IpAddr>, Trouble> {
        let unknown = |why: String| Trouble::Silent(format!("{name} has no address: {why}"));
        let found = match self {
            Names::System => tokio::net::lookup_host((name, 0))
                .await
                .map_err(|error| unknown(error.to_string()))?
                .map(|address| address.ip())
                .collect(),
            Names::Server(server) => ask(server, name).await.map_err(unknown)?,
        };
        if found.is_empty() { Err(unknown("the answer is empty".to_owned())) } else { Ok(found) }
    }
}

/// The addresses at the end of a name's CNAMEs. A server may answer the whole chain, or only its first link.
async fn ask(server: SocketAddr, name: &str) -> Result<Vec<IpAddr>, String> {
    let mut name = name.trim_end_matches('.').to_ascii_lowercase();
    for _ in 0..LONGEST_CHAIN {
        let answer = exchange(server, &name).await?;
        let end = answer.end_of(&name);
        let found: Vec<IpAddr> = answer.hosts.iter().filter(|(host, _)| *host == end).map(|(_, at)| *at).collect();
        let is_alias = answer.aliases.iter().any(|(from, _)| *from == name);
        if !found.is_empty() || !is_alias {
            return Ok(found);
        }
        name = end;
    }
    Err(format!("its CNAMEs lead in a circle, or over more than {LONGEST_CHAIN} names"))
}

/// Asks one question until it is answered. A datagram may be lost, and one of another question may come in between.
async fn exchange(server: SocketAddr, name: &str) -> Result<Answer, String> {
    let failed = |error: std::io::Error| format!("DNS server {server}: {error}");
    let here = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(here).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    loop {
        let id = u16::try_from(RandomState::new().hash_one(name) & 0xffff).unwrap_or_default();
        socket.send(&question(id, name)?).await.map_err(failed)?;
        let mut bytes = [0; 4096];
        match timeout(PATIENCE, socket.recv(&mut bytes)).await {
            Ok(Ok(length)) => match read(&bytes[..length], id) {
                Some(answer) => return answer,
                // A late answer to the question before, or none at all.
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            },
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => {}
        }
    }
}

/// What a server answered.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    /// A records.
    hosts: Vec<(String, IpAddr)>,
    /// CNAME records.
    aliases: Vec<(String, String)>,
}

impl Answer {
    /// Where the CNAMEs of this answer lead from a name.
    fn end_of(&self, name: &str) -> String {
        let mut end = name;
        for _ in 0..LONGEST_CHAIN {
            match self.aliases.iter().find(|(from, _)| from == end) {
                Some((_, to)) => end = to,
                None => break,
            }
        }
        end.to_owned()
    }
}

/// The message that asks for a name's A records.
///
/// Source: RFC 1035, section 4.
fn question(id: u16, name: &str) -> Result<Vec<u8>, String> {
    const RECURSION_DESIRED: u16 = 0x0100;
    let mut message = Vec::with_capacity(64);
    for number in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        message.extend(number.to_be_bytes());
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length));
        message.push(length.ok_or_else(|| format!("{label:?} is no label of a name"))?);
        message.extend(label.as_bytes());
    }
    message.push(0);
    for number in [A, INTERNET] {
        message.extend(number.to_be_bytes());
    }
    Ok(message)
}

/// Reads an answer; `None` when it is not one to the question of this id.
fn read(message: &[u8], id: u16) -> Option<Result<Answer, String>> {
    const IS_ANSWER: u16 = 0x8000;
    let mut reader = Reader { message, at: 0 };
    let (answered, flags) = (reader.number()?, reader.number()?);
    if answered != id || flags & IS_ANSWER == 0 {
        return None;
    }
    match flags & 0xf {
        0 => {}
        3 => return Some(Err("there is no such name".to_owned())),
        code => return Some(Err(format!("the DNS server answers with error {code}"))),
    }
    let (questions, answers) = (reader.number()?, reader.number()?);
    reader.at += 4;
    for _ in 0..questions {
        reader.name()?;
        reader.at += 4;
    }
    let mut answer = Answer::default();
    for _ in 0..answers {
        reader.record(&mut answer)?;
    }
    Some(Ok(answer))
}

/// A place in a message.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn number(&mut self) -> Option<u16> {
        let bytes = self.message.get(self.at..self.at + 2)?;
        self.at += 2;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    }

    /// A name, which may end in a pointer to an earlier one.
    fn name(&mut self) -> Option<String> {
        const POINTER: usize = 0xc0;
        let (mut labels, mut at, mut end) = (Vec::new(), self.at, None);
        // Every step but the last reads a label or follows a pointer; a name has at most 127 labels.
        for _ in 0..256 {
            let length = usize::from(*self.message.get(at)?);
            at += 1;
            if length == 0 {
                self.at = end.unwrap_or(at);
                return Some(labels.join("."));
            }
            if length & POINTER == POINTER {
                let low = usize::from(*self.message.get(at)?);
                end = end.or(Some(at + 1));
                at = (length & !POINTER) << 8 | low;
                continue;
            }
            let label = self.message.get(at..at + length)?;
            labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
            at += length;
        }
        None
    }

    fn record(&mut self, answer: &mut Answer) -> Option<()> {
        let owner = self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        self.at += 4;
        let length = usize::from(self.number()?);
        let next = self.at + length;
        match (kind, class) {
            (A, INTERNET) => {
                let bytes: [u8; 4] = self.message.get(self.at..next)?.try_into().ok()?;
                answer.hosts.push((owner, IpAddr::V4(Ipv4Addr::from(bytes))));
            }
            (CNAME, INTERNET) => answer.aliases.push((owner, self.name()?)),
            _ => {}
        }
        self.at = next;
        Some(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests;

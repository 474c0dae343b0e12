//! libpq's connection strings, as `primary_conninfo` holds them.

use std::net::{IpAddr, Ipv4Addr};

/// The upstream that a connection string names; `None` when it is empty.
///
/// A string that names its upstream otherwise than by an address gives
/// `0.0.0.0`: the standby has an upstream, but it is no member of a card.
pub(crate) fn upstream(conninfo: &str) -> Option<IpAddr> {
    if conninfo.trim().is_empty() {
        return None;
    }
    let settings = parse(conninfo);
    let address = |key| {
        // As libpq: of a setting given twice, the last counts.
        settings.iter().rev().find(|(name, _)| name == key).and_then(|(_, value)| value.parse().ok())
    };
    Some(address("hostaddr").or_else(|| address("host")).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

/// The settings of a `key=value` connection string, in order.
///
/// Values may be quoted with `'`, and `\` takes the next character as it is.
/// What breaks the rules ends the list: libpq would not connect with it at all.
///
/// Source: PostgreSQL manual, "Keyword/Value Connection Strings" (section 34.1.1.1).
fn parse(conninfo: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut rest = conninfo.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = value(after.trim_start());
        settings.push((key.trim().to_owned(), value));
        rest = after.trim_start();
    }
    settings
}

/// The value at the start of `text`, and what follows it.
fn value(text: &str) -> (String, &str) {
    let (quoted, text) = text.strip_prefix('\'').map_or((false, text), |text| (true, text));
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            '\'' if quoted => return (value, &text[at + 1..]),
            _ if letter.is_ascii_whitespace() && !quoted => return (value, &text[at..]),
            _ => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams() {
        let table = [
            ("frozen", "", None),
            ("frozen, with a blank", " ", None),
            ("by address", "host=orders-rw.db.internal hostaddr=10.0.1.10 port=5432", Some("10.0.1.10")),
            ("quoted, with blanks around", "hostaddr = '10.0.1.11' user='a b'", Some("10.0.1.11")),
            (
                "the address is part of another value",
                r"options='hostaddr=10.9.9.9 \' x' hostaddr=10.0.1.12",
                Some("10.0.1.12"),
            ),
            ("given twice, the last counts", "hostaddr=10.0.1.10 hostaddr=10.0.1.13", Some("10.0.1.13")),
            ("version 6", "hostaddr=fd00::1", Some("fd00::1")),
            ("the host is an address", "host=10.0.1.14", Some("10.0.1.14")),
            ("only a name", "host=db1 user=replicator", Some("0.0.0.0")),
        ];
        for (name, conninfo, expected) in table {
            assert_eq!(upstream(conninfo).map(|address| address.to_string()).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn values_are_unescaped() {
        let parsed = parse(r"passfile=/var/lib/a\ b\'c user='it\'s' application_name=orders_2");
        let expected = [("passfile", "/var/lib/a b'c"), ("user", "it's"), ("application_name", "orders_2")];
        assert_eq!(parsed, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}

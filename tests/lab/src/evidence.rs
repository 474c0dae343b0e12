//! Why the old writer could acknowledge nothing more, in one word of the documentation, read from the ledger's sentence.

use serde::Serialize;

/// A kind of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Evidence {
    /// EC2 read the instance back as stopped or terminated.
    Stopped,
    /// PostgreSQL had ended, and its guard starts nothing.
    PostgresDown,
    /// The member was cut from everybody for longer than its guard lets it write.
    SelfFenced,
    /// So many standbys were frozen that no commit could be acknowledged.
    CommitsFrozen,
    /// Patroni, or every other member, says that another leads: its rules are the proof.
    Followed,
    /// A sentence that the lab does not know.
    Unknown,
}

impl Evidence {
    /// Reads the ledger's sentence.
    pub fn of(sentence: &str) -> Evidence {
        let table = [
            ("EC2 reads ", Evidence::Stopped),
            ("PostgreSQL on ", Evidence::PostgresDown),
            ("commits frozen on ", Evidence::CommitsFrozen),
        ];
        let begins = table.iter().find(|(words, _)| sentence.starts_with(words)).map(|(_, kind)| *kind);
        let fenced = sentence.contains(" has been cut from every standby for ").then_some(Evidence::SelfFenced);
        let followed = sentence.starts_with("Patroni on ") || sentence.contains(" is out of recovery on timeline ");
        begins.or(fenced).or(followed.then_some(Evidence::Followed)).unwrap_or(Evidence::Unknown)
    }

    /// Whether it proves something where commits wait for nobody.
    pub fn holds_without_synchrony(self) -> bool {
        matches!(self, Evidence::Stopped | Evidence::PostgresDown | Evidence::SelfFenced | Evidence::Followed)
    }
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_of_the_ledger_is_known() {
        let table = [
            ("EC2 reads i-0a1 back as stopped: nothing on it runs", Evidence::Stopped),
            (
                "PostgreSQL on i-0a1 has ended, and its guard starts nothing before epoch 7 is over",
                Evidence::PostgresDown,
            ),
            (
                "i-0a1 has been cut from every standby for 35.2 s, and its guard stops PostgreSQL after 20.0 s without contact",
                Evidence::SelfFenced,
            ),
            ("commits frozen on 2 of 2 standbys (ANY 1 of 2): the old writer cannot collect", Evidence::CommitsFrozen),
            (
                "Patroni on shop_2 says that shop_2 leads; PostgreSQL on shop_2 is out of recovery on timeline 2",
                Evidence::Followed,
            ),
            (
                "shop_2 is out of recovery on timeline 2, and every other member that answers follows it; no Patroni answered",
                Evidence::Followed,
            ),
            ("i-0a1 is stopping", Evidence::Unknown),
            ("", Evidence::Unknown),
        ];
        for (sentence, expected) in table {
            assert_eq!(Evidence::of(sentence), expected, "{sentence}");
        }
        let holds = table.map(|(_, kind)| kind.holds_without_synchrony());
        assert_eq!(holds, [true, true, true, false, true, true, false, false]);
    }
}

//! The form of a page: a subject that fits, then lines that begin with what they tell.

use crate::failover::Page;
use std::fmt::Write as _;

/// SNS takes no longer subject.
const LONGEST_SUBJECT: usize = 100;

impl Page {
    /// A page without a text; of the subject, what SNS takes.
    #[must_use]
    pub fn about(subject: &str) -> Page {
        let plain = subject.chars().filter(|letter| letter.is_ascii() && !letter.is_ascii_control());
        Page { subject: plain.take(LONGEST_SUBJECT).collect(), text: String::new() }
    }

    /// With one more line: `Seen`, `Done`, `Lost`, `Now`, `Next`.
    #[must_use]
    pub fn line(mut self, name: &str, what: &str) -> Page {
        let _ = writeln!(self.text, "{name:<8}{what}");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_what_sns_takes() {
        let page = Page::about(&format!("P1 orders:\n\u{e9} {}", "x".repeat(200))).line("Seen", "one");
        assert_eq!(page.subject.len(), 100);
        assert!(page.subject.starts_with("P1 orders: xxx"), "{}", page.subject);
        assert_eq!(page.text, "Seen    one\n");
    }
}

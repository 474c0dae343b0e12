//! What was seen how often.

use std::collections::BTreeMap;

/// Counts, by group and name.
#[derive(Debug, Clone, Default)]
pub struct Tally(pub BTreeMap<&'static str, BTreeMap<String, u64>>);

impl Tally {
    /// One more.
    pub fn count(&mut self, group: &'static str, name: &str) {
        self.add(group, name, 1);
    }

    /// So many more.
    pub fn add(&mut self, group: &'static str, name: &str, count: u64) {
        let group = self.0.entry(group).or_default();
        match group.get_mut(name) {
            Some(seen) => *seen += count,
            None => {
                group.insert(name.to_owned(), count);
            }
        }
    }

    /// How often it was seen.
    #[must_use]
    pub fn of(&self, group: &str, name: &str) -> u64 {
        self.0.get(group).and_then(|group| group.get(name)).copied().unwrap_or(0)
    }

    /// All of another's.
    pub fn take_in(&mut self, other: Tally) {
        for (group, names) in other.0 {
            for (name, count) in names {
                self.add(group, &name, count);
            }
        }
    }
}

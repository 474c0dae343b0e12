//! Who is what today: the item `roles`, which a stack is rendered from.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The item of the state table that holds them.
pub const ROLES: &str = "roles";

/// Which instance fills which place of an RDS cluster, and who writes. Written by the change of writer that made it so;
/// `deploy-cluster` renders the stack from it, so that no update of the stack ever undoes a failover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// The place that writes, counted from 1.
    pub writer: u32,
    /// How often the instance of a place was made anew; a place that is missing here has its first one.
    #[serde(default)]
    pub generations: BTreeMap<u32, u32>,
    /// ARN of the other Region's instance that this side's writing place replicates from, instead of what the spec
    /// says; `"none"`: from nobody, since this side took over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
}

impl Default for Roles {
    /// As the spec has them.
    fn default() -> Self {
        Roles { writer: 1, generations: BTreeMap::new(), upstream: None }
    }
}

impl Roles {
    /// `DBInstanceIdentifier` of whatever fills a place: `prod-ledger-2`, `prod-ledger-2-g3` for the third.
    #[must_use]
    pub fn instance_id(&self, fleet: &str, cluster: &str, place: u32) -> String {
        let first = format!("{fleet}-{cluster}-{place}");
        match self.generations.get(&place).copied().unwrap_or(1) {
            0 | 1 => first,
            generation => format!("{first}-g{generation}"),
        }
    }

    /// After this place became writer: the old one is made anew, as a replica of it.
    #[must_use]
    pub fn promoted(&self, place: u32) -> Self {
        let mut after = self.clone();
        *after.generations.entry(self.writer).or_insert(1) += 1;
        after.writer = place;
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_made_anew_has_another_name() {
        let roles = Roles::default();
        assert_eq!(roles.instance_id("prod", "ledger", 1), "prod-ledger-1");
        let after = roles.promoted(2);
        assert_eq!((after.writer, after.instance_id("prod", "ledger", 2)), (2, "prod-ledger-2".to_owned()));
        assert_eq!(after.instance_id("prod", "ledger", 1), "prod-ledger-1-g2");
        let back = after.promoted(1);
        assert_eq!(back.instance_id("prod", "ledger", 2), "prod-ledger-2-g2");
        assert_eq!(back.instance_id("prod", "ledger", 1), "prod-ledger-1-g2");
    }
}

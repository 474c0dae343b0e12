//! Who is what today: the item `roles`, which a stack is rendered from.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
    /// What the instance that writes was made as a replica of, when that is not what the spec says: the end of an
    /// identifier ([`Roles::name`]), or an ARN in the other Region. A stack keeps it as its source for life: without
    /// one, CloudFormation would promote it once more, which RDS refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_from: Option<String>,
}

impl Default for Roles {
    /// As the spec has them.
    fn default() -> Self {
        Roles { writer: 1, generations: BTreeMap::new(), upstream: None, made_from: None }
    }
}

/// What [`Roles::upstream`] says of a side that took over.
const NOBODY: &str = "none";

impl Roles {
    /// How often a place was filled: 1, its first instance.
    #[must_use]
    pub fn generation(&self, place: u32) -> u32 {
        self.generations.get(&place).copied().unwrap_or(1).max(1)
    }

    /// The end of the identifier of whatever fills a place: `2`, `2-g3` for the third.
    #[must_use]
    pub fn name(&self, place: u32) -> String {
        match self.generation(place) {
            1 => place.to_string(),
            generation => format!("{place}-g{generation}"),
        }
    }

    /// `DBInstanceIdentifier` of whatever fills a place: `prod-ledger-2`, `prod-ledger-2-g3` for the third.
    #[must_use]
    pub fn instance_id(&self, fleet: &str, cluster: &str, place: u32) -> String {
        format!("{fleet}-{cluster}-{}", self.name(place))
    }

    /// Whom this side follows across Regions, if the spec does not say it.
    #[must_use]
    pub fn follows(&self) -> Option<&str> {
        self.upstream.as_deref().filter(|upstream| *upstream != NOBODY)
    }

    /// After this place became writer, of so many: all others are made anew, as its replicas. RDS can point a replica
    /// to no other source, so those of the old writer would follow it for ever.
    #[must_use]
    pub fn promoted(&self, place: u32, places: u32) -> Self {
        let mut after = self.clone();
        for other in (1..=places).chain([self.writer]).filter(|other| *other != place).collect::<BTreeSet<u32>>() {
            after.generations.insert(other, self.generation(other) + 1);
        }
        if place != self.writer {
            after.made_from = (self.generation(place) > 1).then(|| self.name(self.writer));
        }
        after.writer = place;
        after
    }

    /// After this side took over from the other Region: its writer follows nobody any more.
    #[must_use]
    pub fn took_over(&self) -> Self {
        let made_from = self.follows().map(str::to_owned).or_else(|| self.made_from.clone());
        Roles { upstream: Some(NOBODY.to_owned()), made_from, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_made_anew_has_another_name() {
        let roles = Roles::default();
        assert_eq!(roles.instance_id("prod", "ledger", 1), "prod-ledger-1");
        let after = roles.promoted(2, 2);
        assert_eq!((after.writer, after.instance_id("prod", "ledger", 2)), (2, "prod-ledger-2".to_owned()));
        assert_eq!(after.instance_id("prod", "ledger", 1), "prod-ledger-1-g2");
        assert_eq!(after.made_from, None, "the second place's first instance is what the spec says");
        let back = after.promoted(1, 2);
        assert_eq!(back.made_from.as_deref(), Some("2"));
        assert_eq!(back.instance_id("prod", "ledger", 2), "prod-ledger-2-g2");
        assert_eq!(back.instance_id("prod", "ledger", 1), "prod-ledger-1-g2");
    }

    #[test]
    fn replicas_of_the_old_writer_are_made_anew_with_it() {
        let after = Roles::default().promoted(2, 3);
        assert_eq!(after.generations, BTreeMap::from([(1, 2), (3, 2)]));
        let again = after.promoted(3, 3);
        assert_eq!((again.name(1), again.name(2), again.name(3)), ("1-g3".into(), "2-g2".into(), "3-g2".into()));
        assert_eq!(again.made_from.as_deref(), Some("2"));
    }

    #[test]
    fn a_side_that_took_over_follows_nobody_and_keeps_what_it_was_made_from() {
        let first = Roles::default().took_over();
        assert_eq!((first.follows(), first.made_from.as_deref()), (None, None));
        let arn = "arn:aws:rds:eu-west-1:111122223333:db:prod-leads-1-g2";
        let second = Roles { upstream: Some(arn.into()), ..Roles::default() };
        assert_eq!(second.follows(), Some(arn));
        assert_eq!((second.took_over().follows(), second.took_over().made_from.as_deref()), (None, Some(arn)));
        assert_eq!(second.took_over().took_over(), second.took_over());
    }
}

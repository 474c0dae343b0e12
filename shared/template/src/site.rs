//! What every module makes its part of a template from.

use crate::{Fleet, Part, Template, Tls, Value, resource::Tag};
use domain::{
    card::{Card, Records},
    managed::Roles,
    spec::Spec,
};
use std::collections::BTreeMap;

/// The records of a cluster.
#[must_use]
pub fn records(spec: &Spec, fleet: &Fleet) -> Records {
    let zone = spec.records.zone.as_ref().unwrap_or(&fleet.zone);
    Records {
        zone_id: zone.id.clone(),
        writer: format!("{}-rw.{}", spec.name, zone.name),
        reader: format!("{}-ro.{}", spec.name, zone.name),
        ttl_s: spec.records.ttl_s,
    }
}

/// A part of a cluster in a fleet.
pub(crate) struct Site<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) fleet: &'a Fleet,
    pub(crate) tls: &'a Tls,
    pub(crate) part: Part,
    /// Who is what today; of `rds-postgres` only.
    pub(crate) today: &'a Roles,
}

impl Site<'_> {
    /// An empty template of this site.
    pub(crate) fn template(&self) -> Template {
        let side = match self.part {
            Part::Primary => "",
            Part::Dr => ", its standby in a second Region",
        };
        let mut template = Template::new(format!(
            "PostgreSQL cluster {} of fleet {}{side}, made by Understudy",
            self.spec.name, self.fleet.name
        ));
        // So that it can be rendered anew when roles have changed, with nothing else at hand.
        template.note("Spec", serde_json::json!(self.spec));
        if self.spec.topology.is_managed() {
            template.note("Roles", serde_json::json!(self.today));
        }
        template
    }

    pub(crate) fn stack(&self) -> String {
        format!("understudy-{}-{}", self.fleet.name, self.spec.name)
    }

    pub(crate) fn records(&self) -> Records {
        records(self.spec, self.fleet)
    }

    /// Name of the SSM parameter with the card.
    pub(crate) fn card(&self) -> String {
        Card::parameter(&self.fleet.name, &self.spec.name)
    }

    /// Name of an SSM parameter below the card: not found where cards are listed.
    pub(crate) fn below_card(&self, name: &str) -> String {
        format!("{}/{name}", self.card())
    }

    /// Networks whose clients may connect.
    pub(crate) fn client_cidrs(&self) -> &[String] {
        if self.spec.client_cidrs.is_empty() { &self.fleet.client_cidrs } else { &self.spec.client_cidrs }
    }

    /// The customer key of this part's Region, if there is one.
    pub(crate) fn kms_key(&self) -> Option<String> {
        match self.part {
            Part::Primary => self.spec.encryption.kms_key_arn.clone(),
            Part::Dr => self.kms_key_in_dr(),
        }
    }

    /// The customer key in the second Region: the spec's check takes none but a multi-Region key, which has the same
    /// id everywhere.
    pub(crate) fn kms_key_in_dr(&self) -> Option<String> {
        let (arn, dr) = (self.spec.encryption.kms_key_arn.as_ref()?, self.spec.dr.as_ref()?);
        let mut parts: Vec<&str> = arn.split(':').collect();
        *parts.get_mut(3)? = &dr.region;
        Some(parts.join(":"))
    }

    /// Who is told when an alarm rings, and when it is over.
    pub(crate) fn pages(&self) -> Vec<Value> {
        vec![self.fleet.pages_topic_arn.as_str().into()]
    }

    /// Tags of every resource: the owner's, then Understudy's, by which its
    /// functions know what is theirs.
    pub(crate) fn tag_map(&self) -> BTreeMap<String, String> {
        let mut tags = self.spec.tags.clone();
        tags.insert("understudy:fleet".into(), self.fleet.name.clone());
        tags.insert("understudy:cluster".into(), self.spec.name.clone());
        tags
    }

    pub(crate) fn tags(&self) -> Vec<Tag> {
        self.tag_map().into_iter().map(|(key, value)| Tag { key, value }).collect()
    }

    /// The same with a name that the console shows.
    pub(crate) fn named(&self, name: &str) -> Vec<Tag> {
        let mut tags = self.tags();
        tags.push(Tag { key: "Name".into(), value: name.to_owned() });
        tags
    }
}

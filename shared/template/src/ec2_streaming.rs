//! Topology `ec2-streaming`: a writer and its streaming standbys on EC2.
//!
//! Members are symmetric, and nothing here says who writes: a stack update can
//! never move traffic. The records are not in the stack for the same reason.

mod access;
mod alarms;
mod card;
mod members;
mod user_data;

use crate::{
    Fleet, Handle, Template, Tls, Value,
    resource::{GenerateSecretString, Secret, Tag},
};
use domain::{
    card::{Card, Records},
    spec::Spec,
};
use std::collections::BTreeMap;

/// The template's parameter for the machine image, given once and kept: a newer
/// image at the next update would replace every member.
pub const IMAGE_PARAMETER: &str = "ImageId";

/// The template of one cluster.
#[must_use]
pub fn ec2_streaming(spec: &Spec, fleet: &Fleet, tls: &Tls) -> Template {
    let site = &Site { spec, fleet, tls };
    let description = format!("PostgreSQL cluster {} of fleet {}, made by Understudy", spec.name, fleet.name);
    let template = &mut Template::new(description);

    let image = match &spec.image.ami {
        Some(id) => id.as_str().into(),
        None => template.parameter(
            IMAGE_PARAMETER,
            "AWS::EC2::Image::Id",
            "Debian 12; chosen when the cluster is created and kept for its life",
        ),
    };
    let secrets = secrets(template, site);
    let profile = access::role(template, site, &secrets);
    let group = access::security_group(template, site);
    let members = members::add(template, site, &image, &profile, &group, &secrets);
    let card = card::add(template, site, &members, &secrets);
    alarms::add(template, site, &members, &card);
    outputs(template, site, &members, &secrets);
    std::mem::replace(template, Template::new(String::new()))
}

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

/// What every part of the template is made from.
struct Site<'a> {
    spec: &'a Spec,
    fleet: &'a Fleet,
    tls: &'a Tls,
}

impl Site<'_> {
    fn stack(&self) -> String {
        format!("understudy-{}-{}", self.fleet.name, self.spec.name)
    }

    fn records(&self) -> Records {
        records(self.spec, self.fleet)
    }

    /// Networks whose clients may connect.
    fn client_cidrs(&self) -> &[String] {
        if self.spec.client_cidrs.is_empty() { &self.fleet.client_cidrs } else { &self.spec.client_cidrs }
    }

    /// Tags of every resource: the owner's, then Understudy's, by which its
    /// functions know what is theirs.
    fn tag_map(&self) -> BTreeMap<String, String> {
        let mut tags = self.spec.tags.clone();
        tags.insert("understudy:fleet".into(), self.fleet.name.clone());
        tags.insert("understudy:cluster".into(), self.spec.name.clone());
        tags
    }

    fn tags(&self) -> Vec<Tag> {
        self.tag_map().into_iter().map(|(key, value)| Tag { key, value }).collect()
    }

    /// The same with a name that the console shows.
    fn named(&self, name: &str) -> Vec<Tag> {
        let mut tags = self.tags();
        tags.push(Tag { key: "Name".into(), value: name.to_owned() });
        tags
    }
}

/// The passwords of a cluster's roles, generated where nobody sees them.
struct Secrets {
    operator: Handle<Secret>,
    replication: Handle<Secret>,
    application: Handle<Secret>,
}

fn secrets(template: &mut Template, site: &Site<'_>) -> Secrets {
    let mut add = |id: &str, name: &str, role: &str, purpose: &str| {
        let secret = Secret {
            name: format!("understudy/{}/{}/{name}", site.fleet.name, site.spec.name),
            description: format!("PostgreSQL role {role} of cluster {}: {purpose}", site.spec.name),
            generate_secret_string: GenerateSecretString {
                // A role is an identifier, so that it needs no escape.
                secret_string_template: format!(r#"{{"username":"{role}"}}"#),
                generate_string_key: "password",
                // What a passfile, a URL or a shell would take for its own.
                exclude_characters: ":\\'\"/@ $`%",
                password_length: 32,
            },
            tags: site.tags(),
        };
        template.add(id, secret)
    };
    Secrets {
        operator: add("OperatorSecret", "operator", "understudy", "Understudy's functions"),
        replication: add("ReplicationSecret", "replication", "replicator", "the standbys"),
        application: add("ApplicationSecret", "application", &site.spec.postgresql.owner, "the application"),
    }
}

fn outputs(template: &mut Template, site: &Site<'_>, members: &[members::Member], secrets: &Secrets) {
    let records = site.records();
    let mut output = |name: &str, description: &str, value: Value| template.output(name, description, value);
    output("WriterRecord", "Name of the writer, for reads and writes", records.writer.into());
    output("ReaderRecord", "Name of the standbys, for reads", records.reader.into());
    output("Port", "Port of every member", site.spec.postgresql.port.to_string().into());
    output("Database", "The application's database", site.spec.postgresql.database.as_str().into());
    output(
        "ApplicationSecret",
        "ARN of the secret with the application's role and password",
        secrets.application.arn(),
    );
    output(
        "Card",
        "SSM parameter that describes the cluster",
        Card::parameter(&site.fleet.name, &site.spec.name).into(),
    );
    for (number, member) in (1..).zip(members) {
        output(&format!("Member{number}Instance"), &format!("Instance of {}", member.name), member.instance.id());
        output(
            &format!("Member{number}Address"),
            &format!("Private address of {}", member.name),
            member.interface.address(),
        );
    }
}

//! Names and tags.

use crate::spec::{Finding, Spec, words};

/// Names that are taken, reserved or would need quotes.
pub(super) fn names(spec: &Spec) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut refuse = |path: &str, name: &str, taken: &[&str]| {
        let allowed = if taken.contains(&name) {
            format!("any name but {}, which every cluster has already", taken.join(", "))
        } else if name.starts_with("pg_") {
            "a name that does not begin with pg_, which PostgreSQL keeps for itself".to_owned()
        } else if words::is_reserved(name) {
            "a name that is no reserved word of SQL".to_owned()
        } else {
            return;
        };
        found.push(Finding::new(&[path], format!("\"{name}\""), allowed));
    };
    refuse("/postgresql/database", &spec.postgresql.database, &words::DATABASES);
    refuse("/postgresql/owner", &spec.postgresql.owner, &words::ROLES);
    found
}

/// A resource has 50 tags at most; CloudFormation and Understudy need some.
const MOST_TAGS: usize = 40;

/// Source: Resource Groups Tagging user guide, "Tag naming limits and requirements".
pub(super) fn tags(spec: &Spec) -> Vec<Finding> {
    let fits = |text: &str, most: usize| {
        text.chars().count() <= most && text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c))
    };
    let mut found = Vec::new();
    if spec.tags.len() > MOST_TAGS {
        found.push(Finding::new(&["/tags"], format!("{} tags", spec.tags.len()), format!("at most {MOST_TAGS} tags")));
    }
    for (key, value) in &spec.tags {
        let path = format!("/tags/{}", key.replace('~', "~0").replace('/', "~1"));
        let lower = key.to_lowercase();
        if lower.starts_with("aws:") || lower.starts_with("understudy:") || key == "Name" {
            let allowed = "a tag that is neither Name nor begins with aws: or understudy:";
            found.push(Finding::new(&[&path], format!("the key \"{key}\""), allowed));
        } else if key.is_empty() || !fits(key, 128) {
            let allowed = "a key of 1 to 128 letters, digits, spaces and _ . : / = + - @";
            found.push(Finding::new(&[&path], format!("the key \"{key}\""), allowed));
        } else if !fits(value, 256) {
            let allowed = "a value of at most 256 letters, digits, spaces and _ . : / = + - @";
            found.push(Finding::new(&[&path], format!("\"{value}\""), allowed));
        }
    }
    found
}

//! Topologies `aurora-provisioned` and `aurora-serverless`.

use crate::{Template, site::Site};

/// The template of one part of a cluster.
pub(crate) fn render(site: &Site<'_>) -> Template {
    Template::new(format!("Understudy: {}", site.spec.name))
}

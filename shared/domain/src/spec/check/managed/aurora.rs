//! Aurora.

use super::{class, roles};
use crate::{
    card::Topology,
    spec::{Finding, Spec},
};

/// Class of the instances when the spec gives none.
const CLASS: &str = "db.r7g.large";

/// Class or capacity, and what goes with them.
pub(in super::super) fn aurora(spec: &Spec) -> Vec<Finding> {
    if !spec.topology.is_aurora() {
        return Vec::new();
    }
    let aurora = spec.aurora();
    let is_serverless = spec.topology == Topology::AuroraServerless;
    let mut found = roles(spec);
    let path = "/aurora/instance_class";
    match (&aurora.instance_class, is_serverless) {
        (Some(given), true) => {
            let allowed = "nothing for aurora-serverless: /aurora/capacity says how large its instances are";
            found.push(Finding::new(&[path, "/topology"], format!("\"{given}\""), allowed));
        }
        (given, false) => {
            let given = given.as_deref().unwrap_or(CLASS);
            found.extend(offered(path, given).unwrap_or_else(|| class(spec, path, given)));
        }
        (None, true) => {}
    }
    if aurora.capacity.is_some() && !is_serverless {
        let allowed = "nothing, unless /topology is aurora-serverless";
        found.push(Finding::new(&["/aurora/capacity", "/topology"], "an object", allowed));
    }
    found.extend(capacity(spec, is_serverless));
    found
}

/// Aurora PostgreSQL has classes of the families r, t3 and t4g only.
///
/// Source: Amazon Aurora User Guide, "Supported DB engines for DB instance classes".
fn offered(path: &str, class: &str) -> Option<Vec<Finding>> {
    let (family, size) = class.strip_prefix("db.")?.split_once('.')?;
    let small = ["t3", "t4g"].contains(&family) && ["medium", "large"].contains(&size);
    if family.starts_with('r') || small {
        return None;
    }
    let allowed = "a class that Aurora PostgreSQL has: db.r5 and later, or db.t3 and db.t4g of medium and large";
    Some(vec![Finding::new(&[path], format!("\"{class}\""), allowed)])
}

/// The limits of Serverless v2.
///
/// Source: Amazon Aurora User Guide, "Aurora Serverless v2 capacity" and "Scaling to zero ACUs".
fn capacity(spec: &Spec, is_serverless: bool) -> Vec<Finding> {
    let Some(capacity) = spec.aurora().capacity.filter(|_| is_serverless) else { return Vec::new() };
    let (least, most) = ("/aurora/capacity/min_half_acu", "/aurora/capacity/max_half_acu");
    let mut found = Vec::new();
    if capacity.min_half_acu > capacity.max_half_acu {
        let allowed = format!("0 to {}, the maximum", capacity.max_half_acu);
        found.push(Finding::new(&[least, most], capacity.min_half_acu.to_string(), allowed));
    }
    let blocks = [
        ("/managed/proxy", spec.managed().proxy.is_some(), "an RDS Proxy, whose connections never end"),
        ("/dr", spec.dr.is_some(), "a second Region, which replicates all the time"),
    ];
    for (path, is_given, why) in blocks {
        if is_given && capacity.min_half_acu == 0 {
            let allowed = format!("1 to 512 half units: a cluster with {why}, never pauses");
            found.push(Finding::new(&[least, path], "0", allowed));
        }
    }
    found
}

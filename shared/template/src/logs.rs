//! Where the hosts' logs go.

use crate::{Handle, Template, resource::LogGroup, site::Site};

/// Days that CloudWatch Logs can keep events.
///
/// Source: CloudWatch Logs API reference, "PutRetentionPolicy".
const RETENTIONS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// The group of all hosts' logs; none when the spec keeps logs for 0 days.
///
/// It goes with the stack: its name is fixed, so that people and alarms find it, and a group left behind would make
/// creating a cluster of that name fail. Why a creation failed stays in the stack's events and in the state table.
pub(crate) fn add(template: &mut Template, site: &Site<'_>) -> Option<Handle<LogGroup>> {
    if site.spec.log_days == 0 {
        return None;
    }
    let group = LogGroup {
        log_group_name: name(site),
        retention_in_days: retention(site.spec.log_days),
        kms_key_id: None,
        tags: site.tags(),
    };
    Some(template.add("Logs", group))
}

/// Name of the group.
pub(crate) fn name(site: &Site<'_>) -> String {
    format!("/understudy/{}/{}", site.fleet.name, site.spec.name)
}

/// At least as long as wished.
pub(crate) fn retention(days: u32) -> u32 {
    RETENTIONS.into_iter().find(|&kept| kept >= days).unwrap_or(RETENTIONS[RETENTIONS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_kept_at_least_as_long_as_wished() {
        for (wished, kept) in [(1, 1), (2, 3), (30, 30), (31, 60), (3_652, 3_653), (3_653, 3_653)] {
            assert_eq!(retention(wished), kept, "{wished} days");
        }
    }
}

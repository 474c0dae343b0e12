//! The other Region's clients: what they say is used when it comes.

use cloud::{SdkConfig, ec2::Ec2, in_region, lambda::Lambda, rds::Rds, ssm::Ssm, state::StateTable};

/// Clients of the other Region. Every call may fail for ever.
pub struct OtherRegion {
    pub(super) rds: Rds,
    pub(super) ec2: Ec2,
    pub(super) ssm: Ssm,
    pub(super) states: StateTable,
    pub(super) lambda: Lambda,
}

impl OtherRegion {
    /// Builds them. The fleet has the same name in both Regions, and so has its table.
    #[must_use]
    pub fn new(config: &SdkConfig, region: &str, table: &str) -> Self {
        let config = &in_region(config, region);
        OtherRegion {
            rds: Rds::new(config),
            ec2: Ec2::new(config),
            ssm: Ssm::new(config),
            states: StateTable::new(config, table),
            lambda: Lambda::new(config),
        }
    }
}

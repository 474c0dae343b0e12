//! Deliberate bugs, injected from outside the shipped code: the checker must
//! find each.

use clap::ValueEnum;

/// A deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mutation {
    /// A freeze answers that it is done and does nothing; looks agree.
    PromoteBeforeFence,
    /// The second freeze of every pass does nothing; looks agree.
    FreezeTooFew,
    /// The last known position of the old writer is taken from the standbys.
    IgnoreLagGate,
    /// Standbys show each other's positions: the lower one is chosen.
    TakeLowerLsn,
    /// The state table looks at no epoch, phase or lease.
    ForgetEpoch,
    /// EC2's `stopping` reads as `stopped`.
    TrustStopping,
    /// A member starts as writer whatever the state item says.
    NoBootGuard,
    /// A writer's guard never stops it for want of contact.
    GuardIgnoresTtl,
    /// The writer record moves at the beginning of a change.
    RecordFirst,
    /// The published set is never written.
    PublishNothing,
    /// The floor of a set that begins is never written.
    ForgetFloor,
    /// The guard item reads as held whenever the port refuses.
    TrustRefusedPort,
    /// What a guard wrote at an older epoch counts at this one.
    TrustOldHold,
    /// Every lease is free: two passes may act at once.
    ForgetLease,
    /// A pause is written and never read.
    IgnorePause,
    /// Whom a pass was about to promote is never written.
    ForgetPromoting,
    /// Standbys seem to hear nothing of the writer.
    OneWitness,
}

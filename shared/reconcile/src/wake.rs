//! Which clusters a pass has to look at. The facts of an event are never
//! trusted: events come late, twice and out of order, so a pass looks for itself.

use domain::events::{Meaning, Subject, Suspicion};

/// Where a pass begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// All clusters of the fleet.
    Everything,
    /// The cluster with this name.
    Cluster(String),
    /// The cluster that this EC2 instance is a member of, if it is one.
    Instance(String),
    /// The cluster whose writer watch-clusters lost.
    Suspicion(Suspicion),
}

impl Wake {
    /// Where an event sends a pass; `None` when it asks for no pass: it is
    /// ignored, or it is a request that is answered instead.
    #[must_use]
    pub fn of(meaning: &Meaning) -> Option<Wake> {
        match meaning {
            Meaning::InstanceState { instance, .. } => Some(Wake::Instance(instance.clone())),
            Meaning::Alarm(alarm) => Some(match &alarm.subject {
                Subject::Cluster(cluster) => Wake::Cluster(cluster.clone()),
                Subject::Instance(instance) => Wake::Instance(instance.clone()),
                Subject::Fleet => Wake::Everything,
            }),
            Meaning::Stack { cluster, .. } | Meaning::Attention { cluster, .. } => Some(Wake::Cluster(cluster.clone())),
            Meaning::Schedule => Some(Wake::Everything),
            Meaning::Suspicion(suspicion) => Some(Wake::Suspicion(suspicion.clone())),
            Meaning::Spec { .. } | Meaning::Explain { .. } | Meaning::Ignored(_) => None,
        }
    }
}

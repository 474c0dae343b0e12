//! What a function calls is what its role allows, and nothing else: too few
//! actions are an outage, too many a hole.

use domain::events::Function;
use scenarios::rules::Template;
use std::collections::BTreeSet;

#[test]
fn a_functions_calls_equal_its_policy() {
    let template =
        Template::read(&scenarios::repository("infra/template.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let table: [(Function, &[&str]); 6] = [
        (Function::DeployCluster, &deploy_cluster::CALLS),
        (Function::WatchClusters, &watch_clusters::CALLS),
        (Function::PromoteReplica, &promote_replica::CALLS),
        (Function::UpdateDns, &update_dns::CALLS),
        (Function::RejoinReplica, &rejoin_replica::CALLS),
        (Function::FailOverRegion, &fail_over_region::CALLS),
    ];
    for (function, calls) in table {
        let calls: BTreeSet<String> = calls.iter().map(|call| (*call).to_owned()).collect();
        let allowed = template.actions(function).unwrap_or_else(|error| panic!("{error}"));
        let (missing, needless): (Vec<_>, Vec<_>) =
            (calls.difference(&allowed).collect(), allowed.difference(&calls).collect());
        assert!(
            missing.is_empty() && needless.is_empty(),
            "{function}: called but not allowed {missing:?}, allowed but not called {needless:?}"
        );
    }
}

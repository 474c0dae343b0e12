//! The card of the second Region's side.

use crate::world::THERE;
use domain::{
    card::{BackupCard, CardInstance, Isolation, ManagedCard, OtherRegion, PairCard, Records, Side, Topology},
    policy::Policy,
    region::DrCard,
};

pub fn card(topology: Topology, region_failover: bool) -> DrCard {
    let aurora = topology.is_aurora();
    DrCard::Managed(Box::new(ManagedCard {
        version: 1,
        fleet: "prod".to_owned(),
        cluster: "ledger".to_owned(),
        topology,
        side: Side::Dr,
        region: "eu-central-1".to_owned(),
        database: "ledger".to_owned(),
        port: 5432,
        records: Records {
            zone_id: "Z1".to_owned(),
            writer: "ledger-dr-rw.db.internal".to_owned(),
            reader: "ledger-dr-ro.db.internal".to_owned(),
            ttl_s: 1,
        },
        operator_secret: "understudy/prod/ledger/operator".to_owned(),
        db_cluster: aurora.then(|| "prod-ledger".to_owned()),
        instances: vec![CardInstance { id: "prod-ledger-1".to_owned(), place: 1, never_promote: false, tier: 0 }],
        aws_fails_over: aurora,
        global_cluster: aurora.then(|| "prod-ledger-global".to_owned()),
        other: Some(OtherRegion {
            region: "eu-west-1".to_owned(),
            db_cluster_arn: aurora.then(|| THERE.to_owned()),
            instances: vec!["prod-ledger-1".to_owned()],
        }),
        isolation: (!aurora).then(|| Isolation {
            security_groups: vec!["sg-1".to_owned()],
            isolated_group: "sg-0".to_owned(),
            network_acl: None,
            usual_network_acl: None,
        }),
        backups: Some(BackupCard { retention_days: 30, window: "02:00-03:00".to_owned() }),
        pair: Some(PairCard {
            name: "ledger.db.internal".to_owned(),
            alarm: "understudy-prod-ledger-primary-serves".to_owned(),
            namespace: "Understudy".to_owned(),
            metric: "PrimaryServes".to_owned(),
            health_check: "hc-1".to_owned(),
        }),
        pooler: None,
        policy: Policy { region_failover, ..Policy::default() },
    }))
}

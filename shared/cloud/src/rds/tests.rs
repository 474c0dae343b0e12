use super::*;
use crate::replay::{Reply, answer, kind, script};
use domain::{
    card::{CardInstance, ManagedCard, Records, Side, Topology},
    managed::GlobalFailover,
    policy::Policy,
};
use reconcile::Failure;

/// The card of an RDS cluster with two instances.
fn card() -> ManagedCard {
    let instance = |place: u32| CardInstance { id: format!("lab-leads-{place}"), place, never_promote: false, tier: 0 };
    ManagedCard {
        version: 1,
        fleet: "lab".into(),
        cluster: "leads".into(),
        topology: Topology::RdsPostgres,
        side: Side::Primary,
        region: "eu-west-1".into(),
        database: "leads".into(),
        port: 5432,
        records: Records {
            zone_id: "Z1".into(),
            writer: "leads-rw.db.internal".into(),
            reader: "leads-ro.db.internal".into(),
            ttl_s: 1,
        },
        operator_secret: "understudy/lab/leads/operator".into(),
        db_cluster: None,
        instances: vec![instance(1), instance(2)],
        aws_fails_over: true,
        global_cluster: None,
        other: None,
        isolation: None,
        backups: None,
        pair: None,
        pooler: None,
        policy: Policy::default(),
    }
}

fn aurora() -> ManagedCard {
    let topology = Topology::AuroraServerless;
    let global_cluster = Some("lab-carts-global".into());
    ManagedCard { topology, db_cluster: Some("lab-carts".into()), instances: vec![], global_cluster, ..card() }
}

fn wrapped(action: &str, body: &str) -> Reply {
    Reply::Http(200, format!("<{action}Response><{action}Result>{body}</{action}Result></{action}Response>"))
}

fn instances(instances: &[String]) -> Reply {
    let all = instances.concat();
    wrapped("DescribeDBInstances", &format!("<DBInstances>{all}</DBInstances>"))
}

fn instance(id: &str, engine: &str, rest: &str) -> String {
    format!(
        "<DBInstance><DBInstanceIdentifier>{id}</DBInstanceIdentifier><Engine>{engine}</Engine>\
         <DBInstanceStatus>available</DBInstanceStatus>{rest}</DBInstance>"
    )
}

/// As RDS tells of a Multi-AZ writer with replicas here and in another Region.
fn writer() -> String {
    instance(
        "lab-leads-1",
        "postgres",
        "<DBInstanceArn>arn:aws:rds:eu-west-1:000000000000:db:lab-leads-1</DBInstanceArn>\
         <DBInstanceClass>db.r6i.xlarge</DBInstanceClass><AvailabilityZone>eu-west-1a</AvailabilityZone>\
         <Endpoint><Address>lab-leads-1.x.eu-west-1.rds.amazonaws.com</Address><Port>5432</Port></Endpoint>\
         <MultiAZ>true</MultiAZ><BackupRetentionPeriod>30</BackupRetentionPeriod><PromotionTier>1</PromotionTier>\
         <VpcSecurityGroups><VpcSecurityGroupMembership><VpcSecurityGroupId>sg-1</VpcSecurityGroupId>\
         <Status>active</Status></VpcSecurityGroupMembership></VpcSecurityGroups>\
         <DBSubnetGroup><Subnets><Subnet><SubnetIdentifier>subnet-a</SubnetIdentifier>\
         <SubnetAvailabilityZone><Name>eu-west-1a</Name></SubnetAvailabilityZone></Subnet>\
         <Subnet><SubnetIdentifier>subnet-b</SubnetIdentifier><SubnetAvailabilityZone><Name>eu-west-1b</Name>\
         </SubnetAvailabilityZone></Subnet></Subnets></DBSubnetGroup>\
         <ReadReplicaDBInstanceIdentifiers>\
         <ReadReplicaDBInstanceIdentifier>lab-leads-2</ReadReplicaDBInstanceIdentifier>\
         <ReadReplicaDBInstanceIdentifier>lab-leads-3-g2</ReadReplicaDBInstanceIdentifier>\
         <ReadReplicaDBInstanceIdentifier>arn:aws:rds:eu-central-1:000000000000:db:lab-leads-1\
         </ReadReplicaDBInstanceIdentifier></ReadReplicaDBInstanceIdentifiers>",
    )
}

fn replica(id: &str) -> String {
    let source = "<ReadReplicaSourceDBInstanceIdentifier>lab-leads-1</ReadReplicaSourceDBInstanceIdentifier>";
    instance(id, "postgres", source)
}

fn error(code: &str, message: &str) -> Reply {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    );
    Reply::Http(400, body)
}

#[tokio::test]
async fn an_instance_is_read_as_rds_tells_it_and_replicas_made_since_are_found() {
    let (config, replay) =
        script([instances(&[writer(), replica("lab-leads-2")]), instances(&[replica("lab-leads-3-g2")])]);
    let seen = Rds::new(&config).described(&card()).await.unwrap();
    let ids: Vec<&str> = seen.instances.iter().map(|instance| &*instance.id).collect();
    assert_eq!(ids, ["lab-leads-1", "lab-leads-2", "lab-leads-3-g2"]);
    let one = seen.instance("lab-leads-1").unwrap();
    assert_eq!(one.endpoint.as_deref(), Some("lab-leads-1.x.eu-west-1.rds.amazonaws.com"));
    assert_eq!((one.multi_az, one.backup_retention_days, one.promotion_tier), (true, 30, Some(1)));
    assert_eq!((one.zone.as_deref(), one.subnet.as_deref()), (Some("eu-west-1a"), Some("subnet-a")));
    assert_eq!(one.security_groups, [("sg-1".to_owned(), "active".to_owned())]);
    assert_eq!((one.source.as_deref(), one.replicas.len(), one.is_available()), (None, 3, true));
    assert_eq!(seen.instance("lab-leads-2").unwrap().source.as_deref(), Some("lab-leads-1"));
    assert_eq!((seen.db_cluster, seen.global), (None, None));
    let asked = replay.asked();
    let values = |place: usize| -> Vec<String> {
        let form: Vec<(String, String)> = asked[place].form();
        form.into_iter().filter(|(name, _)| name.contains("Values")).map(|(_, value)| value).collect()
    };
    assert_eq!(values(0), ["lab-leads-1", "lab-leads-2"]);
    assert_eq!(values(1), ["lab-leads-3-g2"], "not the one of another Region");
}

#[tokio::test]
async fn what_is_not_there_or_no_postgresql_is_missing() {
    let neptune = instance("lab-leads-1", "neptune", "");
    let (config, _) = script([instances(&[neptune, instance("stranger", "postgres", "")])]);
    assert_eq!(Rds::new(&config).described(&card()).await.unwrap(), domain::managed::Described::default());
    let (config, _) = script([instances(&[])]);
    assert_eq!(Rds::new(&config).instance("lab-leads-1").await.unwrap(), None);
}

#[tokio::test]
async fn all_pages_are_read() {
    let first = format!("<Marker>m1</Marker><DBInstances>{}</DBInstances>", replica("lab-leads-2"));
    let (config, replay) =
        script([wrapped("DescribeDBInstances", &first), instances(&[instance("lab-leads-1", "postgres", "")])]);
    assert_eq!(Rds::new(&config).described(&card()).await.unwrap().instances.len(), 2);
    let marker = replay.asked()[1].form().into_iter().find(|(name, _)| name == "Marker");
    assert_eq!(marker.map(|(_, value)| value).as_deref(), Some("m1"));
}

const CLUSTER: &str = "<DBClusters><DBCluster><DBClusterIdentifier>lab-carts</DBClusterIdentifier>\
     <DBClusterArn>arn:aws:rds:eu-west-1:000000000000:cluster:lab-carts</DBClusterArn>\
     <Engine>aurora-postgresql</Engine><Status>available</Status>\
     <Endpoint>lab-carts.cluster-x.eu-west-1.rds.amazonaws.com</Endpoint>\
     <ReaderEndpoint>lab-carts.cluster-ro-x.eu-west-1.rds.amazonaws.com</ReaderEndpoint>\
     <ServerlessV2ScalingConfiguration><MinCapacity>0.0</MinCapacity></ServerlessV2ScalingConfiguration>\
     <MasterUserSecret><SecretArn>arn:secret</SecretArn></MasterUserSecret>\
     <DBClusterMembers><DBClusterMember><DBInstanceIdentifier>lab-carts-1</DBInstanceIdentifier>\
     <IsClusterWriter>false</IsClusterWriter></DBClusterMember><DBClusterMember>\
     <DBInstanceIdentifier>lab-carts-2</DBInstanceIdentifier><IsClusterWriter>true</IsClusterWriter>\
     </DBClusterMember></DBClusterMembers></DBCluster></DBClusters>";

fn global(state: &str) -> Reply {
    let body = format!(
        "<GlobalClusters><GlobalClusterMember><GlobalClusterIdentifier>lab-carts-global</GlobalClusterIdentifier>\
         <Status>available</Status>{state}<GlobalClusterMembers>\
         <GlobalClusterMember><DBClusterArn>arn:one</DBClusterArn><IsWriter>true</IsWriter></GlobalClusterMember>\
         <GlobalClusterMember><DBClusterArn>arn:two</DBClusterArn><IsWriter>false</IsWriter></GlobalClusterMember>\
         </GlobalClusterMembers></GlobalClusterMember></GlobalClusters>"
    );
    wrapped("DescribeGlobalClusters", &body)
}

#[tokio::test]
async fn an_aurora_cluster_is_read_with_its_members_and_its_global_cluster() {
    let member = "<DBClusterIdentifier>lab-carts</DBClusterIdentifier>";
    let members = ["lab-carts-1", "lab-carts-2"].map(|id| instance(id, "aurora-postgresql", member));
    let state = "<FailoverState><Status>failing-over</Status><ToDbClusterArn>arn:two</ToDbClusterArn>\
         <IsDataLossAllowed>true</IsDataLossAllowed></FailoverState>";
    let (config, _) = script([wrapped("DescribeDBClusters", CLUSTER), instances(&members), global(state)]);
    let seen = Rds::new(&config).described(&aurora()).await.unwrap();
    let cluster = seen.db_cluster.unwrap();
    assert_eq!(cluster.writer.as_deref(), Some("lab-carts-2"), "by RDS's word now, not by name");
    assert!(cluster.pauses && cluster.endpoint.unwrap().starts_with("lab-carts.cluster-x."));
    assert_eq!(seen.instances.len(), 2);
    let seen = seen.global.unwrap();
    assert_eq!((seen.writer.as_deref(), seen.members.len()), (Some("arn:one"), 2));
    let failover = GlobalFailover { status: "failing-over".into(), to: Some("arn:two".into()), allows_data_loss: true };
    assert_eq!(seen.failover, Some(failover));

    let (config, _) = script([global("<FailoverState/>")]);
    assert_eq!(Rds::new(&config).global("lab-carts-global").await.unwrap().unwrap().failover, None);
    let (config, _) = script([error("GlobalClusterNotFoundFault", "no such global cluster")]);
    assert_eq!(Rds::new(&config).global("lab-carts-global").await.unwrap(), None);
    let (config, _) = script([wrapped("DescribeDBClusters", CLUSTER)]);
    assert_eq!(Rds::new(&config).master_secret("lab-carts").await.unwrap().as_deref(), Some("arn:secret"));
}

#[tokio::test]
async fn orders_carry_every_word_that_they_need() {
    let (config, replay) = script([
        wrapped("ModifyDBInstance", ""),
        wrapped("PromoteReadReplica", ""),
        wrapped("FailoverDBCluster", ""),
        wrapped("FailoverGlobalCluster", ""),
        wrapped("SwitchoverGlobalCluster", ""),
    ]);
    let rds = Rds::new(&config);
    rds.set_security_groups("lab-leads-1", &["sg-9".to_owned()]).await.unwrap();
    rds.promote("lab-leads-2", 30, "02:00-03:00").await.unwrap();
    rds.fail_over("lab-carts", "lab-carts-2").await.unwrap();
    rds.failover_global("lab-carts-global", "arn:two", true).await.unwrap();
    rds.switchover_global("lab-carts-global", "arn:two").await.unwrap();
    let sent: Vec<String> = replay
        .asked()
        .iter()
        .map(|asked| {
            let mut form: Vec<String> =
                asked.form().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            form.sort();
            form.join(" ")
        })
        .collect();
    assert_eq!(
        sent,
        [
            "Action=ModifyDBInstance ApplyImmediately=true DBInstanceIdentifier=lab-leads-1 \
             VpcSecurityGroupIds.VpcSecurityGroupId.1=sg-9",
            "Action=PromoteReadReplica BackupRetentionPeriod=30 DBInstanceIdentifier=lab-leads-2 \
             PreferredBackupWindow=02:00-03:00",
            "Action=FailoverDBCluster DBClusterIdentifier=lab-carts TargetDBInstanceIdentifier=lab-carts-2",
            "Action=FailoverGlobalCluster AllowDataLoss=true GlobalClusterIdentifier=lab-carts-global \
             TargetDbClusterIdentifier=arn:two",
            "Action=SwitchoverGlobalCluster GlobalClusterIdentifier=lab-carts-global \
             TargetDbClusterIdentifier=arn:two",
        ]
    );
}

#[tokio::test]
async fn what_rds_refuses_is_told_apart() {
    let table = [
        ("InvalidDBInstanceState", "DB Instance is not in available state.", "transient"),
        ("InvalidDBInstanceState", "DB Instance is not a read replica.", "lost race"),
        ("DBInstanceNotFound", "DBInstance lab-leads-2 not found.", "broken"),
        ("AccessDenied", "not authorized", "broken"),
        ("InvalidParameterCombination", "odd", "broken"),
    ];
    for (code, message, expected) in table {
        let (config, replay) = script([error(code, message)]);
        let failure = Rds::new(&config).promote("lab-leads-2", 30, "02:00-03:00").await.unwrap_err();
        assert_eq!(kind(&failure), expected, "{code}: {failure}");
        let story = failure.story();
        assert!(story.contains("DB instance lab-leads-2") && story.contains(code), "{story}");
        replay.only();
    }
    let (config, _) = script([error("InvalidDBInstanceState", "DB Instance is not in available state.")]);
    let failure = Rds::new(&config).stop("lab-leads-1").await.unwrap_err();
    assert_eq!(
        failure.story(),
        "rds:StopDBInstance failed for now: DB instance lab-leads-1 is in a state in which RDS refuses this: \
         InvalidDBInstanceState: DB Instance is not in available state. (request r-1)"
    );
    let (config, _) = script([error("InvalidGlobalClusterStateFault", "failing over")]);
    let failure = Rds::new(&config).failover_global("lab-carts-global", "arn:two", true).await.unwrap_err();
    assert_eq!(kind(&failure), "transient");
    let (config, _) = script([error("InstanceQuotaExceeded", "too many")]);
    assert!(matches!(Rds::new(&config).reboot("lab-leads-1").await, Err(Failure::Broken { .. })));
}

#[tokio::test]
async fn room_is_read() {
    let quotas = "<AccountQuotas><AccountQuota><AccountQuotaName>DBInstances</AccountQuotaName><Used>38</Used>\
         <Max>40</Max></AccountQuota></AccountQuotas>";
    let (config, _) = script([wrapped("DescribeAccountAttributes", quotas)]);
    let room = Rds::new(&config).room().await.unwrap();
    assert_eq!(room, [Room { quota: "DBInstances".into(), used: 38, most: 40 }]);
    let offered = "<OrderableDBInstanceOptions><OrderableDBInstanceOption><DBInstanceClass>db.r7g.large\
         </DBInstanceClass></OrderableDBInstanceOption></OrderableDBInstanceOptions>";
    for (body, expected) in [(offered, true), ("", false)] {
        let (config, _) = answer(
            200,
            format!(
                "<DescribeOrderableDBInstanceOptionsResponse><DescribeOrderableDBInstanceOptionsResult>{body}\
                 </DescribeOrderableDBInstanceOptionsResult></DescribeOrderableDBInstanceOptionsResponse>"
            ),
        );
        let rds = Rds::new(&config);
        assert_eq!(rds.is_offered("aurora-postgresql", Some("15.7"), "db.r7g.large").await.unwrap(), expected);
    }
}

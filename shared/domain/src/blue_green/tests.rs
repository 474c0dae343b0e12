use super::*;
use crate::decision::Decision;

fn source() -> Source {
    Source { arn: "arn:leads-1".into(), version: "16.4".into(), not_available: vec![] }
}

fn seen(action: Action) -> Observed {
    Observed {
        cluster: "leads".into(),
        topology: Topology::RdsPostgres,
        action,
        done: false,
        paused: None,
        writer_changes: None,
        busy: None,
        limits: Limits { logical_replication: Some(true), ..Limits::default() },
        source: Some(source()),
        deployment: None,
        lag_bytes: None,
    }
}

fn deployment(status: &str) -> Option<Deployment> {
    Some(Deployment {
        id: "bgd-1".into(),
        status: status.into(),
        details: None,
        source: "arn:leads-1".into(),
        target: Some("arn:green".into()),
        tasks: vec![("CREATING_READ_REPLICA_OF_SOURCE".into(), "IN_PROGRESS".into())],
    })
}

fn wanted(version: &str, groups: bool) -> Wanted {
    let group = groups.then(|| "leads-17".to_owned());
    Wanted { engine_version: Some(version.into()), parameter_group: group.clone(), cluster_parameter_group: group }
}

fn create(version: &str, groups: bool) -> Observed {
    seen(Action::Create(wanted(version, groups)))
}

fn word(decision: &Decision<Step, Reason>) -> String {
    match decision {
        Decision::Steady => "steady".into(),
        Decision::Wait(reason) => format!("wait: {reason}"),
        Decision::Refuse(reason) => format!("refuse: {reason}"),
        Decision::Act(steps) => steps.iter().map(|step| format!("act: {step}")).collect(),
    }
}

fn check(name: &str, seen: &Observed, beginning: &str) {
    let decision = word(&decide(seen));
    assert!(decision.starts_with(beginning), "{name}: {decision}");
}

#[test]
fn a_green_copy_is_made_where_aws_makes_one() {
    check("minor", &create("16.6", false), "act: make a green copy of arn:leads-1 with engine version 16.6");
    check("major", &create("17", true), "act: make a green copy of arn:leads-1 with engine version 17");
    let same = seen(Action::Create(Wanted::default()));
    check("as it is", &same, "act: make a green copy of arn:leads-1");
    // Physical replication needs no parameter.
    let limits = Limits { logical_replication: Some(false), ..Limits::default() };
    check("minor", &Observed { limits: limits.clone(), ..create("16.6", false) }, "act");
    check(
        "major",
        &Observed { limits: limits.clone(), ..create("17", true) },
        "refuse: rds.logical_replication is off",
    );
    let aurora = Observed { topology: Topology::AuroraProvisioned, limits, ..create("16.6", true) };
    check("Aurora, minor", &aurora, "refuse: rds.logical_replication is off");
}

#[test]
fn what_aws_does_not_offer_is_refused_by_name() {
    let with = |limits: Limits| Observed {
        limits: Limits { logical_replication: Some(true), ..limits },
        ..create("16.6", false)
    };
    let table = [
        (Limits { proxy: true, ..Limits::default() }, "refuse: AWS makes no blue/green deployment behind an RDS Proxy"),
        (
            Limits { second_region: true, ..Limits::default() },
            "refuse: AWS makes no blue/green deployment of a database with",
        ),
        (
            Limits { multi_az_cluster: true, ..Limits::default() },
            "refuse: AWS makes no blue/green deployment of a Multi-AZ",
        ),
        (
            Limits { cascade: Some("leads-2".into()), ..Limits::default() },
            "refuse: AWS makes no blue/green deployment with replicas of replicas, and leads-2 has some",
        ),
        (
            Limits { managed_password: true, ..Limits::default() },
            "refuse: AWS makes no blue/green deployment while RDS manages the master password",
        ),
    ];
    for (limits, expected) in table {
        check(expected, &with(limits), expected);
    }
    check("older", &create("15", true), "refuse: the cluster has PostgreSQL 16, and 15 is older");
    check("groups", &create("17", false), "refuse: PostgreSQL 17 needs parameters of its own family");
    let unknown = Observed { limits: Limits::default(), ..create("17", true) };
    check("unknown", &unknown, "refuse: the writer could not be asked");
    let on_ec2 = Observed { topology: Topology::Ec2Patroni, ..create("17", true) };
    check(
        "EC2",
        &on_ec2,
        "refuse: a blue/green deployment is a thing of Aurora and RDS, and this cluster is ec2-patroni",
    );
}

#[test]
fn nothing_is_begun_while_something_else_is_under_way() {
    for action in [Action::Create(Wanted::default()), Action::SwitchOver] {
        let deployment = (action == Action::SwitchOver).then(|| deployment("AVAILABLE")).flatten();
        let base = Observed { deployment, lag_bytes: Some(0), ..seen(action) };
        check(
            "paused",
            &Observed { paused: Some("maintenance".into()), ..base.clone() },
            "refuse: the cluster is paused",
        );
        check(
            "change",
            &Observed { writer_changes: Some("leads-1".into()), ..base.clone() },
            "wait: a change of writer",
        );
        check(
            "busy",
            &Observed { busy: Some("CloudFormation is at work".into()), ..base },
            "wait: CloudFormation is at",
        );
    }
    let modifying = Source { not_available: vec!["leads-2 is modifying".into()], ..source() };
    check(
        "RDS",
        &Observed { source: Some(modifying), ..create("16.6", false) },
        "wait: leads-2 is modifying; that must",
    );
    check("gone", &Observed { source: None, ..create("16.6", false) }, "refuse: RDS knows no writer of leads");
}

#[test]
fn it_is_made_once_and_another_one_in_the_way_is_said() {
    for (status, expected) in [
        ("PROVISIONING", "wait: RDS is making the green databases (CREATING_READ_REPLICA_OF_SOURCE: IN_PROGRESS)"),
        ("AVAILABLE", "steady"),
        ("SWITCHOVER_COMPLETED", "refuse: there is one in SWITCHOVER_COMPLETED: delete it first"),
        ("INVALID_CONFIGURATION", "refuse: there is one in INVALID_CONFIGURATION: delete it first"),
    ] {
        check(status, &Observed { deployment: deployment(status), ..create("17", true) }, expected);
    }
}

#[test]
fn it_switches_over_once_and_only_when_the_green_side_has_followed() {
    let of =
        |status: &str, lag_bytes| Observed { deployment: deployment(status), lag_bytes, ..seen(Action::SwitchOver) };
    check("near", &of("AVAILABLE", Some(LAG_BYTES)), "act: switch over bgd-1 within 300 s");
    check("far", &of("AVAILABLE", Some(LAG_BYTES + 1)), "refuse: the green side is 16777217 bytes behind");
    check("unknown", &of("AVAILABLE", None), "refuse: nobody knows how far the green side is behind");
    check("under way", &of("SWITCHOVER_IN_PROGRESS", None), "wait: the green databases are taking over");
    check("over", &of("SWITCHOVER_COMPLETED", Some(0)), "steady");
    check("made", &of("PROVISIONING", None), "wait: RDS is making");
    check("none", &Observed { deployment: None, ..of("AVAILABLE", None) }, "refuse: there is no blue/green deployment");
    // RDS has not said yet that it began: asking again would be a second order.
    check("ordered", &Observed { done: true, ..of("AVAILABLE", Some(0)) }, "wait: the green databases are taking over");
    let failed = of("SWITCHOVER_FAILED", Some(0));
    check("failed before", &failed, "act: switch over");
    check(
        "failed now",
        &Observed { done: true, ..failed },
        "refuse: the blue/green deployment is in SWITCHOVER_FAILED",
    );
    let moved = Source { arn: "arn:leads-2".into(), ..source() };
    let moved = Observed { source: Some(moved), ..of("AVAILABLE", Some(0)) };
    check("moved", &moved, "refuse: the green side copies arn:leads-1, and arn:leads-2 writes");
}

#[test]
fn what_was_switched_over_to_is_never_deleted() {
    let of = |status: &str| Observed { deployment: deployment(status), ..seen(Action::Delete) };
    for (status, expected) in [
        ("AVAILABLE", "act: delete bgd-1 and its green databases"),
        ("PROVISIONING", "act: delete bgd-1 and its green databases"),
        ("SWITCHOVER_FAILED", "act: delete bgd-1 and its green databases"),
        ("SWITCHOVER_COMPLETED", "act: delete bgd-1, and no database"),
        ("SWITCHOVER_IN_PROGRESS", "refuse: the blue/green deployment is in SWITCHOVER_IN_PROGRESS"),
        ("DELETING", "wait: the blue/green deployment is being deleted"),
    ] {
        check(status, &of(status), expected);
    }
    check("gone", &Observed { deployment: None, ..of("") }, "steady");
}

fn facts() -> Facts {
    Facts {
        cluster: "leads".into(),
        fleet: "prod".into(),
        topology: Topology::RdsPostgres,
        version: "16.4".into(),
        targets: vec!["17.2".into(), "17.4".into()],
        limits: Limits { logical_replication: Some(true), ..Limits::default() },
        replicas: vec!["prod-leads-2".into()],
        parameters: vec!["work_mem".into()],
        server: Some(Server {
            extensions: vec![("pg_stat_statements".into(), "1.10".into()), ("pg_partman".into(), "4.7".into())],
            logical_slots: vec!["cdc".into()],
            ..Server::default()
        }),
    }
}

#[test]
fn a_plan_says_what_is_not_well_and_what_to_do_in_order() {
    let text = plan(&facts(), 17).to_string();
    let expected = [
        "leads from PostgreSQL 16.4 to 17, by a blue/green deployment\n",
        "  well   RDS upgrades 16.4 to 17.2, 17.4; take 17.4\n",
        "  well   rds.logical_replication is on\n",
        "  CHECK  extension pg_partman 4.7: turn its background worker off",
        "  well   extensions to update afterwards: pg_stat_statements 1.10, pg_partman 4.7\n",
        "  CHECK  logical slots that must be dropped first: cdc\n",
        "  well   prepared transactions to end first: 0\n",
        "  well   prod-leads-2 are copied with the writer\n",
        "   2. make the parameter group prod-leads-17 of family postgres17",
        "   4. {\"blue_green\": {\"cluster\": \"leads\", \"action\": \"create\", \"engine_version\": \"17.4\", \
         \"parameter_group\": \"prod-leads-17\"}} ;",
        "   7. {\"blue_green\": {\"cluster\": \"leads\", \"action\": \"switch_over\"}} :",
        "   8. set postgresql.version to 17 in the spec and deploy it",
        "  12. after a week without regret delete the ...-old1 databases",
    ];
    for part in expected {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn a_plan_goes_in_place_where_there_is_no_blue_green_deployment() {
    let limits = Limits { second_region: true, ..Limits::default() };
    let aurora = Facts { topology: Topology::AuroraProvisioned, limits, targets: vec![], server: None, ..facts() };
    let text = plan(&aurora, 17).to_string();
    for part in [
        "leads from PostgreSQL 16.4 to 17, in place\n",
        "  CHECK  RDS upgrades 16.4 to no version 17: go by a minor version, or by another major one\n",
        "  well   no blue/green deployment, since a second Region follows",
        "  CHECK  the server was not reached: extensions, slots and tables are unchecked\n",
        "and the cluster parameter group prod-leads-17 of family aurora-postgresql17",
        "aws rds modify-db-cluster --db-cluster-identifier prod-leads",
        "the global database is upgraded as a whole",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains("blue_green"), "{text}");
}

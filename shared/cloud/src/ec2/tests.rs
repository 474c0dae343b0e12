use super::*;
use crate::replay::{Reply, answer, kind, script};

fn ids(list: &[&str]) -> Vec<String> {
    list.iter().map(|id| (*id).to_owned()).collect()
}

fn instances(list: &[(&str, &str)], next: &str) -> Reply {
    let items: String = list
        .iter()
        .map(|(id, state)| {
            format!(
                "<item><instancesSet><item><instanceId>{id}</instanceId><instanceState><code>0</code>\
                 <name>{state}</name></instanceState></item></instancesSet></item>"
            )
        })
        .collect();
    let next = if next.is_empty() { String::new() } else { format!("<nextToken>{next}</nextToken>") };
    Reply::Http(
        200,
        format!(
            "<DescribeInstancesResponse><reservationSet>{items}</reservationSet>{next}</DescribeInstancesResponse>"
        ),
    )
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let body =
        format!("<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>");
    Reply::Http(status, body)
}

#[tokio::test]
async fn every_state_has_a_word_and_every_id_an_entry() {
    let table = [
        ("i-1", "pending", Host::Pending),
        ("i-2", "running", Host::Running),
        ("i-3", "stopping", Host::Stopping),
        ("i-4", "stopped", Host::Stopped),
        ("i-5", "shutting-down", Host::ShuttingDown),
        ("i-6", "terminated", Host::Terminated),
        ("i-7", "hibernating", Host::Unknown("hibernating".into())),
    ];
    let (first, second) = table.split_at(3);
    let listed = |part: &[(&'static str, &'static str, Host)]| -> Vec<(&str, &str)> {
        part.iter().map(|(id, state, _)| (*id, *state)).collect()
    };
    let (config, replay) = script([instances(&listed(first), "t"), instances(&listed(second), "")]);
    let mut asked_for: Vec<&str> = table.iter().map(|(id, ..)| *id).collect();
    asked_for.push("i-8");
    let hosts = Ec2::new(&config).hosts(&ids(&asked_for)).await.unwrap();

    let mut expected: BTreeMap<String, Host> = table.into_iter().map(|(id, _, host)| (id.to_owned(), host)).collect();
    expected.insert("i-8".into(), Host::Missing);
    assert_eq!(hosts, expected);

    let asked = replay.asked();
    let form = asked[0].form();
    assert_eq!(form[0], ("Action".into(), "DescribeInstances".into()));
    assert_eq!(form[1], ("Filter.1.Name".into(), "instance-id".into()));
    assert_eq!(form[2], ("Filter.1.Value.1".into(), "i-1".into()));
    assert!(form.iter().all(|(name, _)| !name.starts_with("InstanceId")), "{form:?}");
    assert!(asked[1].form().contains(&("NextToken".into(), "t".into())));
}

#[tokio::test]
async fn asking_for_nobody_asks_nothing() {
    let (config, replay) = script([]);
    assert!(Ec2::new(&config).hosts(&[]).await.unwrap().is_empty());
    assert!(Ec2::new(&config).impaired(&[]).await.unwrap().is_empty());
    assert!(replay.asked().is_empty(), "without ids EC2 would answer for every instance of the account");
}

#[tokio::test]
async fn more_members_than_a_filter_takes_are_asked_for_in_parts() {
    let many: Vec<String> = (0..201).map(|number| format!("i-{number}")).collect();
    let (config, replay) = script([instances(&[("i-0", "running")], ""), instances(&[("i-200", "stopped")], "")]);
    let hosts = Ec2::new(&config).hosts(&many).await.unwrap();
    assert_eq!((hosts.len(), &hosts["i-0"], &hosts["i-200"]), (201, &Host::Running, &Host::Stopped));
    let last = replay.asked()[1].form();
    assert_eq!(last[2], ("Filter.1.Value.1".into(), "i-200".into()));
}

fn statuses(list: &[(&str, &str, &str)]) -> Reply {
    let items: String = list
        .iter()
        .map(|(id, system, instance)| {
            format!(
                "<item><instanceId>{id}</instanceId><systemStatus><status>{system}</status></systemStatus>\
                 <instanceStatus><status>{instance}</status></instanceStatus></item>"
            )
        })
        .collect();
    let body = format!(
        "<DescribeInstanceStatusResponse><instanceStatusSet>{items}</instanceStatusSet></DescribeInstanceStatusResponse>"
    );
    Reply::Http(200, body)
}

#[tokio::test]
async fn only_failing_checks_are_listed() {
    let list = [
        ("i-1", "ok", "ok"),
        ("i-2", "impaired", "ok"),
        ("i-3", "ok", "impaired"),
        ("i-4", "impaired", "impaired"),
        ("i-5", "initializing", "insufficient-data"),
    ];
    let (config, _) = script([statuses(&list)]);
    let impaired = Ec2::new(&config).impaired(&ids(&["i-1", "i-2", "i-3", "i-4", "i-5"])).await.unwrap();
    let expected = [
        ("i-2", "system status check fails"),
        ("i-3", "instance status check fails"),
        ("i-4", "system and instance status checks fail"),
    ];
    assert_eq!(impaired, expected.map(|(id, text)| (id.to_owned(), text.to_owned())).into());
}

#[tokio::test]
async fn an_unknown_id_hides_no_other() {
    let unknown = error(400, "InvalidInstanceID.NotFound", "The instance ID 'i-9' does not exist");
    let (config, replay) =
        script([unknown, instances(&[("i-1", "running")], ""), statuses(&[("i-1", "impaired", "ok")])]);
    let impaired = Ec2::new(&config).impaired(&ids(&["i-1", "i-9"])).await.unwrap();
    assert_eq!(impaired.keys().collect::<Vec<_>>(), ["i-1"]);
    let form = replay.asked()[2].form();
    let asked_for: Vec<&str> =
        form.iter().filter(|(name, _)| name.starts_with("InstanceId")).map(|(_, id)| &**id).collect();
    assert_eq!(asked_for, ["i-1"]);

    let unknown = error(400, "InvalidInstanceID.NotFound", "The instance ID 'i-9' does not exist");
    let (config, _) = script([unknown, instances(&[], "")]);
    assert!(Ec2::new(&config).impaired(&ids(&["i-9"])).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_instance_is_stopped_without_its_operating_system() {
    let (config, replay) = answer(200, "<StopInstancesResponse><instancesSet/></StopInstancesResponse>");
    Ec2::new(&config).stop("i-0a1").await.unwrap();
    let mut form = replay.only().form();
    form.sort();
    let expected =
        [("Action", "StopInstances"), ("Force", "true"), ("InstanceId.1", "i-0a1"), ("SkipOsShutdown", "true")];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn what_ec2_refuses() {
    let encoded = format!("Encoded authorization failure message: {}", "x".repeat(4000));
    let (config, _) = script([error(403, "UnauthorizedOperation", &encoded)]);
    let failure = Ec2::new(&config).stop("i-0a1").await.unwrap_err();
    assert_eq!(kind(&failure), "broken");
    let text = failure.to_string();
    assert!(text.starts_with("ec2:StopInstances cannot succeed: not allowed on instance i-0a1 (UnauthorizedOperation"));
    assert!(text.ends_with("(request r-1)); does this function's role permit ec2:StopInstances there?"), "{text}");
    assert!(text.len() < 700, "a denial of EC2 carries kilobytes that nobody can read: {}", text.len());

    let (config, _) = script([error(400, "InvalidInstanceID.NotFound", "The instance ID 'i-0a1' does not exist")]);
    let failure = Ec2::new(&config).stop("i-0a1").await.unwrap_err();
    assert!(failure.to_string().contains("instance i-0a1 does not exist"), "{failure}");

    let busy = || error(503, "RequestLimitExceeded", "Request limit exceeded.");
    let (config, replay) = script([busy(), busy(), busy()]);
    let failure = Ec2::new(&config).hosts(&ids(&["i-0a1"])).await.unwrap_err();
    assert_eq!(
        failure.story(),
        "ec2:DescribeInstances failed for now: RequestLimitExceeded: Request limit exceeded. (request r-1)"
    );
    assert_eq!(replay.asked().len(), 3);
}

#[tokio::test]
async fn a_start_and_a_reboot_name_one_instance() {
    let (config, replay) = answer(200, "<StartInstancesResponse><instancesSet/></StartInstancesResponse>");
    Ec2::new(&config).start("i-1").await.unwrap();
    let form = replay.only().form();
    assert_eq!(form[0], ("Action".into(), "StartInstances".into()));
    assert!(form.contains(&("InstanceId.1".into(), "i-1".into())), "{form:?}");
    let (config, replay) = answer(200, "<RebootInstancesResponse><return>true</return></RebootInstancesResponse>");
    Ec2::new(&config).reboot("i-1").await.unwrap();
    let form = replay.only().form();
    assert_eq!(form[0], ("Action".into(), "RebootInstances".into()));
    assert!(form.contains(&("InstanceId.1".into(), "i-1".into())), "{form:?}");
    for order in ["start", "reboot"] {
        let (config, _) = script([error(400, "InvalidInstanceID.NotFound", "no such instance")]);
        let ec2 = Ec2::new(&config);
        let failed = if order == "start" { ec2.start("i-1").await } else { ec2.reboot("i-1").await };
        assert_eq!(kind(&failed.unwrap_err()), "broken", "{order}");
    }
}

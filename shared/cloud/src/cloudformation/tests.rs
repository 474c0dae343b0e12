use super::*;
use crate::replay::{Reply, answer, kind, script};

const STACK: &str = "understudy-lab-orders";

fn error(code: &str, message: &str) -> Reply {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    );
    Reply::Http(if code == "ChangeSetNotFound" { 404 } else { 400 }, body)
}

fn stacks(members: &str) -> Reply {
    let body = format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks>{members}</Stacks></DescribeStacksResult></DescribeStacksResponse>"
    );
    Reply::Http(200, body)
}

fn change_set(status: &str, execution: &str, reason: &str, changes: &str, next: &str) -> Reply {
    let next = if next.is_empty() { String::new() } else { format!("<NextToken>{next}</NextToken>") };
    let body = format!(
        "<DescribeChangeSetResponse><DescribeChangeSetResult><Status>{status}</Status>\
         <ExecutionStatus>{execution}</ExecutionStatus><StatusReason>{reason}</StatusReason>\
         <Changes>{changes}</Changes>{next}</DescribeChangeSetResult></DescribeChangeSetResponse>"
    );
    Reply::Http(200, body)
}

fn changed(logical_id: &str, targets: &[(&str, &str)]) -> String {
    let detail = |(attribute, name): &(&str, &str)| {
        let name = if name.is_empty() { String::new() } else { format!("<Name>{name}</Name>") };
        format!(
            "<member><Target><Attribute>{attribute}</Attribute>{name}\
             <RequiresRecreation>Conditionally</RequiresRecreation></Target><Evaluation>Dynamic</Evaluation>\
             <ChangeSource>ResourceAttribute</ChangeSource><CausingEntity>Clients.GroupId</CausingEntity></member>"
        )
    };
    let details: String = targets.iter().map(detail).collect();
    format!(
        "<member><Type>Resource</Type><ResourceChange><Action>Modify</Action><LogicalResourceId>{logical_id}</LogicalResourceId>\
         <ResourceType>AWS::EC2::Instance</ResourceType><Replacement>Conditional</Replacement>\
         <Details>{details}</Details></ResourceChange></member>"
    )
}

#[tokio::test]
async fn a_stack_is_read_with_what_tells_one_version_of_it_from_the_next() {
    let members = "<member><StackId>arn:1</StackId><StackName>understudy-lab-orders</StackName>\
        <StackStatus>UPDATE_ROLLBACK_COMPLETE</StackStatus><StackStatusReason>no</StackStatusReason>\
        <CreationTime>2026-11-21T01:00:00Z</CreationTime><LastUpdatedTime>2026-11-21T02:00:00.5Z</LastUpdatedTime>\
        <Parameters><member><ParameterKey>ImageId</ParameterKey><ParameterValue>ami-1</ParameterValue></member></Parameters>\
        <Tags><member><Key>understudy:part</Key><Value>dr</Value></member></Tags>\
        <EnableTerminationProtection>true</EnableTerminationProtection></member>";
    let (config, replay) = script([stacks(members)]);
    let stack = CloudFormation::new(&config).stack(STACK).await.unwrap();
    let expected = Stack {
        id: "arn:1".into(),
        status: "UPDATE_ROLLBACK_COMPLETE".into(),
        reason: Some("no".into()),
        changed_at: "2026-11-21T02:00:00.5Z".into(),
        changed_at_ms: 1_795_226_400_500,
        parameters: vec!["ImageId".into()],
        tags: vec![("understudy:part".into(), "dr".into())],
        protected: true,
    };
    assert_eq!(stack, Some(expected));
    let form = replay.only().form();
    assert_eq!(form, [("Action".into(), "DescribeStacks".into()), ("StackName".into(), STACK.into())]);
}

#[tokio::test]
async fn a_stack_that_is_gone_is_none() {
    let deleted = "<member><StackName>understudy-lab-orders</StackName><StackStatus>DELETE_COMPLETE</StackStatus>\
        <CreationTime>2026-11-21T01:00:00Z</CreationTime></member>";
    let answers =
        [error("ValidationError", "Stack with id understudy-lab-orders does not exist"), stacks(deleted), stacks("")];
    for reply in answers {
        let (config, _replay) = script([reply]);
        assert_eq!(CloudFormation::new(&config).stack(STACK).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_refusal_names_the_call_and_the_stack() {
    let (config, _replay) = script([error("AccessDenied", "no")]);
    let failure = CloudFormation::new(&config).stack(STACK).await.unwrap_err();
    assert_eq!(kind(&failure), "broken");
    let text = failure.to_string();
    assert!(text.contains("cloudformation:DescribeStacks") && text.contains(STACK), "{text}");
}

#[tokio::test]
async fn only_stacks_of_the_fleet_that_have_not_come_to_a_good_end_are_listed() {
    let member = |name: &str, status: &str| {
        format!(
            "<member><StackName>{name}</StackName><StackStatus>{status}</StackStatus>\
             <CreationTime>2026-11-21T01:00:00Z</CreationTime></member>"
        )
    };
    let body = format!(
        "<ListStacksResponse><ListStacksResult><StackSummaries>{}{}</StackSummaries></ListStacksResult></ListStacksResponse>",
        member(STACK, "ROLLBACK_COMPLETE"),
        member("other", "REVIEW_IN_PROGRESS")
    );
    let (config, replay) = answer(200, body);
    let found = CloudFormation::new(&config).unsettled("understudy-lab-").await.unwrap();
    let changed_at_ms = 1_795_222_800_000;
    assert_eq!(found, [Unsettled { name: STACK.into(), status: "ROLLBACK_COMPLETE".into(), changed_at_ms }]);
    let form = replay.only().form();
    let asked: Vec<&str> = form
        .iter()
        .filter(|(name, _)| name.starts_with("StackStatusFilter"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert!(asked.contains(&"REVIEW_IN_PROGRESS") && asked.contains(&"DELETE_FAILED"), "{asked:?}");
    for settled in ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "DELETE_COMPLETE"] {
        assert!(!asked.contains(&settled), "{settled}");
    }
}

#[tokio::test]
async fn every_state_of_a_change_set_has_its_meaning() {
    let none =
        "The submitted information didn&apos;t contain changes. Submit different information to create a change set.";
    let table = [
        ("CREATE_PENDING", "UNAVAILABLE", "", ChangeSet::Pending),
        ("CREATE_IN_PROGRESS", "UNAVAILABLE", "", ChangeSet::Pending),
        ("CREATE_COMPLETE", "UNAVAILABLE", "", ChangeSet::Pending),
        ("CREATE_COMPLETE", "AVAILABLE", "", ChangeSet::Ready(vec![])),
        ("CREATE_COMPLETE", "EXECUTE_IN_PROGRESS", "", ChangeSet::Over),
        ("CREATE_COMPLETE", "EXECUTE_COMPLETE", "", ChangeSet::Over),
        ("CREATE_COMPLETE", "EXECUTE_FAILED", "", ChangeSet::Over),
        ("CREATE_COMPLETE", "OBSOLETE", "", ChangeSet::Over),
        ("DELETE_PENDING", "UNAVAILABLE", "", ChangeSet::Over),
        ("FAILED", "UNAVAILABLE", none, ChangeSet::Empty),
        ("FAILED", "UNAVAILABLE", "No updates are to be performed.", ChangeSet::Empty),
        ("FAILED", "UNAVAILABLE", "no such image", ChangeSet::Failed("no such image".into())),
    ];
    for (status, execution, reason, expected) in table {
        let (config, _replay) = script([change_set(status, execution, reason, "", "")]);
        let seen = CloudFormation::new(&config).change_set(STACK, "c").await.unwrap();
        assert_eq!(seen, Some(expected), "{status} {execution} {reason}");
    }
    let (config, _replay) = script([error("ChangeSetNotFound", "ChangeSet [c] does not exist")]);
    assert_eq!(CloudFormation::new(&config).change_set(STACK, "c").await.unwrap(), None);
}

/// The change that harms may be on the last page.
#[tokio::test]
async fn all_pages_of_changes_are_read() {
    let first =
        changed("Member1", &[("Properties", "UserData"), ("Properties", "ImageId"), ("Properties", "UserData")]);
    let second = changed("Member2", &[("Tags", "")]);
    let pages = [
        change_set("CREATE_COMPLETE", "AVAILABLE", "", &first, "t"),
        change_set("CREATE_COMPLETE", "AVAILABLE", "", &second, ""),
    ];
    let (config, replay) = script(pages);
    let seen = CloudFormation::new(&config).change_set(STACK, "c").await.unwrap();
    let detail = |target: &&str| Detail {
        target: (*target).to_owned(),
        recreation: Some("Conditionally".into()),
        evaluation: Some("Dynamic".into()),
        source: Some("ResourceAttribute".into()),
        cause: Some("Clients.GroupId".into()),
    };
    let change = |logical_id: &str, targets: &[&str], details: &[&str]| Change {
        action: "Modify".into(),
        logical_id: logical_id.into(),
        kind: "AWS::EC2::Instance".into(),
        replacement: Some("Conditional".into()),
        targets: targets.iter().map(|&target| target.to_owned()).collect(),
        details: details.iter().map(detail).collect(),
    };
    let members = vec![
        change("Member1", &["ImageId", "UserData"], &["UserData", "ImageId", "UserData"]),
        change("Member2", &["Tags"], &["Tags"]),
    ];
    assert_eq!(seen, Some(ChangeSet::Ready(members)));
    assert!(replay.asked()[1].form().contains(&("NextToken".into(), "t".into())));
}

#[tokio::test]
async fn open_change_sets_are_those_that_may_still_be_executed() {
    let summary = |name: &str, status: &str, execution: &str| {
        format!(
            "<member><ChangeSetName>{name}</ChangeSetName><Status>{status}</Status><ExecutionStatus>{execution}</ExecutionStatus>\
             <CreationTime>1970-01-01T00:00:07Z</CreationTime></member>"
        )
    };
    let summaries = [
        summary("a", "CREATE_COMPLETE", "AVAILABLE"),
        summary("b", "CREATE_PENDING", "UNAVAILABLE"),
        summary("c", "CREATE_COMPLETE", "EXECUTE_COMPLETE"),
        summary("d", "CREATE_COMPLETE", "OBSOLETE"),
        summary("e", "FAILED", "UNAVAILABLE"),
    ];
    let (config, _replay) = answer(
        200,
        format!(
            "<ListChangeSetsResponse><ListChangeSetsResult><Summaries>{}</Summaries></ListChangeSetsResult></ListChangeSetsResponse>",
            summaries.concat()
        ),
    );
    let open = CloudFormation::new(&config).open_change_sets(STACK).await.unwrap();
    let expected = ["a", "b", "e"].map(|name| OpenChangeSet { name: name.into(), created_at_ms: 7_000 });
    assert_eq!(open, expected);
}

fn new(parameters: &'static [(&'static str, Option<&'static str>)]) -> NewChangeSet<'static> {
    NewChangeSet {
        stack: STACK,
        name: "understudy-1",
        new_stack: true,
        template: Template::Body("{}"),
        parameters,
        tags: &[],
        role_arn: "arn:role",
    }
}

#[tokio::test]
async fn a_change_set_is_asked_for_with_role_token_and_parameters() {
    let made = "<CreateChangeSetResponse><CreateChangeSetResult><Id>arn:1</Id></CreateChangeSetResult></CreateChangeSetResponse>";
    let (config, replay) = answer(200, made);
    CloudFormation::new(&config).create_change_set(&new(&[("ImageId", Some("ami-1"))])).await.unwrap();
    let form = replay.only().form();
    let has = |name: &str, value: &str| form.contains(&(name.to_owned(), value.to_owned()));
    for (name, value) in [
        ("StackName", STACK),
        ("ChangeSetName", "understudy-1"),
        ("ClientToken", "understudy-1"),
        ("ChangeSetType", "CREATE"),
        ("RoleARN", "arn:role"),
        ("Capabilities.member.1", "CAPABILITY_IAM"),
        ("Parameters.member.1.ParameterKey", "ImageId"),
        ("Parameters.member.1.ParameterValue", "ami-1"),
    ] {
        assert!(has(name, value), "no {name}={value} in {form:?}");
    }
    assert!(!form.iter().any(|(name, _)| name.contains("UsePreviousValue")));

    let (config, replay) = answer(200, made);
    let template = Template::Url("https://s3.eu-west-1.amazonaws.com/b/k");
    CloudFormation::new(&config)
        .create_change_set(&NewChangeSet { new_stack: false, template, ..new(&[("ImageId", None)]) })
        .await
        .unwrap();
    let form = replay.only().form();
    assert!(form.contains(&("TemplateURL".into(), "https://s3.eu-west-1.amazonaws.com/b/k".into())));
    assert!(!form.iter().any(|(name, _)| name == "TemplateBody"));
    assert!(form.contains(&("Parameters.member.1.UsePreviousValue".into(), "true".into())));
    assert!(!form.iter().any(|(name, _)| name.contains("ParameterValue")));
    assert!(form.contains(&("ChangeSetType".into(), "UPDATE".into())));
}

#[tokio::test]
async fn doing_again_what_is_done_is_a_success_and_coming_late_a_lost_race() {
    let (config, _replay) = script([error("AlreadyExistsException", "ChangeSet [understudy-1] already exists")]);
    CloudFormation::new(&config).create_change_set(&new(&[])).await.unwrap();

    let (config, _replay) = script([error("ChangeSetNotFound", "ChangeSet [c] does not exist")]);
    CloudFormation::new(&config).delete_change_set(STACK, "c").await.unwrap();

    for code in ["InvalidChangeSetStatus", "ChangeSetNotFound"] {
        let (config, _replay) = script([error(code, "no")]);
        let failure = CloudFormation::new(&config).execute_change_set(STACK, "c").await.unwrap_err();
        assert_eq!(kind(&failure), "lost race", "{failure}");
    }
}

#[tokio::test]
async fn a_template_that_is_not_json_is_not_ours() {
    let body = |text: &str| {
        format!(
            "<GetTemplateResponse><GetTemplateResult><TemplateBody>{text}</TemplateBody></GetTemplateResult></GetTemplateResponse>"
        )
    };
    let (config, replay) = answer(200, body("{&quot;a&quot;: 1}"));
    assert_eq!(CloudFormation::new(&config).template(STACK).await.unwrap(), serde_json::json!({ "a": 1 }));
    let asked = replay.only().form();
    assert!(asked.contains(&("TemplateStage".into(), "Original".into())));
    assert!(!asked.iter().any(|(key, _)| key == "ChangeSetName"), "{asked:?}");

    let (config, replay) = answer(200, body("{&quot;a&quot;: 2}"));
    let template = CloudFormation::new(&config).change_set_template(STACK, "c").await.unwrap();
    assert_eq!(template, serde_json::json!({ "a": 2 }));
    assert!(replay.only().form().contains(&("ChangeSetName".into(), "c".into())));

    let (config, _replay) = answer(200, body("a: 1"));
    assert_eq!(kind(&CloudFormation::new(&config).template(STACK).await.unwrap_err()), "broken");
}

fn events(members: &[String], next: &str) -> Reply {
    let next = if next.is_empty() { String::new() } else { format!("<NextToken>{next}</NextToken>") };
    let members = members.concat();
    let body = format!(
        "<DescribeStackEventsResponse><DescribeStackEventsResult><StackEvents>{members}</StackEvents>{next}\
         </DescribeStackEventsResult></DescribeStackEventsResponse>"
    );
    Reply::Http(200, body)
}

fn event(id: &str, logical_id: &str, status: &str, reason: &str) -> String {
    let (kind, physical) =
        if logical_id == STACK { ("AWS::CloudFormation::Stack", "arn:1") } else { ("AWS::EC2::Instance", "i-1") };
    format!(
        "<member><StackId>arn:1</StackId><EventId>{id}</EventId><StackName>{STACK}</StackName>\
         <LogicalResourceId>{logical_id}</LogicalResourceId><PhysicalResourceId>{physical}</PhysicalResourceId>\
         <ResourceType>{kind}</ResourceType><Timestamp>1970-01-01T00:00:07Z</Timestamp>\
         <ResourceStatus>{status}</ResourceStatus><ResourceStatusReason>{reason}</ResourceStatusReason></member>"
    )
}

#[tokio::test]
async fn the_events_of_the_last_change_are_read_back_to_its_beginning() {
    let first = [event("4", STACK, "ROLLBACK_IN_PROGRESS", "no"), event("3", "Member1", "CREATE_FAILED", "too small")];
    let second =
        [event("2", STACK, "CREATE_IN_PROGRESS", "User Initiated"), event("1", STACK, "REVIEW_IN_PROGRESS", "")];
    let (config, replay) = script([events(&first, "t"), events(&second, "more")]);
    let found = CloudFormation::new(&config).last_change("arn:1").await.unwrap();
    assert_eq!(found.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["4", "3", "2"]);
    let failed = Event {
        id: "3".into(),
        logical_id: "Member1".into(),
        kind: "AWS::EC2::Instance".into(),
        status: "CREATE_FAILED".into(),
        reason: Some("too small".into()),
        at_ms: 7_000,
        is_stack: false,
    };
    assert_eq!(found[1], failed);
    assert!(found[2].begins() && found[2].is_stack && !found[0].begins());
    assert_eq!(replay.asked().len(), 2, "what was before the change is not asked for");

    let (config, _replay) = script([error("ValidationError", "Stack [x] does not exist")]);
    assert_eq!(CloudFormation::new(&config).last_change("x").await.unwrap(), []);
}

#[tokio::test]
async fn a_stack_is_deleted_by_its_arn_unless_it_is_protected() {
    let (config, replay) = answer(200, "<DeleteStackResponse></DeleteStackResponse>");
    CloudFormation::new(&config).delete_stack("arn:1", "arn:role", "t").await.unwrap();
    let form = replay.only().form();
    for (name, value) in [("StackName", "arn:1"), ("RoleARN", "arn:role"), ("ClientRequestToken", "t")] {
        assert!(form.contains(&(name.into(), value.into())), "no {name}={value} in {form:?}");
    }
    let protected = "Stack [arn:1] cannot be deleted while TerminationProtection is enabled";
    let (config, _replay) = script([error("ValidationError", protected)]);
    let failure = CloudFormation::new(&config).delete_stack("arn:1", "arn:role", "t").await.unwrap_err();
    assert_eq!(kind(&failure), "lost race", "{failure}");
    let (config, _replay) = script([error("ValidationError", "Stack [arn:1] does not exist")]);
    CloudFormation::new(&config).delete_stack("arn:1", "arn:role", "t").await.unwrap();
}

#[tokio::test]
async fn a_stack_is_protected_and_its_resources_are_listed() {
    let done = "<UpdateTerminationProtectionResponse><UpdateTerminationProtectionResult><StackId>arn:1</StackId>\
        </UpdateTerminationProtectionResult></UpdateTerminationProtectionResponse>";
    let (config, replay) = answer(200, done);
    CloudFormation::new(&config).protect(STACK, true).await.unwrap();
    assert!(replay.only().form().contains(&("EnableTerminationProtection".into(), "true".into())));

    let body = "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries><member>\
        <LogicalResourceId>Member1</LogicalResourceId><ResourceType>AWS::EC2::Instance</ResourceType>\
        <ResourceStatus>DELETE_COMPLETE</ResourceStatus><LastUpdatedTimestamp>2026-11-21T01:00:00Z</LastUpdatedTimestamp>\
        </member></StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>";
    let (config, _replay) = answer(200, body);
    let expected =
        Resource { logical_id: "Member1".into(), kind: "AWS::EC2::Instance".into(), status: "DELETE_COMPLETE".into() };
    assert_eq!(CloudFormation::new(&config).resources(STACK).await.unwrap(), [expected]);
}

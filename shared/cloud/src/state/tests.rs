use super::*;
use crate::replay::{Asked, Replay, Reply, answer, json_error, script};
use domain::{
    lsn::Lsn,
    state::{Approval, Pause, Promoted},
};
use serde_json::{Value, json};

fn table(config: &SdkConfig) -> StateTable {
    StateTable::new(config, "lab-state")
}

fn change() -> Change {
    Change {
        from: "i-0a1".into(),
        seen: vec!["i-0a1 silent".into()],
        last_writer_lsn: Some(Lsn(7)),
        silent_since_ms: 1,
        woken_at_ms: 2,
        woken_by: "watch-clusters".into(),
        began_at_ms: 3,
        synchronous: Synchronous { required: 1, names: vec!["orders_2".into()] },
        sure: None,
        promoted: Some(Promoted { member: "i-0b2".into(), at: Lsn(8), timeline: [1, 2], at_ms: 4 }),
        record_moved_at_ms: None,
        ..Change::default()
    }
}

fn holder() -> Holder {
    Holder { id: "req-1".into(), expires_at_ms: 900 }
}

fn synchronous() -> Synchronous {
    Synchronous { required: 1, names: vec!["orders_2".into(), "orders_3".into()] }
}

/// What DynamoDB would refuse: a name or value that no expression uses, or an
/// expression's that is not given.
fn well_formed(asked: &Asked) {
    let body = asked.json();
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    let expressions = format!("{} {}", text("UpdateExpression"), text("ConditionExpression"));
    let tokens = |sign: char| -> std::collections::BTreeSet<String> {
        let ends = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == ':' || letter == '#');
        expressions.split(ends).filter(|word| word.starts_with(sign)).map(str::to_owned).collect()
    };
    let given = |field: &str| body[field].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
    assert_eq!(tokens('#'), given("ExpressionAttributeNames"), "{expressions}");
    assert_eq!(tokens(':'), given("ExpressionAttributeValues"), "{expressions}");
}

/// The update, the condition and the values of the one write, without `:write_id` and `:now`.
fn written(replay: &Replay) -> (String, String, Value) {
    let asked = replay.only();
    well_formed(&asked);
    let mut body = asked.json();
    assert_eq!(asked.header("x-amz-target"), Some("DynamoDB_20120810.UpdateItem"));
    assert_eq!(body["TableName"], "lab-state");
    assert_eq!(body["Key"], json!({ "cluster": { "S": "orders" }, "item": { "S": "state" } }));
    assert_eq!(body["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
    let plain = |name: &str| body[name].as_str().unwrap().replace("#", "");
    let texts = (plain("UpdateExpression"), plain("ConditionExpression"));
    let values = body["ExpressionAttributeValues"].as_object_mut().unwrap();
    let id = values.remove(":write_id").unwrap();
    assert_eq!(id["S"].as_str().unwrap().len(), 32, "{id}");
    if let Some(now) = values.remove(":now") {
        let now: u64 = now["N"].as_str().unwrap().parse().unwrap();
        assert!(now_ms().abs_diff(now) < 60_000, "{now}");
    }
    (texts.0, texts.1, body["ExpressionAttributeValues"].clone())
}

fn story(change: &Change) -> Value {
    json!({ "S": serde_json::to_string(change).unwrap() })
}

#[tokio::test]
async fn begin_advances_the_epoch_of_a_steady_free_cluster() {
    let (config, replay) = answer(200, "{}");
    table(&config).begin("orders", 6, &holder(), &change()).await.unwrap();
    let (update, condition, values) = written(&replay);
    assert_eq!(
        update,
        "SET write_id = :write_id, epoch = :next, phase = :changing, holder = :me, expires_at_ms = :expires, change = :change REMOVE approval"
    );
    assert_eq!(
        condition,
        "epoch = :epoch AND phase = :steady AND (attribute_not_exists(holder) OR holder = :me OR expires_at_ms < :now) \
         AND (attribute_not_exists(paused_until_ms) OR paused_until_ms <= :now)"
    );
    let expected = json!({
        ":epoch": { "N": "6" }, ":next": { "N": "7" }, ":me": { "S": "req-1" }, ":expires": { "N": "900" },
        ":steady": { "S": "steady" }, ":changing": { "S": "changing" }, ":change": story(&change()),
    });
    assert_eq!(values, expected);
}

#[tokio::test]
async fn resume_takes_only_the_lease() {
    let (config, replay) = answer(200, "{}");
    table(&config).resume("orders", 7, &holder()).await.unwrap();
    let (update, condition, values) = written(&replay);
    assert_eq!(update, "SET write_id = :write_id, holder = :me, expires_at_ms = :expires");
    assert_eq!(condition, "epoch = :epoch AND (attribute_not_exists(holder) OR holder = :me OR expires_at_ms < :now)");
    assert_eq!(values, json!({ ":epoch": { "N": "7" }, ":me": { "S": "req-1" }, ":expires": { "N": "900" } }));
}

#[tokio::test]
async fn only_the_holder_notes() {
    let (config, replay) = answer(200, "{}");
    table(&config).note("orders", 7, "req-1", &change()).await.unwrap();
    let (update, condition, values) = written(&replay);
    assert_eq!(update, "SET write_id = :write_id, change = :change");
    assert_eq!(condition, "epoch = :epoch AND holder = :me AND phase = :changing");
    let expected = json!({
        ":epoch": { "N": "7" }, ":me": { "S": "req-1" }, ":changing": { "S": "changing" }, ":change": story(&change()),
    });
    assert_eq!(values, expected);
}

#[tokio::test]
async fn only_the_holder_publishes_the_synchronous_set() {
    let (config, replay) = answer(200, "{}");
    table(&config).publish_synchronous("orders", 7, "req-1", &synchronous(), Some(Lsn(0x20))).await.unwrap();
    let (update, condition, values) = written(&replay);
    assert_eq!(
        update,
        "SET write_id = :write_id, synchronous_required = :required, synchronous_names = :names, floor = :floor"
    );
    assert_eq!(condition, "epoch = :epoch AND holder = :me");
    let expected = json!({
        ":epoch": { "N": "7" }, ":me": { "S": "req-1" }, ":required": { "N": "1" },
        ":names": { "L": [{ "S": "orders_2" }, { "S": "orders_3" }] }, ":floor": { "S": "0/20" },
    });
    assert_eq!(values, expected);
}

#[tokio::test]
async fn finish_names_the_writer_and_frees_the_lease() {
    let finished = Finished {
        writer: "i-0b2".into(),
        at_ms: 1234,
        failovers_ms: vec![5, 1234],
        timeline: 2,
        timeline_began: Lsn(0x20),
    };
    let (config, replay) = answer(200, "{}");
    table(&config).finish("orders", 7, "req-1", &finished).await.unwrap();
    let (update, condition, values) = written(&replay);
    assert_eq!(
        update,
        "SET write_id = :write_id, writer = :writer, phase = :steady, changed_at_ms = :changed, failovers_ms = :failovers, timeline = :timeline, timeline_began = :began REMOVE holder, expires_at_ms, change"
    );
    assert_eq!(condition, "epoch = :epoch AND holder = :me AND phase = :changing");
    let expected = json!({
        ":epoch": { "N": "7" }, ":me": { "S": "req-1" }, ":changing": { "S": "changing" }, ":steady": { "S": "steady" },
        ":writer": { "S": "i-0b2" }, ":changed": { "N": "1234" }, ":failovers": { "L": [{ "N": "5" }, { "N": "1234" }] },
        ":timeline": { "N": "2" }, ":began": { "S": "0/20" },
    });
    assert_eq!(values, expected);
}

#[tokio::test]
async fn abandon_keeps_the_writer_and_release_keeps_the_change() {
    let (config, replay) = answer(200, "{}");
    table(&config).abandon("orders", 7, "req-1").await.unwrap();
    let (update, condition, _) = written(&replay);
    assert_eq!(update, "SET write_id = :write_id, phase = :steady REMOVE holder, expires_at_ms, change");
    assert_eq!(condition, "epoch = :epoch AND holder = :me AND phase = :changing");

    let (config, replay) = answer(200, "{}");
    table(&config).release("orders", 7, "req-1").await.unwrap();
    let (update, condition, _) = written(&replay);
    assert_eq!(update, "SET write_id = :write_id REMOVE holder, expires_at_ms");
    assert_eq!(condition, "epoch = :epoch AND holder = :me");
}

/// The answer to a refused write: the item with the attributes given.
fn refused(item: Value) -> String {
    let mut body: Value = serde_json::from_str(&json_error(
        "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "The conditional request failed",
    ))
    .unwrap();
    body["Item"] = item;
    body.to_string()
}

#[tokio::test]
async fn a_refused_write_lost_a_race_and_says_to_whom() {
    let item = json!({
        "epoch": { "N": "8" }, "phase": { "S": "changing" }, "holder": { "S": "req-2" }, "expires_at_ms": { "N": "950" },
        "write_id": { "S": "another" },
    });
    let (config, replay) = answer(400, refused(item));
    let failure = table(&config).begin("orders", 7, &holder(), &change()).await.unwrap_err();
    assert_eq!(
        failure.story(),
        "dynamodb:UpdateItem lost a race: someone else changed the state of orders \
         (now epoch 8, phase changing, held by req-2 until 950) first"
    );
    assert_eq!(replay.asked().len(), 1, "a lost race is not retried");

    let (config, _) = answer(400, json_error("ConditionalCheckFailedException", "The conditional request failed"));
    let failure = table(&config).release("orders", 7, "req-1").await.unwrap_err();
    assert!(failure.story().contains("the state of orders (now no item)"), "{failure}");
}

/// The item that the same call wrote a moment ago, by its write id.
fn own_write(asked: &Asked) -> (u16, String) {
    let body = asked.json();
    let id = match &body["ExpressionAttributeValues"][":write_id"] {
        Value::Null => &body["Item"]["write_id"],
        id => id,
    };
    (400, refused(json!({ "write_id": id, "epoch": { "N": "7" } })))
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_recognized_when_it_is_repeated() {
    let (config, replay) = script([Reply::Broken, Reply::Made(own_write)]);
    table(&config).begin("orders", 6, &holder(), &change()).await.unwrap();
    let asked = replay.asked();
    assert_eq!((asked.len(), &asked[0].body), (2, &asked[1].body));

    let (config, _) = script([Reply::Broken, Reply::Made(own_write)]);
    assert!(table(&config).append("orders", "ledger#1", &json!({})).await.unwrap());
}

fn item(attributes: Value) -> String {
    json!({ "Item": attributes }).to_string()
}

fn steady_item() -> Value {
    json!({
        "cluster": { "S": "orders" }, "item": { "S": "state" }, "epoch": { "N": "6" }, "writer": { "S": "i-0a1" },
        "phase": { "S": "steady" }, "synchronous_required": { "N": "1" },
        "synchronous_names": { "L": [{ "S": "orders_3" }, { "S": "orders_2" }] },
    })
}

#[tokio::test]
async fn reads_a_steady_state_consistently() {
    let (config, replay) = answer(200, item(steady_item()));
    let state = table(&config).read("orders").await.unwrap();
    let expected = State { epoch: 6, writer: Some("i-0a1".into()), synchronous: synchronous(), ..State::unclaimed() };
    assert_eq!(state, Some(expected));
    let expected = json!({
        "TableName": "lab-state", "ConsistentRead": true,
        "Key": { "cluster": { "S": "orders" }, "item": { "S": "state" } },
    });
    assert_eq!(replay.only().json(), expected);
}

#[tokio::test]
async fn reads_a_change_under_way() {
    let mut attributes = steady_item();
    attributes["phase"] = json!({ "S": "changing" });
    attributes["change"] = story(&change());
    attributes["holder"] = json!({ "S": "req-1" });
    attributes["expires_at_ms"] = json!({ "N": "900" });
    attributes["changed_at_ms"] = json!({ "N": "77" });
    let (config, _) = answer(200, item(attributes));
    let state = table(&config).read("orders").await.unwrap().unwrap();
    assert_eq!((state.change, state.holder, state.changed_at_ms), (Some(change()), Some(holder()), 77));
}

#[tokio::test]
async fn a_cluster_without_an_item_has_no_state() {
    let (config, _) = answer(200, "{}");
    assert_eq!(table(&config).read("orders").await.unwrap(), None);
}

#[tokio::test]
async fn an_item_that_makes_no_sense_is_never_half_read() {
    let without = |name: &str| {
        let mut item = steady_item();
        item.as_object_mut().unwrap().remove(name);
        item
    };
    let with = |name: &str, value: Value| {
        let mut item = steady_item();
        item[name] = value;
        item
    };
    let table_of_items = [
        ("epoch is missing", without("epoch")),
        ("epoch is -1, not a whole number", with("epoch", json!({ "N": "-1" }))),
        ("epoch is not a number", with("epoch", json!({ "S": "6" }))),
        ("phase is missing", without("phase")),
        ("phase is \"odd\"", with("phase", json!({ "S": "odd" }))),
        ("change is missing", with("phase", json!({ "S": "changing" }))),
        ("expires_at_ms is missing", with("holder", json!({ "S": "req-1" }))),
        ("synchronous_required is missing", without("synchronous_required")),
        ("synchronous_names is missing", without("synchronous_names")),
        ("synchronous_names is not a list", with("synchronous_names", json!({ "S": "orders_2" }))),
        ("writer is not a string", with("writer", json!({ "BOOL": true }))),
    ];
    for (problem, attributes) in table_of_items {
        let (config, _) = answer(200, item(attributes));
        let failure = table(&config).read("orders").await.unwrap_err();
        assert!(matches!(failure, Failure::Broken { .. }), "{problem}: {failure}");
        assert!(failure.to_string().contains(problem), "{problem}: {failure}");
    }
}

#[tokio::test]
async fn unclaim_forgets_the_writer_of_a_steady_cluster() {
    let (config, replay) = script([Reply::Http(200, item(steady_item())), Reply::Http(200, "{}".into())]);
    table(&config).unclaim("orders").await.unwrap();
    let asked = replay.asked();
    well_formed(&asked[1]);
    let body = asked[1].json();
    assert_eq!(body["UpdateExpression"], "SET #write_id = :write_id REMOVE #writer");
    assert_eq!(
        body["ConditionExpression"],
        "#epoch = :epoch AND #phase = :steady AND (attribute_not_exists(#holder) OR #expires_at_ms < :now)"
    );
    assert_eq!(body["ExpressionAttributeValues"][":epoch"], json!({ "N": "6" }));
}

#[tokio::test]
async fn unclaim_writes_nothing_where_nothing_is_claimed_or_a_change_is_under_way() {
    let (config, replay) = answer(200, "{}");
    table(&config).unclaim("orders").await.unwrap();
    replay.only();

    let mut unclaimed = steady_item();
    unclaimed.as_object_mut().unwrap().remove("writer");
    let (config, replay) = answer(200, item(unclaimed));
    table(&config).unclaim("orders").await.unwrap();
    replay.only();

    let mut changing = steady_item();
    changing["phase"] = json!({ "S": "changing" });
    changing["change"] = story(&change());
    let (config, replay) = answer(200, item(changing));
    let failure = table(&config).unclaim("orders").await.unwrap_err();
    assert!(matches!(failure, Failure::Broken { .. }), "{failure}");
    replay.only();
}

#[tokio::test]
async fn tells_once_in_a_while() {
    let (config, replay) = answer(200, "{}");
    assert!(table(&config).tell_once("orders", "no-evidence", 10_000, 4_000).await.unwrap());
    well_formed(&replay.only());
    let body = replay.only().json();
    assert_eq!(body["Item"]["item"], json!({ "S": "told#no-evidence" }));
    assert_eq!(body["Item"]["told_at_ms"], json!({ "N": "10000" }));
    assert_eq!(body["ConditionExpression"], "attribute_not_exists(#told_at_ms) OR #told_at_ms <= :before");
    assert_eq!(body["ExpressionAttributeValues"], json!({ ":before": { "N": "6000" } }));

    let (config, _) = answer(400, refused(json!({ "write_id": { "S": "another" } })));
    assert!(!table(&config).tell_once("orders", "no-evidence", 10_000, 4_000).await.unwrap());
}

#[tokio::test]
async fn the_ledger_keeps_the_first_entry() {
    let (config, replay) = answer(200, "{}");
    let name = "ledger#2026-11-21T03:12:11.234Z#failover#7";
    assert!(table(&config).append("orders", name, &json!({ "epoch": 7 })).await.unwrap());
    well_formed(&replay.only());
    let body = replay.only().json();
    assert_eq!(body["Item"]["item"], json!({ "S": name }));
    assert_eq!(body["Item"]["entry"], json!({ "S": "{\"epoch\":7}" }));
    assert_eq!(body["ConditionExpression"], "attribute_not_exists(#item)");

    let (config, _) = answer(400, refused(json!({ "write_id": { "S": "another" } })));
    assert!(!table(&config).append("orders", name, &json!({})).await.unwrap());
}

#[test]
fn no_two_writes_share_an_id() {
    let ids: std::collections::BTreeSet<String> = (0..1000).map(|_| write::unique()).collect();
    assert_eq!(ids.len(), 1000);
}

#[tokio::test]
async fn a_person_writes_only_while_nothing_changes() {
    let (config, replay) = answer(200, "{}");
    let pause = Pause { until_ms: 60, reason: "kernel".into() };
    table(&config).pause("orders", 6, &pause).await.unwrap();
    let (update, condition, values) = written(&replay);
    assert_eq!(update, "SET write_id = :write_id, paused_until_ms = :until, pause_reason = :reason");
    assert_eq!(condition, "epoch = :epoch AND phase = :steady");
    let expected = json!({
        ":epoch": { "N": "6" }, ":steady": { "S": "steady" }, ":until": { "N": "60" }, ":reason": { "S": "kernel" },
    });
    assert_eq!(values, expected);

    let (config, replay) = answer(200, "{}");
    let approval = Approval { epoch: 6, data_loss_bytes: None, expires_at_ms: 9 };
    table(&config).approve("orders", &approval).await.unwrap();
    let (update, condition, values) = written(&replay);
    assert_eq!(
        (update.as_str(), condition.as_str()),
        ("SET write_id = :write_id, approval = :approval", "epoch = :epoch AND phase = :steady",)
    );
    assert_eq!(values[":approval"]["S"], serde_json::to_string(&approval).unwrap());
}

#[tokio::test]
async fn what_a_person_wrote_is_read_back() {
    let mut attributes = steady_item();
    attributes["paused_until_ms"] = json!({ "N": "60" });
    attributes["pause_reason"] = json!({ "S": "kernel" });
    attributes["approval"] = json!({ "S": r#"{"epoch":6,"data_loss_bytes":7,"expires_at_ms":9}"# });
    attributes["failovers_ms"] = json!({ "L": [{ "N": "5" }] });
    attributes["floor"] = json!({ "S": "0/20" });
    let (config, _) = answer(200, item(attributes));
    let state = table(&config).read("orders").await.unwrap().unwrap();
    assert_eq!(state.pause, Some(Pause { until_ms: 60, reason: "kernel".into() }));
    assert_eq!(state.approval, Some(Approval { epoch: 6, data_loss_bytes: Some(7), expires_at_ms: 9 }));
    assert_eq!((state.failovers_ms, state.floor), (vec![5], Some(Lsn(0x20))));
}

#[tokio::test]
async fn a_guard_item_is_read_and_a_missing_one_is_none() {
    let attributes = json!({
        "cluster": { "S": "orders" }, "item": { "S": "guard#i-0a1" }, "epoch": { "N": "7" }, "held": { "S": "yes" },
        "shutdown": { "S": "clean" }, "checkpoint_lsn": { "S": "0/20" }, "timeline": { "N": "2" },
        "disk_full": { "S": "no" }, "written_at": { "S": "2026-11-21T03:12:10Z" },
    });
    let (config, replay) = answer(200, item(attributes));
    let guard = table(&config).guard("orders", "i-0a1").await.unwrap();
    let expected = GuardSeen {
        epoch: 7,
        holds: true,
        clean: true,
        checkpoint: Some(Lsn(0x20)),
        timeline: 2,
        disk_full: false,
        written_at_ms: 1_795_230_730_000,
    };
    assert_eq!(guard, Some(expected));
    assert_eq!(replay.only().json()["Key"]["item"], json!({ "S": "guard#i-0a1" }));
    let (config, _) = answer(200, "{}");
    assert_eq!(table(&config).guard("orders", "i-0a1").await.unwrap(), None);
}

#[tokio::test]
async fn a_mark_is_taken_back() {
    let (config, replay) = answer(200, "{}");
    table(&config).untell("orders", "would-lose#6").await.unwrap();
    let asked = replay.only();
    assert_eq!(asked.header("x-amz-target"), Some("DynamoDB_20120810.DeleteItem"));
    assert_eq!(asked.json()["Key"], json!({ "cluster": { "S": "orders" }, "item": { "S": "told#would-lose#6" } }));
}

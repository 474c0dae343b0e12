use crate::{
    replay::{Reply, json_error, kind, script},
    route53::Route53,
    state::StateTable,
};
use domain::card::Records;
use reconcile::Failure;

async fn read(replies: impl IntoIterator<Item = Reply>) -> (Failure, usize) {
    let (config, replay) = script(replies);
    let failure = StateTable::new(&config, "lab-state").read("orders").await.unwrap_err();
    (failure, replay.asked().len())
}

#[tokio::test]
async fn a_code_says_whether_another_attempt_can_help() {
    let table = [
        ("com.amazon.coral.service#AccessDeniedException", 400, "broken", 1),
        ("com.amazon.coral.service#UnrecognizedClientException", 400, "broken", 1),
        ("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", 400, "broken", 1),
        ("com.amazon.coral.validate#ValidationException", 400, "broken", 1),
        ("com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", 400, "transient", 3),
        ("com.amazon.coral.availability#ThrottlingException", 400, "transient", 3),
        ("com.amazonaws.dynamodb.v20120810#InternalServerError", 500, "transient", 3),
        ("SomethingNew", 400, "transient", 1),
    ];
    for (code, status, expected, attempts) in table {
        let (failure, asked) = read((0..attempts).map(|_| Reply::Http(status, json_error(code, "why")))).await;
        assert_eq!((kind(&failure), asked), (expected, attempts), "{code}");
        // The service's own code and words are kept, wherever the failure is told.
        let bare = code.rsplit('#').next().unwrap();
        assert!(failure.story().contains(&format!("{bare}: why")), "{}", failure.story());
    }
}

#[tokio::test]
async fn a_missing_table_says_what_to_check() {
    let body = json_error("ResourceNotFoundException", "Requested resource not found");
    let (failure, _) = read([Reply::Http(400, body)]).await;
    assert_eq!(
        failure.to_string(),
        "dynamodb:GetItem cannot succeed: table lab-state does not exist (ResourceNotFoundException: \
         Requested resource not found (request r-1)); is STATE_TABLE of this function right?"
    );
}

#[tokio::test]
async fn no_answer_is_transient_after_three_attempts() {
    let (failure, asked) = read([Reply::Silence, Reply::Silence, Reply::Silence]).await;
    assert_eq!((kind(&failure), asked), ("transient", 3));
    assert!(failure.story().contains("timeout"), "{}", failure.story());

    let (failure, asked) = read([Reply::Broken, Reply::Silence, Reply::Broken]).await;
    assert_eq!((kind(&failure), asked), ("transient", 3));
    assert!(failure.story().contains("connection reset by peer"), "{}", failure.story());
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_transient() {
    let proxy = || Reply::Http(502, "<html>Bad Gateway</html>".into());
    let (failure, asked) = read([proxy(), proxy(), proxy()]).await;
    assert_eq!((kind(&failure), asked), ("transient", 3));
    assert!(failure.story().contains("dynamodb:GetItem failed for now"), "{}", failure.story());
}

#[tokio::test]
async fn a_request_that_could_not_be_made_is_broken() {
    let (config, replay) = script([]);
    let records =
        Records { zone_id: String::new(), writer: "w.internal".into(), reader: "r.internal".into(), ttl_s: 1 };
    let failure = Route53::new(&config).read(&records).await.unwrap_err();
    assert_eq!(kind(&failure), "broken", "{}", failure.story());
    assert!(failure.to_string().contains("hosted_zone_id"), "{failure}");
    assert!(replay.asked().is_empty());
}

#[tokio::test]
async fn a_missing_region_is_told() {
    let (config, _) = script([]);
    let nowhere = config.into_builder().region(None).build();
    let failure = StateTable::new(&nowhere, "lab-state").read("orders").await.unwrap_err();
    assert!(failure.story().contains("Missing Region"), "{}", failure.story());
}

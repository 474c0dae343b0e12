use super::*;
use crate::replay::{Reply, answer, kind, script};
use domain::records::ExactSets;

const ZONE: &str = "Z0001";

fn records() -> Records {
    Records {
        zone_id: ZONE.into(),
        writer: "orders-rw.db.internal".into(),
        reader: "orders-ro.db.internal".into(),
        ttl_s: 1,
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn set(name: &str, kind: &str, ttl: u32, values: &[&str]) -> String {
    let values: String =
        values.iter().map(|value| format!("<ResourceRecord><Value>{value}</Value></ResourceRecord>")).collect();
    format!(
        "<ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>{ttl}</TTL>\
         <ResourceRecords>{values}</ResourceRecords></ResourceRecordSet>"
    )
}

fn page(sets: &[String]) -> Reply {
    Reply::Http(
        200,
        format!(
            "<ListResourceRecordSetsResponse><ResourceRecordSets>{}</ResourceRecordSets>\
             <IsTruncated>false</IsTruncated><MaxItems>10</MaxItems></ListResourceRecordSetsResponse>",
            sets.concat()
        ),
    )
}

fn reader_set() -> String {
    set("orders-ro.db.internal.", "A", 5, &["10.0.2.10", "10.0.3.10"])
}

fn writer_set() -> String {
    set("orders-rw.db.internal.", "A", 5, &["10.0.1.10"])
}

fn epoch_set() -> String {
    set("_understudy.orders-rw.db.internal.", "TXT", 60, &["&quot;epoch=6&quot;"])
}

fn all() -> Reply {
    page(&[reader_set(), writer_set(), epoch_set()])
}

fn moved() -> Reply {
    page(&[
        set("orders-rw.db.internal.", "A", 1, &["10.0.2.10"]),
        set("_understudy.orders-rw.db.internal.", "TXT", 1, &["&quot;epoch=7&quot;"]),
    ])
}

fn done() -> Reply {
    Reply::Http(
        200,
        "<ChangeResourceRecordSetsResponse><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status>\
         <SubmittedAt>2026-11-21T03:12:10.900Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>"
            .into(),
    )
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    );
    Reply::Http(status, body)
}

#[tokio::test]
async fn one_request_reads_all_three_records() {
    let (config, replay) = script([all()]);
    let seen = Route53::new(&config).read(&records()).await.unwrap();
    let exact = ExactSets {
        writer: Some(RecordSet { ttl_s: 5, values: vec!["10.0.1.10".into()] }),
        epoch: Some(RecordSet { ttl_s: 60, values: vec!["\"epoch=6\"".into()] }),
        reader: Some(RecordSet { ttl_s: 5, values: vec!["10.0.2.10".into(), "10.0.3.10".into()] }),
    };
    let expected = RecordsSeen {
        writer: vec![ip("10.0.1.10")],
        epoch: Some(6),
        reader: vec![ip("10.0.2.10"), ip("10.0.3.10")],
        exact,
    };
    assert_eq!(seen, expected);
    let asked = replay.only();
    assert_eq!(asked.method, "GET");
    assert!(
        asked.uri.ends_with("/2013-04-01/hostedzone/Z0001/rrset?name=orders-ro.db.internal&type=A&maxitems=10"),
        "{}",
        asked.uri
    );
}

#[tokio::test]
async fn records_that_others_made_are_never_taken_for_ours() {
    // Names and types around ours; a page always begins at the first record not before the one asked for.
    let others = [
        set("orders-ro.db.internal.", "AAAA", 5, &["::1"]),
        set("x-orders-rw.db.internal.", "A", 5, &["10.9.9.9"]),
        set("orders-rw.db.internal.", "TXT", 5, &["&quot;epoch=99&quot;"]),
        set("a.orders-rw.db.internal.", "A", 5, &["10.9.9.8"]),
        set("zz.db.internal.", "A", 5, &["10.9.9.7"]),
    ];
    let (config, replay) = script([page(&others), page(&others), page(&[])]);
    let seen = Route53::new(&config).read(&records()).await.unwrap();
    assert_eq!(seen, RecordsSeen::default());
    let starts: Vec<String> =
        replay.asked().iter().map(|asked| asked.uri.split("rrset?").nth(1).unwrap().to_owned()).collect();
    assert_eq!(
        starts,
        [
            "name=orders-ro.db.internal&type=A&maxitems=10",
            "name=orders-rw.db.internal&type=A&maxitems=10",
            "name=_understudy.orders-rw.db.internal&type=TXT&maxitems=10",
        ]
    );
}

#[tokio::test]
async fn a_record_far_away_is_asked_for_by_itself() {
    let (config, replay) = script([page(&[reader_set()]), page(&[writer_set()]), page(&[epoch_set()])]);
    let seen = Route53::new(&config).read(&records()).await.unwrap();
    assert_eq!((seen.writer, seen.epoch), (vec![ip("10.0.1.10")], Some(6)));
    assert_eq!(replay.asked().len(), 3);
}

#[tokio::test]
async fn what_understudy_does_not_write_is_refused() {
    let name = "orders-rw.db.internal.";
    let text = "_understudy.orders-rw.db.internal.";
    let alias = format!(
        "<ResourceRecordSet><Name>{name}</Name><Type>A</Type><AliasTarget><HostedZoneId>Z2</HostedZoneId>\
         <DNSName>lb.internal.</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>"
    );
    let weighted = format!(
        "<ResourceRecordSet><Name>{name}</Name><Type>A</Type><SetIdentifier>a</SetIdentifier><Weight>1</Weight><TTL>1</TTL>\
         <ResourceRecords><ResourceRecord><Value>10.0.1.10</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>"
    );
    let table = [
        ("is an alias", alias),
        ("weighted", weighted),
        ("not one \"epoch=NUMBER\"", set(text, "TXT", 1, &["&quot;hello&quot;"])),
        ("not one \"epoch=NUMBER\"", set(text, "TXT", 1, &["&quot;epoch=6&quot;", "&quot;epoch=7&quot;"])),
        ("not one \"epoch=NUMBER\"", set(text, "TXT", 1, &["epoch=6"])),
    ];
    for (problem, odd) in table {
        let (config, _) = script([0, 1, 2].map(|_| page(std::slice::from_ref(&odd))));
        let failure = Route53::new(&config).read(&records()).await.unwrap_err();
        assert_eq!(kind(&failure), "broken", "{failure}");
        assert!(failure.to_string().contains(problem), "{problem}: {failure}");
    }
}

const FROM: (&str, u64) = ("10.0.1.10", 6);
const TO: (&str, u64) = ("10.0.2.10", 7);

async fn move_writer(replies: impl IntoIterator<Item = Reply>) -> (Result<(), Failure>, crate::replay::Replay) {
    let (config, replay) = script(replies);
    let from = Some((ip(FROM.0), FROM.1));
    (Route53::new(&config).move_writer(&records(), from, (ip(TO.0), TO.1)).await, replay)
}

fn sent(action: &str, name: &str, kind: &str, ttl: u32, values: &[&str]) -> String {
    let values: String =
        values.iter().map(|value| format!("<ResourceRecord><Value>{value}</Value></ResourceRecord>")).collect();
    format!(
        "<Change><Action>{action}</Action><ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>{ttl}</TTL>\
         <ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></Change>"
    )
}

fn changes(body: &str) -> &str {
    body.split_once("<Changes>").unwrap().1.split_once("</Changes>").unwrap().0
}

#[tokio::test]
async fn the_writer_record_moves_in_one_batch_that_deletes_exactly_what_was_read() {
    let (result, replay) = move_writer([all(), done()]).await;
    result.unwrap();
    let asked = replay.asked();
    let batch = &asked[1];
    assert_eq!(batch.method, "POST");
    assert!(batch.uri.contains("/2013-04-01/hostedzone/Z0001/rrset"), "{}", batch.uri);
    let expected = [
        sent("DELETE", "orders-rw.db.internal", "A", 5, &["10.0.1.10"]),
        sent("DELETE", "_understudy.orders-rw.db.internal", "TXT", 60, &["&quot;epoch=6&quot;"]),
        sent("CREATE", "orders-rw.db.internal", "A", 1, &["10.0.2.10"]),
        sent("CREATE", "_understudy.orders-rw.db.internal", "TXT", 1, &["&quot;epoch=7&quot;"]),
    ];
    assert_eq!(changes(&batch.body).replace('"', "&quot;"), expected.concat());
}

#[tokio::test]
async fn the_first_record_is_only_created() {
    let (config, replay) = script([page(&[]), page(&[]), page(&[]), done()]);
    Route53::new(&config).move_writer(&records(), None, (ip("10.0.1.10"), 1)).await.unwrap();
    let expected = [
        sent("CREATE", "orders-rw.db.internal", "A", 1, &["10.0.1.10"]),
        sent("CREATE", "_understudy.orders-rw.db.internal", "TXT", 1, &["&quot;epoch=1&quot;"]),
    ];
    assert_eq!(changes(&replay.asked()[3].body).replace('"', "&quot;"), expected.concat());
}

#[tokio::test]
async fn a_record_that_is_not_as_seen_is_not_touched() {
    // Another pass, of epoch 8, has been here.
    let newer = page(&[
        reader_set(),
        set("orders-rw.db.internal.", "A", 1, &["10.0.3.10"]),
        set("_understudy.orders-rw.db.internal.", "TXT", 1, &["&quot;epoch=8&quot;"]),
    ]);
    let (result, replay) = move_writer([newer]).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "route53:ChangeResourceRecordSets lost a race: someone else changed \
         the record orders-rw.db.internal (now [10.0.3.10], epoch 8) first"
    );
    assert_eq!(replay.only().method, "GET");
}

#[tokio::test]
async fn a_record_that_is_there_already_is_left() {
    let (result, replay) = move_writer([moved()]).await;
    result.unwrap();
    assert_eq!(replay.only().method, "GET");
}

const CHANGED: &str = "[Tried to delete resource record set [name='orders-rw.db.internal.', type='A'] \
     but the values provided do not match the current values]";

#[tokio::test]
async fn a_batch_refused_because_the_record_changed_lost_a_race() {
    let (result, _) = move_writer([all(), error(400, "InvalidChangeBatch", CHANGED), all()]).await;
    assert_eq!(kind(&result.unwrap_err()), "lost race");
}

#[tokio::test]
async fn the_form_of_that_refusal_without_an_envelope_is_understood() {
    let body = "<?xml version=\"1.0\"?><InvalidChangeBatch xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
         <Messages><Message>Tried to create resource record set orders-rw.db.internal. type A, but it already exists\
         </Message></Messages></InvalidChangeBatch>";
    let (result, _) = move_writer([all(), Reply::Http(400, body.into()), all()]).await;
    assert_eq!(kind(&result.unwrap_err()), "lost race");
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_recognized_when_it_is_repeated() {
    let refused = error(400, "InvalidChangeBatch", CHANGED);
    let (result, replay) = move_writer([all(), Reply::Broken, refused, moved()]).await;
    result.unwrap();
    let posts: Vec<String> =
        replay.asked().into_iter().filter(|asked| asked.method == "POST").map(|asked| asked.body).collect();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0], posts[1]);
}

#[tokio::test]
async fn a_batch_that_can_never_be_accepted_is_broken() {
    let never = "[RRSet with DNS name orders-rw.db.internal. is not permitted in zone other.internal.]";
    let (result, _) = move_writer([all(), error(400, "InvalidChangeBatch", never)]).await;
    let failure = result.unwrap_err();
    assert_eq!(kind(&failure), "broken");
    assert!(failure.to_string().contains("is not permitted in zone other.internal."), "{failure}");
}

#[tokio::test]
async fn a_missing_zone_is_broken_and_a_busy_one_is_not() {
    let (config, _) = script([error(404, "NoSuchHostedZone", "No hosted zone found with ID: Z0001")]);
    let failure = Route53::new(&config).read(&records()).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "route53:ListResourceRecordSets cannot succeed: hosted zone Z0001 does not exist (NoSuchHostedZone: \
         No hosted zone found with ID: Z0001 (request r-1)); is it the zone of the cluster's card, and was it deleted?"
    );

    let busy = || error(400, "PriorRequestNotComplete", "The request was rejected");
    let (result, replay) = move_writer([all(), busy(), busy(), busy()]).await;
    assert_eq!(
        result.unwrap_err().story(),
        "route53:ChangeResourceRecordSets failed for now: PriorRequestNotComplete: The request was rejected (request r-1)"
    );
    assert_eq!(replay.asked().len(), 4, "three attempts");
}

async fn set_readers(now: Reply, then: Option<Reply>, addresses: &[&str]) -> Vec<String> {
    let (config, replay) = script(std::iter::once(now).chain(then));
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| ip(text)).collect();
    Route53::new(&config).set_readers(&records(), &addresses).await.unwrap();
    replay.asked().iter().skip(1).map(|asked| changes(&asked.body).to_owned()).collect()
}

#[tokio::test]
async fn the_reader_record_names_exactly_the_addresses_given() {
    let sent_now = set_readers(all(), Some(done()), &["10.0.3.10"]).await;
    assert_eq!(sent_now, [sent("UPSERT", "orders-ro.db.internal", "A", 1, &["10.0.3.10"])]);
    // Sorted and once each, so that two passes send the same.
    let sent_now = set_readers(all(), Some(done()), &["10.0.3.10", "10.0.1.10", "10.0.3.10"]).await;
    assert_eq!(sent_now, [sent("UPSERT", "orders-ro.db.internal", "A", 1, &["10.0.1.10", "10.0.3.10"])]);
}

#[tokio::test]
async fn without_readers_the_record_is_removed_as_it_was_read() {
    let sent_now = set_readers(all(), Some(done()), &[]).await;
    assert_eq!(sent_now, [sent("DELETE", "orders-ro.db.internal", "A", 5, &["10.0.2.10", "10.0.3.10"])]);
}

#[tokio::test]
async fn a_reader_record_that_is_right_is_left() {
    let right = set("orders-ro.db.internal.", "A", 1, &["10.0.3.10", "10.0.2.10"]);
    let now = page(&[right, writer_set(), epoch_set()]);
    assert_eq!(set_readers(now, None, &["10.0.2.10", "10.0.3.10"]).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_ipv6_address_has_no_place_in_an_a_record() {
    let (config, _) = script([all()]);
    let failure = Route53::new(&config).set_readers(&records(), &[ip("::1")]).await.unwrap_err();
    assert_eq!(kind(&failure), "broken");
}

#[tokio::test]
async fn denied_is_broken_and_names_the_zone() {
    let (config, _) = answer(
        403,
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User is not authorized</Message></Error></ErrorResponse>",
    );
    let failure = Route53::new(&config).read(&records()).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "route53:ListResourceRecordSets cannot succeed: not allowed on hosted zone Z0001 (AccessDenied: User is not \
         authorized (request r-1)); does this function's role permit route53:ListResourceRecordSets there?"
    );
}

#[tokio::test]
async fn the_records_of_a_cluster_that_is_gone_are_deleted_exactly_and_at_once() {
    let (config, replay) = script([all(), done()]);
    Route53::new(&config).remove(&records()).await.unwrap();
    let batch = &replay.asked()[1].body;
    assert_eq!(batch.matches("<Action>DELETE</Action>").count(), 3, "{batch}");
    for value in ["10.0.1.10", "10.0.2.10", "10.0.3.10", "epoch=6"] {
        assert!(batch.contains(value), "no {value} in {batch}");
    }
    let (config, replay) = script([page(&[]), page(&[]), page(&[])]);
    Route53::new(&config).remove(&records()).await.unwrap();
    assert_eq!(replay.asked().len(), 3, "nothing is there, so nothing is changed");
}

use super::*;
use crate::replay::{Reply, kind, script};

const ONE: &str = "lab-leads-1.x.eu-west-1.rds.amazonaws.com";
const TWO: &str = "lab-leads-2.x.eu-west-1.rds.amazonaws.com";

fn records() -> Records {
    Records {
        zone_id: "Z0001".into(),
        writer: "leads-rw.db.internal".into(),
        reader: "leads-ro.db.internal".into(),
        ttl_s: 1,
    }
}

fn set(name: &str, kind: &str, routed: &str, value: &str) -> String {
    format!(
        "<ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type>{routed}<TTL>1</TTL><ResourceRecords>\
         <ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>"
    )
}

fn weighted(id: &str) -> String {
    format!("<SetIdentifier>{id}</SetIdentifier><Weight>1</Weight>")
}

fn reader(id: &str, endpoint: &str) -> String {
    set("leads-ro.db.internal.", "CNAME", &weighted(id), endpoint)
}

fn writer(endpoint: &str, epoch: u64) -> [String; 2] {
    [
        set("leads-rw.db.internal.", "CNAME", "", endpoint),
        set("_understudy.leads-rw.db.internal.", "TXT", "", &format!("&quot;epoch={epoch}&quot;")),
    ]
}

fn page(sets: &[String]) -> Reply {
    Reply::Http(
        200,
        format!(
            "<ListResourceRecordSetsResponse><ResourceRecordSets>{}</ResourceRecordSets>\
             <IsTruncated>false</IsTruncated><MaxItems>30</MaxItems></ListResourceRecordSetsResponse>",
            sets.concat()
        ),
    )
}

/// Two readers, the writer and its epoch, as a zone holds them: a final dot, the letters of AWS.
fn all() -> Reply {
    let [cname, txt] = writer("LAB-leads-1.x.eu-west-1.rds.amazonaws.com.", 6);
    page(&[reader("lab-leads-2", TWO), reader("lab-leads-3", "three.internal."), cname, txt])
}

fn done() -> Reply {
    Reply::Http(
        200,
        "<ChangeResourceRecordSetsResponse><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status>\
         <SubmittedAt>2026-11-21T03:12:10.900Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>"
            .into(),
    )
}

fn refused(message: &str) -> Reply {
    let body = format!(
        "<ErrorResponse><Error><Code>InvalidChangeBatch</Code><Message>{message}</Message></Error></ErrorResponse>"
    );
    Reply::Http(400, body)
}

/// The changes of a batch: action, name, type and what is behind the name.
fn changes(body: &str) -> Vec<String> {
    let part = |text: &str, tag: &str| {
        let inner = text.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
        inner.map(|(inner, _)| inner.replace("&quot;", "\"")).unwrap_or_default()
    };
    let all = body.split("<Change>").skip(1);
    all.map(|text| {
        let words = ["Action", "Name", "Type", "SetIdentifier", "Weight", "TTL", "Value"].map(|tag| part(text, tag));
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    })
    .collect()
}

#[tokio::test]
async fn one_request_reads_all_names() {
    let (config, replay) = script([all()]);
    let seen = Route53::new(&config).names(&records()).await.unwrap();
    let readers = vec![TWO.to_owned(), "three.internal".to_owned()];
    assert_eq!(seen, NamesSeen { writer: Some(ONE.to_owned()), epoch: Some(6), readers });
    let asked = replay.only().uri;
    assert!(asked.ends_with("/rrset?name=leads-ro.db.internal&type=CNAME&maxitems=30"), "{asked}");
}

#[tokio::test]
async fn what_understudy_does_not_write_is_refused() {
    let table = [
        set("leads-rw.db.internal.", "CNAME", &weighted("x"), ONE),
        set("leads-ro.db.internal.", "CNAME", "", TWO),
        set("_understudy.leads-rw.db.internal.", "TXT", "", "&quot;hello&quot;"),
    ];
    for odd in table {
        let (config, _) = script([0, 1, 2].map(|_| page(std::slice::from_ref(&odd))));
        let failure = Route53::new(&config).names(&records()).await.unwrap_err();
        assert_eq!(kind(&failure), "broken", "{odd}");
    }
}

async fn move_writer(replies: impl IntoIterator<Item = Reply>) -> (Result<(), Failure>, Vec<Vec<String>>) {
    let (config, replay) = script(replies);
    let moved = Route53::new(&config).move_writer_name(&records(), Some((ONE, 6)), (TWO, 7)).await;
    let posts = replay.asked().into_iter().filter(|asked| asked.method == "POST");
    (moved, posts.map(|asked| changes(&asked.body)).collect())
}

#[tokio::test]
async fn the_writers_name_moves_in_one_batch_with_its_epoch() {
    let (moved, sent) = move_writer([all(), done()]).await;
    moved.unwrap();
    assert_eq!(
        sent,
        [[
            "DELETE leads-rw.db.internal. CNAME 1 LAB-leads-1.x.eu-west-1.rds.amazonaws.com.".to_owned(),
            "DELETE _understudy.leads-rw.db.internal. TXT 1 \"epoch=6\"".to_owned(),
            format!("CREATE leads-rw.db.internal CNAME 1 {TWO}"),
            "CREATE _understudy.leads-rw.db.internal TXT 1 \"epoch=7\"".to_owned(),
        ]]
    );
}

#[tokio::test]
async fn a_name_is_moved_by_nobody_who_comes_late_and_never_twice() {
    let newer = page(&writer("three.internal", 8));
    let (lost, sent) = move_writer([newer]).await;
    let text = lost.unwrap_err().to_string();
    assert!(text.ends_with("the record leads-rw.db.internal (now three.internal, epoch 8) first"), "{text}");
    assert!(sent.is_empty());
    let (there, sent) = move_writer([page(&[]), page(&writer(TWO, 7))]).await;
    there.unwrap();
    assert!(sent.is_empty(), "it is there already");
    let changed = "Tried to delete resource record set but the values provided do not match the current values";
    let (lost, _) = move_writer([all(), refused(changed), all()]).await;
    assert_eq!(kind(&lost.unwrap_err()), "lost race");
    // The SDK repeats a batch whose answer was lost, and the repetition fails on its own effect.
    let (repeated, sent) =
        move_writer([all(), Reply::Broken, refused(changed), page(&[]), page(&writer(TWO, 7))]).await;
    repeated.unwrap();
    assert_eq!(sent.len(), 2);
    let never = "RRSet of type CNAME with DNS name leads-rw.db.internal. is not permitted as it conflicts";
    let (broken, _) = move_writer([all(), refused(never)]).await;
    assert_eq!(kind(&broken.unwrap_err()), "broken");
}

#[tokio::test]
async fn the_first_name_is_only_created() {
    let (config, replay) = script([page(&[]), page(&[]), page(&[]), done()]);
    Route53::new(&config).move_writer_name(&records(), None, (ONE, 1)).await.unwrap();
    let sent = changes(&replay.asked()[3].body);
    assert_eq!(
        sent,
        [
            format!("CREATE leads-rw.db.internal CNAME 1 {ONE}"),
            "CREATE _understudy.leads-rw.db.internal TXT 1 \"epoch=1\"".to_owned(),
        ]
    );
}

async fn set_readers(now: Reply, readers: &[(&str, &str)]) -> Vec<String> {
    let (config, replay) = script([now, done()]);
    let readers: Vec<(String, String)> =
        readers.iter().map(|(id, endpoint)| (id.to_string(), endpoint.to_string())).collect();
    Route53::new(&config).set_reader_names(&records(), &readers).await.unwrap();
    changes(&replay.asked()[1].body)
}

#[tokio::test]
async fn readers_are_exactly_these() {
    let sent = set_readers(all(), &[("lab-leads-2", TWO), ("lab-leads-4", "four.internal")]).await;
    assert_eq!(
        sent,
        [
            "DELETE leads-ro.db.internal. CNAME lab-leads-3 1 1 three.internal.",
            "UPSERT leads-ro.db.internal CNAME lab-leads-4 1 1 four.internal",
        ]
    );
    let sent = set_readers(all(), &[("lab-leads-2", ONE), ("lab-leads-3", "three.internal")]).await;
    assert_eq!(sent, [format!("UPSERT leads-ro.db.internal CNAME lab-leads-2 1 1 {ONE}")]);
    assert_eq!(set_readers(all(), &[]).await.len(), 2, "none removes them all");
    let (config, replay) = script([all()]);
    let same = [("lab-leads-2".to_owned(), TWO.to_owned()), ("lab-leads-3".to_owned(), "three.internal.".to_owned())];
    Route53::new(&config).set_reader_names(&records(), &same).await.unwrap();
    replay.only();
}

#[tokio::test]
async fn the_names_of_a_cluster_that_is_gone_are_deleted_at_once() {
    let (config, replay) = script([all(), done()]);
    Route53::new(&config).remove_names(&records()).await.unwrap();
    let sent = changes(&replay.asked()[1].body);
    assert_eq!((sent.len(), sent.iter().all(|change| change.starts_with("DELETE "))), (4, true), "{sent:?}");
    let (config, replay) = script([page(&[]), page(&[]), page(&[])]);
    Route53::new(&config).remove_names(&records()).await.unwrap();
    assert_eq!(replay.asked().len(), 3);
}

#[tokio::test]
async fn a_pair_is_read_with_its_health_check() {
    let failover =
        |id: &str, check: &str| format!("<SetIdentifier>{id}</SetIdentifier><Failover>{id}</Failover>{check}");
    let name = "leads.db.internal.";
    // Route 53 puts the health check behind the records; the order of elements means nothing to a reader.
    let check = "<HealthCheckId>h-1</HealthCheckId>";
    let sets = [
        set(name, "CNAME", &failover("PRIMARY", check), "leads-rw.db.internal."),
        set(name, "CNAME", &failover("SECONDARY", ""), "leads-dr-rw.db.internal"),
    ];
    let (config, _) = script([page(&sets)]);
    let seen = Route53::new(&config).pair(&records(), "leads.db.internal").await.unwrap();
    let expected = crate::route53::PairSeen {
        primary: Some("leads-rw.db.internal".into()),
        secondary: Some("leads-dr-rw.db.internal".into()),
        health_check: Some("h-1".into()),
    };
    assert_eq!(seen, expected);
    let check = "<GetHealthCheckResponse><HealthCheck><Id>h-1</Id><CallerReference>c</CallerReference>\
         <HealthCheckConfig><Type>CLOUDWATCH_METRIC</Type><AlarmIdentifier><Region>eu-central-1</Region>\
         <Name>lab-leads-primary</Name></AlarmIdentifier></HealthCheckConfig><HealthCheckVersion>1</HealthCheckVersion>\
         </HealthCheck></GetHealthCheckResponse>";
    let (config, _) = script([Reply::Http(200, check.into())]);
    let alarm = Route53::new(&config).health_check("h-1").await.unwrap();
    assert_eq!(alarm, Some(("eu-central-1".to_owned(), "lab-leads-primary".to_owned())));
}

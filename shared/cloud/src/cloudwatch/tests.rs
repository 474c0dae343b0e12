use super::*;
use crate::replay::{Reply, kind, script};

/// The few forms of CBOR (RFC 8949) that CloudWatch's answers need.
mod cbor {
    fn head(major: u8, length: usize) -> Vec<u8> {
        match u8::try_from(length).unwrap() {
            short @ 0..24 => vec![major << 5 | short],
            long => vec![major << 5 | 24, long],
        }
    }

    pub fn text(text: &str) -> Vec<u8> {
        [head(3, text.len()), text.into()].concat()
    }

    pub fn double(number: f64) -> Vec<u8> {
        [vec![0xfb], number.to_be_bytes().into()].concat()
    }

    /// Seconds since 1970.
    pub fn time(seconds: f64) -> Vec<u8> {
        [vec![0xc1], double(seconds)].concat()
    }

    pub fn list(items: &[Vec<u8>]) -> Vec<u8> {
        [head(4, items.len()), items.concat()].concat()
    }

    pub fn map(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let pairs = items.iter().flat_map(|(name, value)| [text(name), value.clone()].concat());
        head(5, items.len()).into_iter().chain(pairs).collect()
    }
}

fn series(name: &str) -> Series {
    Series {
        namespace: "AWS/RDS".into(),
        name: name.into(),
        dimensions: vec![("DBClusterIdentifier".into(), "lab-carts".into())],
        statistic: "Average".into(),
    }
}

#[tokio::test]
async fn one_value_is_written_with_its_dimensions() {
    let (config, replay) = script([Reply::Cbor(200, cbor::map(&[]))]);
    let dimensions = [("Fleet".to_owned(), "prod".to_owned()), ("Cluster".to_owned(), "ledger".to_owned())];
    CloudWatch::new(&config).put("Understudy", "PrimaryServes", &dimensions, 0.0).await.unwrap();
    let asked = replay.only();
    assert!(asked.uri.ends_with("/operation/PutMetricData"), "{}", asked.uri);
    for word in ["Understudy", "PrimaryServes", "Fleet", "prod", "Cluster", "ledger", "Timestamp"] {
        assert!(asked.body.contains(word), "no {word} in {:?}", asked.body);
    }
}

#[tokio::test]
async fn the_newest_value_of_each_metric_is_read_in_one_call() {
    use cbor::{double, list, map, text, time};
    let result = |id: &str, times: &[f64], values: &[f64]| {
        let times: Vec<Vec<u8>> = times.iter().map(|at| time(*at)).collect();
        let values: Vec<Vec<u8>> = values.iter().map(|value| double(*value)).collect();
        map(&[("Id", text(id)), ("Timestamps", list(&times)), ("Values", list(&values))])
    };
    let results = [result("m1", &[120.0, 180.0, 60.0], &[7.0, 3.5, 9.0]), result("m0", &[], &[])];
    let (config, replay) = script([Reply::Cbor(200, map(&[("MetricDataResults", list(&results))]))]);
    let wanted = [series("AuroraReplicaLag"), series("AuroraGlobalDBReplicationLag")];
    let newest = CloudWatch::new(&config).newest(&wanted, 300).await.unwrap();
    assert_eq!(newest, [None, Some(Value { value: 3.5, at_ms: 180_000 })]);
    let asked = replay.only().body;
    assert!(asked.contains("AuroraReplicaLag") && asked.contains("AuroraGlobalDBReplicationLag"), "{asked:?}");
}

#[tokio::test]
async fn an_alarm_has_a_state_or_is_missing() {
    use cbor::{list, map, text};
    let alarm = |state: &str| map(&[("AlarmName", text("prod-ledger-primary")), ("StateValue", text(state))]);
    let table = [
        (vec![alarm("OK")], Some(AlarmState::Ok)),
        (vec![alarm("ALARM")], Some(AlarmState::Alarm)),
        (vec![alarm("INSUFFICIENT_DATA")], Some(AlarmState::Unknown)),
        (vec![], None),
    ];
    for (alarms, expected) in table {
        let (config, _) = script([Reply::Cbor(200, map(&[("MetricAlarms", list(&alarms))]))]);
        assert_eq!(CloudWatch::new(&config).alarm("prod-ledger-primary").await.unwrap(), expected);
    }
    let denied = map(&[("__type", text("AccessDenied")), ("Message", text("not authorized"))]);
    let (config, _) = script([Reply::Cbor(403, denied)]);
    let failure = CloudWatch::new(&config).alarm("prod-ledger-primary").await.unwrap_err();
    assert_eq!(kind(&failure), "broken");
    assert!(failure.to_string().contains("does this function's role permit cloudwatch:DescribeAlarms"), "{failure}");
}

//! What other functions are told, in the shape of an EventBridge event.

use crate::{finding::Finding, watch::Suspicion};
use domain::time;
use serde_json::{Value, json};
use std::hash::{BuildHasher, RandomState};

/// Where events come from: the account and Region of this function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    account: String,
    region: String,
}

impl Origin {
    /// Reads both from a function's ARN,
    /// `arn:aws:lambda:eu-west-1:111122223333:function:prod-watch-clusters`.
    #[must_use]
    pub fn of_function(arn: &str) -> Self {
        let part = |number: usize| arn.split(':').nth(number).unwrap_or_default().to_owned();
        Origin { region: part(3), account: part(4) }
    }

    /// The writer of a cluster is suspected to be down.
    pub(crate) fn suspected(&self, now_ms: u64, cluster: &str, suspicion: &Suspicion) -> Value {
        let mut detail = json!({
            "cluster": cluster,
            "member": suspicion.member,
            "failures": suspicion.failures,
            "silent_since_ms": suspicion.silent_since_ms,
            "problem": suspicion.problem,
            "raised_at_ms": now_ms,
        });
        if let Some(write) = &suspicion.last_write {
            detail["last_lsn"] = json!(write.lsn);
            detail["last_lsn_at_ms"] = json!(write.at_ms);
            detail["synchronous_setting"] = json!(write.synchronous_setting);
        }
        if let Some(leader) = &suspicion.leader {
            detail["leader"] = json!(leader);
            return self.event(now_ms, "Understudy Leader Moved", detail);
        }
        self.event(now_ms, "Understudy Writer Suspected", detail)
    }

    /// Something about a cluster is not as it should be.
    pub(crate) fn found(&self, now_ms: u64, cluster: &str, finding: &Finding) -> Value {
        let mut detail = json!({ "cluster": cluster, "problem": finding.to_string() });
        if let Some(member) = finding.member() {
            detail["member"] = json!(member);
        }
        self.event(now_ms, finding.detail_type(), detail)
    }

    fn event(&self, now_ms: u64, kind: &str, detail: Value) -> Value {
        // EventBridge's times have no fraction.
        let time: String = time::stamp(now_ms).chars().take(19).chain(['Z']).collect();
        json!({
            "version": "0",
            "id": unique(now_ms),
            "detail-type": kind,
            "source": "understudy.watch-clusters",
            "account": self.account,
            "time": time,
            "region": self.region,
            "resources": [],
            "detail": detail,
        })
    }
}

/// An id in the form of a UUID. The standard library's hasher has random keys,
/// others in every process and for every hasher.
fn unique(now_ms: u64) -> String {
    let half = || RandomState::new().hash_one(now_ms);
    let (high, low) = (half(), half());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFF,
        (low >> 48) & 0x3FFF | 0x8000,
        low & 0xFFFF_FFFF_FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::LastWrite;
    use domain::{
        events::{Function, Meaning, meaning_for},
        lsn::Lsn,
    };

    fn origin() -> Origin {
        Origin::of_function("arn:aws:lambda:eu-west-1:111122223333:function:prod-watch-clusters")
    }

    #[test]
    fn a_suspicion_is_understood_by_whom_it_is_for() {
        let suspicion = Suspicion {
            member: "i-0a1".to_owned(),
            failures: 3,
            silent_since_ms: 1_795_230_727_200,
            last_write: Some(LastWrite {
                lsn: Lsn(0x0437_2C78),
                at_ms: 1_795_230_726_900,
                synchronous_setting: "ANY 1 (\"orders_2\")".to_owned(),
            }),
            problem: "waited 900 ms for a TCP connection".to_owned(),
            leader: None,
        };
        let event = origin().suspected(1_795_230_730_123, "orders", &suspicion);
        assert_eq!(event["time"], "2026-11-21T03:12:10Z");
        assert_eq!((&event["account"], &event["region"]), (&json!("111122223333"), &json!("eu-west-1")));
        let expected = json!({
            "cluster": "orders", "member": "i-0a1", "failures": 3, "silent_since_ms": 1_795_230_727_200_u64,
            "last_lsn": "0/4372C78", "last_lsn_at_ms": 1_795_230_726_900_u64,
            "synchronous_setting": "ANY 1 (\"orders_2\")", "problem": "waited 900 ms for a TCP connection",
            "raised_at_ms": 1_795_230_730_123_u64,
        });
        assert_eq!(event["detail"], expected);
        let Meaning::Suspicion(understood) = meaning_for(Function::PromoteReplica, "prod", &event) else {
            panic!("{event} is no suspicion");
        };
        assert_eq!((understood.cluster.as_str(), understood.member.as_str()), ("orders", "i-0a1"));
        assert_eq!((understood.failures, understood.last_lsn), (Some(3), Some(Lsn(0x0437_2C78))));
        assert_eq!(understood.synchronous_setting.as_deref(), Some("ANY 1 (\"orders_2\")"));
        assert_eq!(understood.silent_since_ms, Some(1_795_230_727_200));
        assert_eq!(understood.last_lsn_at_ms, Some(1_795_230_726_900));
    }

    #[test]
    fn a_writer_that_was_never_seen_has_no_position() {
        let suspicion = Suspicion {
            member: "i-0a1".to_owned(),
            failures: 3,
            silent_since_ms: 1,
            last_write: None,
            problem: "gone".to_owned(),
            leader: None,
        };
        let event = origin().suspected(0, "orders", &suspicion);
        assert_eq!(event["detail"].get("last_lsn"), None);
        assert!(matches!(meaning_for(Function::PromoteReplica, "prod", &event), Meaning::Suspicion(_)));
    }

    #[test]
    fn every_finding_is_understood_by_whom_it_is_for() {
        let member = || "i-0a1".to_owned();
        for finding in [
            Finding::ChangeUnfinished,
            Finding::TwoWriters(member()),
            Finding::WriterInRecovery(member()),
            Finding::StandbyFrozen(member()),
            Finding::StandbyAstray(member()),
            Finding::NotAdopted(member()),
            Finding::PauseOver,
        ] {
            let event = origin().found(0, "orders", &finding);
            let expected = Meaning::Attention { cluster: "orders".to_owned(), what: finding.detail_type().to_owned() };
            assert_eq!(meaning_for(Function::PromoteReplica, "prod", &event), expected);
            assert!(!event["detail"]["problem"].as_str().unwrap_or_default().is_empty());
        }
    }

    #[test]
    fn a_leader_that_moved_tells_what_was_known_of_the_one_before() {
        let suspicion = Suspicion {
            member: "i-0a1".to_owned(),
            failures: 0,
            silent_since_ms: 1_795_230_726_900,
            last_write: Some(LastWrite {
                lsn: Lsn(7),
                at_ms: 1_795_230_726_900,
                synchronous_setting: "shop_2".to_owned(),
            }),
            problem: "moved".to_owned(),
            leader: Some("i-0b2".to_owned()),
        };
        let event = origin().suspected(1_795_230_727_123, "shop", &suspicion);
        assert_eq!(event["detail-type"], "Understudy Leader Moved");
        let meaning = meaning_for(Function::PromoteReplica, "prod", &event);
        let Meaning::Suspicion(understood) = &meaning else { panic!("{meaning}") };
        assert_eq!((understood.member.as_str(), understood.leader.as_deref()), ("i-0a1", Some("i-0b2")));
        assert_eq!((understood.last_lsn, understood.synchronous_setting.as_deref()), (Some(Lsn(7)), Some("shop_2")));
        assert_eq!(
            meaning.to_string(),
            "watch-clusters found i-0b2 leading shop in place of i-0a1: look at shop at once"
        );
    }

    #[test]
    fn ids_are_of_one_event_each() {
        let ids: std::collections::BTreeSet<String> = (0..1000).map(|_| unique(7)).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'4'), "{ids:?}");
    }
}

//! What AWS does when it is called.

use super::{Account, Scripted};
use deploy_cluster::{
    deletion::Deletion,
    outside::{
        Certificate, ChangeSetPhase, ChangeSetSeen, EventSeen, NetworkSeen, NewChangeSet, OpenChangeSet, Outside,
        ResourceSeen, Settings, SetupProblem, StackSeen, TemplateAt, TlsSeen, UnsettledStack,
    },
};
use domain::{
    card::{Card, Records},
    failover::{Page, Sql},
    records::RecordsSeen,
    state::State,
};
use reconcile::{Failure, failed};
use serde_json::Value;
use std::net::IpAddr;
use template::{Part, Subnet, Tls};

impl Scripted {
    /// One call: counted, written down if it changes something, and failing when its time has come.
    async fn call<T>(
        &self,
        what: Option<String>,
        effect: impl FnOnce(&mut Account) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.now().yields {
            tokio::task::yield_now().await;
        }
        let mut account = self.now();
        let cut = || failed::<&str>("any")("the function was cut short");
        if account.calls_left == 0 {
            return Err(cut());
        }
        account.calls_left -= 1;
        let is_last = account.calls_left == 0 && account.lost_answer;
        let result = effect(&mut account);
        if result.is_ok() {
            account.done.extend(what);
        }
        if is_last { Err(cut()) } else { result }
    }

    async fn look<T>(&self, look: impl FnOnce(&Account) -> T) -> Result<T, Failure> {
        self.call(None, |account| Ok(look(account))).await
    }
}

fn lost<T>(what: &str) -> Result<T, Failure> {
    Err(Failure::LostRace { call: "any", what: what.to_owned() })
}

impl Outside for Scripted {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn now_ms(&self) -> u64 {
        self.now().now_ms
    }

    async fn rest(&self) {
        self.now().now_ms += 2_000;
    }

    async fn network(&self, subnet_ids: &[String]) -> Result<NetworkSeen, Failure> {
        self.look(|account| {
            let known = |id: &String| account.network.subnets.iter().flatten().find(|subnet| subnet.id == *id).cloned();
            let subnets: Vec<Option<Subnet>> = subnet_ids.iter().map(known).collect();
            NetworkSeen { subnets, ..account.network.clone() }
        })
        .await
    }

    async fn image(&self, parameter: &str) -> Result<String, Failure> {
        assert_eq!(parameter, "/aws/service/debian/release/12/latest/arm64");
        self.look(|_| "ami-1".to_owned()).await
    }

    async fn put(&self, key: &str, bytes: &[u8], _: [u8; 32]) -> Result<(), Failure> {
        let is_new = !self.now().objects.contains_key(key);
        let folder = key.split('/').next().unwrap_or_default();
        self.call(is_new.then(|| format!("put {folder}")), |account| {
            account.objects.insert(key.to_owned(), bytes.to_vec());
            Ok(())
        })
        .await
    }

    async fn has_secret(&self, name: &str) -> Result<bool, Failure> {
        self.look(|account| account.secrets.contains(name) || (name.ends_with("/tls") && account.tls.is_some())).await
    }

    async fn tls(&self, _: &str) -> Result<Option<Certificate>, Failure> {
        self.look(|account| account.tls.clone()).await
    }

    async fn create_tls(&self, cluster: &str, names: &[String], peers: bool, _: Option<&str>) -> Result<(), Failure> {
        self.call(Some(format!("create certificate of {cluster} for {}", names.join(", "))), |account| {
            if account.tls.is_some() {
                return lost("the secret");
            }
            let tls = Tls {
                secret_arn: "arn:tls".into(),
                certificate_authority: "PEM".into(),
                peer_authority: peers.then(|| "PEER".to_owned()),
            };
            let seen = TlsSeen { tls, names: names.to_vec(), copy_of: None, copies: vec![] };
            account.tls = Some(Certificate::There(seen));
            Ok(())
        })
        .await
    }

    async fn restore_tls(&self, _: &str) -> Result<(), Failure> {
        self.call(Some("restore certificate".into()), |account| {
            let tls = Tls { secret_arn: "arn:tls".into(), certificate_authority: "PEM".into(), peer_authority: None };
            let names = ["orders-rw.db.internal", "orders-ro.db.internal"].map(str::to_owned).to_vec();
            account.tls = Some(Certificate::There(TlsSeen { tls, names, copy_of: None, copies: vec![] }));
            Ok(())
        })
        .await
    }

    async fn replicate_tls(&self, _: &str, region: &str, _: Option<&str>) -> Result<(), Failure> {
        self.call(Some(format!("copy certificate to {region}")), |account| {
            let Some(Certificate::There(seen)) = &mut account.tls else { panic!("nothing to copy") };
            seen.copies.push(region.to_owned());
            Ok(())
        })
        .await
    }

    async fn delete_tls(&self, _: &str) -> Result<(), Failure> {
        self.call(Some("delete certificate".into()), |account| {
            assert!(account.stack.is_none(), "its members still use it");
            account.tls = Some(Certificate::Marked);
            Ok(())
        })
        .await
    }

    async fn state(&self, _: &str) -> Result<Option<State>, Failure> {
        self.look(|account| account.state.clone()).await
    }

    async fn unclaim(&self, cluster: &str) -> Result<(), Failure> {
        self.call(Some(format!("unclaim {cluster}")), |account| {
            let status = account.stack.as_ref().map_or("", |stack| &stack.status);
            assert!(matches!(status, "" | "REVIEW_IN_PROGRESS"), "its members may be running: {status}");
            account.state.as_mut().unwrap().writer = None;
            Ok(())
        })
        .await
    }

    async fn setup_problem(&self, _: &str, logical_id: &str) -> Result<Option<SetupProblem>, Failure> {
        self.look(|account| account.setup.get(logical_id).cloned()).await
    }

    async fn deletions(&self) -> Result<Vec<String>, Failure> {
        self.look(|account| account.deletion.iter().map(|_| "orders".to_owned()).collect()).await
    }

    async fn deletion(&self, _: &str) -> Result<Option<Deletion>, Failure> {
        self.look(|account| account.deletion.clone()).await
    }

    async fn note_deletion(&self, _: &str, note: &Deletion) -> Result<(), Failure> {
        self.call(Some("note deletion".into()), |account| {
            account.deletion.get_or_insert_with(|| note.clone());
            Ok(())
        })
        .await
    }

    async fn forget_deletion(&self, _: &str) -> Result<(), Failure> {
        self.call(Some("forget deletion".into()), |account| {
            account.deletion = None;
            Ok(())
        })
        .await
    }

    async fn stack(&self, name: &str) -> Result<Option<StackSeen>, Failure> {
        assert!(name.starts_with("understudy-example-"), "{name}");
        self.look(|account| account.stack.clone()).await
    }

    async fn unsettled_stacks(&self) -> Result<Vec<UnsettledStack>, Failure> {
        self.look(|account| {
            let settled = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"];
            let unsettled = account.stack.iter().filter(|stack| !settled.contains(&stack.status.as_str()));
            let unsettled = unsettled.map(|stack| UnsettledStack {
                name: "understudy-example-orders".into(),
                status: stack.status.clone(),
                changed_at_ms: stack.changed_at_ms,
            });
            unsettled.collect()
        })
        .await
    }

    async fn template(&self, _: &str) -> Result<Value, Failure> {
        self.look(|account| account.template.clone()).await
    }

    async fn resources(&self, _: &str) -> Result<Vec<ResourceSeen>, Failure> {
        self.look(|account| account.resources.clone()).await
    }

    async fn last_change(&self, _: &str) -> Result<Vec<EventSeen>, Failure> {
        self.look(|account| account.events.clone()).await
    }

    async fn open_change_sets(&self, _: &str) -> Result<Vec<OpenChangeSet>, Failure> {
        self.look(|account| {
            let open = account.change_sets.iter().filter(|(_, (phase, ..))| *phase != ChangeSetPhase::Over);
            open.map(|(name, (.., at))| OpenChangeSet { name: name.clone(), created_at_ms: *at }).collect()
        })
        .await
    }

    async fn change_set(&self, _: &str, name: &str) -> Result<Option<ChangeSetSeen>, Failure> {
        self.call(None, |account| {
            if let (Some((phase, ..)), 1..) = (account.change_sets.get(name), account.looks_until_made) {
                account.looks_until_made -= 1;
                assert!(matches!(phase, ChangeSetPhase::Ready(_)));
                return Ok(Some(ChangeSetSeen { name: name.to_owned(), phase: ChangeSetPhase::Pending }));
            }
            let found = account.change_sets.get(name);
            Ok(found.map(|(phase, ..)| ChangeSetSeen { name: name.to_owned(), phase: phase.clone() }))
        })
        .await
    }

    async fn create_change_set(&self, new: &NewChangeSet) -> Result<(), Failure> {
        let kind = if new.new_stack { "new stack" } else { "update" };
        self.call(Some(format!("create change set: {kind}, image {:?}", new.image)), |account| {
            let exists = account.stack.as_ref().is_some_and(|stack| stack.status != "REVIEW_IN_PROGRESS");
            if exists == new.new_stack {
                return lost("the stack");
            }
            if account.stack.is_none() {
                let is_dr = new.tags.contains(&("understudy:part".into(), "dr".into()));
                account.stack = Some(StackSeen {
                    id: format!("arn:stack/{}", account.now_ms),
                    status: "REVIEW_IN_PROGRESS".into(),
                    reason: None,
                    changed_at: "0".into(),
                    changed_at_ms: account.now_ms,
                    parameters: vec![],
                    protected: false,
                    part: if is_dr { Part::Dr } else { Part::Primary },
                });
            }
            let body = match &new.template {
                TemplateAt::Body(body) => {
                    assert!(body.len() <= 51_200, "CloudFormation takes no larger request");
                    body.clone().into_bytes()
                }
                TemplateAt::Object(key) => account.objects[key].clone(),
            };
            let made = (account.next_phase.clone(), serde_json::from_slice(&body).unwrap(), account.now_ms);
            account.change_sets.entry(new.name.clone()).or_insert(made);
            Ok(())
        })
        .await
    }

    async fn execute_change_set(&self, _: &str, name: &str) -> Result<(), Failure> {
        assert!(!name.ends_with("-plan"), "a plan is never executed");
        self.call(Some("execute change set".into()), |account| {
            let Some((phase, body, _)) = account.change_sets.get_mut(name) else { return lost(name) };
            match phase {
                ChangeSetPhase::Over => return lost(name),
                ChangeSetPhase::Ready(_) => *phase = ChangeSetPhase::Over,
                _ => panic!("{phase:?}"),
            }
            account.template = body.clone();
            let stack = account.stack.as_mut().unwrap();
            let creates = stack.status == "REVIEW_IN_PROGRESS";
            let status = if creates { "CREATE_IN_PROGRESS" } else { "UPDATE_IN_PROGRESS" };
            stack.status = status.into();
            stack.changed_at = (stack.changed_at.parse::<u32>().unwrap() + 1).to_string();
            stack.changed_at_ms = account.now_ms;
            stack.parameters = vec!["ImageId".into()];
            account.happens("the stack", status, None);
            Ok(())
        })
        .await
    }

    async fn delete_change_set(&self, _: &str, name: &str) -> Result<(), Failure> {
        self.call(Some("delete change set".into()), |account| {
            account.change_sets.remove(name);
            Ok(())
        })
        .await
    }

    async fn protect(&self, _: &str, protected: bool) -> Result<(), Failure> {
        self.call(Some(format!("protect {protected}")), |account| {
            account.stack.as_mut().unwrap().protected = protected;
            Ok(())
        })
        .await
    }

    async fn delete_stack(&self, id: &str, _: &str) -> Result<(), Failure> {
        self.call(Some("delete stack".into()), |account| {
            let Some(stack) = account.stack.as_mut().filter(|stack| stack.id == id) else { return Ok(()) };
            if stack.protected {
                return lost("the protection");
            }
            stack.status = "DELETE_IN_PROGRESS".into();
            account.happens("the stack", "DELETE_IN_PROGRESS", None);
            Ok(())
        })
        .await
    }

    async fn cards(&self) -> Result<Vec<Card>, Failure> {
        self.look(|account| account.card.clone().into_iter().collect()).await
    }

    async fn card(&self, _: &str) -> Result<Option<Card>, Failure> {
        self.look(|account| account.card.clone()).await
    }

    async fn records(&self, _: &Records) -> Result<RecordsSeen, Failure> {
        self.look(|account| account.records.clone()).await
    }

    async fn move_writer(&self, _: &Records, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
        self.call(Some(format!("writer record {from:?} -> {to:?}")), |account| {
            let seen = account.records.writer.first().copied().zip(account.records.epoch);
            if seen != from {
                return lost("the record");
            }
            account.records.writer = vec![to.0];
            account.records.epoch = Some(to.1);
            Ok(())
        })
        .await
    }

    async fn set_readers(&self, _: &Records, addresses: &[IpAddr]) -> Result<(), Failure> {
        self.call(Some(format!("reader record -> {addresses:?}")), |account| {
            account.records.reader = addresses.to_vec();
            Ok(())
        })
        .await
    }

    async fn remove_records(&self, _: &Records) -> Result<(), Failure> {
        self.call(Some("remove records".into()), |account| {
            assert!(account.stack.is_none(), "clients still use them");
            account.records = RecordsSeen::default();
            Ok(())
        })
        .await
    }

    async fn probe(&self, _: &Card) -> Result<Vec<Sql>, Failure> {
        self.look(|account| account.members.clone()).await
    }

    async fn tell_once(&self, _: &str, what: &str) -> Result<bool, Failure> {
        self.call(None, |account| {
            // In a test the moments of whoever was cut short are over at once.
            let told = account.told.entry(what.to_owned()).or_insert(false);
            Ok(!*told)
        })
        .await
    }

    async fn told(&self, _: &str, what: &str) -> Result<(), Failure> {
        self.call(None, |account| {
            account.told.insert(what.to_owned(), true);
            Ok(())
        })
        .await
    }

    async fn untell(&self, _: &str, what: &str) -> Result<(), Failure> {
        self.call(None, |account| {
            account.told.remove(what);
            Ok(())
        })
        .await
    }

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        self.call(None, |account| {
            if account.page_fails {
                return Err(failed::<&str>("sns:Publish")("throttled"));
            }
            account.pages.push((page.subject.clone(), page.text.clone()));
            Ok(())
        })
        .await
    }
}

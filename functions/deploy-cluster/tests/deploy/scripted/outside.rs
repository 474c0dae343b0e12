//! What AWS does when it is called.

use super::{Account, Scripted, compare::compare};
use deploy_cluster::{
    deletion::Deletion,
    managed::SetUp,
    outside::{
        Certificate, ChangeSetPhase, ChangeSetSeen, EventSeen, Needed, NetworkSeen, NewChangeSet, OpenChangeSet,
        Outside, ResourceSeen, Settings, SetupProblem, StackSeen, TemplateAt, TlsSeen, UnsettledStack,
    },
};
use domain::{
    blue_green::{Deployment, Server, Source, Wanted},
    card::{Card, ManagedCard, Records, Registered},
    failover::{Page, Sql},
    managed::{Described, NamesSeen},
    records::RecordsSeen,
    state::State,
};
use reconcile::{Failure, failed};
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr};
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
        self.look(|account| account.deletion.iter().map(|_| account.cluster()).collect()).await
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
                name: format!("understudy-example-{}", account.cluster()),
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

    async fn change_set_template(&self, _: &str, name: &str) -> Result<Value, Failure> {
        self.call(None, |account| match account.change_sets.get(name) {
            Some((_, body, _)) => Ok(body.clone()),
            None => lost(name),
        })
        .await
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
            let wanted: Value = serde_json::from_slice(&body).unwrap();
            let phase = if account.compares {
                ChangeSetPhase::Ready(compare(&account.template, &wanted))
            } else {
                account.next_phase.clone()
            };
            let made = (phase, wanted, account.now_ms);
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

    async fn cards(&self) -> Result<Vec<Registered>, Failure> {
        self.look(|account| account.card.clone().into_iter().collect()).await
    }

    async fn card(&self, _: &str) -> Result<Option<Registered>, Failure> {
        self.look(|account| account.card.clone()).await
    }

    async fn kept(&self, _: &str, item: &str) -> Result<Option<Value>, Failure> {
        self.look(|account| account.kept.get(item).cloned()).await
    }

    async fn keep(&self, _: &str, item: &str, before: Option<&Value>, after: Option<&Value>) -> Result<(), Failure> {
        let what = if after.is_some() { "keep" } else { "drop" };
        self.call(Some(format!("{what} item {item}")), |account| {
            if account.kept.get(item) != before {
                return lost("the item");
            }
            account.kept.remove(item);
            account.kept.extend(after.map(|after| (item.to_owned(), after.clone())));
            Ok(())
        })
        .await
    }

    async fn described(&self, _: &ManagedCard) -> Result<Described, Failure> {
        self.look(|account| account.databases.rds.clone()).await
    }

    async fn in_other_region(&self, region: &str, needed: &Needed) -> Result<Option<String>, Failure> {
        assert_ne!(region, self.settings.region);
        self.look(|account| account.databases.elsewhere.get(&needed.to_string()).cloned()).await
    }

    async fn ask(&self, _: &ManagedCard, endpoints: &[String]) -> Result<BTreeMap<String, Sql>, Failure> {
        let answer = |account: &Account, endpoint: &String| {
            let answer = account.databases.answers.get(endpoint).cloned();
            (endpoint.clone(), answer.unwrap_or(Sql::Silent("no such name".into())))
        };
        self.look(|account| endpoints.iter().map(|endpoint| answer(account, endpoint)).collect()).await
    }

    async fn set_up(&self, _: &ManagedCard, endpoint: &str, wanted: &SetUp) -> Result<Vec<String>, Failure> {
        self.call(Some(format!("set up {} at {endpoint}", wanted.database)), |account| {
            if account.databases.closed {
                return Err(failed::<&str>("postgres:set-up")("connection refused"));
            }
            assert!(matches!(account.databases.answers.get(endpoint), Some(Sql::Writer(_))), "{endpoint} is no writer");
            Ok(vec!["role understudy".into()])
        })
        .await
    }

    async fn names(&self, _: &Records) -> Result<NamesSeen, Failure> {
        self.look(|account| account.databases.names.clone()).await
    }

    async fn move_name(&self, _: &Records, from: Option<(&str, u64)>, to: (&str, u64)) -> Result<(), Failure> {
        self.call(Some(format!("writer name {from:?} -> {to:?}")), |account| {
            let names = &mut account.databases.names;
            if names.writer.as_deref().zip(names.epoch) != from {
                return lost("the record");
            }
            names.writer = Some(to.0.to_owned());
            names.epoch = Some(to.1);
            Ok(())
        })
        .await
    }

    async fn set_reader_names(&self, _: &Records, readers: &[(String, String)]) -> Result<(), Failure> {
        self.call(Some(format!("reader names -> {readers:?}")), |account| {
            account.databases.names.readers = readers.iter().map(|(_, name)| name.clone()).collect();
            Ok(())
        })
        .await
    }

    async fn remove_names(&self, _: &Records) -> Result<(), Failure> {
        self.call(Some("remove names".into()), |account| {
            assert!(account.stack.is_none(), "clients still use them");
            account.databases.names = NamesSeen::default();
            Ok(())
        })
        .await
    }

    async fn source(&self, _: &ManagedCard) -> Result<Option<Source>, Failure> {
        self.look(|account| account.databases.source.clone()).await
    }

    async fn manages_password(&self, _: &ManagedCard) -> Result<bool, Failure> {
        self.look(|account| account.databases.manages_password).await
    }

    async fn upgrade_targets(&self, _: &ManagedCard, _: &str) -> Result<Vec<String>, Failure> {
        self.look(|_| ["15.9", "16.4", "16.6", "17.2"].map(str::to_owned).to_vec()).await
    }

    async fn server(&self, _: &ManagedCard) -> Result<Option<(bool, Server)>, Failure> {
        self.look(|account| account.databases.server.clone()).await
    }

    async fn green_lag(&self, _: &ManagedCard) -> Result<Option<u64>, Failure> {
        self.look(|account| account.databases.green_lag).await
    }

    async fn blue_green(&self, _: &ManagedCard) -> Result<Option<Deployment>, Failure> {
        self.look(|account| account.databases.blue_green.clone()).await
    }

    async fn create_blue_green(&self, card: &ManagedCard, source: &str, wanted: &Wanted) -> Result<(), Failure> {
        let version = wanted.engine_version.clone().unwrap_or_default();
        self.call(Some(format!("create blue/green of {} from {source} {version}", card.cluster)), |account| {
            account.databases.make_green(source);
            Ok(())
        })
        .await
    }

    async fn switch_over_blue_green(&self, id: &str, timeout_s: u32) -> Result<(), Failure> {
        self.call(Some(format!("switch over {id} in {timeout_s} s")), |account| {
            account.databases.switch_over();
            Ok(())
        })
        .await
    }

    async fn delete_blue_green(&self, id: &str, with_target: bool) -> Result<(), Failure> {
        self.call(Some(format!("delete {id}, its databases: {with_target}")), |account| {
            account.databases.blue_green = None;
            Ok(())
        })
        .await
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

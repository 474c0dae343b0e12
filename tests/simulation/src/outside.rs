//! The outside of a pass: `reconcile::Outside` over this world.

pub(crate) use crate::calls::Port;
use crate::{
    aws::Service,
    calls::{To, transient},
    member::Ec2,
    mutation::Mutation,
    world::World,
};
use domain::{
    card::Card,
    failover::{Host, Page, PromotedSeen, Sql, Target},
    lsn::Lsn,
    records::RecordsSeen,
    state::{Approval, Change, Finished, GuardSeen, Holder, Pause, State, Synchronous},
};
use reconcile::{Desk, Failure, Outside, Steers};
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

const GET: &str = "dynamodb:GetItem";
const UPDATE: &str = "dynamodb:UpdateItem";
const TABLE: To = To::Service(Service::Table);

/// As `postgres` has them: a reload and a receiver that ends, and a promotion.
const SETTING: u64 = 5_000;
const PROMOTION: u64 = 20_000;

impl Port {
    fn member(&self, target: &Target) -> Result<usize, Failure> {
        let place = self.card.members.iter().position(|member| member.id == target.id);
        place.ok_or_else(|| Failure::Broken { call: "simulation", what: format!("{} is no member", target.id) })
    }

    fn has(&self, mutation: Mutation) -> bool {
        self.with(|world| world.mutation == Some(mutation))
    }

    /// A write of the state item, with this process's clock.
    async fn write(
        &self,
        effect: impl FnOnce(&mut World, u64) -> Result<(), Failure> + 'static,
    ) -> Result<(), Failure> {
        let now_ms = self.now_ms();
        let effect = move |world: &mut World| {
            let done = effect(world, now_ms);
            world.check_epoch();
            done
        };
        self.call(UPDATE, TABLE, effect).await
    }
}

/// What only a cluster needs that nobody here has: one whose roles somebody else assigns.
fn not_here(what: &str) -> Failure {
    Failure::Broken { call: "simulation", what: format!("{what}: no function that runs here asks for it") }
}

impl Desk for Port {
    fn fleet(&self) -> &str {
        &self.card.fleet
    }

    fn cluster(&self) -> &str {
        &self.card.cluster
    }

    fn now_ms(&self) -> u64 {
        self.world.borrow().clock(self.skew)
    }

    async fn sleep(&self, span: Duration) {
        self.wait(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)).await;
    }

    async fn state(&self) -> Result<Option<State>, Failure> {
        let unpaused = self.has(Mutation::IgnorePause);
        self.call(GET, TABLE, move |world| {
            let mut state = world.aws.table.state.clone();
            state.pause = state.pause.filter(|_| !unpaused);
            state.holder = state.holder.filter(|_| !world.aws.table.leases_free);
            Ok(Some(state))
        })
        .await
    }

    async fn begin(&self, expected_epoch: u64, holder: &Holder, change: &Change) -> Result<(), Failure> {
        let (holder, mut change) = (holder.clone(), change.clone());
        self.write(move |world, now_ms| {
            if world.mutation == Some(Mutation::IgnoreLagGate) {
                change.last_writer_lsn = Some(Lsn(1));
            }
            world.aws.table.begin(expected_epoch, &holder, &change, now_ms)?;
            world.check_begin(&change);
            if world.mutation == Some(Mutation::RecordFirst) {
                world.record_first(&change, expected_epoch + 1);
            }
            Ok(())
        })
        .await
    }

    async fn resume(&self, epoch: u64, holder: &Holder) -> Result<(), Failure> {
        let holder = holder.clone();
        self.write(move |world, now_ms| world.aws.table.resume(epoch, &holder, now_ms)).await
    }

    async fn note(&self, epoch: u64, holder: &str, change: &Change) -> Result<(), Failure> {
        let (holder, mut change) = (holder.to_owned(), change.clone());
        if self.has(Mutation::ForgetPromoting) {
            change.promoting = None;
        }
        self.write(move |world, _| world.aws.table.note(epoch, &holder, &change)).await
    }

    async fn finish(&self, epoch: u64, holder: &str, finished: &Finished) -> Result<(), Failure> {
        let (holder, finished) = (holder.to_owned(), finished.clone());
        self.write(move |world, _| {
            let kind = world.aws.table.state.change.as_ref().map(|change| change.kind).unwrap_or_default();
            world.aws.table.finish(epoch, &holder, &finished)?;
            world.check_finish(epoch, kind);
            Ok(())
        })
        .await
    }

    async fn abandon(&self, epoch: u64, holder: &str) -> Result<(), Failure> {
        let holder = holder.to_owned();
        self.write(move |world, _| {
            world.tally.count("events", "changes given up");
            world.aws.table.abandon(epoch, &holder)
        })
        .await
    }

    async fn release(&self, epoch: u64, holder: &str) -> Result<(), Failure> {
        let holder = holder.to_owned();
        self.write(move |world, _| world.aws.table.release(epoch, &holder)).await
    }

    async fn pause(&self, epoch: u64, pause: &Pause) -> Result<(), Failure> {
        let pause = pause.clone();
        self.write(move |world, _| world.aws.table.pause(epoch, &pause)).await
    }

    async fn tell_once(&self, what: &str, now_ms: u64, every_ms: u64) -> Result<bool, Failure> {
        let what = what.to_owned();
        self.call("dynamodb:PutItem", TABLE, move |world| {
            world.tally.count("pages", what.split('#').next().unwrap_or_default());
            Ok(world.aws.table.tell_once(&what, now_ms, every_ms))
        })
        .await
    }

    async fn untell(&self, what: &str) -> Result<(), Failure> {
        let what = what.to_owned();
        self.call("dynamodb:DeleteItem", TABLE, move |world| {
            world.aws.table.told.remove(&what);
            Ok(())
        })
        .await
    }

    async fn append(&self, item: &str, entry: &Value) -> Result<bool, Failure> {
        let (item, entry) = (item.to_owned(), entry.clone());
        self.call("dynamodb:PutItem", TABLE, move |world| {
            let new = !world.aws.table.ledger.contains_key(&item);
            if new {
                world.aws.table.ledger.insert(item, entry);
            }
            Ok(new)
        })
        .await
    }

    async fn send(&self, page: &Page) -> Result<(), Failure> {
        let page = page.clone();
        self.call("sns:Publish", To::Service(Service::Pages), move |world| {
            world.check_page(&page);
            world.aws.pages.push(page);
            Ok(())
        })
        .await
    }

    async fn approve(&self, approval: &Approval) -> Result<(), Failure> {
        let approval = approval.clone();
        self.write(move |world, _| world.aws.table.approve(&approval)).await
    }

    async fn adopt(&self, _: u64, writer: &str, _: u32, _: &Synchronous) -> Result<(), Failure> {
        Err(not_here(&format!("adopt of {writer}")))
    }

    async fn kept(&self, item: &str) -> Result<Option<Value>, Failure> {
        Err(not_here(item))
    }

    async fn keep(&self, item: &str, _: Option<&Value>, _: Option<&Value>) -> Result<(), Failure> {
        Err(not_here(item))
    }
}

impl Outside for Port {
    fn card(&self) -> &Card {
        &self.card
    }

    async fn guard(&self, member: &str) -> Result<Option<GuardSeen>, Failure> {
        let member = member.to_owned();
        self.call(GET, TABLE, move |world| {
            let item = world.place(&member).and_then(|place| world.members[place].guards.item.clone());
            if world.mutation == Some(Mutation::TrustRefusedPort) {
                let epoch = world.aws.table.state.epoch;
                return Ok(Some(GuardSeen { epoch, holds: true, ..item.unwrap_or_default() }));
            }
            let epoch = world.aws.table.state.epoch;
            let item = item.map(|item| match world.mutation {
                Some(Mutation::TrustOldHold) => GuardSeen { epoch, ..item },
                _ => item,
            });
            let no_gate = world.mutation == Some(Mutation::IgnoreLagGate);
            Ok(item.map(|item| GuardSeen { checkpoint: item.checkpoint.filter(|_| !no_gate), ..item }))
        })
        .await
    }

    async fn publish_synchronous(
        &self,
        epoch: u64,
        holder: &str,
        set: &Synchronous,
        floor: Option<Lsn>,
    ) -> Result<(), Failure> {
        let (holder, set) = (holder.to_owned(), set.clone());
        let nothing = self.has(Mutation::PublishNothing);
        let no_floor = self.has(Mutation::ForgetFloor);
        self.write(move |world, _| {
            if nothing {
                return Ok(());
            }
            world.aws.table.publish(epoch, &holder, &set, floor.filter(|_| !no_floor))?;
            if floor.is_some() {
                world.floor_is_published();
            }
            Ok(())
        })
        .await
    }

    async fn hosts(&self) -> Result<BTreeMap<String, Host>, Failure> {
        self.call("ec2:DescribeInstances", To::Service(Service::Ec2), |world| {
            let trusts = world.mutation == Some(Mutation::TrustStopping);
            let hosts = (0..world.members.len()).map(|member| {
                let said = match world.described(member) {
                    Ec2::Stopping if trusts => Ec2::Stopped,
                    said => said,
                };
                (world.id(member).to_owned(), said.said())
            });
            Ok(hosts.collect())
        })
        .await
    }

    async fn probe(&self, member: &Target, timeout: Duration) -> Sql {
        let Ok(member) = self.member(member) else { return Sql::NotAsked };
        let limit = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        match self.call("postgres:probe", To::Member(member, limit), move |world| Ok(world.sql(member))).await {
            Ok(sql) => sql,
            Err(failure) => match failure.story() {
                story if story.contains("refused") => Sql::Refused,
                story => Sql::Silent(story),
            },
        }
    }

    async fn records(&self) -> Result<RecordsSeen, Failure> {
        let call = "route53:ListResourceRecordSets";
        self.call(call, To::Service(Service::Records), |world| Ok(world.aws.zone.clone())).await
    }

    async fn move_writer(&self, from: Option<(IpAddr, u64)>, to: (IpAddr, u64)) -> Result<(), Failure> {
        let call = "route53:ChangeResourceRecordSets";
        self.call(call, To::Service(Service::Records), move |world| {
            world.aws.move_writer(from, to)?;
            world.check_record();
            Ok(())
        })
        .await
    }

    async fn set_readers(&self, addresses: &[IpAddr]) -> Result<(), Failure> {
        let addresses = addresses.to_vec();
        let call = "route53:ChangeResourceRecordSets";
        self.call(call, To::Service(Service::Records), move |world| {
            world.aws.zone.reader = addresses;
            Ok(())
        })
        .await
    }
}

impl Steers for Port {
    async fn stop_host(&self, id: &str) -> Result<(), Failure> {
        let member = self.with(|world| world.place(id)).unwrap_or(0);
        self.call("ec2:StopInstances", To::Service(Service::Ec2), move |world| {
            world.check_stop(member);
            world.stop_host(member);
            Ok(())
        })
        .await
    }

    async fn freeze(&self, member: &Target) -> Result<(), Failure> {
        let call = "postgres:freeze";
        let member = self.member(member)?;
        let number = self.freezes.replace(self.freezes.get() + 1);
        let lies = self.has(Mutation::PromoteBeforeFence) || (number == 1 && self.has(Mutation::FreezeTooFew));
        if lies {
            self.with(|world| world.seem_frozen.insert(member));
            return Ok(());
        }
        self.call(call, To::Member(member, SETTING), move |world| world.sets_upstream(call, member, None)).await?;
        self.until(call, member, SETTING, move |world| world.is_frozen(member)).await
    }

    async fn follow(&self, member: &Target, upstream: IpAddr) -> Result<(), Failure> {
        let call = "postgres:follow";
        let member = self.member(member)?;
        self.call(call, To::Member(member, SETTING), move |world| {
            world.seem_frozen.remove(&member);
            let up = world.aws.member_at(&upstream);
            world.sets_upstream(call, member, up)
        })
        .await
    }

    async fn promote(&self, member: &Target) -> Result<PromotedSeen, Failure> {
        let call = "postgres:promote";
        let member = self.member(member)?;
        self.call(call, To::Member(member, PROMOTION), move |world| {
            world.is_answering(call, member)?;
            world.begins_promotion(member);
            Ok(())
        })
        .await?;
        self.until(call, member, PROMOTION, move |world| world.members[member].writer().is_some()).await?;
        self.with(|world| world.promoted(call, member))
    }

    async fn prove(&self, member: &Target, epoch: u64) -> Result<PromotedSeen, Failure> {
        let call = "postgres:prove";
        let member = self.member(member)?;
        self.call(call, To::Member(member, SETTING), move |world| world.proves(call, member, epoch)).await
    }

    async fn prepare_slots(&self, member: &Target, slots: &[String]) -> Result<(), Failure> {
        let call = "postgres:prepare-slots";
        let member = self.member(member)?;
        let places = slots.iter().filter_map(|slot| self.card.members.iter().position(|other| other.name == *slot));
        let bits = places.fold(0_u8, |bits, place| bits | 1 << place);
        self.call(call, To::Member(member, SETTING), move |world| {
            world.is_answering(call, member)?;
            world.members[member].data.slots |= bits;
            Ok(())
        })
        .await
    }

    async fn set_synchronous(&self, member: &Target, setting: &str) -> Result<(), Failure> {
        let call = "postgres:set-synchronous";
        let member = self.member(member)?;
        let setting = setting.to_owned();
        self.call(call, To::Member(member, SETTING), move |world| world.sets_synchronous(call, member, setting))
            .await?;
        self.wait(20).await;
        Ok(())
    }

    async fn checkpoint(&self, member: &Target) -> Result<(), Failure> {
        let member = self.member(member)?;
        self.call("postgres:checkpoint", To::Member(member, SETTING), |_| Ok(())).await
    }
}

impl Port {
    /// A session asks until the answer is yes.
    async fn until(
        &self,
        call: &'static str,
        member: usize,
        limit: u64,
        yes: impl Fn(&World) -> bool,
    ) -> Result<(), Failure> {
        let (life, began) = self.with(|world| (world.members[member].life, world.now()));
        loop {
            self.wait(12).await;
            let (cut, done, waited) = self.with(|world| {
                let alive = world.members[member].life == life && world.answers(member);
                (!alive, alive && yes(world), world.now() - began)
            });
            if done {
                return Ok(());
            }
            if cut {
                return Err(transient(call, "connection cut"));
            }
            if waited > limit {
                return Err(transient(call, "no answer in time"));
            }
        }
    }
}

//! [`Members`] of a cluster in AWS: the item of a member's way back, and SSM.

use crate::{InAws, Ours};
use domain::rejoin::{CommandSeen, Order, Rejoin, Sent};
use reconcile::{Failure, Members, Outside};

impl Members for InAws<'_, Ours> {
    async fn rejoin(&self, member: &str) -> Result<Option<Rejoin>, Failure> {
        self.clients.states.rejoin(&self.card().cluster, member).await
    }

    async fn note_rejoin(&self, member: &str, before: Option<&Rejoin>, after: &Rejoin) -> Result<(), Failure> {
        self.clients.states.note_rejoin(&self.card().cluster, member, before, after).await
    }

    async fn forget_rejoin(&self, member: &str, before: &Rejoin) -> Result<(), Failure> {
        self.clients.states.forget_rejoin(&self.card().cluster, member, before).await
    }

    async fn send_command(&self, member: &str, order: &Order) -> Result<Sent, Failure> {
        self.clients.ssm.send_command(member, order).await
    }

    async fn find_command(&self, member: &str, order: &Order) -> Result<Option<String>, Failure> {
        self.clients.ssm.find_command(member, order).await
    }

    async fn command(&self, member: &str, command: &str) -> Result<CommandSeen, Failure> {
        self.clients.ssm.command(member, command).await
    }
}

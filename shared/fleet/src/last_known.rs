//! Cards and logins as this process last read them.
//!
//! The event that takes a writer may take Parameter Store or Secrets Manager
//! with it. Cards and logins change seldom, and an old one does no harm: a
//! wrong password reads as a member that is alive, and who may act is decided
//! by the state item, which is read afresh every time.

use domain::card::Registered;
use reconcile::Login;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What was read last.
#[derive(Default)]
pub struct LastKnown {
    cards: Mutex<BTreeMap<String, Registered>>,
    logins: Mutex<BTreeMap<String, Login>>,
}

impl LastKnown {
    pub(crate) fn keep_cards(&self, cards: impl Iterator<Item = Registered>) {
        open(&self.cards).extend(cards.map(|card| (card.cluster().to_owned(), card)));
    }

    pub(crate) fn keep_login(&self, secret: &str, login: Login) {
        open(&self.logins).insert(secret.to_owned(), login);
    }

    /// The card of a cluster, if it was ever read.
    pub(crate) fn card(&self, cluster: &str) -> Option<Registered> {
        open(&self.cards).get(cluster).cloned()
    }

    /// All cards that were ever read; `None` before the first.
    pub(crate) fn cards(&self) -> Option<Vec<Registered>> {
        let cards: Vec<Registered> = open(&self.cards).values().cloned().collect();
        (!cards.is_empty()).then_some(cards)
    }

    /// The login in a secret, if it was ever read.
    pub(crate) fn login(&self, secret: &str) -> Option<Login> {
        open(&self.logins).get(secret).cloned()
    }
}

/// What a panic poisoned is still as it was read.
fn open<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_it_was_read() {
        let known = LastKnown::default();
        assert_eq!((known.card("orders"), known.cards(), known.login("arn")), (None, None, None));
        let login = Login { username: "understudy".to_owned(), password: "x".to_owned() };
        known.keep_login("arn", login.clone());
        assert_eq!((known.login("arn"), known.login("other")), (Some(login), None));
    }
}

//! Watches over members that must not acknowledge.

use crate::{
    clock::Moment,
    inside::{Commit, Inside},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Between two questions: each writes a commit and starts a process.
const EVERY: Duration = Duration::from_millis(250);

/// Asks one member again and again, over its own socket, to acknowledge a commit; ends when dropped.
pub struct Acks {
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

/// What the member answered so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// When the last commit was asked for that it acknowledged.
    pub acknowledged: Option<Moment>,
    /// How often it was asked.
    pub asked: u32,
    /// The last answer.
    pub last: Option<Commit>,
}

impl Drop for Acks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Acks {
    /// Begins to ask.
    pub fn watch(inside: &Inside, id: &str) -> Acks {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (noted, inside, id) = (Arc::clone(&seen), inside.clone(), id.to_owned());
        let task = tokio::spawn(async move {
            loop {
                // Before it is asked: whatever is acknowledged is acknowledged after this.
                let at = Moment::now();
                let answer = inside.commit(&id).await;
                {
                    let mut seen = noted.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.asked += 1;
                    seen.last = Some(answer);
                    if answer == Commit::Acknowledged {
                        seen.acknowledged = Some(at);
                    }
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Acks { seen, task }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

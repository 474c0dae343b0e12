//! Observe, decide, perform; and look again until nothing is left to do.

use crate::Failure;
use domain::decision::Decision;
use std::fmt::Display;

/// Looks after which a pass gives up: more than the longest change needs, so
/// that a world which never settles ends in an error instead of a busy loop.
const MOST_LOOKS: u32 = 24;

/// What a pass looks at and acts on.
#[allow(async_fn_in_trait, reason = "every pass runs on one thread")]
pub trait World {
    /// What one look yields.
    type Seen;
    /// What can be done.
    type Step: Display;

    /// Looks at everything that the next decision needs.
    async fn observe(&mut self) -> Result<Self::Seen, Failure>;

    /// Does one step, without choices of its own. Doing it twice is the same
    /// as doing it once.
    async fn perform(&mut self, step: &Self::Step) -> Result<(), Failure>;
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End<Seen, Reason> {
    /// All is as it should be, after this many steps.
    Steady {
        /// Steps performed by this pass.
        steps: u32,
    },
    /// The outside must change first.
    Wait(Reason),
    /// A person must choose; with the look that says so.
    Refuse(Seen, Reason),
}

/// Runs one pass.
///
/// # Errors
///
/// The [`Failure`] of the first call that did not succeed; what was done before
/// it stays done, and the next pass goes on from there.
pub async fn pass<W, Reason, D>(world: &mut W, decide: D) -> Result<End<W::Seen, Reason>, Failure>
where
    W: World,
    Reason: Display,
    D: Fn(&W::Seen) -> Decision<W::Step, Reason>,
{
    let mut steps = 0;
    for look in 1..=MOST_LOOKS {
        let seen = world.observe().await?;
        match decide(&seen) {
            Decision::Steady => return Ok(End::Steady { steps }),
            Decision::Wait(reason) => return Ok(End::Wait(reason)),
            Decision::Refuse(reason) => return Ok(End::Refuse(seen, reason)),
            Decision::Act(next) => {
                for step in &next {
                    tracing::info!(look, "step: {step}");
                    world.perform(step).await?;
                    steps += 1;
                }
            }
        }
    }
    Err(Failure::Broken { call: "pass", what: format!("it did not settle in {MOST_LOOKS} looks and {steps} steps") })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u32);

    impl World for Counting {
        type Seen = u32;
        type Step = u32;

        async fn observe(&mut self) -> Result<u32, Failure> {
            Ok(self.0)
        }

        async fn perform(&mut self, step: &u32) -> Result<(), Failure> {
            self.0 += step;
            Ok(())
        }
    }

    fn run(decide: impl Fn(&u32) -> Decision<u32, String>) -> Result<End<u32, String>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(crate::failed("test"))?;
        runtime.block_on(pass(&mut Counting(0), decide))
    }

    #[test]
    fn looks_again_until_steady() {
        let end = run(|seen| if *seen < 3 { Decision::Act(vec![1]) } else { Decision::Steady });
        assert!(matches!(end, Ok(End::Steady { steps: 3 })), "{end:?}");
    }

    #[test]
    fn ends_where_a_person_must_choose() {
        let end = run(|seen| if *seen < 1 { Decision::Act(vec![1]) } else { Decision::Refuse("why".to_owned()) });
        assert!(matches!(&end, Ok(End::Refuse(1, why)) if why == "why"), "{end:?}");
    }

    #[test]
    fn a_world_that_never_settles_is_an_error() {
        let end = run(|_| Decision::Act(vec![1]));
        assert!(matches!(end, Err(Failure::Broken { call: "pass", .. })), "{end:?}");
    }
}

//! What a change of leader lost of what was acknowledged.

use super::{Fork, Leader, Led};
use crate::{
    state::{Loss, Synchronous},
    time::bytes,
};

/// The loss, and in words why it is that. Never better than what was seen.
pub(super) fn judge(now: &Led, from: &str, leader: Leader<'_>, fork: Option<&Fork>) -> (Loss, String) {
    let name = &leader.member.card.name;
    if now.seen.switchover.is_some() {
        return (Loss::Nothing, format!("{} shut {from} down in order before {name} took over", now.keeper));
    }
    let suspicion = now.seen.suspicion.as_ref().filter(|suspicion| suspicion.member == from);
    let told = suspicion.and_then(|suspicion| suspicion.synchronous_setting.as_deref());
    // What was noted at the last change may have been given up since: it proves nothing.
    let set = told.and_then(Synchronous::parse).unwrap_or_default();
    // Each of these names must have had a commit before it was acknowledged.
    let each_has_all = set.is_on() && set.required as usize >= set.names.len();
    if each_has_all && set.names.contains(name) {
        return (
            Loss::Nothing,
            format!("{name} was a synchronous standby ({} when a probe saw it last)", set.setting()),
        );
    }
    if set.is_on() && set.names.contains(name) {
        let keeper = now.keeper;
        let why =
            format!("{keeper} elects by quorum, and {name} was in it ({} when a probe saw it last)", set.setting());
        return (Loss::Nothing, why);
    }
    match (suspicion.and_then(|suspicion| suspicion.last_lsn), fork) {
        (Some(last), Some(fork)) => {
            let lost = fork.ended_at.behind(last);
            let what = if lost == 0 { "nothing".to_owned() } else { bytes(lost) };
            let ended = fork.ended_at;
            (
                Loss::Bytes(lost),
                format!("{what} up to {last}, where a probe saw {from} last; {name} took over at {ended}"),
            )
        }
        (None, _) => (Loss::Unknown, format!("no probe saw where {from} wrote last, and no commit waited for {name}")),
        (Some(last), None) => {
            (Loss::Unknown, format!("{from} had come to {last}, and no history tells where {name} took over"))
        }
    }
}

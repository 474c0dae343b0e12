//! Which kind of reason a sentence is: reports carry the sentence alone.

/// Words that only this kind's sentence has, and the kind.
const KINDS: [(&str, &str); 43] = [
    ("holds the lease for", "lease-held"),
    ("no member has claimed", "not-claimed"),
    ("which the card does not know", "writer-not-in-card"),
    ("accepts writes although", "two-writers"),
    ("is named writer but is in recovery", "writer-in-recovery"),
    (" is alive: ", "alive-but-busy"),
    ("was not asked in this look", "not-asked"),
    ("failed probes in a row so far", "not-suspected"),
    ("left to restart by itself", "local-restart"),
    ("probe path broken", "probe-path-broken"),
    ("heard the writer", "still-streaming"),
    ("records do not exist yet", "not-open-yet"),
    ("of cool-down left", "cool-down"),
    ("no standby answers", "no-standby-answers"),
    ("an acknowledged commit could be lost", "quorum-missing"),
    ("from before the set of synchronous standbys", "below-floor"),
    ("nobody knows which standbys acknowledged", "not-as-published"),
    ("of grace left", "grace"),
    ("paused for", "paused"),
    ("the data disk of", "disk-full"),
    ("failovers within an hour", "too-many"),
    ("a commit needs", "commits-wait"),
    ("is no member of this cluster", "target-unknown"),
    ("is the writer already", "target-is-writer"),
    ("is marked never to be promoted", "target-never-promoted"),
    ("does not stream from the writer", "target-not-following"),
    ("a switchover allows", "target-lags"),
    ("the switchover was given up", "switchover-failed"),
    ("cannot be stopped, but is cut", "awaiting-fence"),
    ("every standby that answers is marked", "nobody-may-be-promoted"),
    ("the best that may be promoted", "survivor-ahead"),
    ("taking over would lose", "would-lose"),
    ("no probe saw how far", "loss-unknown"),
    ("does not say whether it was done", "promotion-unknown"),
    ("has not answered for", "new-writer-silent"),
    ("answers again", "alive-after-all"),
    ("`stopping` is no proof", "awaiting-stop"),
    ("nothing proves that", "no-evidence"),
    ("record waits for Route 53", "record-waits"),
    ("may replace", "record-not-ours"),
    ("never heard of timeline", "timeline-unknown"),
    ("that the last writer never had", "other-history"),
    ("which may still hear the writer", "witness-silent"),
];

/// The kind of a sentence.
#[must_use]
pub fn kind(sentence: &str) -> &'static str {
    // "is marked" is both the target's and everybody's; the longer sentence is first asked for.
    if sentence.contains("every standby that answers is marked") {
        return "nobody-may-be-promoted";
    }
    KINDS.iter().find(|(words, _)| sentence.contains(words)).map_or("another reason", |(_, kind)| kind)
}

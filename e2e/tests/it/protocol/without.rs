//! Switches that take one rule of the protocol away, so that a test shows what the rule is for.
//!
//! They lie around the operator's and the agent's cores, in what goes in and what comes out: the cores themselves have no switch. What a
//! switch does stands where the rule is kept.

/// One thing that a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Fences never come twice.
    P1Fences,
    /// The agent runs what was meant or nothing.
    P2Agent,
    /// Before the first status, an entry of another spec counts for nothing.
    P2Operator,
    /// Spec writes test the object's UID.
    P4Uid,
    /// Spec writes test epoch and sequence.
    P4Counted,
    /// The agent's status writes test agent and sequence.
    P4Agent,
    /// Status writes of jobs test the version.
    P4Version,
    /// The API server refuses counters that go back.
    P4Counters,
    /// After no answer, the object is read live.
    P5Reread,
    /// After no answer, nothing is decided until the write can no longer arrive.
    P5Settled,
    /// An agent reads its status again when somebody else wrote it.
    P5Foreign,
    /// A failed test is no refusal.
    P5Meaning,
    /// Changes that gather go into one write.
    P6Groups,
    /// Status remembers the fences that were folded.
    P7Folded,
    /// A report counts only with the entry's fence.
    P7Fence,
    /// The agent keeps a report until its entry is gone.
    P7Kept,
    /// An entry that may still run is never removed.
    P7Cancel,
    /// A leader's epoch is higher than every one before.
    P8Epoch,
    /// A node's patch without an answer is sent again before anything is decided.
    P8Settled,
    /// A node that was not taken before is followed by a live look at the Lease.
    P8NewNode,
    /// The API server refuses another end of a run.
    P9Final,
    /// An end with no report behind it follows a live look at the job.
    P9Look,
    /// A node is given up only after L.
    P10Time,
    /// ... and only by a live GET of its Lease.
    P10Look,
    /// Workers die at the deadline without their supervisor.
    P11Watchdog,
    /// What the first read finds is never started.
    P12FirstRead,
    /// Without a journal, everything that was found may have been started.
    P12Journal,
    /// A fence that has ended never starts again.
    P12Ended,
    /// A second pod waits.
    P12SecondPod,
    /// A refused write of assignments is halved.
    P13Operator,
    /// A refused write of reports is halved.
    P13Agent,
    /// A vanished object's entries count as running.
    P14Ghosts,
    /// Nobody deletes a node that has assignments.
    P14Policy,
    /// A new leader waits for nodes with a Lease and without an object.
    P14Leader,
    /// Entries of jobs that are gone are cancelled.
    P14Orphans,
    /// What is left of a node whose Node is gone is taken away.
    P14Gone,
    /// A version that goes back means starting again.
    P15Back,
    /// What we ourselves do is tried five times.
    P16Budget,
    /// Lost attempts are free three times only.
    P16Lost,
    /// A report `Cancelled` ends no job.
    P16Cancelled,
    /// The brake ends.
    P16Brake,
    /// Each attempt has a prefix of its own.
    P17Prefix,
}

/// All of them.
#[rustfmt::skip]
pub(crate) const ALL: [Rule; Rule::P17Prefix as usize + 1] = {
    use Rule::*;
    [P1Fences, P2Agent, P2Operator, P4Uid, P4Counted, P4Agent, P4Version, P4Counters, P5Reread, P5Settled, P5Foreign, P5Meaning, P6Groups, P7Folded, P7Fence, P7Kept, P7Cancel, P8Epoch, P8Settled, P8NewNode, P9Final, P9Look, P10Time, P10Look, P11Watchdog, P12FirstRead, P12Journal, P12Ended, P12SecondPod, P13Operator, P13Agent, P14Ghosts, P14Policy, P14Leader, P14Orphans, P14Gone, P15Back, P16Budget, P16Lost, P16Cancelled, P16Brake, P17Prefix]
};

/// The rules that are not kept, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Without(u64);

impl Without {
    pub(crate) fn these(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self(rules.into_iter().fold(0, |set, rule| set | 1 << rule as u64))
    }

    pub(crate) fn keeps(self, rule: Rule) -> bool {
        !self.lacks(rule)
    }

    pub(crate) fn lacks(self, rule: Rule) -> bool {
        self.0 & 1 << rule as u64 != 0
    }
}

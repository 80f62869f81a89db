//! Counts how often each rule's race occurred: a promise that was never in danger was not tested.

use core::fmt;

/// Declares the races, each with the rule of "The order of things" that answers it and what happened, in words.
macro_rules! races {
    ($($name:ident = $rule:literal, $words:literal;)*) => {
        /// Is one kind of race.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Race {
            $(#[doc = $words] $name,)*
        }

        impl Race {
            /// Lists all, by rule.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the number of the rule that answers it.
            pub fn rule(self) -> u8 {
                match self { $(Self::$name => $rule,)* }
            }

            /// Says what happened.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

races! {
    PacketBeforeConnAck = 1, "a packet was sent right behind CONNECT, before CONNACK was heard";
    LinkLostInHandOver = 1, "a client gave its link up before its shard had taken it";
    PacketsLeftForLater = 2, "a tick ended with packets of a link unread";
    TickWithPackets = 2, "timers or slices were due while a client had packets under way";
    WorkLeftForLater = 2, "a tick ended with work of the shard left for the next";
    InboxFull = 3, "the door found no room in an inbox";
    TwoSendersInOneInbox = 3, "letters of two shards lay in one inbox";
    SameIdOfTwoAccounts = 4, "two accounts were connected with one client id";
    SessionEndedWithMailUnderWay = 4, "a session ended while a message was on its way to it";
    TakeoverWithWaitingAnswers = 5, "a link was taken over with answers waiting";
    TakeoverInExchange = 5, "a link was taken over within a QoS 2 exchange";
    SilentLinkLost = 5, "a link that its client had given up was lost for its silence";
    TakeoverOfHalfOpenLink = 5, "a link that its client had given up was taken over";
    WillAgainstTakeover = 5, "a link that had a will was taken over";
    WillDelayCancelled = 5, "a client was back before its delayed will was due";
    SessionCameBack = 5, "a session was resumed with messages waiting for it";
    SessionExpiredBeforeReturn = 5, "a client came back after its session had expired";
    RevokedInHandOver = 6, "a link was admitted by the door and refused by its shard";
    RevokedWithQueue = 6, "a session was ended by a revocation with messages waiting for it";
    PublisherRevokedWithMailUnderWay = 6, "a publisher was revoked while messages of it had not arrived";
    PublishBetweenOrderAndEnactment = 7, "a message was decided by rules that were about to change";
    ReaderLostRightWithQueue = 7, "a reader lost a right while messages of that topic waited for it";
    PublisherLostRightInCommit = 7, "a publisher lost a right while its QoS 2 message waited for the disk";
    DecisionChanged = 8, "one session's right to publish to one topic changed between two messages";
    AliasRepointed = 8, "a topic alias was given to another topic";
    AliasOfDeniedPublish = 8, "a topic alias was set by a message that was denied";
    AbsentPrincipalChanged = 9, "the account of a session without a link changed";
    QuarantinedWithMailUnderWay = 9, "a device was put into quarantine while messages to it or of it were under way";
    InterestUnderWay = 10, "a message was published while a subscription to it was being made on another shard";
    UnsubscribedWithMailUnderWay = 10, "a subscription was given up while a message was on its way to it";
    GroupMemberLost = 11, "a member of a group was lost with a message that it had not acknowledged";
    GroupMemberLostInExchange = 11, "a member of a group was lost within a QoS 2 exchange of the group's";
    GroupMemberDenied = 11, "a message was for a group with a member that may not read it";
    LiveAgainstReplay = 12, "a retained message was published while a replay of its topic was under way";
    ReplayCutOff = 12, "a link was lost while a replay was under way to it";
    TwoWritersOfOneSlot = 12, "two publishers' retained messages of one topic were under way";
    CrashWithUnsyncedBatch = 13, "the broker died with batches that were not synced";
    AnswerWaitsForDisk = 14, "a link was lost while an answer waited for the disk";
    CrashBetweenPubRecAndPubRel = 14, "the broker died between PUBREC and PUBREL";
    AcceptedRoutedAtStart = 15, "a QoS 2 message that was taken before a crash went to its readers after it";
    ReceiveMaximumReached = 16, "as many messages were under way to a client as it takes";
    SentAgainOnResume = 16, "a message was sent again over a later link";
    SentAgainAfterCrash = 16, "a message was on disk that was sent and not finished before a crash";
    FinishedOutOfOrder = 16, "a message was finished before an older one";
    WillKeptOverCrash = 17, "a will was left on disk by a client that was connected when the broker died";
    QueueFull = 18, "a queue was full";
    MemoryShort = 18, "four fifths of the memory were in use (invariant 11)";
    MemoryVeryShort = 18, "nine tenths of the memory were in use (invariant 11)";
    NoRoom = 19, "something was refused because the store was full";
    AnsweredWhileFull = 19, "what was taken before the store was full was made durable then";
    TakenBeforeHeard = 19, "a shard took what is to be stored while another knew that the store was full";
    RestoredWithMessages = 20, "a session came back from disk with messages that had not arrived";
    PageRead = 20, "what messages say was read from disk before their turn";
    LinkLostWhileReading = 20, "a link was lost while something was being read for its shard";
    CrashBeforeNumberIsDurable = 21, "the broker died with a signed message whose number was perhaps not durable";
    PlayedBackAfterCrash = 21, "a signed message that had counted before a crash was sent again after it";
    TwoContentsOfOneNumber = 21, "a message was sent under a number that another one has";
    NoRoomForNumber = 21, "a signed message was refused because the store was full";
}

impl Race {
    /// Tells whether it can only occur where what is on disk survives.
    pub fn needs_disk(self) -> bool {
        matches!(
            self,
            Self::AcceptedRoutedAtStart
                | Self::SentAgainAfterCrash
                | Self::WillKeptOverCrash
                | Self::RestoredWithMessages
                | Self::PageRead
                | Self::LinkLostWhileReading
        )
    }
}

/// Counts races.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Races(Vec<u64>);

impl Default for Races {
    fn default() -> Self {
        Self(vec![0; Race::ALL.len()])
    }
}

impl Races {
    /// Counts one.
    pub fn note(&mut self, race: Race) {
        self.0[race as usize] += 1;
    }

    /// Counts one if it occurred.
    pub fn note_if(&mut self, occurred: bool, race: Race) {
        self.0[race as usize] += u64::from(occurred);
    }

    /// Returns how often a race occurred.
    pub fn count(&self, race: Race) -> u64 {
        self.0[race as usize]
    }

    /// Adds what another run counted.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// Lists the races that never occurred.
    pub fn missing(&self) -> Vec<Race> {
        Race::ALL.iter().copied().filter(|race| self.count(*race) == 0).collect()
    }
}

impl fmt::Display for Races {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rule  times     race")?;
        for race in Race::ALL {
            writeln!(f, "{:>4}  {:<8}  {}", race.rule(), self.count(*race), race.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_that_is_built_has_a_race() {
        for rule in 1..=21 {
            assert!(Race::ALL.iter().any(|race| race.rule() == rule), "rule {rule} has none");
        }
        assert!(Race::ALL.is_sorted_by_key(|race| race.rule()));
    }

    #[test]
    fn what_never_occurred_is_missing() {
        let mut races = Races::default();
        races.note(Race::QueueFull);
        assert_eq!(races.missing().len(), Race::ALL.len() - 1);
        assert!(!races.missing().contains(&Race::QueueFull));
    }
}

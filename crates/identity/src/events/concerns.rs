//! Whom an event concerns.

use super::Event;
use keyward_ids::Identity;

impl Event {
    /// Returns the one identity whose account, or membership, the event changes. A new kind of event that takes something away from
    /// somebody must name them here, or its groups keep their keys.
    pub(crate) fn concerns(&self) -> Option<&Identity> {
        match self {
            Self::Added { identity, .. }
            | Self::Placed { identity, .. }
            | Self::MovedOnPurpose { identity, .. }
            | Self::Invited { identity, .. }
            | Self::Uninvited { identity }
            | Self::Claimed { identity, .. }
            | Self::ClaimConflicted { identity, .. }
            | Self::CertificateIssued { identity, .. }
            | Self::CertificateWithdrawn { identity, .. }
            | Self::PasswordSet { identity, .. }
            | Self::PasswordRehashed { identity, .. }
            | Self::PasswordWithdrawn { identity }
            | Self::MessageKeyRegistered { identity, .. }
            | Self::AgreementKeyRegistered { identity, .. }
            | Self::MessageKeyAwaits { identity, .. }
            | Self::MessageKeyRetired { identity, .. }
            | Self::MessageKeyWithdrawn { identity, .. }
            | Self::SecondHolderFound { identity, .. }
            | Self::CommandSigned { identity, .. }
            | Self::GroupMemberAdded { identity, .. }
            | Self::GroupMemberRemoved { identity, .. }
            | Self::NameBound { identity, .. }
            | Self::NameUnbound { identity, .. }
            | Self::MarkedPlain { identity }
            | Self::UnmarkedPlain { identity }
            | Self::Quarantined { identity, .. }
            | Self::Released { identity }
            | Self::Disabled { identity }
            | Self::Enabled { identity }
            | Self::Revoked { identity, .. }
            | Self::Removed { identity }
            | Self::Unconfirmed { identity }
            | Self::Confirmed { identity } => Some(identity),
            // What these take away, they take from no account; a restore makes all groups stale.
            Self::Initialised { .. }
            | Self::ServerNamesFound { .. }
            | Self::ServerNameAdded { .. }
            | Self::ServerNameRemoved { .. }
            | Self::ServerCertificateIssued { .. }
            | Self::ServerCertificateImported { .. }
            | Self::ServerCertificateRemoved { .. }
            | Self::InstallationKeyMade { .. }
            | Self::CommandKeyMade { .. }
            | Self::CommandKeyRetired { .. }
            | Self::CommandKeyRemoved { .. }
            | Self::KeySetSigned { .. }
            | Self::GroupMessageSigned { .. }
            | Self::CommandNumbersReserved { .. }
            | Self::GroupCreated { .. }
            | Self::GroupRotated { .. }
            | Self::GroupEpochsEnded { .. }
            | Self::GroupKeyShown { .. }
            | Self::GroupDeleted { .. }
            | Self::MaintenanceBegun { .. }
            | Self::MaintenanceEnded { .. }
            | Self::AuthorityTrusted { .. }
            | Self::AuthorityRevocationsSet { .. }
            | Self::AuthorityConfirmed { .. }
            | Self::AuthorityDistrusted { .. }
            | Self::KeyReleased { .. }
            | Self::Restored { .. }
            | Self::AllConfirmed
            | Self::ClockAccepted { .. }
            | Self::ConfigChanged { .. } => None,
        }
    }
}

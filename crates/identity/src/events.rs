//! What happened: the content of the ledger.
//!
//! An event is a fact about the past. Applying it never fails for a rule of today, so that an old ledger stays
//! readable when rules change. The names of variants and fields are the format on disk: never rename one.

use crate::{
    account::{CertificateRecord, Chip, Exposure},
    clock::WallTime,
    imported::ImportedCertificate,
    message_key::{Kid, MessageKey},
    names::ServerName,
    password::PasswordRecord,
    trusted::{BoundName, Der, LocalName, ProvenBy},
    wire,
};
use keyward_ids::{CertSerial, Identity, InstallationId, KeyId, SiteId, TypeId};
use serde::{Deserialize, Serialize};

/// One change of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// The installation was made.
    Initialised {
        /// Its id.
        #[serde(with = "wire::text")]
        installation: InstallationId,
        /// The certificates of its authorities.
        authorities: AuthorityCertificates,
        /// The public key of the server's certificate.
        #[serde(with = "wire::text")]
        server_key: KeyId,
    },
    /// The server found these names of itself; names found before and not listed are forgotten.
    ServerNamesFound {
        /// The names.
        names: Vec<ServerName>,
    },
    /// An operator added a name of the server.
    ServerNameAdded {
        /// The name.
        name: ServerName,
    },
    /// An operator removed a name of the server.
    ServerNameRemoved {
        /// The name.
        name: ServerName,
    },
    /// The server got a new certificate for its key.
    ServerCertificateIssued {
        /// Its serial number, key and validity.
        certificate: CertificateRecord,
        /// The names in it.
        names: Vec<ServerName>,
        /// The certificate in DER.
        #[serde(with = "wire::base64")]
        der: Vec<u8>,
    },
    /// A certificate of this server that another authority made was imported, or replaced.
    ServerCertificateImported {
        /// Its name here.
        name: LocalName,
        /// The certificate.
        certificate: ImportedCertificate,
    },
    /// It was removed, with its key.
    ServerCertificateRemoved {
        /// Its name here.
        name: LocalName,
    },
    /// An identity was added, for the first time or after it was removed.
    Added {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The type of device.
        #[serde(with = "wire::optional_text", default)]
        device_type: Option<TypeId>,
        /// Where it stands.
        #[serde(with = "wire::optional_text", default)]
        site: Option<SiteId>,
        /// Who can lay hands on it.
        exposure: Option<Exposure>,
        /// Which chip it is, if it is one that cannot protect its key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip: Option<Chip>,
        /// Whether a machine chose the id.
        machine_chosen: bool,
        /// What the operator wrote about it.
        note: String,
    },
    /// A certificate was issued to an identity.
    CertificateIssued {
        /// To whom.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Its serial number, key and validity.
        certificate: CertificateRecord,
    },
    /// A certificate was taken away from an identity.
    CertificateWithdrawn {
        /// From whom.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Its serial number.
        #[serde(with = "wire::text")]
        serial: CertSerial,
    },
    /// An identity got a password; the one before is void.
    PasswordSet {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// What is kept of the password.
        record: PasswordRecord,
        /// Whether it may have been read on a network before it came here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        exposed: bool,
    },
    /// An identity's imported password was right and is hashed anew; it is the same password, so nothing is void.
    PasswordRehashed {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// What is kept of the password from here on.
        record: PasswordRecord,
    },
    /// An identity's password was taken away.
    PasswordWithdrawn {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// A device got a key by which its messages are verified.
    MessageKeyRegistered {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The key.
        key: MessageKey,
    },
    /// What is signed by a message key is accepted for a while only.
    MessageKeyRetired {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Which of its keys.
        #[serde(with = "wire::text")]
        kid: Kid,
        /// Until when.
        until: WallTime,
    },
    /// A message key was taken away from a device: nothing that is signed by it counts any more.
    MessageKeyWithdrawn {
        /// From whom.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Which of its keys.
        #[serde(with = "wire::text")]
        kid: Kid,
    },
    /// Client certificates of an authority of others are accepted from here on.
    AuthorityTrusted {
        /// Its name here.
        name: LocalName,
        /// What its certificates prove.
        proves: ProvenBy,
        /// Its certificates.
        certificates: Vec<Der>,
        /// Its lists of revoked certificates.
        revocations: Vec<Der>,
    },
    /// The lists of revoked certificates of a trusted authority were replaced.
    AuthorityRevocationsSet {
        /// The authority.
        name: LocalName,
        /// Its lists from here on.
        revocations: Vec<Der>,
    },
    /// An operator said that a trusted authority may be used again after a restore.
    AuthorityConfirmed {
        /// The authority.
        name: LocalName,
    },
    /// Nothing of this authority is accepted any more; the names bound to it are forgotten.
    AuthorityDistrusted {
        /// The authority.
        name: LocalName,
    },
    /// A common name in certificates of a trusted authority stands for an identity.
    NameBound {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The name.
        bound: BoundName,
    },
    /// It does no longer.
    NameUnbound {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The authority.
        authority: LocalName,
        /// The common name.
        common_name: String,
    },
    /// An identity may log in where passwords can be read on the network, and with its password nowhere else.
    MarkedPlain {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// An identity may not log in any more where passwords can be read on the network.
    UnmarkedPlain {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// An identity was disabled.
    Disabled {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// A disabled identity was enabled.
    Enabled {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// An identity was revoked, with all its credentials.
    Revoked {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Whether messages that it published before are still delivered.
        keep_messages: bool,
        /// Whether its will is published.
        publish_will: bool,
    },
    /// An identity was removed; a tombstone stays.
    Removed {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// A public key may be certified again, for anybody.
    KeyReleased {
        /// The key.
        #[serde(with = "wire::text")]
        key: KeyId,
        /// Who held it.
        #[serde(with = "wire::text")]
        holder: Identity,
    },
    /// The ledger was restored from a backup; what follows here was taken away before that.
    Restored {
        /// When the backup was taken.
        taken: WallTime,
        /// Up to when it is known what was taken away.
        known_until: WallTime,
        /// Whether that is too early: who could act is unconfirmed from here on.
        unconfirmed: bool,
        /// A number drawn for this restore, below 2^53. Lives of identities that are added from here on are counted from
        /// it, so that none is one that was given in records which are lost.
        lives: u64,
    },
    /// Nobody knows whether something was taken away from an identity.
    Unconfirmed {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// An operator said that an unconfirmed identity may act.
    Confirmed {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// An operator said that all unconfirmed identities may act.
    AllConfirmed,
    /// An operator said that the clock is right.
    ClockAccepted {
        /// What the clock showed.
        clock: WallTime,
    },
    /// A file with types, roles, rules or settings changed.
    ConfigChanged {
        /// What changed: file names and the difference.
        summary: String,
    },
}

/// Holds the certificates of the four authorities in DER.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityCertificates {
    /// The trust anchor of every bundle.
    #[serde(with = "wire::base64")]
    pub server_root: Vec<u8>,
    /// Signs this server's certificate and nothing else.
    #[serde(with = "wire::base64")]
    pub server_issuing: Vec<u8>,
    /// What this server accepts clients under; never handed out as an anchor.
    #[serde(with = "wire::base64")]
    pub device_root: Vec<u8>,
    /// Signs certificates of devices and users.
    #[serde(with = "wire::base64")]
    pub device_issuing: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::ImportedHash;

    #[test]
    fn the_marks_of_identities_are_written_as_ever() {
        let identity: Identity = "device:a".parse().unwrap();
        let events = [Event::MarkedPlain { identity: identity.clone() }, Event::UnmarkedPlain { identity }];
        let json = concat!(
            r#"[{"event":"marked-plain","identity":"device:a"},"#,
            r#"{"event":"unmarked-plain","identity":"device:a"}]"#
        );
        assert_eq!(serde_json::to_string(&events).unwrap(), json);
        assert_eq!(serde_json::from_str::<Vec<Event>>(json).unwrap(), events);
    }

    /// The names of events and fields are a format: a ledger written today is read in ten years.
    #[test]
    fn the_events_of_a_restore_are_written_as_ever() {
        let restored = Event::Restored {
            taken: WallTime(5),
            known_until: WallTime(6),
            unconfirmed: true,
            lives: 1 << 40,
        };
        let identity: Identity = "device:a".parse().unwrap();
        let events = [
            restored,
            Event::Unconfirmed { identity: identity.clone() },
            Event::Confirmed { identity },
            Event::AllConfirmed,
        ];
        let json = concat!(
            r#"[{"event":"restored","taken":5,"known_until":6,"unconfirmed":true,"lives":1099511627776},"#,
            r#"{"event":"unconfirmed","identity":"device:a"},{"event":"confirmed","identity":"device:a"},"#,
            r#"{"event":"all-confirmed"}]"#
        );
        assert_eq!(serde_json::to_string(&events).unwrap(), json);
        assert_eq!(serde_json::from_str::<Vec<Event>>(json).unwrap(), events);
    }

    #[test]
    fn the_events_of_an_imported_password_are_written_as_ever() {
        let text = format!("$7$101$MDEyMzQ1Njc4OWFi${}==", "A".repeat(86));
        let record = PasswordRecord::Imported(ImportedHash::parse(&text).unwrap());
        let identity: Identity = "user:a".parse().unwrap();
        let json = format!(
            concat!(
                r#"[{{"event":"password-set","identity":"user:a","record":{{"imported":"{0}"}}}},"#,
                r#"{{"event":"password-set","identity":"user:a","record":{{"imported":"{0}"}},"exposed":true}},"#,
                r#"{{"event":"password-rehashed","identity":"user:a","record":{{"weak":"$argon2id$x"}}}}]"#
            ),
            text
        );
        let weak = serde_json::from_str(r#"{"weak":"$argon2id$x"}"#).unwrap();
        let events = [
            Event::PasswordSet { identity: identity.clone(), record: record.clone(), exposed: false },
            Event::PasswordSet { identity: identity.clone(), record, exposed: true },
            Event::PasswordRehashed { identity, record: weak },
        ];
        assert_eq!(serde_json::to_string(&events).unwrap(), json);
        assert_eq!(serde_json::from_str::<Vec<Event>>(&json).unwrap(), events);
    }

    #[test]
    fn the_events_of_trusted_authorities_are_written_as_ever() {
        let name: LocalName = "old-ca".parse().unwrap();
        let identity: Identity = "device:a".parse().unwrap();
        let bound = BoundName { authority: name.clone(), common_name: "A 1".into(), key: None };
        let common_name = "A 1".to_owned();
        let events = [
            Event::AuthorityTrusted {
                name: name.clone(),
                proves: ProvenBy::CommonName,
                certificates: vec![Der(vec![1])],
                revocations: Vec::new(),
            },
            Event::AuthorityRevocationsSet { name: name.clone(), revocations: vec![Der(vec![2])] },
            Event::AuthorityConfirmed { name: name.clone() },
            Event::NameBound { identity: identity.clone(), bound },
            Event::NameUnbound { identity, authority: name.clone(), common_name },
            Event::AuthorityDistrusted { name },
        ];
        let json = concat!(
            r#"[{"event":"authority-trusted","name":"old-ca","proves":"common-name","certificates":["AQ=="],"revocations":[]},"#,
            r#"{"event":"authority-revocations-set","name":"old-ca","revocations":["Ag=="]},"#,
            r#"{"event":"authority-confirmed","name":"old-ca"},"#,
            r#"{"event":"name-bound","identity":"device:a","bound":{"authority":"old-ca","common_name":"A 1","key":null}},"#,
            r#"{"event":"name-unbound","identity":"device:a","authority":"old-ca","common_name":"A 1"},"#,
            r#"{"event":"authority-distrusted","name":"old-ca"}]"#
        );
        assert_eq!(serde_json::to_string(&events).unwrap(), json);
        assert_eq!(serde_json::from_str::<Vec<Event>>(json).unwrap(), events);
    }

    #[test]
    fn the_events_of_message_keys_are_written_as_ever() {
        let kid = [0xd4, 0xc4, 0x2f, 0xec, 0x40, 0xd2, 0x7a, 0x42];
        let cose = [&[0xa5, 1, 1, 2, 0x48][..], &kid, &[3, 0x27, 0x20, 6, 0x21, 0x58, 0x20], &[7; 32]];
        let key = MessageKey::read(&cose.concat(), 2).unwrap();
        let (identity, kid): (Identity, _) = ("device:a".parse().unwrap(), key.kid());
        let events = [
            Event::MessageKeyRegistered { identity: identity.clone(), key },
            Event::MessageKeyRetired { identity: identity.clone(), kid, until: WallTime(9) },
            Event::MessageKeyWithdrawn { identity, kid },
        ];
        let json = concat!(
            r#"[{"event":"message-key-registered","identity":"device:a","key":{"cose":"pQEBAkjUxC/sQNJ6QgMnIAYhWCAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==","level":2}},"#,
            r#"{"event":"message-key-retired","identity":"device:a","kid":"d4c42fec40d27a42","until":9},"#,
            r#"{"event":"message-key-withdrawn","identity":"device:a","kid":"d4c42fec40d27a42"}]"#
        );
        assert_eq!(serde_json::to_string(&events).unwrap(), json);
        assert_eq!(serde_json::from_str::<Vec<Event>>(json).unwrap(), events);
    }

    #[test]
    fn the_events_of_imported_server_certificates_are_written_as_ever() {
        let name: LocalName = "old".parse().unwrap();
        let key = KeyId::new([7; 32]);
        let certificate = ImportedCertificate { chain: vec![Der(vec![1])], key, not_after: WallTime(9) };
        let events = [
            Event::ServerCertificateImported { name: name.clone(), certificate },
            Event::ServerCertificateRemoved { name },
        ];
        let json = format!(
            concat!(
                r#"[{{"event":"server-certificate-imported","name":"old","#,
                r#""certificate":{{"chain":["AQ=="],"key":"{}","not_after":9}}}},"#,
                r#"{{"event":"server-certificate-removed","name":"old"}}]"#
            ),
            key
        );
        assert_eq!(serde_json::to_string(&events).unwrap(), json);
        assert_eq!(serde_json::from_str::<Vec<Event>>(&json).unwrap(), events);
    }
}

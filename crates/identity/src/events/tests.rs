//! The events as they stand on disk: a ledger that is written today is read in ten years.

use super::*;
use crate::password::ImportedHash;
use crate::second_holder::SecondHolderSign;

#[test]
fn the_events_of_claim_codes_are_written_as_ever() {
    let identity: Identity = "device:a".parse().unwrap();
    let generated =
        format!(r#"{{"generated":{{"salt":"{}","mac":"{}="}}}}"#, "A".repeat(22) + "==", "A".repeat(43));
    let serial = CertSerial::from_bytes(&[0x4f; 16]).unwrap();
    let key = KeyId::new([7; 32]);
    let events = [
        Event::Invited {
            identity: identity.clone(),
            code: serde_json::from_str(&generated).unwrap(),
            expires: WallTime(9),
            replace: false,
            endorsement: None,
        },
        Event::Invited {
            identity: identity.clone(),
            code: serde_json::from_str(&generated).unwrap(),
            expires: WallTime(9),
            replace: true,
            endorsement: Some(key),
        },
        Event::Uninvited { identity: identity.clone() },
        Event::Claimed { identity: identity.clone(), key, serial: serial.clone() },
        Event::ClaimConflicted { identity: identity.clone(), key: Some(key) },
        Event::ClaimConflicted { identity, key: None },
    ];
    let json = format!(
        concat!(
            r#"[{{"event":"invited","identity":"device:a","code":{0},"expires":9}},"#,
            r#"{{"event":"invited","identity":"device:a","code":{0},"expires":9,"replace":true,"endorsement":"{1}"}},"#,
            r#"{{"event":"uninvited","identity":"device:a"}},"#,
            r#"{{"event":"claimed","identity":"device:a","key":"{1}","serial":"{2}"}},"#,
            r#"{{"event":"claim-conflicted","identity":"device:a","key":"{1}"}},"#,
            r#"{{"event":"claim-conflicted","identity":"device:a"}}]"#
        ),
        generated, key, serial
    );
    assert_eq!(serde_json::to_string(&events).unwrap(), json);
    assert_eq!(serde_json::from_str::<Vec<Event>>(&json).unwrap(), events);
}

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
    let restored =
        Event::Restored { taken: WallTime(5), known_until: WallTime(6), unconfirmed: true, lives: 1 << 40 };
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
    let endorsement = Endorsement { key: KeyId::new([7; 32]), named: true };
    let (topic, hosts) = ("t".to_owned(), vec!["h".to_owned()]);
    let sign = SecondHolderSign::Equivocation { tag: 1, earlier: 2 };
    let evidence = SecondHolder { sign, number: 3, highest: 4, digest: [7; 32], topic, hosts };
    let events = [
        Event::MessageKeyRegistered { identity: identity.clone(), key: key.clone(), endorsement: None },
        Event::MessageKeyRegistered { identity: identity.clone(), key, endorsement: Some(endorsement) },
        Event::MessageKeyRetired { identity: identity.clone(), kid, until: WallTime(9) },
        Event::MessageKeyWithdrawn { identity: identity.clone(), kid },
        Event::SecondHolderFound { identity: identity.clone(), kid, evidence: evidence.clone() },
        Event::SecondHolderFound {
            identity,
            kid,
            evidence: SecondHolder { sign: SecondHolderSign::Behind, ..evidence },
        },
    ];
    let json = concat!(
        r#"[{"event":"message-key-registered","identity":"device:a","key":{"cose":"pQEBAkjUxC/sQNJ6QgMnIAYhWCAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==","level":2}},"#,
        r#"{"event":"message-key-registered","identity":"device:a","key":{"cose":"pQEBAkjUxC/sQNJ6QgMnIAYhWCAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==","level":2},"#,
        r#""endorsement":{"key":"0707070707070707070707070707070707070707070707070707070707070707","named":true}},"#,
        r#"{"event":"message-key-retired","identity":"device:a","kid":"d4c42fec40d27a42","until":9},"#,
        r#"{"event":"message-key-withdrawn","identity":"device:a","kid":"d4c42fec40d27a42"},"#,
        r#"{"event":"second-holder-found","identity":"device:a","kid":"d4c42fec40d27a42","evidence":{"sign":{"is":"equivocation","tag":1,"earlier":2},"#,
        r#""number":3,"highest":4,"digest":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=","topic":"t","hosts":["h"]}},"#,
        r#"{"event":"second-holder-found","identity":"device:a","kid":"d4c42fec40d27a42","evidence":{"sign":{"is":"behind"},"#,
        r#""number":3,"highest":4,"digest":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=","topic":"t","hosts":["h"]}}]"#
    );
    assert_eq!(serde_json::to_string(&events).unwrap(), json);
    assert_eq!(serde_json::from_str::<Vec<Event>>(json).unwrap(), events);
}

#[test]
fn the_events_of_keys_to_encrypt_to_are_written_as_ever() {
    let json = concat!(
        r#"[{"event":"agreement-key-registered","identity":"user:a","key":{"cose":"#,
        r#""pgECAkjqLdLSEuG2WASAIAEhWCAgnDF7Y3k13T2hxU9jSV37Mfl9KT3whXEDIFlcmqy4PyJYIN3kxp/Begx0wgzGkmYvBJiSujekukfSxwzYqZmGOR+b"}}]"#
    );
    let events = serde_json::from_str::<Vec<Event>>(json);
    assert_eq!(serde_json::to_string(&events.unwrap()).unwrap(), json);
}

#[test]
fn the_events_of_groups_are_written_as_ever() {
    let (group, identity): (GroupId, Identity) = ("plant".parse().unwrap(), "device:a".parse().unwrap());
    let events = [
        Event::GroupCreated { group: group.clone(), epoch: 1 },
        Event::GroupMemberAdded { group: group.clone(), identity: identity.clone() },
        Event::GroupMemberRemoved { group: group.clone(), identity },
        Event::GroupRotated { group: group.clone(), epoch: 2 },
        Event::GroupEpochsEnded { group: group.clone(), before: 2 },
        Event::GroupKeyShown { group: group.clone(), epoch: 2 },
        Event::GroupDeleted { group },
    ];
    let json = concat!(
        r#"[{"event":"group-created","group":"plant","epoch":1},"#,
        r#"{"event":"group-member-added","group":"plant","identity":"device:a"},"#,
        r#"{"event":"group-member-removed","group":"plant","identity":"device:a"},"#,
        r#"{"event":"group-rotated","group":"plant","epoch":2},"#,
        r#"{"event":"group-epochs-ended","group":"plant","before":2},"#,
        r#"{"event":"group-key-shown","group":"plant","epoch":2},"#,
        r#"{"event":"group-deleted","group":"plant"}]"#
    );
    assert_eq!(serde_json::to_string(&events).unwrap(), json);
    assert_eq!(serde_json::from_str::<Vec<Event>>(json).unwrap(), events);
}

#[test]
fn the_events_of_a_quarantine_are_written_as_ever() {
    let identity: Identity = "device:a".parse().unwrap();
    let because = || "two hold it".to_owned();
    let events = [
        Event::Quarantined { identity: identity.clone(), by: QuarantinedBy::Operator, because: because() },
        Event::Quarantined { identity: identity.clone(), by: QuarantinedBy::Broker, because: because() },
        Event::Released { identity },
    ];
    let json = concat!(
        r#"[{"event":"quarantined","identity":"device:a","by":"operator","because":"two hold it"},"#,
        r#"{"event":"quarantined","identity":"device:a","by":"broker","because":"two hold it"},"#,
        r#"{"event":"released","identity":"device:a"}]"#
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

#[test]
fn the_events_of_the_keys_of_the_server_are_written_as_ever() {
    let kid = [0xd4, 0xc4, 0x2f, 0xec, 0x40, 0xd2, 0x7a, 0x42];
    let cose = [&[0xa5, 1, 1, 2, 0x48][..], &kid, &[3, 0x27, 0x20, 6, 0x21, 0x58, 0x20], &[7; 32]];
    let key = MessageKey::read(&cose.concat(), 0).unwrap();
    let (identity, kid): (Identity, _) = ("device:a".parse().unwrap(), key.kid());
    let group: GroupId = "plant".parse().unwrap();
    let events = [
        Event::InstallationKeyMade { key: key.clone() },
        Event::CommandKeyMade { key, signs_from: WallTime(9) },
        Event::CommandKeyRetired { kid, until: WallTime(9) },
        Event::CommandKeyRemoved { kid },
        Event::KeySetSigned { version: 1, expires: WallTime(9), kids: vec![kid], message: vec![1] },
        Event::CommandSigned { identity, topic: "a/set".into(), kid, number: 1 << 62 },
        Event::GroupMessageSigned { group, epoch: 3, topic: "a/set".into(), kid, number: 1 << 62 },
        Event::CommandNumbersReserved { first: 5, count: 6 },
    ];
    let key =
        r#"{"cose":"pQEBAkjUxC/sQNJ6QgMnIAYhWCAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==","level":0}"#;
    let json = [
        format!(r#"[{{"event":"installation-key-made","key":{key}}},"#),
        format!(r#"{{"event":"command-key-made","key":{key},"signs_from":9}},"#),
        r#"{"event":"command-key-retired","kid":"d4c42fec40d27a42","until":9},"#.to_owned(),
        r#"{"event":"command-key-removed","kid":"d4c42fec40d27a42"},"#.to_owned(),
        r#"{"event":"key-set-signed","version":1,"expires":9,"kids":["d4c42fec40d27a42"],"message":"AQ=="},"#.to_owned(),
        r#"{"event":"command-signed","identity":"device:a","topic":"a/set","kid":"d4c42fec40d27a42","number":4611686018427387904},"#.to_owned(),
        r#"{"event":"group-message-signed","group":"plant","epoch":3,"topic":"a/set","kid":"d4c42fec40d27a42","number":4611686018427387904},"#.to_owned(),
        r#"{"event":"command-numbers-reserved","first":5,"count":6}]"#.to_owned(),
    ]
    .concat();
    assert_eq!(serde_json::to_string(&events).unwrap(), json);
    assert_eq!(serde_json::from_str::<Vec<Event>>(&json).unwrap(), events);
}

#[test]
fn the_events_of_places_and_maintenance_are_written_as_ever() {
    let identity: Identity = "device:a".parse().unwrap();
    let fence = Some(crate::Fence { latitude: -1, longitude: 2, radius_m: 50 });
    let power = Some(crate::Power::Ups);
    let place = Place {
        gateway: Some("ap-2".into()),
        circuit: Some("F3".into()),
        power,
        interval_secs: Some(60),
        fence,
    };
    let (site, exposure) = (Some("yard".parse().unwrap()), Some(Exposure::Public));
    let events = [
        Event::Placed { identity: identity.clone(), site, exposure, place },
        Event::Placed { identity: identity.clone(), site: None, exposure: None, place: Place::default() },
        Event::MovedOnPurpose { identity: identity.clone(), because: "new roof".into() },
        Event::MovedOnPurpose { identity, because: String::new() },
        Event::MaintenanceBegun { scope: "site:yard".into(), until: WallTime(9), because: "cables".into() },
        Event::MaintenanceEnded { scope: "site:yard".into() },
    ];
    let json = concat!(
        r#"[{"event":"placed","identity":"device:a","site":"yard","exposure":"public","place":{"gateway":"ap-2","circuit":"F3","#,
        r#""power":"ups","interval_secs":60,"fence":{"latitude":-1,"longitude":2,"radius_m":50}}},"#,
        r#"{"event":"placed","identity":"device:a","place":{}},"#,
        r#"{"event":"moved-on-purpose","identity":"device:a","because":"new roof"},"#,
        r#"{"event":"moved-on-purpose","identity":"device:a"},"#,
        r#"{"event":"maintenance-begun","scope":"site:yard","until":9,"because":"cables"},"#,
        r#"{"event":"maintenance-ended","scope":"site:yard"}]"#
    );
    assert_eq!(serde_json::to_string(&events).unwrap(), json);
    assert_eq!(serde_json::from_str::<Vec<Event>>(json).unwrap(), events);
}

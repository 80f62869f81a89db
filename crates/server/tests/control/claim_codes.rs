//! Claim codes as operators draw, see and void them. What a device does with one: `tests/data_plane/enrolment.rs`.

use crate::site::{Ask, Site};
use keyward_server::control::{
    DeviceDetail, DeviceInvite, DeviceInvited, InvitationState, RefusalCode, Request, Response,
};

const DAY: u64 = 86_400;

fn invite(id: &str) -> DeviceInvite {
    DeviceInvite::new(id, DAY)
}

fn invited(who: &mut impl Ask, invite: DeviceInvite) -> DeviceInvited {
    match who.ask(Request::DeviceInvite(invite)) {
        Ok(Response::DeviceInvited(invited)) => *invited,
        other => panic!("{:?}", other.err()),
    }
}

fn shown(who: &mut impl Ask, id: &str) -> DeviceDetail {
    match who.ask(Request::DeviceShow { id: id.to_owned() }) {
        Ok(Response::Device(detail)) => *detail,
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn a_code_can_be_drawn_while_the_broker_stands_still_and_stands_in_one_answer_only() {
    let site = Site::new();
    let mut admin = site.stopped();
    let with_type = DeviceInvite { device_type: Some("pump".to_owned()), ..invite("pump-1") };
    let first = invited(&mut admin, with_type);
    let uri = first.uri.expose().to_owned();
    assert!(uri.starts_with("keyward://") && uri.contains(":8883/pump-1?code="), "{uri}");
    assert!(first.notes.iter().any(|note| note.contains("keyward up")), "{:?}", first.notes);
    let (_, code) = uri.split_once("code=").unwrap();
    let code = &code[..26];
    let detail = shown(&mut admin, "pump-1");
    assert_eq!(detail.device.device_type.as_deref(), Some("pump"));
    assert_eq!(detail.invitation.as_ref().unwrap().state, InvitationState::Open);
    assert!(!serde_json::to_string(&detail).unwrap().contains(code));
    assert!(!admin.audit().concat().contains(code));
    let second = invited(&mut admin, invite("PUMP-1"));
    assert!(!second.uri.expose().contains(code), "another code, and the one before is void");
    admin.change(Request::DeviceUninvite { id: "pump-1".to_owned() });
    assert_eq!(shown(&mut admin, "pump-1").invitation, None);
}

#[test]
fn a_device_that_is_there_stays_what_it_is_and_keeps_its_certificate_unless_that_is_said() {
    let site = Site::new();
    let mut admin = site.stopped();
    admin.add_device("pump-1");
    let refusal = admin.refusal(Request::DeviceInvite(invite("pump-1")));
    assert!(refusal.what.contains("--replace"), "{}", refusal.what);
    let other_type = DeviceInvite { device_type: Some("cam".to_owned()), replace: true, ..invite("pump-1") };
    let refusal = admin.refusal(Request::DeviceInvite(other_type));
    assert_eq!(refusal.code, RefusalCode::Conflict, "{}", refusal.what);
    let again = DeviceInvite { replace: true, ..invite("pump-1") };
    invited(&mut admin, again);
    assert_eq!(shown(&mut admin, "pump-1").credentials.len(), 1, "until the code is used");
}

#[test]
fn no_code_is_drawn_that_leads_nowhere() {
    let site = Site::new();
    let mut admin = site.stopped();
    let elsewhere = DeviceInvite { host: Some("other.example".to_owned()), ..invite("pump-1") };
    let refusal = admin.refusal(Request::DeviceInvite(elsewhere));
    assert!(refusal.what.contains("keyward server name add other.example"), "{}", refusal.what);
    site.config("[[listener]]\nname = \"mqtts\"\nport = 8883\nlogin = \"certificate\"\n");
    let refusal = admin.refusal(Request::DeviceInvite(invite("pump-1")));
    assert!(refusal.what.contains("keyward listener add"), "{}", refusal.what);
    assert!(admin.devices().is_empty(), "and nobody was added for it");
    site.config(
        "[[listener]]\nname = \"mqtts\"\nport = 8883\nlogin = \"certificate\"\n\
         [[listener]]\nname = \"enrol\"\nport = 8884\nlogin = \"password\"\n",
    );
    assert!(invited(&mut admin, invite("pump-1")).uri.expose().contains(":8884/"));
}

#[test]
fn a_code_of_a_second_or_of_a_year_is_refused() {
    let site = Site::new();
    let mut admin = site.stopped();
    for seconds in [1, 365 * DAY] {
        let refusal = admin.refusal(Request::DeviceInvite(DeviceInvite::new("pump-1", seconds)));
        assert!(refusal.what.contains("60 seconds to 30 days"), "{}", refusal.what);
    }
    assert!(admin.devices().is_empty());
}

//! `keyward device invite` and what `device show` says of claim codes.

use crate::args::{DeviceInviteArgs, RekeyArgs};
use crate::clock::moment;
use crate::commands::{device, key_files::message_key, preset};
use crate::failure::{Failure, Outcome};
use crate::reach::{Site, notes};
use keyward_server::control::{
    Der, DeviceInvite, DeviceInvited, DeviceRekey, InvitationRow, InvitationState, Request, Response,
};
use keyward_server::escape::escape;
use std::fmt::Write;

/// Draws a claim code and prints the string that the device scans.
pub(crate) fn invite(site: &Site, args: &DeviceInviteArgs) -> Outcome {
    let request = DeviceInvite {
        id: args.id.to_string(),
        device_type: args.device_type.as_ref().map(ToString::to_string),
        site: args.site.as_ref().map(ToString::to_string),
        exposure: args.exposure.map(device::exposure),
        chip: args.chip.map(device::chip_of),
        preset: preset::of_new(&args.preset),
        allow_overlap: args.allow_overlap,
        expires_secs: args.expires.0.as_secs(),
        replace: args.replace,
        host: args.host.clone(),
        tpm: args.tpm.map(|key| key.to_string()),
    };
    site.show(&site.ask(Request::DeviceInvite(request))?, |response| match response {
        Response::DeviceInvited(invited) => Some(tell(site, invited)),
        _ => None,
    })
}

/// Gives a device another message key, or a code by which it brings one.
pub(crate) fn rekey(site: &Site, args: &RekeyArgs) -> Outcome {
    if args.tpm.is_some() {
        let id = &args.id;
        return Err(Failure::misuse(format!(
            "rekey draws no code for one TPM alone. Take its keys away: keyward keys list {id}, and for each keyward keys withdraw {id} KEY; then \
             draw the code: keyward device invite {id} --replace --tpm FINGERPRINT"
        )));
    }
    let key = args.key.as_ref().map(|file| message_key(file, args.level)).transpose()?;
    let request = Request::DeviceRekey(DeviceRekey {
        id: args.id.to_string(),
        key: key.map(|key| Der(key.cose())),
        level: args.level,
        expires_secs: args.expires.0.as_secs(),
        host: args.host.clone(),
    });
    if args.key.is_some() {
        return site.change(request);
    }
    site.show(&site.ask(request)?, |response| match response {
        Response::DeviceInvited(invited) => Some(tell(site, invited)),
        _ => None,
    })
}

fn tell(site: &Site, invited: &DeviceInvited) -> String {
    let id = escape(&invited.device.id);
    let mut text =
        format!("Device {id} may fetch its certificate itself with this, once (shown only now):\n\n");
    let _ = writeln!(text, "{}\n", site.screen.paint().strong(&escape(invited.uri.expose())));
    let _ = writeln!(
        text,
        "Until {}. Whoever has it can be {id}: show it to the device, and to nobody else.",
        moment(invited.expires_unix_ms)
    );
    let _ = writeln!(text, "Take it back: {}", site.program.command(&format!("device uninvite {id}")));
    text + &notes(&invited.notes)
}

/// Writes a line about the claim code of a device.
pub(crate) fn line(row: &InvitationRow) -> String {
    let mut text = String::from("  claim     ");
    let _ = match (row.state, row.used_unix_ms) {
        (InvitationState::Open, _) => writeln!(text, "a code is open until {}", moment(row.expires_unix_ms)),
        (InvitationState::Used, Some(at)) => writeln!(text, "the code was used at {}", moment(at)),
        _ => writeln!(text, "the code ended unused at {}", moment(row.expires_unix_ms)),
    };
    if let Some(tpm) = &row.tpm {
        let _ = writeln!(text, "            for the TPM {} alone", escape(tpm));
    }
    if let Some(at) = row.conflict_unix_ms {
        let how = match row.used_unix_ms {
            Some(_) => "with another key or after its hour: two hold it, or the device lost its key",
            None => "without evidence of this TPM: somebody else has it, or this is the wrong TPM",
        };
        let _ = writeln!(text, "            it came at {}, {how}", moment(at));
    }
    text
}

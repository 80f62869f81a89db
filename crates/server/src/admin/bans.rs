//! Bans: which addresses are refused for a while, and ending that.

use super::{Admin, Turn, accounts::bad_name, needs_running};
use crate::control::{Changed, Refusal, RefusalCode, Response};
use std::net::IpAddr;

impl Turn<'_> {
    pub(super) fn lift_ban(&mut self, address: &str) -> Result<Response, Refusal> {
        let parsed: IpAddr =
            address.parse().map_err(|_| bad_name("address", address, &"is no IP address"))?;
        let running = self.admin.running.as_mut().ok_or_else(|| needs_running(NO_BROKER))?;
        if !running.live.lift_ban(parsed) {
            let what = format!("{parsed} is not banned; `keyward bans list` shows who is");
            return Err(Refusal::new(RefusalCode::NotFound, what));
        }
        let changed = self.changed(format!("{parsed} may connect again."), None, Vec::new());
        Ok(Response::Changed(Changed { ..changed }))
    }
}

impl Admin {
    pub(super) fn bans(&self) -> Result<Response, Refusal> {
        let running = self.running.as_ref().ok_or_else(|| needs_running(NO_BROKER))?;
        Ok(Response::Bans(running.live.bans()))
    }
}

const NO_BROKER: &str = "bans end with the broker";

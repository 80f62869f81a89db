//! What a running broker adds to the carrying out of a request.

use crate::{
    config::{Config, Listener},
    control::{BanRow, LastLoginRow, Refusal},
    denials,
    plane::Vitals,
    status::RunningStatus,
};
use keyward_identity::{Registrar, Registry};
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use keyward_policy::Policy;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Carries changes into a running data plane; each call returns when the change is in force there.
pub trait Live: Send {
    /// Puts a registry in force: links that it does not allow are closed.
    fn put_registry(&mut self, registry: &Arc<Registry>) -> InForce;

    /// Puts rules in force: decisions from now on are made by them.
    fn put_policy(&mut self, policy: &Arc<Policy>) -> InForce;

    /// Shows the server certificate that the store holds now, or at some of these listeners an imported one, to whoever
    /// connects from now on. Whom other authorities may vouch for is in force in any case.
    ///
    /// # Errors
    /// [`Refusal`] if it cannot be used; the one before stays.
    fn put_certificate(&mut self, registrar: &Registrar, listeners: &[Listener]) -> Result<(), Refusal>;

    /// Opens a listener.
    ///
    /// # Errors
    /// [`Refusal`] if the system refuses; nothing is open then.
    fn open_listener(&mut self, listener: &Listener) -> Result<(), Refusal>;

    /// Closes a listener; the links that came through it live on.
    fn close_listener(&mut self, name: &str);

    /// Returns the listeners that are open, by name, with what they are bound to.
    fn listeners(&self) -> Vec<(String, Vec<SocketAddr>)>;

    /// Lets the broker itself publish these topics below `$` and payloads, retained.
    fn announce(&self, values: Vec<(String, Vec<u8>)>);

    /// Returns at most `max` topics with a retained message that one of the filters matches.
    fn retained(&self, filters: &[String], max: u16) -> Vec<String>;

    /// Lets types of devices demand what the configuration says from now on.
    fn put_type_rules(&mut self, config: &Config);

    /// Lists the addresses that are banned.
    fn bans(&self) -> Vec<BanRow>;

    /// Ends the ban of an address; false if there is none.
    fn lift_ban(&mut self, address: IpAddr) -> bool;

    /// Returns how an identity last logged in, if that is remembered.
    fn last_login(&self, identity: &Identity) -> Option<LastLoginRow>;

    /// Returns how many sessions each of these identities has: so many client ids are in use.
    fn sessions(&self, identities: &[&Identity]) -> Vec<usize>;

    /// Returns how many messages wait in the sessions of an identity.
    fn waiting(&self, identity: &Identity) -> usize;

    /// Returns how many links each of these identities has now.
    fn links(&self, identities: &[&Identity]) -> Vec<usize>;

    /// Returns how the data plane is.
    fn status(&self) -> RunningStatus;

    /// Asks everybody in the data plane for an answer.
    fn vitals(&self) -> Vitals;

    /// Returns what was refused.
    fn denials(
        &self,
        since: Option<Millis>,
        would_allow: &dyn Fn(&denials::Denied) -> Option<String>,
    ) -> denials::Report;
}

/// Says how a change came into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InForce {
    /// How many links it closed.
    pub closed_links: usize,
    /// Whether everybody reported in time; if not, the change follows within moments or the broker is stuck.
    pub complete: bool,
}

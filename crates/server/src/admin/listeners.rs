//! Listeners: opened and closed while the broker runs, and written into `keyward.toml`.

use super::{
    Admin, Turn, accounts::bad_name, audited::Digests, authorities::authority, marks::plain_warning,
};
use crate::{
    config::{self, Address, Config, Listener, Network, Place, Protocol, SocketMode},
    control::{ListenerAdd, ListenerRow, Refusal, RefusalCode, Response},
    installation,
    login::LoginRule,
    rules::Rules,
    wiring,
};
use keyward_identity::{Command, files};
use keyward_ids::{Identity, UserId};
use std::net::SocketAddr;

impl Turn<'_> {
    pub(super) fn add_listener(&mut self, add: &ListenerAdd) -> Result<Response, Refusal> {
        let listener = parse(add)?;
        wiring::check_trusted_names(&self.admin.registrar, &listener)
            .map_err(|missing| Refusal::new(RefusalCode::NotFound, missing))?;
        let (_, old) = installation::settings(&self.admin.home)?;
        let text = config::add_listener(&old, &listener)?;
        if let Some(running) = self.admin.running.as_mut() {
            running.live.open_listener(&listener)?;
        }
        if let Err(refusal) =
            self.edit(&old, &text, format!("keyward.toml: listener {} added", listener.name))
        {
            if let Some(running) = self.admin.running.as_mut() {
                running.live.close_listener(&listener.name);
            }
            return Err(refusal);
        }
        self.admin.listeners()
    }

    pub(super) fn remove_listener(&mut self, name: &str) -> Result<Response, Refusal> {
        let (_, old) = installation::settings(&self.admin.home)?;
        let text = config::remove_listener(&old, name)?;
        self.edit(&old, &text, format!("keyward.toml: listener {name} removed"))?;
        if let Some(running) = self.admin.running.as_mut() {
            running.live.close_listener(name);
        }
        self.admin.listeners()
    }

    /// Writes `keyward.toml` and audits it; if the ledger takes nothing, the old text is put back.
    fn edit(&mut self, old: &str, new: &str, what: String) -> Result<(), Refusal> {
        let path = self.admin.home.config_file();
        let write = |text: &str| {
            files::replace(&path, text.as_bytes()).map_err(|error| Refusal::new(RefusalCode::Failed, error))
        };
        let config =
            Config::parse("keyward.toml", new).map_err(|error| Refusal::new(RefusalCode::BadFile, error))?;
        write(new)?;
        // Rules that are bad just now are audited when they are mended: only our own line is noted then.
        let audited = match Rules::load(&self.admin.home) {
            Ok(rules) => self.note(&[what], &Digests::of(new, &rules.files)),
            Err(_) => self.command(Command::NoteConfigChange { summary: what }).map(|_| ()),
        };
        if let Err(refusal) = audited {
            write(old)?;
            return Err(refusal);
        }
        if let Some(running) = self.admin.running.as_mut() {
            running.config.listeners = config.overridden(running.overrides).listeners;
        }
        Ok(())
    }
}

impl Admin {
    pub(super) fn listeners(&self) -> Result<Response, Refusal> {
        Ok(Response::Listeners(self.listener_rows(&self.config()?)))
    }

    pub(super) fn listener_rows(&self, config: &Config) -> Vec<ListenerRow> {
        let open = self.running.as_ref().map(|running| running.live.listeners()).unwrap_or_default();
        config.listeners.iter().map(|listener| self.listener_row(listener, &open)).collect()
    }
}

impl Admin {
    fn listener_row(&self, listener: &Listener, open: &[(String, Vec<SocketAddr>)]) -> ListenerRow {
        let mut warnings = Vec::new();
        if listener.is_plain_network() {
            warnings.push(plain_warning(listener));
        }
        warnings
            .extend(listener.anonymous_as.as_ref().and_then(|user| self.anonymous_warning(listener, user)));
        ListenerRow { warnings, ..row(listener, open) }
    }

    /// Says why nobody can become the user that clients without a login are to become.
    fn anonymous_warning(&self, listener: &Listener, user: &UserId) -> Option<String> {
        let account = self.account(&Identity::User(user.clone())).ok();
        let name = &listener.name;
        match account.filter(|account| account.is_active()) {
            None => Some(format!(
                "listener {name}: there is no active user {user}, so clients without a login are refused: \
                 keyward user add {user} --no-login"
            )),
            Some(account) if listener.is_plain_network() && !account.plain => Some(format!(
                "listener {name}: clients without a login are refused until user {user} may use plain listeners: \
                 keyward user plain {user}"
            )),
            Some(_) => None,
        }
    }
}

fn row(listener: &Listener, open: &[(String, Vec<SocketAddr>)]) -> ListenerRow {
    let bound = open.iter().find(|(name, _)| *name == listener.name).map(|(_, addresses)| addresses);
    let addresses = match (bound, &listener.place) {
        (_, Place::Socket { path, .. }) => vec![path.display().to_string()],
        (Some(bound), _) => bound.iter().map(|address| address.ip().to_string()).collect(),
        (None, Place::Network { address, .. }) => address.to_bind().iter().map(ToString::to_string).collect(),
    };
    ListenerRow {
        name: listener.name.clone(),
        addresses,
        port: bound.and_then(|bound| bound.first()).map(SocketAddr::port).or(listener.port()),
        protocol: listener.protocol.as_str().to_owned(),
        transport: listener.transport().to_owned(),
        demands: listener.login.to_string(),
        from: listener.from.iter().map(ToString::to_string).collect(),
        anonymous_as: listener.anonymous_as.as_ref().map(ToString::to_string),
        trusted: listener.trusted.as_ref().map(|named| named.iter().map(ToString::to_string).collect()),
        origins: listener.origins.clone(),
        open: bound.is_some(),
        warnings: Vec::new(),
    }
}

fn place(add: &ListenerAdd) -> Result<Place, Refusal> {
    let address = match &add.address {
        None => Address::All,
        Some(text) => Address::parse(text)
            .ok_or_else(|| bad_name("address", text, &"is neither an IP address nor \"*\""))?,
    };
    let mode = match &add.socket_mode {
        None => SocketMode::default(),
        Some(text) => SocketMode::parse(text)
            .ok_or_else(|| bad_name("mode", text, &"is no permissions in octal that let the broker in"))?,
    };
    match (add.port, &add.socket) {
        (Some(port), None) if add.socket_mode.is_none() => Ok(Place::Network { address, port }),
        (None, Some(path)) if add.address.is_none() => Ok(Place::Socket { path: path.into(), mode }),
        _ => Err(Refusal::invalid("a listener is on a port, with an address or without, or on a socket")),
    }
}

fn parse(add: &ListenerAdd) -> Result<Listener, Refusal> {
    let place = place(add)?;
    let tls = !add.plain && matches!(place, Place::Network { .. });
    let network = |text: &String| {
        let why = "is neither a network like 192.168.1.0/24, with zeros beyond its prefix, nor an address";
        Network::parse(text).ok_or_else(|| bad_name("network", text, &why))
    };
    let anonymous_as = add.anonymous_as.as_ref().map(|name| super::users::user(name)).transpose()?;
    let trusted = add.trusted.as_ref();
    let trusted = trusted.map(|named| named.iter().map(|name| authority(name)).collect()).transpose()?;
    let login = match &add.login {
        None => Listener::default_login(tls),
        Some(text) => {
            LoginRule::parse(text).ok_or_else(|| bad_name("login", text, &"is no way to log in"))?
        }
    };
    Ok(Listener {
        name: add.name.clone(),
        protocol: if add.websocket { Protocol::WebSocket } else { Protocol::Mqtt },
        place,
        tls,
        login,
        from: add.from.iter().map(network).collect::<Result<_, _>>()?,
        anonymous_as,
        server_certificate: None,
        trusted,
        origins: (!add.origins.is_empty()).then(|| add.origins.clone()),
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        admin::fixture::fixture,
        control::{ListenerAdd, Request},
    };
    use std::fs;

    #[test]
    fn a_listener_is_opened_before_it_is_written_and_not_written_if_that_fails() {
        let mut fixture = fixture();
        let before = fs::read_to_string(fixture.home.config_file()).unwrap();
        let add = |port| {
            let (name, address) = ("b".to_owned(), None);
            Request::ListenerAdd(ListenerAdd { name, address, port, ..ListenerAdd::default() })
        };
        assert!(fixture.admin.execute(add(Some(666))).is_err());
        assert_eq!(fs::read_to_string(fixture.home.config_file()).unwrap(), before);
        fixture.admin.execute(add(Some(2))).unwrap();
        assert!(fixture.reload().unwrap().changes.is_empty(), "our own edit is no hand edit");
    }
}

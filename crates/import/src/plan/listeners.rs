//! Listeners of Mosquitto as sections of `keyward.toml`.

use super::certificates;
use super::topics::quoted;
use super::{Plan, Wishes};
use keyward_ids::UserId;
use keyward_mosquitto::Fate;
use keyward_mosquitto::conf::{Listener, Settings};
use std::fmt::Write;

/// What a listener without TLS on the network means.
const WEAK_PLAIN: &str = "no TLS: only users that are marked `plain` may use it, none is yet";
/// What it means where there are passwords.
const READ_PLAIN: &str = "passwords that were used here may have been read on the network";

/// What is left to do after that.
const NEXT_READ: &str = "passwords that were used without TLS on the network may have been read there, and open listeners with \
                         TLS now: give each user a new one, keyward user passwd NAME --generate, or let who stays on such a \
                         listener use the old one there only, keyward user plain NAME";

/// The most users that a sentence names.
const NAMED: usize = 5;

/// Tells whether clients without a user name get in somewhere.
pub(super) fn lets_anonymous_in(settings: &Settings) -> bool {
    settings.listeners.iter().any(|listener| anonymous(settings, listener))
}

fn anonymous(settings: &Settings, listener: &Listener) -> bool {
    let own = listener.guards.allow_anonymous;
    // Where the user name becomes the client id, who has none is shut out.
    own.or(settings.guards.allow_anonymous).unwrap_or(false)
        && listener.name_from.is_none()
        && !listener.username_as_clientid
}

/// Renders all listeners.
pub(super) fn render(plan: &mut Plan, settings: &Settings, wishes: &Wishes) {
    for (number, listener) in settings.listeners.iter().enumerate() {
        match one(plan, settings, number, listener, wishes) {
            Ok(text) => {
                plan.listeners.push_str(&text);
                if listener.socket.is_none() {
                    plan.ports.push(listener.port);
                }
            }
            Err(why) => plan.refusals.push(format!("{}: {why}", label(listener))),
        }
    }
}

fn label(listener: &Listener) -> String {
    match &listener.place {
        // It becomes a comment of a TOML file, and whoever named an included file chose it.
        Some(place) => {
            format!("{}: listener {}", keyward_mosquitto::shown(&place.to_string()), listener.port)
        }
        None => format!("the default listener, {}", listener.port),
    }
}

fn one(
    plan: &mut Plan,
    settings: &Settings,
    number: usize,
    listener: &Listener,
    wishes: &Wishes,
) -> Result<String, String> {
    let mut text = format!("\n# Imported from Mosquitto: {}\n[[listener]]\n", label(listener));
    let _ = match &listener.socket {
        Some(path) => {
            let number = plan.ports.len();
            writeln!(text, "name = \"mosquitto-socket-{number}\"\nsocket = {}", quoted(path))
        }
        None => {
            let address = address(listener.address.as_deref())?;
            let port = listener.port;
            writeln!(text, "name = \"mosquitto-{port}\"\naddress = {}\nport = {port}", quoted(&address))
        }
    };
    if listener.websocket {
        text.push_str("protocol = \"websocket\"\n");
    }
    if let Some(name) = plan.shown.get(&number) {
        let _ = writeln!(text, "server_certificate = {}", quoted(name));
    }
    if let Some(login) = login(settings, listener) {
        let _ = writeln!(text, "login = \"{login}\"");
    }
    if takes_certificates(settings, listener) && !plan.authorities.is_empty() {
        let heeded: Vec<String> = plan.heeded.get(&number).map(|name| quoted(name)).into_iter().collect();
        let _ = writeln!(text, "trusted = [{}]", heeded.join(", "));
    }
    transport(listener, wishes, &mut text)?;
    if is_plain(listener) {
        tell_plain(plan, listener, anonymous(settings, listener).then_some(&wishes.anonymous_as));
    }
    if anonymous(settings, listener) {
        let _ = writeln!(text, "anonymous_as = {}", quoted(wishes.anonymous_as.as_str()));
        if let Some(place) = &listener.place {
            plan.amend(place, Fate::Weak, "clients without a login get in");
        }
    }
    Ok(text)
}

fn address(address: Option<&str>) -> Result<String, String> {
    match address {
        None => Ok("*".to_owned()),
        Some("localhost") => Ok("127.0.0.1".to_owned()),
        Some(text) if text.parse::<std::net::IpAddr>().is_ok() => Ok(text.to_owned()),
        Some(_) => Err("it names a host: write the address to listen on".to_owned()),
    }
}

fn transport(listener: &Listener, wishes: &Wishes, text: &mut String) -> Result<(), String> {
    if listener.is_tls() {
        return Ok(());
    }
    if listener.require_certificate || listener.name_from.is_some() {
        return Err("it demands certificates and has no certfile and keyfile of its own".to_owned());
    }
    if listener.has_psk {
        return Err("it has pre-shared keys (psk_hint), which are not here, and without them no TLS: give it a certfile and \
                    a keyfile, or take it out"
            .to_owned());
    }
    if listener.socket.is_some() {
        return Ok(());
    }
    text.push_str("tls = false\n");
    if !is_plain(listener) {
        return Ok(());
    }
    if wishes.plain_from.is_empty() {
        return Err("it has no TLS, so that passwords and messages can be read on the network: say from where it may be \
                    used (--plain-from 192.168.1.0/24), or take it out"
            .to_owned());
    }
    let from: Vec<String> = wishes.plain_from.iter().map(|network| quoted(network)).collect();
    let _ = writeln!(text, "from = [{}]", from.join(", "));
    Ok(())
}

/// Tells whether what clients say there can be read on the network.
fn is_plain(listener: &Listener) -> bool {
    !listener.is_tls() && listener.socket.is_none() && !listener.is_local()
}

/// Says what a listener without TLS on the network means, and for whom; `anonymous` is who has no login there.
fn tell_plain(plan: &mut Plan, listener: &Listener, anonymous: Option<&UserId>) {
    let with_password = plan.users.iter().filter(|user| user.hash.is_some());
    plan.exposed = with_password.map(|user| user.name.clone()).collect();
    let were_read = !plan.exposed.is_empty();
    if let Some(place) = &listener.place {
        plan.amend(place, Fate::Weak, WEAK_PLAIN);
        if were_read {
            plan.amend(place, Fate::Weak, READ_PLAIN);
        }
    }
    if let Some(user) = anonymous {
        plan.next(format!(
            "clients without a login are the user {user}, and get in without TLS on the network only once it is marked: keyward \
             user plain {user}"
        ));
    }
    if were_read {
        let names = listed(&plan.exposed);
        plan.next(format!(
            "listeners without TLS on the network let in only users that are marked `plain`: keyward user plain NAME for each that \
             needs it ({names})"
        ));
        plan.next(NEXT_READ.to_owned());
    }
}

/// Names users: all of them, if they are few.
fn listed(users: &[UserId]) -> String {
    let named: Vec<&str> = users.iter().take(NAMED).map(UserId::as_str).collect();
    let more = users.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// Tells whether clients may show a certificate here: Keyward's own, where no authority was named there.
fn takes_certificates(settings: &Settings, listener: &Listener) -> bool {
    listener.is_tls() && login(settings, listener) != Some("password")
}

/// Returns what a client must show; `None` for the default.
fn login(settings: &Settings, listener: &Listener) -> Option<&'static str> {
    match (listener.require_certificate, listener.name_from) {
        _ if !listener.is_tls() => None,
        (_, Some(_)) => Some("certificate"),
        (true, None) => Some("certificate and password"),
        // The authority that names clients on another listener named nobody on this one.
        (false, None) if certificates::name_clients(settings) => Some("password"),
        (false, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_mosquitto::Place;

    #[test]
    fn the_name_of_an_included_file_stays_in_its_comment() {
        let file = "x.conf\n[[listener]]\nname = \"open\"\ntls = false #".to_owned();
        let listener = Listener { place: Some(Place { file, line: 3 }), ..Listener::default() };
        let text = label(&listener);
        assert!(!text.contains('\n') && text.contains("x.conf"), "{text:?}");
    }
}

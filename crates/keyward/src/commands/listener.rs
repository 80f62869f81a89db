//! `keyward listener`: where the broker listens.

use crate::args::{ListenerAddArgs, ListenerCommand};
use crate::failure::Outcome;
use crate::reach::Site;
use crate::screen::table;
use keyward_server::config::MQTTS_PORT;
use keyward_server::control::{ListenerAdd, ListenerRow, Request, Response};
use keyward_server::escape::escape;
use std::path::absolute;

/// Runs the command.
pub(crate) fn run(site: &Site, command: ListenerCommand) -> Outcome {
    let request = match command {
        ListenerCommand::Add(args) => Request::ListenerAdd(addition(args)),
        ListenerCommand::List => Request::ListenerList,
        ListenerCommand::Remove { name } => Request::ListenerRemove { name },
    };
    site.show(&site.ask(request)?, |response| match response {
        Response::Listeners(listeners) => {
            Some(listing(listeners) + &trusting(listeners) + &warnings(listeners))
        }
        _ => None,
    })
}

fn addition(args: ListenerAddArgs) -> ListenerAdd {
    // The broker may run in another folder.
    let socket = args.socket.map(|path| absolute(&path).unwrap_or(path));
    ListenerAdd {
        name: args.name,
        address: args.address.map(|address| address.to_string()),
        port: match (&socket, args.port) {
            (Some(_), _) => None,
            (None, port) => Some(port.unwrap_or(if args.plain { 1883 } else { MQTTS_PORT })),
        },
        socket: socket.map(|path| path.display().to_string()),
        socket_mode: args.socket_mode,
        login: args.login,
        plain: args.plain,
        from: args.from,
        anonymous_as: args.anonymous_as,
        websocket: args.websocket,
        trusted: (args.no_trusted || !args.trusted.is_empty()).then_some(args.trusted),
        origins: args.origin,
    }
}

fn transport(row: &ListenerRow) -> String {
    match row.protocol.as_str() {
        "websocket" => format!("websocket, {}", row.transport),
        _ => row.transport.clone(),
    }
}

/// Says where not every authority of others counts that is trusted.
fn trusting(listeners: &[ListenerRow]) -> String {
    let line = |row: &ListenerRow| {
        let named: Vec<String> = row.trusted.as_ref()?.iter().map(|name| escape(name)).collect();
        let whose = if named.is_empty() { "none".to_owned() } else { format!("{} only", named.join(", ")) };
        Some(format!("\nOf the authorities of others, at {} counts {whose}.", escape(&row.name)))
    };
    let lines: String = listeners.iter().filter_map(line).collect();
    if lines.is_empty() { lines } else { lines + "\n" }
}

/// Says what to know about listeners.
fn warnings(listeners: &[ListenerRow]) -> String {
    let warnings: Vec<&String> = listeners.iter().flat_map(|row| &row.warnings).collect();
    let lines: String = warnings.iter().map(|warning| format!("\n  {}", escape(warning))).collect();
    if lines.is_empty() { lines } else { format!("\nWarnings{lines}\n") }
}

/// Lists listeners in a table.
pub(crate) fn listing(listeners: &[ListenerRow]) -> String {
    let rows = listeners.iter().map(|row| {
        [
            row.name.clone(),
            row.addresses.join(", "),
            row.port.map_or_else(|| "-".to_owned(), |port| port.to_string()),
            transport(row),
            row.demands.clone(),
            row.from.join(", "),
            row.anonymous_as.clone().unwrap_or_default(),
            if row.open { "open" } else { "closed" }.to_owned(),
        ]
    });
    table(["name", "addresses", "port", "transport", "a client shows", "from", "anonymous as", "now"], rows)
}

//! `keyward server name`: what the broker's certificate names.

use crate::args::NameCommand;
use crate::clock::day;
use crate::failure::Outcome;
use crate::reach::Site;
use keyward_server::control::{Request, Response, ServerNames};
use keyward_server::escape::escape;
use std::fmt::Write;

/// Runs the command.
pub(crate) fn run(site: &Site, command: NameCommand) -> Outcome {
    let request = match command {
        NameCommand::Add { name } => Request::ServerNameAdd { name },
        NameCommand::List => Request::ServerNameList,
        NameCommand::Remove { name } => Request::ServerNameRemove { name },
    };
    site.show(&site.ask(request)?, |response| match response {
        Response::ServerNames(names) => Some(tell(names)),
        _ => None,
    })
}

fn tell(names: &ServerNames) -> String {
    let mut text = String::new();
    if names.reissued {
        text.push_str("A new server certificate was issued, with the same key. It names:\n");
    }
    for name in &names.names {
        let _ = writeln!(text, "{}", escape(name));
    }
    let _ =
        writeln!(text, "\nThe certificate ends on {} and renews itself before.", day(names.expires_unix_ms));
    let _ = writeln!(
        text,
        "Its message takes {} of the {} bytes that small devices can read.",
        names.certificate_message_bytes, names.certificate_message_bytes_max
    );
    text
}

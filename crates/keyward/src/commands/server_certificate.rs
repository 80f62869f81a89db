//! `keyward server certificate`: certificates of this server that other authorities made.

use crate::args::ServerCertificateCommand;
use crate::bundle::FILE_BYTES;
use crate::clock::day;
use crate::failure::{Failure, Outcome};
use crate::reach::Site;
use crate::screen::table;
use keyward_identity::files;
use keyward_server::control::{
    Der, Request, Response, Secret, ServerCertificateImport, ServerCertificateRow,
};
use std::path::Path;
use zeroize::Zeroizing;

/// Runs the command.
pub(crate) fn run(site: &Site, command: ServerCertificateCommand) -> Outcome {
    match command {
        ServerCertificateCommand::Import(args) => {
            let chain = Der(files::read_regular(&args.cert, FILE_BYTES)?);
            let key = read_key(&args.key)?;
            show(
                site,
                Request::ServerCertificateImport(ServerCertificateImport { name: args.name, chain, key }),
            )
        }
        ServerCertificateCommand::List => show(site, Request::ServerCertificateList),
        ServerCertificateCommand::Remove { name } => site.change(Request::ServerCertificateRemove { name }),
    }
}

fn read_key(path: &Path) -> Outcome<Secret> {
    let bytes = Zeroizing::new(files::read_regular(path, FILE_BYTES)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Failure::failed(format!("{}: is no PEM file; a private key in PEM is expected", path.display()))
    })?;
    Ok(Secret::new(text.to_owned()))
}

fn show(site: &Site, request: Request) -> Outcome {
    site.show(&site.ask(request)?, |response| match response {
        Response::ServerCertificates(rows) if rows.is_empty() => {
            Some("There are none: all listeners show the broker's own certificate.\n".to_owned())
        }
        Response::ServerCertificates(rows) => Some(listing(rows)),
        _ => None,
    })
}

fn listing(rows: &[ServerCertificateRow]) -> String {
    let rows = rows.iter().map(|row| {
        [
            row.name.clone(),
            row.subject.clone(),
            day(row.expires_unix_ms),
            if row.usable { "" } else { "its key cannot be read" }.to_owned(),
            row.listeners.join(", "),
        ]
    });
    table(["name", "subject", "ends", "key", "shown by listener"], rows)
}

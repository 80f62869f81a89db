//! `keyward authority`: what was certified elsewhere and is accepted here.

use crate::args::{AuthorityCommand, ProvesArg, TrustAddArgs, TrustBindArgs, TrustCommand};
use crate::bundle::FILE_BYTES;
use crate::clock::day;
use crate::failure::Outcome;
use crate::reach::Site;
use keyward_identity::files;
use keyward_server::control::{
    AuthorityBind, AuthorityTrust, Der, Proves, Request, Response, TrustedAuthorityRow,
};
use keyward_server::escape::escape;
use std::fmt::Write;
use std::path::Path;

/// Runs the command.
pub(crate) fn run(site: &Site, command: AuthorityCommand) -> Outcome {
    let AuthorityCommand::Trust(command) = command;
    match command {
        TrustCommand::Add(args) => show(site, Request::AuthorityTrustAdd(added(args)?)),
        TrustCommand::List => show(site, Request::AuthorityTrustList),
        TrustCommand::Remove { name } => site.change(Request::AuthorityTrustRemove { name }),
        TrustCommand::Crl { name, crl } => {
            site.change(Request::AuthorityTrustRevocations { name, revocations: read(&crl)? })
        }
        TrustCommand::Bind(args) => site.change(Request::AuthorityTrustBind(bound(args)?)),
        TrustCommand::Unbind { name, common_name } => {
            site.change(Request::AuthorityTrustUnbind { name, common_name })
        }
        TrustCommand::Confirm { name } => site.change(Request::AuthorityTrustConfirm { name }),
    }
}

fn read(path: &Path) -> Outcome<Der> {
    Ok(Der(files::read_regular(path, FILE_BYTES)?))
}

fn added(args: TrustAddArgs) -> Outcome<AuthorityTrust> {
    Ok(AuthorityTrust {
        name: args.name,
        certificates: read(&args.ca)?,
        proves: match args.identity {
            ProvesArg::CommonName => Proves::CommonName,
            ProvesArg::None => Proves::None,
        },
        revocations: args.crl.as_deref().map(read).transpose()?,
    })
}

fn bound(args: TrustBindArgs) -> Outcome<AuthorityBind> {
    Ok(AuthorityBind {
        name: args.name,
        identity: args.identity.to_string(),
        common_name: args.common_name,
        certificate: args.certificate.as_deref().map(read).transpose()?,
    })
}

fn show(site: &Site, request: Request) -> Outcome {
    site.show(&site.ask(request)?, |response| match response {
        Response::TrustedAuthorities(rows) if rows.is_empty() => {
            Some("No authority but Keyward's own is trusted.\n".to_owned())
        }
        Response::TrustedAuthorities(rows) => Some(rows.iter().map(tell).collect()),
        _ => None,
    })
}

fn tell(row: &TrustedAuthorityRow) -> String {
    let mut text = format!("{}: ", escape(&row.name));
    text.push_str(match row.proves {
        Proves::CommonName => "a bound common name says who it is",
        Proves::None => "proves nobody; the password says who it is",
    });
    if !row.confirmed {
        let _ = write!(
            text,
            "\n  not used since the ledger was restored; look below, then: keyward authority trust confirm {}",
            escape(&row.name)
        );
    }
    let subjects: Vec<String> = row.subjects.iter().map(|subject| escape(subject)).collect();
    let _ = writeln!(text, "\n  {}, until {}", subjects.join("; "), day(row.expires_unix_ms));
    match (row.revoked, row.next_list_unix_ms) {
        (Some(count), Some(next)) => {
            let _ = writeln!(text, "  revoked by its list: {count}; the next list is due {}", day(next));
        }
        (Some(count), None) => {
            let _ = writeln!(text, "  revoked by its list: {count}");
        }
        (None, _) => text.push_str("  no list of revoked certificates\n"),
    }
    if let Some(listeners) = &row.counts_at {
        let names: Vec<String> = listeners.iter().map(|name| escape(name)).collect();
        let at =
            if names.is_empty() { "no listener".to_owned() } else { format!("{} only", names.join(", ")) };
        let _ = writeln!(text, "  counts at {at}");
    }
    if !row.knocks_at.is_empty() {
        let names: Vec<String> = row.knocks_at.iter().map(|name| escape(name)).collect();
        let _ = writeln!(
            text,
            "  weakens {}: any of its certificates counts there as the one beside the password of whoever has no \
             certificate and no bound name",
            names.join(", ")
        );
    }
    for bound in &row.bound {
        let key = bound.key.as_deref().map(|key| format!(", key {key:.16} only")).unwrap_or_default();
        let _ = writeln!(text, "  '{}' is {}{key}", escape(&bound.common_name), escape(&bound.identity));
    }
    if row.bound.is_empty() && row.proves == Proves::CommonName {
        text.push_str("  no name is bound yet: keyward authority trust bind\n");
    }
    text
}

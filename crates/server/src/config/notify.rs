//! Whom the broker tells of incidents, and where: `[[notify.webhook]]`, `[notify.mail]`, `[notify.syslog]`.
//!
//! Secrets stand in files of their own, which are read when something is sent: never here.

mod address;
mod file;

pub(super) use file::File;

use super::error::{ConfigError, Places};
use address::{HttpUrl, Server};
use keyward_identity::LocalName;
use keyward_watch::finding::{Class, Severity};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use toml::Spanned;

/// The most webhooks.
pub const MAX_WEBHOOKS: usize = 8;

/// The most recipients of a mail.
pub const MAX_RECIPIENTS: usize = 16;

/// The ports that are meant where none is given: submission (RFC 6409) and submission over TLS (RFC 8314).
const STARTTLS_PORT: u16 = 587;
const SMTPS_PORT: u16 = 465;

/// The port of syslog over UDP (RFC 5426), and over TCP where no other is given (RFC 6587 assigns none).
const SYSLOG_PORT: u16 = 514;

/// Holds whom the broker tells of incidents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notify {
    /// Programs that are called over HTTP.
    pub webhooks: Vec<Webhook>,
    /// People who get mail.
    pub mail: Option<Mail>,
    /// The log of the system, or one far away.
    pub syslog: Option<Syslog>,
}

/// Is a program that is called over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its name: in the status, and in the file of what waits.
    pub name: LocalName,
    /// Where it listens. May hold a secret: it is shown to nobody.
    pub url: String,
    /// The host of the URL, which may be shown.
    pub host: String,
    /// The file with the secret by which what it is told is signed.
    pub secret_file: PathBuf,
    /// Certificates of authorities that are believed, in PEM; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// What it is told.
    pub wanted: Wanted,
}

/// Says who gets mail, and how it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The host that takes mail.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the link to it is protected.
    pub tls: MailTls,
    /// The name that is shown to it, if any.
    pub login: Option<MailLogin>,
    /// Certificates of authorities that are believed, in PEM; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Who writes.
    pub from: String,
    /// Who is written to.
    pub to: Vec<String>,
}

/// Is a name with the file of its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailLogin {
    /// The name.
    pub user: String,
    /// The file with the password.
    pub password_file: PathBuf,
}

/// Says how the link to the host that takes mail is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// It begins plain, and nothing is said before TLS (RFC 3207).
    #[default]
    StartTls,
    /// It is TLS from the first byte (RFC 8314).
    Tls,
    /// Not at all: on this machine only.
    None,
}

/// Says where syslog is spoken to, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    /// Where.
    pub to: SyslogPlace,
    /// What it is told.
    pub wanted: Wanted,
}

/// Is a place where somebody listens to syslog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogPlace {
    /// A datagram socket of this machine.
    Socket(PathBuf),
    /// UDP (RFC 5426).
    Udp(String, u16),
    /// TCP, each message behind its length (RFC 6587, 3.4.1).
    Tcp(String, u16),
}

/// Says which incidents are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The least severity.
    pub min: Severity,
    /// The kinds; empty is all.
    pub kinds: BTreeSet<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { min: Severity::High, kinds: BTreeSet::new() }
    }
}

impl Wanted {
    /// Tells whether an incident of this kind and severity is told.
    pub fn wants(&self, kind: &str, severity: Severity) -> bool {
        severity >= self.min && (self.kinds.is_empty() || self.kinds.contains(kind))
    }
}

/// Kinds that are not found by the watch.
const OTHER_KINDS: [&str; 5] =
    ["claim-conflict", "quarantine", "quarantine-stopped", "many-incidents", "stepped-down"];

/// Tells whether there are incidents of this kind.
fn is_kind(word: &str) -> bool {
    OTHER_KINDS.contains(&word) || Class::ALL.iter().any(|class| class.word() == word)
}

pub(super) fn validate(raw: &File, places: &Places<'_>) -> Result<Notify, Vec<ConfigError>> {
    let mut errors = Vec::new();
    if let Some(extra) = raw.webhook.get(MAX_WEBHOOKS) {
        errors.push(places.error(&extra.name.span(), format!("at most {MAX_WEBHOOKS} webhooks")));
    }
    let mut notify = Notify::default();
    for given in raw.webhook.iter().take(MAX_WEBHOOKS) {
        match webhook(given, places) {
            Ok(webhook) if notify.webhooks.iter().any(|other| other.name == webhook.name) => {
                errors.push(places.error(&given.name.span(), "a name that no other webhook has"));
            }
            Ok(webhook) => notify.webhooks.push(webhook),
            Err(more) => errors.extend(more),
        }
    }
    let mut take = |result: Result<(), Vec<ConfigError>>| errors.extend(result.err().into_iter().flatten());
    if let Some(given) = &raw.mail {
        take(mail(given, places).map(|mail| notify.mail = Some(mail)));
    }
    if let Some(given) = &raw.syslog {
        take(syslog(given, places).map(|syslog| notify.syslog = Some(syslog)));
    }
    if errors.is_empty() { Ok(notify) } else { Err(errors) }
}

fn webhook(raw: &file::Webhook, places: &Places<'_>) -> Result<Webhook, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let name = raw
        .name
        .get_ref()
        .parse::<LocalName>()
        .ok()
        .filter(|name| !["mail", "syslog"].contains(&name.as_str()))
        .ok_or_else(|| {
            let expected =
                "a name of letters, digits and hyphens; \"mail\" and \"syslog\" are names of other places";
            places.error(&raw.name.span(), expected)
        });
    let url = HttpUrl::parse(raw.url.get_ref(), raw.plain)
        .map_err(|expected| places.hidden(&raw.url.span(), expected));
    let secret_file = absolute(&raw.secret_file, places);
    let ca_file = raw.ca_file.as_ref().map(|file| absolute(file, places)).transpose();
    let wanted = wanted(raw.min, &raw.kinds, places);
    let (name, url) = (kept(name, &mut errors), kept(url, &mut errors));
    let (secret_file, ca_file) = (kept(secret_file, &mut errors), kept(ca_file, &mut errors));
    let wanted = wanted.map_err(|more| errors.extend(more)).ok();
    let (Some(name), Some(url), Some(secret_file), Some(ca_file), Some(wanted)) =
        (name, url, secret_file, ca_file, wanted)
    else {
        return Err(errors);
    };
    Ok(Webhook { name, url: url.text, host: url.host, secret_file, ca_file, wanted })
}

fn mail(raw: &file::Mail, places: &Places<'_>) -> Result<Mail, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let tls = raw.tls.unwrap_or_default();
    let port = if tls == MailTls::Tls { SMTPS_PORT } else { STARTTLS_PORT };
    let server = Server::parse(raw.server.get_ref(), port).ok_or_else(|| {
        places.error(&raw.server.span(), "a host, or a host and its port: \"mail.example:587\"")
    });
    let server = server.and_then(|server| match tls == MailTls::None && !server.is_loopback() {
        true => Err(places.error(&raw.server.span(), "a loopback address, for `tls` is \"none\"")),
        false => Ok(server),
    });
    let login = match (&raw.user, &raw.password_file) {
        (None, None) => Ok(None),
        (Some(user), Some(file)) if is_line(user.get_ref()) => absolute(file, places)
            .map(|password_file| Some(MailLogin { user: user.get_ref().clone(), password_file })),
        (Some(user), Some(_)) => Err(places.error(&user.span(), "a name without control characters")),
        (Some(one), None) => Err(places.error(&one.span(), "`password_file` beside `user`")),
        (None, Some(one)) => Err(places.error(&one.span(), "`user` beside `password_file`")),
    };
    let ca_file = raw.ca_file.as_ref().map(|file| absolute(file, places)).transpose();
    let from = address(&raw.from, places);
    let all = raw.to.get_ref();
    if all.is_empty() || all.len() > MAX_RECIPIENTS {
        errors.push(places.error(&raw.to.span(), format!("from 1 to {MAX_RECIPIENTS} addresses")));
    }
    let to: Vec<String> = all.iter().filter_map(|given| kept(address(given, places), &mut errors)).collect();
    let (server, login) = (kept(server, &mut errors), kept(login, &mut errors));
    let (ca_file, from) = (kept(ca_file, &mut errors), kept(from, &mut errors));
    match (server, login, ca_file, from, errors.is_empty()) {
        (Some(Server { host, port }), Some(login), Some(ca_file), Some(from), true) => {
            Ok(Mail { host, port, tls, login, ca_file, from, to })
        }
        _ => Err(errors),
    }
}

fn syslog(raw: &file::Syslog, places: &Places<'_>) -> Result<Syslog, Vec<ConfigError>> {
    let text = raw.to.get_ref();
    let server = |text: &str| Server::parse(text, SYSLOG_PORT);
    let to = match text.split_once(':') {
        _ if text.starts_with('/') => Some(SyslogPlace::Socket(text.into())),
        Some(("udp", rest)) => server(rest).map(|server| SyslogPlace::Udp(server.host, server.port)),
        Some(("tcp", rest)) => server(rest).map(|server| SyslogPlace::Tcp(server.host, server.port)),
        _ => None,
    };
    let expected = "a socket like \"/dev/log\", or \"udp:HOST:PORT\", or \"tcp:HOST:PORT\"";
    let to = to.ok_or_else(|| vec![places.error(&raw.to.span(), expected)])?;
    Ok(Syslog { to, wanted: wanted(raw.min, &raw.kinds, places)? })
}

fn wanted(
    min: Option<Severity>,
    kinds: &[Spanned<String>],
    places: &Places<'_>,
) -> Result<Wanted, Vec<ConfigError>> {
    let strange = kinds.iter().filter(|kind| !is_kind(kind.get_ref()));
    let expected = "a kind of incident, as docs/watch.md lists them";
    let errors: Vec<_> = strange.map(|kind| places.error(&kind.span(), expected)).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let kinds = kinds.iter().map(|kind| kind.get_ref().clone()).collect();
    Ok(Wanted { min: min.unwrap_or(Wanted::default().min), kinds })
}

fn absolute(given: &Spanned<String>, places: &Places<'_>) -> Result<PathBuf, ConfigError> {
    let path = PathBuf::from(given.get_ref());
    match path.is_absolute() {
        true => Ok(path),
        false => Err(places.error(&given.span(), "the whole path of a file, from / on")),
    }
}

fn address(given: &Spanned<String>, places: &Places<'_>) -> Result<String, ConfigError> {
    let text = given.get_ref();
    match address::is_mailbox(text) {
        true => Ok(text.clone()),
        false => Err(places.error(&given.span(), "an address like \"anna@example.org\"")),
    }
}

/// Tells whether a text fits into one line.
fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

/// Takes the value out, or its error to the others.
fn kept<T>(result: Result<T, ConfigError>, errors: &mut Vec<ConfigError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

/// Tells whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;

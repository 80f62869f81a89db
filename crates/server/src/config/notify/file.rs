//! `[notify]` as it is written.

use super::MailTls;
use keyward_watch::finding::Severity;
use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct File {
    pub(super) webhook: Vec<Webhook>,
    pub(super) mail: Option<Mail>,
    pub(super) syslog: Option<Syslog>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    pub(super) name: Spanned<String>,
    pub(super) url: Spanned<String>,
    pub(super) secret_file: Spanned<String>,
    pub(super) ca_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) plain: bool,
    pub(super) min: Option<Severity>,
    #[serde(default)]
    pub(super) kinds: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mail {
    pub(super) server: Spanned<String>,
    pub(super) tls: Option<MailTls>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) password_file: Option<Spanned<String>>,
    pub(super) ca_file: Option<Spanned<String>>,
    pub(super) from: Spanned<String>,
    pub(super) to: Spanned<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Syslog {
    pub(super) to: Spanned<String>,
    pub(super) min: Option<Severity>,
    #[serde(default)]
    pub(super) kinds: Vec<Spanned<String>>,
}

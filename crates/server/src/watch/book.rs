//! The book of incidents: in memory, in a file that survives restarts, and as retained messages.

use super::signed::{self, SignedMessage, SignedMessages};
use super::{calls, more, row, sentence, steps};
use crate::control::IncidentRow;
use crate::installation::wall_time;
use crate::notify::{self, Notice, Notifier};
use keyward_identity::WallTime;
use keyward_identity::files;
use keyward_ids::{DeviceId, SiteId};
use keyward_watch::event::{Scope, UnixMillis};
use keyward_watch::finding::{Class, Confidence, Evidence, Severity};
use keyward_watch::incidents::{
    Change, Incident, Incidents, NoSuch, Number, Saved, Settings, State, Verdict, What,
};
use keyward_watch::{Finding, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The kind under which it is told that there are too many incidents to call for each.
const MANY: &str = "many-incidents";

/// Below this each incident has its topic.
const TOPICS: &str = "$keyward/incidents";

/// How long changes are gathered before the file is written: a second, and 2 ms for each incident in it, so that a storm does not keep the disk busy.
const GATHER_MS: u64 = 1_000;
const GATHER_EACH_MS: u64 = 2;

/// Bytes of the largest file: all incidents that may be, with all that they may hold.
const FILE_BYTES: usize =
    (limits::INCIDENTS + limits::PAST_INCIDENTS) * 16 * 1024 + signed::IN_ALL * signed::BYTES;

/// A topic and what is retained there.
type Retained = (String, Vec<u8>);

/// Holds the incidents.
pub(crate) struct Book {
    incidents: Incidents,
    /// What proves some of them.
    signed: SignedMessages,
    file: PathBuf,
    /// Since when what is in the file is not all.
    changed: Option<UnixMillis>,
    /// What is to be published for those who asked, who do not publish themselves.
    owed: Vec<Retained>,
    /// At which site devices stand, of those that stand at one.
    sites: BTreeMap<DeviceId, SiteId>,
    notifier: Notifier,
}

/// Is the file, with the number of its form.
#[derive(Serialize, Deserialize)]
struct File<T> {
    format: u32,
    #[serde(default)]
    signed: SignedMessages,
    #[serde(flatten)]
    saved: T,
}

const FORMAT: u32 = 1;

/// Is one incident as it is published.
#[derive(Serialize)]
struct Told<'a> {
    incident: Class,
    number: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a SiteId>,
    scope: &'a Scope,
    at: String,
    last_seen: String,
    seen: u64,
    severity: Severity,
    confidence: Confidence,
    state: &'a State,
    parent: Option<Number>,
    evidence: &'a [Evidence],
    what: String,
}

impl Book {
    /// Opens the book of an installation. A file that cannot be read is set aside, and the book begins anew: nothing that shuts a device
    /// out stands there.
    pub(crate) fn open(file: PathBuf, notifier: Notifier) -> Self {
        let (incidents, signed) = read(&file).unwrap_or_else(|why| {
            let aside = file.with_extension("json.unreadable");
            let moved = std::fs::rename(&file, &aside);
            tracing::error!(
                file = %file.display(),
                "the incidents of before cannot be read ({why}): they begin anew. {}",
                match moved {
                    Ok(()) => format!("The file lies aside as {}", aside.display()),
                    Err(error) => format!("It could not be set aside: {error}"),
                }
            );
            nothing()
        });
        Self { incidents, signed, file, changed: None, owed: Vec::new(), sites: BTreeMap::new(), notifier }
    }

    pub(crate) fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// Takes at which sites devices stand: who is called is to know where to go.
    pub(crate) fn put_sites(&mut self, sites: BTreeMap<DeviceId, SiteId>) {
        self.sites = sites;
    }

    fn site(&self, incident: &Incident) -> Option<&SiteId> {
        match &incident.scope {
            Scope::Device(device) => self.sites.get(device),
            _ => None,
        }
    }

    /// Returns an incident as a line of a list.
    pub(crate) fn row(&self, incident: &Incident) -> IncidentRow {
        row(incident, self.site(incident))
    }

    /// Says an incident in a sentence.
    pub(crate) fn sentence(&self, incident: &Incident) -> String {
        sentence(incident, self.site(incident))
    }

    /// Returns what is to be retained of all incidents that are open.
    pub(crate) fn standing(&self) -> Vec<Retained> {
        self.incidents.all().filter(|incident| incident.is_open()).map(|it| self.retained(it)).collect()
    }

    /// Takes findings, lets time pass, and returns what is to be retained.
    pub(crate) fn handle(&mut self, now: UnixMillis, findings: Vec<Finding>) -> Vec<Retained> {
        findings.into_iter().for_each(|finding| self.incidents.handle(finding));
        if self.incidents.poll_timeout().is_some_and(|at| at <= now) {
            self.incidents.handle_timeout(now);
        }
        self.take_changes(now);
        let gather = GATHER_MS + GATHER_EACH_MS * self.incidents.all().count() as u64;
        if self.changed.is_some_and(|since| now.since(since) >= gather) {
            self.keep();
        }
        std::mem::take(&mut self.owed)
    }

    /// Keeps a signed message that proves something, as it came; the incident is in the book.
    pub(crate) fn keep_signed(
        &mut self,
        now: UnixMillis,
        scope: &Scope,
        class: Class,
        message: SignedMessage,
    ) {
        let number = self.incidents.newest(scope, class).filter(|it| it.is_open()).map(|it| it.number);
        if number.is_some_and(|number| self.signed.keep(number, message)) {
            self.changed.get_or_insert(now);
        }
    }

    /// Returns the signed messages that prove an incident.
    pub(crate) fn signed(&self, number: Number) -> &[SignedMessage] {
        self.signed.of(number)
    }

    /// Takes what the broker did about an incident by itself.
    pub(crate) fn answer(&mut self, now: UnixMillis, scope: &Scope, class: Class, what: &str) {
        self.incidents.answer(now, scope, class, what);
        self.take_changes(now);
    }

    pub(crate) fn acknowledge(
        &mut self,
        now: WallTime,
        number: Number,
        by: &str,
        note: &str,
    ) -> Result<&Incident, NoSuch> {
        self.incidents.acknowledge(UnixMillis(now.0), number, by, note)?;
        self.changed_by_hand(now, number)
    }

    pub(crate) fn resolve(
        &mut self,
        now: WallTime,
        number: Number,
        verdict: Verdict,
        by: &str,
        note: &str,
    ) -> Result<&Incident, NoSuch> {
        self.incidents.resolve(UnixMillis(now.0), number, verdict, by, note)?;
        self.changed_by_hand(now, number)
    }

    /// What a person said is on disk before they are answered.
    fn changed_by_hand(&mut self, now: WallTime, number: Number) -> Result<&Incident, NoSuch> {
        self.take_changes(UnixMillis(now.0));
        self.keep();
        self.incidents.get(number).ok_or(NoSuch::Number(number))
    }

    fn take_changes(&mut self, now: UnixMillis) {
        while let Some(change) = self.incidents.poll_change() {
            self.changed.get_or_insert(now);
            self.log(&change);
            self.notify(now, &change);
            let number = match change {
                Change::Told { number, .. } | Change::Ended { number } => number,
                Change::TooManyCalls | Change::HeldBack { .. } | Change::SteppedDown { .. } => continue,
            };
            if let Some(incident) = self.incidents.get(number) {
                self.owed.push(self.retained(incident));
            }
        }
    }

    /// Tells a change outside, if anybody is told.
    fn notify(&self, now: UnixMillis, change: &Change) {
        if !self.notifier.has_places() {
            return;
        }
        let notice = match change {
            Change::Told { number, calls } => {
                self.incidents.get(*number).map(|it| self.notice(now, it, *calls))
            }
            Change::Ended { number } => self.incidents.get(*number).map(|it| self.notice(now, it, false)),
            Change::TooManyCalls | Change::HeldBack { .. } | Change::SteppedDown { .. } => {
                Some(notice_of_calls(now, change))
            }
        };
        notice.into_iter().for_each(|notice| self.notifier.tell(notice));
    }

    fn log(&self, change: &Change) {
        let found = |number: &Number| self.incidents.get(*number);
        match change {
            Change::Told { number, .. } => {
                let Some(incident) = found(number) else { return };
                let (class, what) = (incident.class.word(), self.sentence(incident));
                if calls(change) {
                    tracing::warn!(incident = class, %number, scope = %incident.scope, "{what}");
                } else {
                    tracing::info!(incident = class, %number, scope = %incident.scope, "{what}");
                }
            }
            Change::Ended { number } => {
                let Some(incident) = found(number) else { return };
                tracing::info!(incident = incident.class.word(), %number, scope = %incident.scope, "it is over");
            }
            Change::TooManyCalls => tracing::warn!(
                "more incidents in an hour than somebody can answer: the next are listed, and told as one in an hour → \
                 keyward incident list"
            ),
            Change::HeldBack { calls } => tracing::warn!(
                calls,
                "so many incidents of the last hour were not told one by one → keyward incident list"
            ),
            Change::SteppedDown { class, is_down: true } => tracing::warn!(
                incident = class.word(),
                "more than half of the last 20 incidents of this kind were called false: it is listed, and calls nobody any more"
            ),
            Change::SteppedDown { class, is_down: false } => {
                tracing::info!(incident = class.word(), "incidents of this kind call somebody again");
            }
        }
    }

    /// Writes the file, if it does not hold all.
    pub(crate) fn keep(&mut self) {
        if self.changed.is_none() {
            return;
        }
        self.signed.forget(|number| self.incidents.get(number).is_some());
        let file = File { format: FORMAT, signed: self.signed.clone(), saved: self.incidents.saved() };
        let written = serde_json::to_vec(&file).map_err(|error| error.to_string());
        let written =
            written.and_then(|text| files::replace(&self.file, &text).map_err(|error| error.to_string()));
        match written {
            Ok(()) => self.changed = None,
            Err(error) => {
                // In a second it is tried again.
                self.changed = Some(UnixMillis(wall_time().0));
                tracing::error!("incidents could not be written down: {error}");
            }
        }
    }
}

/// Reads the file; without one there are no incidents.
fn read(file: &std::path::Path) -> Result<(Incidents, SignedMessages), String> {
    if !file.exists() {
        return Ok(nothing());
    }
    decode(&files::read_regular(file, FILE_BYTES).map_err(|error| error.to_string())?)
}

fn nothing() -> (Incidents, SignedMessages) {
    (Incidents::new(Settings::default()), SignedMessages::default())
}

pub(crate) fn decode(text: &[u8]) -> Result<(Incidents, SignedMessages), String> {
    let found: File<Saved> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if found.format != FORMAT {
        return Err(format!("it has form {}, and this program knows {FORMAT}", found.format));
    }
    Ok((Incidents::restored(Settings::default(), found.saved), found.signed))
}

impl Book {
    /// Returns the topic of an incident and what is retained there: nothing when it is over.
    fn retained(&self, incident: &Incident) -> Retained {
        let topic = format!("{TOPICS}/{}/{}", incident.class.word(), place(&incident.scope));
        if !incident.is_open() {
            return (topic, Vec::new());
        }
        (topic, serde_json::to_vec(&self.told(incident)).unwrap_or_default())
    }

    /// Returns an incident as it is published.
    fn told<'a>(&'a self, incident: &'a Incident) -> Told<'a> {
        let device = match &incident.scope {
            Scope::Device(device) => Some(device.as_str()),
            _ => None,
        };
        Told {
            incident: incident.class,
            number: incident.number,
            device,
            site: self.site(incident),
            scope: &incident.scope,
            at: WallTime(incident.first_seen.0).to_string(),
            last_seen: WallTime(incident.last_seen.0).to_string(),
            seen: incident.seen,
            severity: incident.severity,
            confidence: incident.confidence,
            state: &incident.state,
            parent: incident.parent,
            evidence: &incident.evidence,
            what: self.sentence(incident),
        }
    }

    /// Returns what is told outside of an incident.
    fn notice(&self, now: UnixMillis, incident: &Incident, calls: bool) -> Notice {
        let event = match incident.history.last().map(|entry| &entry.what) {
            _ if !incident.is_open() => notify::Event::End,
            Some(What::Opened(_) | What::CameBack) => notify::Event::Begin,
            _ => notify::Event::Change,
        };
        Notice {
            key: format!("incident {}", incident.number),
            event,
            kind: incident.class.word().to_owned(),
            severity: incident.severity,
            is_part: incident.parent.is_some(),
            calls,
            at_unix_ms: now.0,
            what: self.sentence(incident),
            more: more(incident),
            steps: steps(incident),
            incident: serde_json::to_value(self.told(incident)).unwrap_or_default(),
        }
    }
}

/// Returns what is told outside of calls that are made, or not made, for many incidents at once.
fn notice_of_calls(now: UnixMillis, change: &Change) -> Notice {
    let (kind, key, event, calls, what) = match change {
        Change::SteppedDown { class, is_down } => {
            let (event, what) = match is_down {
                true => (
                    notify::Event::Begin,
                    "calls nobody any more: more than half of the last 20 were called false",
                ),
                false => (notify::Event::End, "calls somebody again"),
            };
            ("stepped-down", format!("stepped-down {class}"), event, *is_down, format!("{class} {what}"))
        }
        Change::HeldBack { calls } => {
            let what = format!("{calls} more incidents of the last hour were not told one by one");
            (MANY, MANY.to_owned(), notify::Event::End, true, what)
        }
        _ => {
            let what = "more incidents in an hour than somebody can answer: the next are listed".to_owned();
            (MANY, MANY.to_owned(), notify::Event::Begin, true, what)
        }
    };
    Notice {
        key,
        event,
        kind: kind.to_owned(),
        severity: Severity::High,
        is_part: false,
        calls,
        at_unix_ms: now.0,
        what: format!("this installation: {what}"),
        more: "keyward incident list".to_owned(),
        steps: Vec::new(),
        incident: serde_json::Value::Null,
    }
}

/// Returns levels of a topic that no other scope has: names of gateways and circuits can be anything.
fn place(scope: &Scope) -> String {
    let escaped = |text: &str| {
        let hex = |c: char| match c {
            '%' | '/' | '+' | '#' => format!("%{:02x}", c as u32),
            c if c.is_control() => format!("%{:02x}", c as u32),
            c => c.to_string(),
        };
        text.chars().map(hex).collect::<String>()
    };
    let part = |site: &Option<keyward_ids::SiteId>, name: &str| {
        format!("{}/{}", site.as_ref().map_or("-", |site| site.as_str()), escaped(name))
    };
    match scope {
        Scope::Device(device) => device.to_string(),
        Scope::Site(site) => site.to_string(),
        Scope::Gateway(site, name) | Scope::Circuit(site, name) => part(site, name),
        Scope::Everything => "everything".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_watch::finding::Turn;

    fn finding(scope: Scope, class: Class, at: u64) -> Finding {
        Finding {
            at: UnixMillis(at),
            scope,
            class,
            turn: Turn::Set,
            confidence: Confidence::High,
            severity: Severity::High,
            evidence: vec![Evidence { at: UnixMillis(at), what: "it was seen".into() }],
            instead_of: None,
            part_of: None,
        }
    }

    fn pump() -> Scope {
        Scope::Device("pump".parse().unwrap())
    }

    #[test]
    fn an_incident_is_retained_while_it_stands_and_kept_through_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("incidents.json");
        let mut book = Book::open(file.clone(), Notifier::default());
        let told = book.handle(UnixMillis(1), vec![finding(pump(), Class::Missing, 1)]);
        assert_eq!(told[0].0, "$keyward/incidents/missing/pump");
        let payload: serde_json::Value = serde_json::from_slice(&told[0].1).unwrap();
        assert_eq!((&payload["device"], &payload["number"]), (&"pump".into(), &1.into()));
        assert!(!file.exists(), "changes are gathered");
        book.handle(UnixMillis(GATHER_MS + GATHER_EACH_MS + 1), Vec::new());
        assert!(file.exists());

        let mut book = Book::open(file.clone(), Notifier::default());
        assert_eq!(book.standing(), told);
        book.resolve(WallTime(2_000), Number(1), Verdict::True, "anna", "stolen").unwrap();
        let again = Book::open(file, Notifier::default());
        assert!(again.standing().is_empty(), "it is on disk when anna is answered");
        let owed = book.handle(UnixMillis(3_000), Vec::new());
        assert_eq!(owed, [("$keyward/incidents/missing/pump".to_owned(), Vec::new())]);
    }

    #[test]
    fn a_file_that_cannot_be_read_lies_aside_and_the_book_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("incidents.json");
        for text in ["", "{", "{\"format\":2,\"last\":1,\"incidents\":[]}", "[]"] {
            files::replace(&file, text.as_bytes()).unwrap();
            let book = Book::open(file.clone(), Notifier::default());
            assert_eq!(book.incidents().all().count(), 0);
            assert!(!file.exists());
            let aside = folder.path().join("incidents.json.unreadable");
            assert_eq!(std::fs::read(aside).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn no_name_of_a_gateway_makes_a_topic_of_something_else() {
        let gateway = |name: &str| place(&Scope::Gateway(None, name.into()));
        assert_eq!(gateway("a/b+#%\n"), "-/a%2fb%2b%23%25%0a");
        assert_ne!(gateway("a/b"), gateway("a%2fb"));
    }
}

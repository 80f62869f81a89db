//! Presets: an account and its file of rules, added in one step and removed in one step.
//!
//! The file is in force before the account exists, so nobody logs in without its rules; if the account is refused the
//! file goes again. What else was edited in `policy.d` stays as it is: it comes into force by a reload only.
//!
//! What is not here: the texts and what may be filled in (`policy`).

use super::{Admin, Turn, accounts::bad_name, audited::Digests};
use crate::{
    control::{PresetChoice, PresetGive, Refusal, RefusalCode, Response},
    rules::Rules,
    wiring::subject,
};
use keyward_identity::{Account, Standing, files};
use keyward_ids::{Identity, Kind};
use keyward_policy::{
    Filled, Filling, Policy, Preset, SourceFile, Subject,
    limits::{MAX_FILE_BYTES, MAX_FILES},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Is a rule file that was made from a preset and is not written yet.
pub(super) struct PresetFile {
    preset: Preset,
    filled: Filled,
    source: SourceFile,
}

impl PresetFile {
    /// Says what there is to know about it, a line each.
    pub(super) fn notes(&self) -> Vec<String> {
        let topic = self.filled.topic.as_ref().map(|topic| format!(", topic {topic}")).unwrap_or_default();
        let mut notes =
            vec![format!("preset {}{topic}: its rules are in {}", self.preset.name(), self.source.name)];
        if self.preset.name() == "home" {
            notes.push(
                "whoever has this login reads and writes everything, and nobody can tell its users apart; replace it by an \
                 account for each program"
                    .to_owned(),
            );
        }
        notes.extend(self.filled.left_out.map(str::to_owned));
        notes
    }
}

/// Names the rule file of an account, the same for all spellings of its name.
fn file_name(identity: &Identity) -> String {
    let kind = match identity.kind() {
        Kind::Device => "device",
        Kind::User => "user",
    };
    format!("preset-{kind}-{}.toml", identity.name().to_ascii_lowercase())
}

impl Turn<'_> {
    /// Makes the file for a new account and looks whether it can be written; without a choice it looks only that no file
    /// of an earlier account of this name is left, whose rights the new one would take over.
    pub(super) fn prepare_preset(
        &self,
        choice: Option<&PresetChoice>,
        new: &Subject,
        allow_overlap: bool,
    ) -> Result<Option<PresetFile>, Refusal> {
        let name = file_name(&new.identity);
        let Some(choice) = choice else {
            self.admin.refuse_remains(&name, &new.identity, None)?;
            return Ok(None);
        };
        let filling =
            Filling { who: &new.identity, topic: choice.topic.as_deref(), mac: choice.mac.as_deref() };
        let preset = Preset::named(&choice.name).map_err(Refusal::invalid)?;
        let filled = preset.fill(&filling).map_err(Refusal::invalid)?;
        self.admin.refuse_remains(&name, &new.identity, Some(&filled.text))?;
        if !allow_overlap {
            self.admin.refuse_preset_overlap(&filled, new)?;
        }
        let source = SourceFile::new(format!("policy.d/{name}"), filled.text.clone());
        self.admin.check_room(&source)?;
        Ok(Some(PresetFile { preset, filled, source }))
    }

    /// Writes the file, puts it in force and audits it, then does `add`; if that is refused all of it is undone.
    pub(super) fn with_preset<T>(
        &mut self,
        file: Option<&PresetFile>,
        add: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let Some(file) = file else { return add(self) };
        let source = &file.source;
        let others = self.admin.policy()?.without_file(&source.name);
        let policy = others.with_file(source).map_err(|e| Refusal::new(RefusalCode::BadFile, e))?;
        let path = self.admin.home.directory().join(&source.name);
        files::replace(&path, source.text.as_bytes()).map_err(|e| Refusal::new(RefusalCode::Failed, e))?;
        let digests = Digests::noted(&self.admin.home).with(source);
        let change = digests.line_of(&source.name, "added");
        let done = match self.note(&[change], &digests) {
            Ok(()) => {
                self.put_policy(policy);
                add(self)
            }
            Err(refusal) => Err(refusal),
        };
        if done.is_err() {
            self.take_file_away(&source.name, |path| std::fs::remove_file(path));
        }
        done
    }

    /// Gives a preset to an account that has none.
    pub(super) fn give_preset(&mut self, give: &PresetGive) -> Result<Response, Refusal> {
        let account = self.admin.existing(&give.identity)?;
        let (who, held) = (&account.identity, self.admin.policy()?);
        if let Some(applied) = held.preset_of(who) {
            let what = format!(
                "{who} has the preset {} already ({}); take it away first (--clear)",
                applied.name, applied.file
            );
            return Err(Refusal::new(RefusalCode::Conflict, what));
        }
        let file = self.prepare_preset(Some(&give.preset), &subject(&account), give.allow_overlap)?;
        self.with_preset(file.as_ref(), |_| Ok(()))?;
        let notes = file.iter().flat_map(PresetFile::notes).collect();
        let what = format!("{who} has the rules of preset {} now.", give.preset.name);
        Ok(Response::Changed(self.changed(what, None, notes)))
    }

    /// Takes its preset away from an account.
    pub(super) fn take_preset(&mut self, identity: &str) -> Result<Response, Refusal> {
        let account = self.admin.existing(identity)?;
        let who = &account.identity;
        let notes = self.remove_preset(who);
        if notes.is_empty() {
            return Err(Refusal::new(RefusalCode::NotFound, format!("{who} has no preset")));
        }
        // The next start would read it again.
        if self.admin.home.policy_dir().join(file_name(who)).symlink_metadata().is_ok() {
            return Err(Refusal::new(RefusalCode::Failed, notes.join("; ")));
        }
        Ok(Response::Changed(self.changed(format!("The preset of {who} is taken away."), None, notes)))
    }

    /// Takes the rules of an account out of force. A file that was edited by hand is kept under another
    /// name, which nobody reads. Returns what to know, a line each.
    pub(super) fn remove_preset(&mut self, identity: &Identity) -> Vec<String> {
        let name = format!("policy.d/{}", file_name(identity));
        let path = self.admin.home.directory().join(&name);
        if path.symlink_metadata().is_err() {
            return Vec::new();
        }
        let preset = as_it_was_made(&path, &name);
        let gone = match &preset {
            Some(_) => self.take_file_away(&name, |path| std::fs::remove_file(path)),
            None => {
                self.take_file_away(&name, |path| std::fs::rename(path, path.with_extension("toml.removed")))
            }
        };
        vec![match (gone, preset) {
            (false, _) => {
                format!("{name} could not be removed; remove it: a later {identity} would have its rights")
            }
            (true, Some(preset)) => format!("{name}, its rules of preset {preset}, is removed"),
            (true, None) => {
                format!("{name} was edited by hand: it is {name}.removed now, and no longer in force")
            }
        }]
    }

    /// Takes a rule file out of force, off the disk and into the audit; tells whether it is off the disk.
    fn take_file_away(&mut self, name: &str, away: impl FnOnce(&PathBuf) -> std::io::Result<()>) -> bool {
        if let Ok(policy) = self.admin.policy() {
            self.put_policy(policy.without_file(name));
        }
        let gone = away(&self.admin.home.directory().join(name));
        if let Err(error) = gone.and_then(|()| sync(&self.admin.home.policy_dir())) {
            tracing::error!("{name} could not be removed: {error}");
            return false;
        }
        let digests = Digests::noted(&self.admin.home).without(name);
        if let Err(refusal) = self.note(&[format!("{name} removed")], &digests) {
            tracing::error!("that {name} is removed could not be audited: {}", refusal.what);
        }
        true
    }

    fn put_policy(&mut self, policy: Policy) {
        if let Some(running) = self.admin.running.as_mut() {
            running.policy = Arc::new(policy);
            running.live.put_policy(&running.policy);
        }
    }
}

/// Returns the preset of a rule file that says what was once written; `None` if it was edited by hand.
fn as_it_was_made(path: &Path, name: &str) -> Option<String> {
    let text = String::from_utf8(files::read_regular(path, MAX_FILE_BYTES).ok()?).ok()?;
    let policy = Policy::load(&[SourceFile::new(name, text)]).ok()?;
    policy.presets().iter().find(|applied| !applied.edited).map(|applied| applied.name.clone())
}

fn sync(folder: &Path) -> std::io::Result<()> {
    files::sync_dir(folder).map_err(std::io::Error::other)
}

impl Admin {
    /// Finds an account that was not removed.
    fn existing(&self, identity: &str) -> Result<Arc<Account>, Refusal> {
        let identity = identity.parse().map_err(|error| bad_name("device or user", identity, &error))?;
        let account = self.account(&identity)?;
        if account.standing == Standing::Removed {
            return Err(Refusal::new(RefusalCode::NotFound, format!("{identity} is removed")));
        }
        Ok(account)
    }

    /// Refuses a file that is left of an earlier account, unless it is what is to be written: a crash came between.
    fn refuse_remains(&self, name: &str, new: &Identity, wanted: Option<&str>) -> Result<(), Refusal> {
        let path = self.home.policy_dir().join(name);
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        let text = files::read_regular(&path, MAX_FILE_BYTES).unwrap_or_default();
        if wanted.is_some_and(|wanted| wanted.as_bytes() == text) {
            return Ok(());
        }
        let what = format!(
            "policy.d/{name} is there already: rules of an earlier {new}; look at it, remove it, then `keyward reload`"
        );
        Err(Refusal::new(RefusalCode::Conflict, what))
    }

    /// Checks that the files as they lie on the disk load together with one more: the next start reads them so.
    fn check_room(&self, source: &SourceFile) -> Result<(), Refusal> {
        let mut files = Rules::load(&self.home)?.files;
        files.retain(|file| file.name != source.name);
        if files.len() >= MAX_FILES {
            let what = format!("policy.d holds {MAX_FILES} rule files already; put several into one");
            return Err(Refusal::new(RefusalCode::Forbidden, what));
        }
        files.push(source.clone());
        Policy::load(&files).map(|_| ()).map_err(|error| Refusal::new(RefusalCode::BadFile, error))
    }

    /// Refuses a preset whose topics somebody uses already.
    fn refuse_preset_overlap(&self, filled: &Filled, new: &Subject) -> Result<(), Refusal> {
        let registry = self.registrar.registry();
        let others: Vec<Subject> = registry
            .accounts()
            .filter(|account| account.standing != Standing::Removed && account.identity != new.identity)
            .map(|account| subject(account))
            .collect();
        let overlaps = self.policy()?.preset_overlaps(filled, new, &others);
        let lines: Vec<String> = overlaps.iter().map(ToString::to_string).collect();
        super::devices::refuse(
            &lines,
            || format!("topics of the preset for {} are in use already", new.identity),
            "choose another --topic, or accept it with --allow-overlap",
        )
    }

    /// Names the preset of an account, as the listings show it.
    pub(super) fn preset_name(policy: Option<&Policy>, identity: &Identity) -> Option<String> {
        let applied = policy?.preset_of(identity)?;
        Some(if applied.edited { format!("{}, edited", applied.name) } else { applied.name.clone() })
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        admin::fixture::{RULE, fixture},
        control::{NewCredential, NewPassword, PresetChoice, Request, UserAdd},
    };

    #[test]
    fn a_preset_is_in_force_with_its_account_and_edits_of_other_files_wait_for_a_reload() {
        let mut fixture = fixture();
        fixture.rules(RULE);
        let add = UserAdd {
            preset: Some(PresetChoice { name: "viewer".to_owned(), topic: None, mac: None }),
            ..UserAdd::new("eye", NewCredential::Password(NewPassword::Generated))
        };
        fixture.admin.execute(Request::UserAdd(add)).map(|_| ()).unwrap();
        assert_eq!(
            fixture.told.take(),
            ["policy of 1 rules"],
            "that of the preset, not the one that was edited"
        );
        let reloaded = fixture.reload().unwrap();
        assert_eq!(reloaded.changes.len(), 1);
        assert!(reloaded.changes[0].starts_with("policy.d/a.toml added"), "{reloaded:?}");
        assert_eq!(fixture.told.take(), ["certificate", "policy of 2 rules"]);
        fixture.admin.execute(Request::UserRemove { name: "eye".to_owned() }).map(|_| ()).unwrap();
        assert_eq!(fixture.told.take(), ["policy of 1 rules"]);
    }
}

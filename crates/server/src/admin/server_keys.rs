//! The keys of the server that devices believe, and the commands that it signs.

use super::{Admin, Turn, devices::device, groups::group_id};
use crate::{
    clock,
    control::{
        Addressee, Der, KeySetRow, Refusal, RefusalCode, Response, SealCommand, Sealed, ServerKeyRow,
        ServerKeyRows, ServerKeyState,
        limits::{COMMAND_BYTES, COMMAND_SECONDS, COMMANDS_AT_ONCE, COMMANDS_PER_SECOND, CORRELATION_BYTES},
    },
    grants::recipient,
    installation,
    plane::pace::Rate,
    server_keys::{Hearer, KEY_SET_TOPIC, Spoken, sign_command},
};
use base64ct::{Base64, Encoding};
use keyward_envelope::{Format, Nonce, PublicKey};
use keyward_identity::{Command, CommandKey, MessageKey, ServerKeys, WallTime};
use keyward_ids::{DeviceId, Identity};
use keyward_mqtt::{time::Millis, topic::TopicName};
use std::time::Duration;

/// How often a command is signed.
const COMMANDS: Rate = Rate { per_second: COMMANDS_PER_SECOND, burst: COMMANDS_AT_ONCE };

impl Admin {
    /// Returns the key that signs key sets, in PEM; none before the keys were made.
    pub(super) fn installation_key_pem(&self) -> Option<String> {
        Some(self.registrar.server_keys().installation()?.public_pem())
    }

    /// Publishes the key set that is in force: nothing is retained of it through a restart.
    pub(crate) fn tell_key_set(&self) {
        let key_set = self.registrar.server_keys().key_set();
        if let (Some(running), Some(key_set)) = (&self.running, key_set) {
            running.live.announce(vec![(KEY_SET_TOPIC.to_owned(), key_set.message.clone())]);
        }
    }

    /// Counts a command that is to be signed, or says when there is room for one.
    fn take_turn_to_command(&mut self, now: Millis) -> Result<(), Refusal> {
        if let Some(at) = COMMANDS.wait(self.commanded, now) {
            let what = format!(
                "too many commands: {COMMANDS_AT_ONCE} are signed at once and then {COMMANDS_PER_SECOND} a second, for each is kept in the \
                 ledger; try again in {} ms",
                at.0.saturating_sub(now.0)
            );
            return Err(Refusal::new(RefusalCode::WrongMoment, what));
        }
        COMMANDS.spend(&mut self.commanded, now, 1);
        Ok(())
    }

    /// Lists the keys.
    pub(super) fn server_keys(&self) -> Response {
        let keys = self.registrar.server_keys();
        let now = installation::wall_time();
        let key_set = keys.key_set().map(|set| KeySetRow {
            version: set.version,
            signed_unix_ms: set.signed.0,
            expires_unix_ms: set.expires.0,
            message: Base64::encode_string(&set.message),
        });
        Response::ServerKeys(Box::new(ServerKeyRows {
            installation: keys.installation().map(|key| row(key, ServerKeyState::Pinned)),
            commands: keys.commands().iter().map(|key| command_row(keys, key, now)).collect(),
            key_set,
        }))
    }
}

fn row(key: &MessageKey, state: ServerKeyState) -> ServerKeyRow {
    let (kid, public_key) = (key.kid().to_string(), Base64::encode_string(&key.cose()));
    ServerKeyRow { kid, state, signs_from_unix_ms: None, until_unix_ms: None, public_key }
}

fn command_row(keys: &ServerKeys, key: &CommandKey, now: WallTime) -> ServerKeyRow {
    let is_signing = keys.signing(now).is_some_and(|signing| signing.key == key.key);
    let state = match key.signs_from > now {
        _ if is_signing => ServerKeyState::Signing,
        true => ServerKeyState::Waiting,
        false => ServerKeyState::Leaving,
    };
    let signs_from_unix_ms = (state == ServerKeyState::Waiting).then_some(key.signs_from.0);
    let until_unix_ms = key.until.map(|until| until.0);
    ServerKeyRow { signs_from_unix_ms, until_unix_ms, ..row(&key.key, state) }
}

impl Turn<'_> {
    /// Makes another command key, and a key set that names it.
    pub(super) fn rotate_command_key(
        &mut self,
        lead_secs: u64,
        overlap_secs: u64,
    ) -> Result<Response, Refusal> {
        let (_, in_force) = self.command(Command::RotateCommandKey { lead_secs, overlap_secs })?;
        crate::server_keys::keep(&mut self.admin.registrar, self.now, self.actor)?;
        self.admin.tell_key_set();
        let keys = self.admin.registrar.server_keys();
        let newest = keys.commands().last().map(|key| (key.key.kid().to_string(), key.signs_from));
        let (kid, signs_from) = newest.unwrap_or_default();
        let what = match signs_from > self.now {
            true => format!("The command key {kid} is in the key set, and signs from {signs_from} on."),
            false => format!("The command key {kid} is in the key set, and signs from now on."),
        };
        let old = keys.commands().iter().filter_map(|key| Some((key.key.kid(), key.until?)));
        let notes = old.map(|(kid, until)| format!("{kid} is believed until {until}")).collect();
        Ok(Response::Changed(self.changed(what, in_force, notes)))
    }

    /// Signs a command to a device or a group. It is written into the ledger, without what it says, before it is signed.
    pub(super) fn seal_command(&mut self, seal: SealCommand) -> Result<Response, Refusal> {
        check(&seal)?;
        match &seal.to {
            Addressee::Device(id) => {
                let device = self.addressed(id)?;
                let number = self.number_of_command(&device, &seal)?;
                self.sealed(&seal, Hearer::Device(&device), number)
            }
            Addressee::DeviceAlone(id) => {
                let device = self.addressed(id)?;
                let account = self.admin.account(&Identity::Device(device.clone()))?;
                let key = recipient(&account, self.now).map_err(|why| {
                    Refusal::invalid(format!("nothing can be encrypted for {device}: {why}"))
                })?;
                let (key, _) = PublicKey::from_cose(&key.cose()).map_err(Refusal::invalid)?;
                let number = self.number_of_command(&device, &seal)?;
                self.sealed(&seal, Hearer::DeviceAlone(&device, &key), number)
            }
            Addressee::Group(name) => {
                let group = group_id(name)?;
                let command = Command::SignGroupMessage { group: group.clone(), topic: seal.topic.clone() };
                let number = self.number(command)?;
                let key = self.admin.group_key_in_use(&group)?;
                self.sealed(&seal, Hearer::Group(&key), number)
            }
        }
    }

    /// Finds a device in the spelling under which it is registered: it knows no other.
    fn addressed(&self, id: &str) -> Result<DeviceId, Refusal> {
        match &self.admin.account(&device(id)?)?.identity {
            Identity::Device(id) => Ok(id.clone()),
            Identity::User(_) => Err(Refusal::invalid("a device id is expected")),
        }
    }

    fn number_of_command(&mut self, device: &DeviceId, seal: &SealCommand) -> Result<u64, Refusal> {
        let identity = Identity::Device(device.clone());
        self.number(Command::SignCommand { identity, topic: seal.topic.clone() })
    }

    fn number(&mut self, command: Command) -> Result<u64, Refusal> {
        self.admin.take_turn_to_command(clock::now().mono)?;
        self.execute(command)?.0.number.ok_or_else(|| Refusal::invalid("no number was given"))
    }

    fn sealed(&self, seal: &SealCommand, to: Hearer<'_>, number: u64) -> Result<Response, Refusal> {
        let expires = seal.valid_secs.map(|secs| self.now.after(Duration::from_secs(secs)));
        let spoken = Spoken {
            to,
            topic: &seal.topic,
            correlation: seal.correlation.as_ref().map(|Der(bytes)| bytes.as_slice()),
            number,
            expires,
            nonce: seal.nonce.as_ref().map(|Der(bytes)| nonce(bytes)).transpose()?,
            format: seal.format.map(Format),
            payload: &seal.payload.0,
        };
        let registrar = &self.admin.registrar;
        let message = sign_command(registrar, self.now, &spoken)?;
        let kid = registrar.command_secret(self.now).map(|(key, _)| key.key.kid().to_string());
        let topic = crate::escape::escape(&seal.topic);
        tracing::info!(to = ?seal.to, %topic, number, by = self.actor, "command signed");
        Ok(Response::Sealed(Box::new(Sealed {
            message: Der(message),
            kid: kid.unwrap_or_default(),
            number,
            expires_unix_ms: expires.map(|expires| expires.0),
        })))
    }
}

/// Refuses what could not be signed before a number is used up.
fn check(seal: &SealCommand) -> Result<(), Refusal> {
    if TopicName::parse(&seal.topic).is_err() {
        return Err(Refusal::invalid("the topic is none to publish on: it is empty, a filter, or too long"));
    }
    let correlation = seal.correlation.as_ref().map_or(0, |Der(bytes)| bytes.len());
    for (what, len, max) in [
        ("payload", seal.payload.0.len(), COMMAND_BYTES),
        ("correlation data", correlation, CORRELATION_BYTES),
    ] {
        if len > max {
            return Err(Refusal::invalid(format!(
                "the {what} of a command has at most {max} bytes, not {len}"
            )));
        }
    }
    if let Some(Der(bytes)) = &seal.nonce {
        nonce(bytes)?;
        if matches!(seal.to, Addressee::Group(_)) {
            return Err(Refusal::invalid(
                "a nonce is one device's: what is said to a group is good for a time, or say it to each device",
            ));
        }
    }
    if matches!(seal.format, Some(16 | 96)) {
        return Err(Refusal::invalid("content formats 16 and 96 are for encrypted payloads; leave it away"));
    }
    match seal.valid_secs {
        Some(secs) if !(1..=COMMAND_SECONDS).contains(&secs) => Err(Refusal::invalid(format!(
            "a command is good for 1 second to {} days, not {secs} seconds",
            COMMAND_SECONDS / 86_400
        ))),
        _ => Ok(()),
    }
}

fn nonce(bytes: &[u8]) -> Result<Nonce, Refusal> {
    Nonce::new(bytes).ok_or_else(|| Refusal::invalid("a nonce has 8 to 16 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{Fixture, fixture};
    use crate::control::{DeviceInvite, Request};
    use keyward_envelope::{Content, Context, Direction, KeySet, Purpose, inspect};

    fn installation(fixture: &Fixture) -> String {
        fixture.admin.registrar.registry().installation().to_string()
    }

    /// Reads the key set that is in force as a device does, which knows the installation key alone.
    fn key_set(fixture: &Fixture) -> KeySet {
        let told = crate::server_keys::for_devices(&fixture.admin.registrar).unwrap();
        let (root, _) = PublicKey::from_cose(&told.installation_key).unwrap();
        let id = installation(fixture);
        let (direction, topic) = (Direction::All, "$keyward/keys/server");
        let context = Context { direction, installation: &id, topic, correlation: None };
        KeySet::read(&inspect(&told.key_set.unwrap()).unwrap().verify(&root, &context).unwrap()).unwrap()
    }

    fn add(fixture: &mut Fixture, id: &str) {
        fixture.admin.execute(Request::DeviceInvite(DeviceInvite::new(id, 900))).unwrap();
        fixture.told.take();
    }

    fn seal(payload: &[u8]) -> SealCommand {
        let to = Addressee::Device("PUMP-1".to_owned());
        let (topic, payload) = ("pump-1/set".to_owned(), Der(payload.to_vec()));
        SealCommand { to, topic, correlation: None, valid_secs: None, nonce: None, format: None, payload }
    }

    fn sealed(fixture: &mut Fixture, seal: SealCommand) -> Sealed {
        match fixture.admin.execute(Request::SealCommand(Box::new(seal))) {
            Ok(Response::Sealed(sealed)) => *sealed,
            other => panic!("{:?}", other.err()),
        }
    }

    #[test]
    fn a_device_that_pins_the_installation_key_believes_a_command_and_no_other() {
        let mut fixture = fixture();
        add(&mut fixture, "pump-1");
        let keys = key_set(&fixture);
        let mut seal = seal(b"open");
        (seal.nonce, seal.valid_secs) = (Some(Der(vec![9; 8])), Some(30));
        seal.correlation = Some(Der(vec![1, 2]));
        let sealed = sealed(&mut fixture, seal);
        let message = inspect(&sealed.message.0).unwrap();
        let key = keys.find(message.kid(), Purpose::Sign).unwrap();
        let id = installation(&fixture);
        let (direction, correlation) = (Direction::Down { device: "pump-1" }, Some([1, 2].as_slice()));
        let context = Context { direction, installation: &id, topic: "pump-1/set", correlation };
        let verified = message.verify(key, &context).unwrap();
        assert!(matches!(verified.content(), Ok(Content::Plain { payload: b"open", .. })));
        let claims = verified.claims();
        assert_eq!((claims.sequence.0, claims.nonce.unwrap().as_bytes()), (sealed.number, [9; 8].as_slice()));
        assert_eq!(claims.expires, claims.issued.map(|issued| issued + 30));
        let elsewhere = Context { topic: "pump-1/other", ..context };
        assert!(inspect(&sealed.message.0).unwrap().verify(key, &elsewhere).is_err());
        let audit = fixture.audit().concat();
        assert!(
            audit.contains(&format!("command {} to device:pump-1 on 'pump-1/set'", sealed.number)),
            "{audit}"
        );
    }

    #[test]
    fn what_cannot_be_signed_uses_up_no_number_and_is_refused_with_its_bound() {
        let mut fixture = fixture();
        add(&mut fixture, "pump-1");
        let before = fixture.audit().len();
        let of = |change: fn(&mut SealCommand)| {
            let mut seal = seal(b"open");
            change(&mut seal);
            seal
        };
        for (seal, expected) in [
            (of(|it| it.topic = "a/#".to_owned()), "topic"),
            (of(|it| it.topic = String::new()), "topic"),
            (of(|it| it.valid_secs = Some(0)), "1 second to 7 days"),
            (of(|it| it.nonce = Some(Der(vec![0; 7]))), "8 to 16 bytes"),
            (of(|it| it.format = Some(96)), "16 and 96"),
            (of(|it| it.payload = Der(vec![0; COMMAND_BYTES + 1])), "at most 40960 bytes"),
            (of(|it| it.correlation = Some(Der(vec![0; CORRELATION_BYTES + 1]))), "at most 1024 bytes"),
            (of(|it| it.to = Addressee::Device("pump-2".to_owned())), "pump-2"),
            (of(|it| it.to = Addressee::Device("a/b".to_owned())), "a/b"),
            (of(|it| it.to = Addressee::DeviceAlone("pump-1".to_owned())), "keys add device:pump-1 FILE"),
            (of(|it| it.to = Addressee::Group("mill".to_owned())), "no group mill"),
            (
                of(|it| (it.to, it.nonce) = (Addressee::Group("mill".to_owned()), Some(Der(vec![9; 8])))),
                "one device's",
            ),
        ] {
            let refused = fixture.admin.execute(Request::SealCommand(Box::new(seal))).err().unwrap();
            assert!(refused.what.contains(expected), "{}", refused.what);
        }
        assert_eq!(fixture.audit().len(), before);
    }

    /// Each command is a record that stays in the ledger: a script that ran wild filled the disk as fast as it could sign.
    #[test]
    fn commands_are_signed_so_many_at_once_and_then_so_many_a_second() {
        let mut fixture = fixture();
        add(&mut fixture, "pump-1");
        let now = clock::now().mono;
        for _ in 0..COMMANDS_AT_ONCE {
            fixture.admin.take_turn_to_command(now).unwrap();
        }
        let before = fixture.audit().len();
        // As if all that had happened a minute from now: the clock goes on while this runs.
        COMMANDS.spend(&mut fixture.admin.commanded, now, 60 * COMMANDS_PER_SECOND);
        let refused = fixture.admin.execute(Request::SealCommand(Box::new(seal(b"open")))).err().unwrap();
        assert_eq!(refused.code, RefusalCode::WrongMoment);
        assert!(
            refused.what.contains("5 a second") && refused.what.contains("try again in"),
            "{}",
            refused.what
        );
        assert_eq!(fixture.audit().len(), before, "no number is used up");
        let later = |seconds: u64| Millis(now.0 + 60_000 + seconds * 1_000);
        let taken = |fixture: &mut Fixture, now| {
            (0..).take_while(|_| fixture.admin.take_turn_to_command(now).is_ok()).count()
        };
        assert_eq!(taken(&mut fixture, later(0)), 0);
        assert_eq!(taken(&mut fixture, later(2)), 10);
        assert_eq!(taken(&mut fixture, later(2_000)), 1_000);
    }

    #[test]
    fn a_rotation_is_told_to_the_devices_at_once() {
        let mut fixture = fixture();
        add(&mut fixture, "pump-1");
        let before = key_set(&fixture);
        let old = sealed(&mut fixture, seal(b"1")).kid;
        let rotate = Request::KeysRotateCommand { lead_secs: 3_600, overlap_secs: 3_600 };
        fixture.admin.execute(rotate).unwrap();
        assert_eq!(fixture.told.take(), ["$keyward/keys/server bytes"]);
        let after = key_set(&fixture);
        assert!(after.version() > before.version() && after.keys().count() == 2);
        assert_eq!(sealed(&mut fixture, seal(b"2")).kid, old, "the new one waits until it is known");
        let Ok(Response::ServerKeys(rows)) = fixture.admin.execute(Request::KeysServer) else { panic!() };
        let states: Vec<_> = rows.commands.iter().map(|row| row.state).collect();
        assert_eq!(states, [ServerKeyState::Signing, ServerKeyState::Waiting]);
        fixture.admin.execute(Request::KeysRotateCommand { lead_secs: 0, overlap_secs: 0 }).unwrap();
        let stolen = key_set(&fixture);
        assert_eq!((stolen.keys().count(), sealed(&mut fixture, seal(b"3")).kid != old), (1, true));
    }

    #[test]
    fn the_key_set_is_renewed_by_itself_before_it_ends() {
        let mut fixture = fixture();
        fixture.told.take();
        let before = key_set(&fixture).version();
        let now = installation::wall_time();
        fixture.admin.upkeep("test", now.after(Duration::from_secs(86_400)));
        assert!(!fixture.told.take().concat().contains("keys/server"), "there is time");
        fixture.admin.upkeep("test", now.after(Duration::from_secs(31 * 86_400)));
        assert!(fixture.told.take().concat().contains("$keyward/keys/server"));
        assert!(key_set(&fixture).version() > before);
    }
}

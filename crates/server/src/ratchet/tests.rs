//! Of two that hold one flash one is told that it is behind, and whatever is lost on either side accuses nobody.

use super::*;
use aws_lc_rs::hmac;
use keyward_broker::LinkId;
use std::sync::Mutex;
use tempfile::TempDir;

/// A device as the sketch for the ESP8266 is one: words in its flash, and the secret by which it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Flash(Option<(String, u64, String)>);

impl Flash {
    fn answer(&self, nonce: &[u8]) -> String {
        let Some((chain, number, secret)) = &self.0 else { return "none".to_owned() };
        let bytes = |digits: &str| -> Vec<u8> {
            (0..digits.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
                .collect()
        };
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes(secret)), nonce);
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{chain} {number} {tag}")
    }

    fn store(&mut self, told: &str) {
        let words: Vec<&str> = told.split(' ').collect();
        if let ["next", chain, number, secret] = words[..] {
            self.0 = Some((chain.to_owned(), number.parse().unwrap(), secret.to_owned()));
        }
    }
}

struct Broker {
    dir: TempDir,
    key: [u8; 32],
    epoch: u64,
    links: u64,
    ratchets: Ratchets,
}

fn open(dir: &TempDir, key: &[u8; 32]) -> Ratchets {
    let known: Vec<Identity> = vec!["device:pump".parse().unwrap(), "device:lamp".parse().unwrap()];
    Ratchets::open(dir.path().join("ratchets"), key, known.iter()).unwrap()
}

impl Broker {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = [7; 32];
        let ratchets = open(&dir, &key);
        Self { dir, key, epoch: 1, links: 0, ratchets }
    }

    /// Kills it: what it had not put on disk is gone.
    fn restart(&mut self) {
        self.ratchets = open(&self.dir, &self.key);
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("ratchets")
    }

    /// Asks it as the pump. What the device is told is not in its flash yet.
    fn ask(&mut self, answer: impl Fn(&[u8]) -> String) -> Option<Ruling> {
        self.links += 1;
        let nonce = self.links.to_be_bytes();
        let answer = RatchetAnswer {
            link: LinkId(self.links),
            identity: "device:pump".parse().unwrap(),
            life: 1,
            epoch: self.epoch,
            nonce: Box::new(nonce),
            text: answer(&nonce).into_bytes().into(),
        };
        let told = Arc::<Mutex<Option<Ruling>>>::default();
        let tell = Arc::clone(&told);
        self.ratchets.judge(vec![Answered::new(answer, move |ruling| *tell.lock().unwrap() = Some(ruling))]);
        told.lock().unwrap().take()
    }

    /// Lets a device connect; returns what it is told.
    fn connect(&mut self, flash: &mut Flash) -> String {
        let told = self.ask(|nonce| flash.answer(nonce)).unwrap();
        let is_current = told.shown == Some(Shown::Current);
        assert_eq!(is_current, told.text != words::STALE, "{}", told.text);
        flash.store(&told.text);
        told.text
    }

    fn goes_on(&mut self, flash: &mut Flash) {
        let told = self.connect(flash);
        assert!(told.starts_with("next "), "{told}");
    }
}

fn known(broker: &mut Broker, connections: usize) -> Flash {
    let mut flash = Flash::default();
    (0..connections).for_each(|_| broker.goes_on(&mut flash));
    flash
}

#[test]
fn a_device_goes_on_and_a_copy_of_its_flash_is_behind() {
    let mut broker = Broker::new();
    let mut flash = known(&mut broker, 3);
    let mut copy = flash.clone();
    broker.goes_on(&mut flash);
    broker.goes_on(&mut flash);
    assert_eq!(broker.connect(&mut copy), words::STALE);
    broker.restart();
    assert_eq!(broker.connect(&mut copy), words::STALE, "a restart forgets nothing");
    broker.goes_on(&mut flash);
    assert_eq!(
        broker.connect(&mut Flash::default()),
        words::STALE,
        "nor is one let off who says it has none"
    );
}

#[test]
fn a_copy_that_is_quicker_is_found_out_by_the_device() {
    let mut broker = Broker::new();
    let mut flash = known(&mut broker, 1);
    let mut copy = flash.clone();
    broker.goes_on(&mut copy);
    broker.goes_on(&mut copy);
    assert_eq!(broker.connect(&mut flash), words::STALE);
}

/// `kill -9` after the broker has kept what it decided, again and again, and a device that is cut off before it has stored it.
#[test]
fn who_stops_between_the_steps_is_not_accused() {
    let mut broker = Broker::new();
    let mut flash = Flash::default();
    for _ in 0..5 {
        broker.ask(|nonce| flash.answer(nonce)).unwrap();
        broker.restart();
        broker.ask(|nonce| flash.answer(nonce)).unwrap();
        broker.goes_on(&mut flash);
    }
}

#[test]
fn a_store_that_is_lost_or_restored_accuses_nobody() {
    let mut broker = Broker::new();
    let mut flash = known(&mut broker, 3);
    let backup = std::fs::read(broker.file()).unwrap();
    (0..4).for_each(|_| broker.goes_on(&mut flash));
    std::fs::remove_file(broker.file()).unwrap();
    broker.restart();
    broker.goes_on(&mut flash);
    files(&broker, &backup);
    broker.restart();
    broker.goes_on(&mut flash);
    // The server is made anew, with other keys.
    broker.key = [8; 32];
    broker.restart();
    broker.goes_on(&mut flash);
    broker.goes_on(&mut flash);
}

fn files(broker: &Broker, bytes: &[u8]) {
    keyward_identity::files::replace(&broker.file(), bytes).unwrap();
}

#[test]
fn a_file_that_is_damaged_anywhere_accuses_nobody() {
    let mut broker = Broker::new();
    let mut flash = known(&mut broker, 3);
    let whole = std::fs::read(broker.file()).unwrap();
    for place in 0..whole.len() {
        for bytes in
            [whole[..place].to_vec(), [&whole[..place], &[whole[place] ^ 0x55], &whole[place + 1..]].concat()]
        {
            files(&broker, &bytes);
            broker.restart();
            broker.goes_on(&mut flash);
        }
    }
}

#[test]
fn other_credentials_begin_anew_and_with_those_of_before_nobody_is_let_in() {
    let mut broker = Broker::new();
    let mut flash = known(&mut broker, 3);
    broker.epoch = 2;
    broker.goes_on(&mut flash);
    broker.goes_on(&mut flash);
    assert_eq!(broker.connect(&mut Flash::default()), words::STALE);
    // The ledger is restored, and with it the credentials of before.
    broker.epoch = 1;
    broker.goes_on(&mut flash);
}

#[test]
fn what_proves_nothing_is_refused_and_accuses_nobody() {
    let mut broker = Broker::new();
    let mut flash = known(&mut broker, 3);
    let right = flash.answer(&[]);
    let wrong = Ruling { text: words::WRONG.to_owned(), shown: None };
    for text in [String::new(), "hello".to_owned(), right] {
        assert_eq!(broker.ask(|_| text.clone()), Some(wrong.clone()));
    }
    broker.goes_on(&mut flash);
}

/// The next secret is given when that is on disk, and not before: else a kill would make the device a copy of itself.
#[test]
fn nothing_is_given_that_is_not_on_disk() {
    let mut broker = Broker::new();
    let mut flash = known(&mut broker, 2);
    let mut copy = flash.clone();
    broker.goes_on(&mut flash);
    broker.goes_on(&mut flash);
    broker.ratchets.store.fail();
    assert_eq!(broker.ask(|nonce| flash.answer(nonce)), None);
    assert_eq!(broker.connect(&mut copy), words::STALE, "who is behind is told all the same");
    broker.restart();
    broker.goes_on(&mut flash);
}

/// A broker whose disk is full starts all the same: else it would be gone for all devices because of those that roll.
#[test]
fn a_disk_that_takes_nothing_keeps_no_broker_from_starting() {
    let mut broker = Broker::new();
    let nowhere = broker.dir.path().join("gone/ratchets");
    let pump: Identity = "device:pump".parse().unwrap();
    broker.ratchets = Ratchets::open(nowhere.clone(), &broker.key, [pump].iter()).unwrap();
    assert_eq!(broker.ask(|nonce| Flash::default().answer(nonce)), None, "what is not kept is not given");
    std::fs::create_dir(nowhere.parent().unwrap()).unwrap();
    broker.goes_on(&mut Flash::default());
}

#[test]
fn the_file_does_not_grow_with_connections_and_forgets_who_is_no_device_any_more() {
    let mut broker = Broker::new();
    let mut flash = Flash::default();
    let most = (limits::SURPLUS + 10) * 64;
    for _ in 0..limits::SURPLUS + 200 {
        broker.goes_on(&mut flash);
    }
    assert!(std::fs::metadata(broker.file()).unwrap().len() < most as u64);
    broker.restart();
    for _ in 0..limits::SURPLUS {
        broker.goes_on(&mut flash);
    }
    assert!(std::fs::metadata(broker.file()).unwrap().len() < most as u64, "nor with restarts");
    let none = Ratchets::open(broker.file(), &broker.key, [].into_iter()).unwrap();
    assert_eq!(none.store.get(&none.secrets.device(&"device:pump".parse().unwrap())), None);
}

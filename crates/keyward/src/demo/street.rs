//! A chapter about what happens to devices where everybody can lay hands on them: the watch tells it apart by what it hears.
//!
//! The devices are real clients of the broker. Only time is not: for the watch a second lasts [`PACE`] seconds, and the devices report and count
//! their uptime by that.

use super::stage::{Member, Stage};
use super::step::{Answer, Step};
use crate::clock;
use crate::failure::Outcome;
use crate::reach::unexpected;
use keyward_client::{Client, Publication};
use keyward_mqtt::packet::Qos;
use keyward_server::control::{IncidentRow, Request, Response};
use std::thread;
use std::time::{Duration, Instant};

/// How many times faster than the clock the watch's time goes: one of its minutes is half a second.
pub(super) const PACE: u32 = 120;

/// How often a lamp reports: each minute of the watch.
const TURN: Duration = Duration::from_millis(500);

/// After how many turns the watch has to have found what is the matter: an hour of its time.
const TURNS: usize = 60;

/// What is configured of lamps.
pub(super) const TYPES: &str = "
[types.lamp.readings]
\"{id}/air\" = { unit = \"°C\", min = -40, max = 85 }
";

/// The lamps of two sites.
pub(super) const LAMPS: [(&str, &str); 8] = [
    ("lamp-1", "hall"),
    ("lamp-2", "hall"),
    ("lamp-3", "hall"),
    ("lamp-4", "hall"),
    ("lamp-5", "mill"),
    ("lamp-6", "mill"),
    ("lamp-7", "mill"),
    ("lamp-8", "mill"),
];

/// The word of a lamp whose lid is opened: claims in CBOR, as `docs/device.md` has them.
const LID: &[u8] = b"\xa2\x3a\x00\x01\x11\x70\x66tamper\x3a\x00\x01\x11\x71\x63lid";

/// Is one lamp that burns, or another with its credentials.
struct Lamp {
    name: &'static str,
    client: Client,
    on_since: Instant,
    boots: u64,
    temperature: f64,
}

/// Is the street, and what goes on there.
struct Street<'a> {
    stage: &'a mut Stage,
    lamps: Vec<Lamp>,
    turns: u32,
}

/// Plays what happens in a street.
pub(super) fn what_happens_in_the_street(stage: &mut Stage) -> Outcome {
    stage.tally.say(&format!(
        "Eight lamps at two sites report once a minute. For the watch over them a second lasts {PACE}.\n"
    ))?;
    let mut street = Street { stage, lamps: Vec::new(), turns: 0 };
    for (name, _) in LAMPS {
        street.switch_on(name, 1)?;
    }
    // So long it takes until it is known how often each reports.
    street.go_on(25)?;
    street.a_plug_is_pulled()?;
    street.a_site_loses_its_power()?;
    street.one_lies()?;
    street.one_is_copied()?;
    street.one_is_stolen()
}

impl Street<'_> {
    fn member(&self, name: &str) -> Outcome<&Member> {
        self.stage
            .lamps
            .iter()
            .find(|(lamp, _)| *lamp == name)
            .map(|(_, member)| member)
            .ok_or_else(unexpected)
    }

    /// Lets a lamp start, and connect.
    fn switch_on(&mut self, name: &'static str, boots: u64) -> Outcome {
        let client_id = format!("{name}-{boots}-{}", self.lamps.len());
        let client = self.stage.connect(self.member(name)?, &client_id)?;
        self.lamps.push(Lamp { name, client, on_since: clock::now(), boots, temperature: 21.0 });
        Ok(())
    }

    /// Lets lamps fall silent, without a word.
    fn pull(&mut self, is_hit: impl Fn(&str) -> bool) {
        self.lamps.retain(|lamp| !is_hit(lamp.name));
    }

    /// Lets each lamp report, and a minute of the watch pass.
    fn turn(&mut self) -> Outcome {
        self.turns = self.turns.wrapping_add(1);
        let wobble = f64::from(self.turns.wrapping_mul(37) % 10) / 20.0;
        for lamp in &mut self.lamps {
            let uptime = lamp.on_since.elapsed().as_secs_f64() * f64::from(PACE);
            let status = format!(r#"{{"uptime_s":{uptime:.0},"boots":{},"reset":"power on"}}"#, lamp.boots);
            let reading = format!("{:.2}", lamp.temperature + wobble);
            for (level, said) in [("status", status), ("air", reading)] {
                let topic = format!("{}/{level}", lamp.name);
                lamp.client.publish(&Publication::new(&topic, said.as_bytes()).qos(Qos::AtLeastOnce))?;
            }
        }
        pass_a_minute();
        Ok(())
    }

    fn go_on(&mut self, turns: usize) -> Outcome {
        (0..turns).try_for_each(|_| self.turn())
    }

    fn incidents(&mut self) -> Outcome<Vec<IncidentRow>> {
        match self.stage.ask(&Request::IncidentList { all: false })? {
            Response::Incidents(rows) => Ok(rows),
            _ => Err(unexpected()),
        }
    }

    /// Goes on until the watch has found what was expected; returns what it found, of that or else.
    fn until(&mut self, scope: &str, class: &str) -> Outcome<Option<IncidentRow>> {
        let mut of_scope = None;
        for _ in 0..TURNS {
            self.turn()?;
            let found = self.incidents()?.into_iter().filter(|row| row.scope == scope);
            let mut found: Vec<_> = found.collect();
            if let Some(place) = found.iter().position(|row| row.incident == class) {
                return Ok(Some(found.swap_remove(place)));
            }
            of_scope = found.pop().or(of_scope);
        }
        Ok(of_scope)
    }

    /// Records whether the watch found what was the case.
    fn expect(&mut self, tried: &str, scope: &str, class: &str) -> Outcome {
        let found = self.until(scope, class)?;
        let is_right = found.as_ref().is_some_and(|row| row.incident == class);
        let said = found.map_or("nothing".to_owned(), |row| format!("{}: {}", row.incident, row.what));
        let step = Step::new(tried).answered(Answer::Done, &[Answer::Done]).effect(
            is_right,
            &format!("the watch found {said}"),
            &format!("the watch did not find {class}, but {said}"),
        );
        self.stage.tally.record(step)
    }

    fn a_plug_is_pulled(&mut self) -> Outcome {
        self.pull(|name| name == "lamp-2");
        self.expect("somebody pulls the plug of lamp-2", "device:lamp-2", "missing")?;
        self.switch_on("lamp-2", 2)?;
        self.expect(
            "the plug is in again, and lamp-2 says how long it has run",
            "device:lamp-2",
            "power-loss",
        )
    }

    fn a_site_loses_its_power(&mut self) -> Outcome {
        let of_mill = |name: &str| LAMPS.contains(&(name_of(name), "mill"));
        self.pull(of_mill);
        self.expect("all four lamps at the mill go dark", "site:mill", "site-outage")?;
        self.go_on(10)?;
        for (name, _) in LAMPS.iter().filter(|(_, site)| *site == "mill") {
            self.switch_on(name, 2)?;
        }
        self.expect("they are back, and say how long they have run", "site:mill", "site-power")
    }

    fn one_lies(&mut self) -> Outcome {
        if let Some(lamp) = self.lamps.iter_mut().find(|lamp| lamp.name == "lamp-1") {
            lamp.temperature = 900.0;
        }
        self.expect("somebody holds a lighter to the sensor of lamp-1", "device:lamp-1", "out-of-range")
    }

    /// The copy is another client with all that lamp-4 knows; it runs since a while, as lamp-4 does.
    fn one_is_copied(&mut self) -> Outcome {
        self.switch_on("lamp-4", 7)?;
        self.expect("a copy of lamp-4 connects from elsewhere", "device:lamp-4", "epochs-interleave")
    }

    fn one_is_stolen(&mut self) -> Outcome {
        if let Some(lamp) = self.lamps.iter_mut().find(|lamp| lamp.name == "lamp-3") {
            let said = Publication::new("devices/lamp-3/alarm", LID).qos(Qos::AtLeastOnce);
            lamp.client.publish(&said)?;
        }
        self.turn()?;
        self.pull(|name| name == "lamp-3");
        self.expect("lamp-3 is opened, and then gone", "device:lamp-3", "theft-suspected")
    }
}

/// Returns a name as it stands in the list.
fn name_of(name: &str) -> &'static str {
    LAMPS.iter().map(|(lamp, _)| *lamp).find(|lamp| *lamp == name).unwrap_or_default()
}

/// Lets a minute of the watch pass.
#[expect(clippy::disallowed_methods, reason = "a lamp that reports by the clock waits for the clock")]
fn pass_a_minute() {
    thread::sleep(TURN);
}

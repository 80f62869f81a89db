//! Who there is: sites, what connects them and feeds them, and the devices that stand there.

use super::Plan;
use super::body::{Body, Make};
use super::sensor::{Quantity, Sensor};
use crate::dice::Dice;
use keyward_ids::{DeviceId, SiteId};
use keyward_watch::event::{Exposure, Fence, Place, Position, Power, Source};

/// Devices of a site, about.
const PER_SITE: usize = 20;

/// Is a site.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) id: SiteId,
    pub(super) gateways: Vec<Box<str>>,
    pub(super) circuits: Vec<Box<str>>,
    exposure: Exposure,
    source: Source,
}

/// Is a fleet at its beginning.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) sites: Vec<Site>,
    pub(super) bodies: Vec<Body>,
}

/// Cities: latitude and longitude in hundredths of a degree, and the country.
const CITIES: [((i16, i16), [u8; 2]); 6] = [
    ((5_252, 1_340), *b"DE"),
    ((4_886, 235), *b"FR"),
    ((5_237, 490), *b"NL"),
    ((4_821, 1_637), *b"AT"),
    ((4_738, 854), *b"CH"),
    ((4_546, 919), *b"IT"),
];

impl Layout {
    /// Draws the fleet of a plan: one site for each twenty devices, and no site without a device.
    ///
    /// # Errors
    /// None in practice: that a drawn name is no name.
    pub(super) fn draw(plan: Plan, dice: &mut Dice) -> Result<Self, keyward_ids::NameError> {
        let count = plan.devices.div_ceil(PER_SITE).max(1);
        let sites = (0..count).map(|number| Site::draw(number, dice)).collect::<Result<Vec<_>, _>>()?;
        let body = |index| draw_body(index, index % count, &sites[index % count], plan.seed, dice);
        let bodies = (0..plan.devices).map(body).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { sites, bodies })
    }
}

impl Site {
    fn draw(number: usize, dice: &mut Dice) -> Result<Self, keyward_ids::NameError> {
        let names = |word: &str, count| (1..=count).map(|number| format!("{word}{number}").into()).collect();
        let (location, country) = dice.one_of(CITIES);
        Ok(Self {
            id: format!("site{number}").parse()?,
            gateways: names("gateway", dice.between(2, 4)),
            circuits: names("circuit", dice.between(2, 3)),
            exposure: dice.one_of([
                Exposure::Locked,
                Exposure::Workplace,
                Exposure::Workplace,
                Exposure::Public,
            ]),
            source: Source {
                network: draw_network(dice),
                fingerprint: 0,
                system: Some(dice.one_of([3_320, 3_215, 1_136, 8_447, 3_303])),
                country: Some(country),
                location: Some(location),
            },
        })
    }
}

/// Returns the middle of what an address tells of where somebody is.
pub(super) fn position_of((latitude, longitude): (i16, i16)) -> Position {
    Position { latitude: i32::from(latitude) * 10_000, longitude: i32::from(longitude) * 10_000 }
}

/// Draws the first 24 bits of an address.
pub(super) fn draw_network(dice: &mut Dice) -> u64 {
    dice.between(0x0B_0000, 0xDF_FFFF) as u64
}

/// Draws how a body is made. Of twenty devices nine are bought with firmware that nobody here controls, the others sign.
fn draw_make(dice: &mut Dice) -> (Make, Power) {
    let plain = Make {
        key_level: None,
        heartbeat_ms: None,
        gasps: false,
        has_switch: false,
        keeps: false,
        rolls: false,
        sleeps: false,
        is_misconfigured: dice.chance(20),
        keep_alive_secs: dice.one_of([15, 30, 60]),
    };
    let level = dice.one_of([0, 1, 1, 2, 3]);
    let signing = Make {
        key_level: Some(level),
        heartbeat_ms: Some(dice.one_of([60_000, 300_000, 900_000])),
        gasps: dice.chance(450),
        has_switch: dice.chance(500),
        keeps: true,
        rolls: level == 0,
        keep_alive_secs: dice.one_of([30, 60, 120]),
        ..plain.clone()
    };
    match dice.below(20) {
        0..7 => (signing, Power::Mains),
        7 => (signing, Power::Ups),
        8 => (Make { gasps: false, ..signing }, Power::Battery),
        9..11 => (Make { sleeps: true, gasps: false, keep_alive_secs: 60, ..signing }, Power::Battery),
        11 => (Make { sleeps: true, ..plain }, Power::Battery),
        12 => (plain, Power::Ups),
        _ => (plain, Power::Mains),
    }
}

fn draw_body(
    index: usize,
    site: usize,
    at: &Site,
    seed: u64,
    dice: &mut Dice,
) -> Result<Body, keyward_ids::NameError> {
    let device: DeviceId = format!("d{index:03}").parse()?;
    let (make, power) = draw_make(dice);
    let intervals = [(3, 10_000), (7, 30_000), (35, 60_000), (35, 300_000), (20, 900_000)];
    let interval = if make.sleeps {
        dice.one_of([300_000, 600_000, 900_000])
    } else {
        dice.weighted(&intervals).unwrap_or(60_000)
    };
    let position =
        at.source.location.filter(|_| make.key_level.is_some() && dice.chance(250)).map(position_of);
    let place = Place {
        site: Some(at.id.clone()),
        gateway: dice.pick(&at.gateways).cloned(),
        circuit: if power == Power::Battery { None } else { dice.pick(&at.circuits).cloned() },
        power,
        exposure: at.exposure,
        interval_ms: dice.chance(500).then_some(interval),
        fence: position.filter(|_| dice.chance(600)).map(|middle| Fence { middle, radius_m: 300 }),
    };
    // Devices with one firmware say hello alike.
    let fingerprint = match (make.key_level, make.keep_alive_secs) {
        (Some(_), _) => 0xA1,
        (None, seconds) => u64::from(seconds),
    };
    let source = Source { fingerprint, ..at.source.clone() };
    let quantities: &[Quantity] = match dice.below(6) {
        0 | 1 => &[Quantity::Room],
        2 | 3 => &[Quantity::Room, Quantity::DewPoint],
        4 => &[Quantity::Machine],
        _ => &[Quantity::People],
    };
    let shared = seed.wrapping_mul(1_000_003).wrapping_add(site as u64);
    let sensors = quantities.iter().map(|quantity| Sensor::new(*quantity, shared, dice)).collect();
    let mut body = Body::new(device, (index, site), make, (place, source), interval, sensors, dice.fork());
    body.position = position;
    Ok(body)
}

//! Many devices fall silent together, for a reason that they share.

use super::super::act::Act;
use super::super::body::Body;
use super::super::label::Kind;
use super::super::layout::draw_network;
use super::super::stage::{Stage, Staged};
use super::super::{HOUR, MINUTE};
use super::{Pace, Scenario};
use keyward_watch::Class;
use keyward_watch::event::{Event, Power, Scope, Source, UnixMillis};

const SECOND: u64 = 1_000;

/// What is also true of a device of a larger thing.
const PARTS: &[Class] = &[Class::Missing, Class::PowerLoss, Class::NetworkLoss];

const OUTAGE: Scenario = Scenario {
    name: "",
    rule: "L4",
    kind: Kind::Harm,
    pace: Pace::Alone,
    right: &[Class::SiteOutage],
    fitting: PARTS,
    stage: |_, _| None,
};

pub(super) const ROWS: &[Scenario] = &[
    Scenario {
        name: "a site without mains",
        right: &[Class::SitePower],
        fitting: &[Class::Missing, Class::PowerLoss, Class::CircuitLoss],
        stage: mains,
        ..OUTAGE
    },
    Scenario { name: "a circuit", right: &[Class::CircuitLoss], stage: circuit, ..OUTAGE },
    Scenario { name: "a gateway", right: &[Class::GatewayLoss], stage: gateway, ..OUTAGE },
    Scenario { name: "a site without its uplink", stage: uplink, ..OUTAGE },
    Scenario {
        name: "a site dark, uplink too",
        right: &[Class::SiteOutage, Class::SitePower],
        stage: dark,
        ..OUTAGE
    },
    Scenario { name: "a site changes its provider", stage: provider, ..OUTAGE },
    Scenario {
        name: "the broker in trouble, and says so",
        rule: "L0",
        right: &[Class::OwnTrouble],
        stage: broker,
        ..OUTAGE
    },
    Scenario {
        name: "the way to the broker cut",
        rule: "L0",
        right: &[Class::OwnTrouble],
        fitting: &[Class::Missing, Class::NetworkLoss, Class::SiteOutage],
        stage: way,
        ..OUTAGE
    },
    Scenario {
        name: "work, announced",
        rule: "L2",
        kind: Kind::Harmless,
        right: &[],
        fitting: &[],
        stage: work,
        ..OUTAGE
    },
];

/// Cuts the power of those who hang on the mains.
fn cut(stage: &mut Stage<'_>, at: u64, until: u64, whom: &[usize]) {
    for whom in whom {
        let until = stage.after(until, 0, 5 * SECOND);
        stage.cue(at, *whom, Act::PowerCut { until, starts: 1 });
    }
}

fn cut_ways(stage: &mut Stage<'_>, at: u64, until: u64, whom: &[usize]) {
    for whom in whom {
        stage.cue(at, *whom, Act::WayCut { until });
    }
}

fn of_site(stage: &Stage<'_>, site: usize, fits: impl Fn(&Body) -> bool) -> Vec<usize> {
    stage.at_site(site).filter(|body| fits(body)).map(|body| body.index).collect()
}

fn is_mains(body: &Body) -> bool {
    body.place.power == Power::Mains
}

/// Somebody who knows everything knows when the last link of those who keep one is given up.
fn staged(whom: Vec<usize>, scopes: Vec<Scope>, at: u64, over: u64) -> Staged {
    Staged { whom, scopes, knowable: at + 90 * SECOND, over }
}

fn mains(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let site = stage.pick_site(at)?;
    let whom = of_site(stage, site, is_mains);
    let over = stage.after(at, 30 * MINUTE, 2 * HOUR);
    cut(stage, at, over, &whom);
    let id = stage.sites[site].id.clone();
    let circuits =
        stage.sites[site].circuits.iter().map(|circuit| Scope::Circuit(Some(id.clone()), circuit.clone()));
    let scopes = circuits.chain([Scope::Site(id.clone())]).collect();
    Some(staged(whom, scopes, at, over))
}

/// Draws a site and one of its circuits or gateways, with at least three who depend on it and as many who do not.
fn part(
    stage: &mut Stage<'_>,
    at: u64,
    name: fn(&Body) -> Option<&str>,
    counts: fn(&Body) -> bool,
) -> Option<(usize, Box<str>, Vec<usize>)> {
    let site = stage.pick_site(at)?;
    let names = [&stage.sites[site].gateways, &stage.sites[site].circuits];
    let depend = |part: &str| of_site(stage, site, |body| counts(body) && name(body) == Some(part));
    let all = of_site(stage, site, |_| true).len();
    let parts: Vec<(Box<str>, Vec<usize>)> = names
        .into_iter()
        .flatten()
        .map(|part| (part.clone(), depend(part)))
        .filter(|(_, whom)| whom.len() >= 3 && all - whom.len() >= 3)
        .collect();
    let (part, whom) = stage.dice.pick(&parts)?.clone();
    Some((site, part, whom))
}

fn circuit(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let (site, circuit, whom) = part(stage, at, |body| body.place.circuit.as_deref(), is_mains)?;
    let over = stage.after(at, 20 * MINUTE, 90 * MINUTE);
    cut(stage, at, over, &whom);
    let scope = Scope::Circuit(Some(stage.sites[site].id.clone()), circuit);
    Some(staged(whom, vec![scope], at, over))
}

fn gateway(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let (site, gateway, whom) = part(stage, at, |body| body.place.gateway.as_deref(), |_| true)?;
    let over = stage.after(at, 20 * MINUTE, 90 * MINUTE);
    cut_ways(stage, at, over, &whom);
    let scope = Scope::Gateway(Some(stage.sites[site].id.clone()), gateway);
    Some(staged(whom, vec![scope], at, over))
}

fn uplink(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let site = stage.pick_site(at)?;
    let whom = of_site(stage, site, |_| true);
    let over = stage.after(at, 20 * MINUTE, 90 * MINUTE);
    cut_ways(stage, at, over, &whom);
    Some(staged(whom, whole(stage, site), at, over))
}

/// A site, and each gateway of it.
fn whole(stage: &Stage<'_>, site: usize) -> Vec<Scope> {
    let id = &stage.sites[site].id;
    let gateways =
        stage.sites[site].gateways.iter().map(|gateway| Scope::Gateway(Some(id.clone()), gateway.clone()));
    gateways.chain([Scope::Site(id.clone())]).collect()
}

fn dark(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let site = stage.pick_site(at)?;
    let over = stage.after(at, 30 * MINUTE, 2 * HOUR);
    let (mains, others) = (of_site(stage, site, is_mains), of_site(stage, site, |body| !is_mains(body)));
    cut(stage, at, over, &mains);
    cut_ways(stage, at, over + MINUTE, &others);
    let whom = [mains, others].concat();
    Some(staged(whom, whole(stage, site), at, over))
}

/// All of a site come back from another network and system: nobody moved.
fn provider(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let staged = uplink(stage, at)?;
    let (network, system) = (draw_network(&mut stage.dice), Some(stage.dice.one_of([6_805, 6_830, 12_322])));
    for whom in &staged.whom {
        let source = Source { network, system, ..stage.bodies[*whom].source.clone() };
        stage.cue(at, *whom, Act::Source(source));
    }
    Some(staged)
}

fn everybody(stage: &Stage<'_>, at: u64) -> Vec<usize> {
    stage.free(at).map(|body| body.index).collect()
}

fn broker(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = everybody(stage, at);
    let until = stage.after(at, 5 * MINUTE, 15 * MINUTE);
    stage.say(at, Event::OwnTrouble { is_on: true });
    stage.cue(at, 0, Act::BrokerAway { until });
    stage.say(until + MINUTE, Event::OwnTrouble { is_on: false });
    Some(Staged { whom, scopes: vec![Scope::Everything], knowable: at, over: until + 2 * MINUTE })
}

fn way(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let whom = everybody(stage, at);
    let over = stage.after(at, 10 * MINUTE, 25 * MINUTE);
    cut_ways(stage, at, over, &whom);
    let sites = (0..stage.sites.len()).flat_map(|site| whole(stage, site));
    let scopes = sites.chain([Scope::Everything]).collect();
    Some(staged(whom, scopes, at, over))
}

/// Half of a site is switched off while a crew works there, as it said.
fn work(stage: &mut Stage<'_>, at: u64) -> Option<Staged> {
    let site = stage.pick_site(at)?;
    let whom = of_site(stage, site, is_mains);
    let over = at + 2 * HOUR;
    let scope = stage.site(site);
    stage.say(at, Event::Maintenance { scope: scope.clone(), until: UnixMillis(over) });
    let off: Vec<usize> = whom.iter().step_by(2).copied().collect();
    cut(stage, at + 10 * MINUTE, over - 10 * MINUTE, &off);
    Some(Staged { whom, scopes: vec![scope], knowable: at, over })
}

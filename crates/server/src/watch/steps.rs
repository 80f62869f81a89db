//! What somebody who is called for an incident can do, with whole commands: it is night, and they have never seen Keyward.

use crate::control::IncidentStep;
use keyward_ids::DeviceId;
use keyward_watch::event::Scope;
use keyward_watch::finding::Class;
use keyward_watch::incidents::{Incident, State};

/// Returns what can be done about an incident, in the order in which one asks oneself.
pub(crate) fn steps(incident: &Incident) -> Vec<IncidentStep> {
    let number = incident.number;
    let mut steps = Vec::new();
    if !incident.is_open() {
        return steps;
    }
    if incident.state == State::Open {
        step(&mut steps, "you look after it", format!("incident ack {number} --note 'on my way'"));
    }
    match &incident.scope {
        Scope::Device(device) => of_device(&mut steps, incident, device),
        Scope::Everything => step(&mut steps, "what the broker says of itself", "status".to_owned()),
        scope => {
            let command = format!("maintenance begin {} --for 2h --because 'new cables'", quoted(scope));
            step(&mut steps, "somebody works there", command);
        }
    }
    step(
        &mut steps,
        "you know that it was so",
        format!("incident resolve {number} true --note 'what it was'"),
    );
    step(&mut steps, "it was so, and wanted", format!("incident resolve {number} benign"));
    step(&mut steps, "it was nothing", format!("incident resolve {number} false"));
    steps
}

fn of_device(steps: &mut Vec<IncidentStep>, incident: &Incident, device: &DeviceId) {
    step(steps, "what the watch knows of it", format!("watch explain {device}"));
    let (number, hands) = (incident.number, hands(incident.class));
    if hands == Hands::Off {
        return;
    }
    step(steps, "what a thief has of it", format!("device exposure {device}"));
    let command = format!("device quarantine {device} --because 'incident {number}'");
    step(steps, "in doubt, until you know: shut it out", command);
    match hands {
        Hands::Off => {}
        Hands::OnDevice => {
            let command = format!("device moved {device} --because 'to the other roof'");
            step(steps, "you moved it", command);
        }
        Hands::OnKeys => step(steps, "you flashed it anew", format!("device rekey {device}")),
    }
    step(steps, "it is gone, or somebody has its keys", format!("device revoke {device}"));
}

/// Says where a stranger may have laid hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hands {
    Off,
    OnDevice,
    OnKeys,
}

fn hands(class: Class) -> Hands {
    match class {
        Class::DestroyedOrStolen
        | Class::TheftSuspected
        | Class::Tampered
        | Class::TamperReset
        | Class::Moved => Hands::OnDevice,
        Class::Equivocation
        | Class::EpochsInterleave
        | Class::NumbersBehind
        | Class::TakeoverPingPong
        | Class::StaleRatchet
        | Class::ImpossibleTravel
        | Class::KeyLevelFell
        | Class::BadSignatures => Hands::OnKeys,
        _ => Hands::Off,
    }
}

fn step(steps: &mut Vec<IncidentStep>, when: &str, command: String) {
    steps.push(IncidentStep { when: when.to_owned(), command: format!("keyward {command}") });
}

/// Writes a scope as a word of a shell: names of gateways and circuits in signed messages are checked, and this costs nothing.
fn quoted(scope: &Scope) -> String {
    crate::quoting::quote(&scope.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_watch::event::UnixMillis;
    use keyward_watch::finding::{Confidence, Finding, Severity, Turn};
    use keyward_watch::incidents::{Incidents, Number, Settings, Verdict};

    fn incident(scope: Scope, class: Class) -> Incidents {
        let mut incidents = Incidents::new(Settings::default());
        let (at, turn, confidence, severity) = (UnixMillis(1), Turn::Set, Confidence::High, Severity::High);
        let evidence = Vec::new();
        incidents.handle(Finding {
            at,
            scope,
            class,
            turn,
            confidence,
            severity,
            evidence,
            instead_of: None,
            part_of: None,
        });
        incidents
    }

    fn commands(incidents: &Incidents) -> Vec<String> {
        steps(incidents.get(Number(1)).unwrap()).into_iter().map(|step| step.command).collect()
    }

    #[test]
    fn who_may_have_a_thief_in_the_house_is_told_how_to_shut_him_out_and_others_are_not() {
        let pump = || Scope::Device("pump".parse().unwrap());
        let stolen = commands(&incident(pump(), Class::TheftSuspected));
        assert!(stolen.iter().any(|command| command == "keyward device revoke pump"), "{stolen:?}");
        assert!(stolen[0].starts_with("keyward incident ack 1"), "{stolen:?}");
        let copied = commands(&incident(pump(), Class::TakeoverPingPong));
        assert!(copied.iter().any(|command| command == "keyward device rekey pump"), "{copied:?}");
        let lost = commands(&incident(pump(), Class::PowerLoss));
        assert!(!lost.iter().any(|command| command.contains(" device ")), "{lost:?}");
        let yard = commands(&incident(Scope::Site("yard".parse().unwrap()), Class::SitePower));
        assert!(yard.iter().any(|command| command.contains("maintenance begin site:yard")), "{yard:?}");
    }

    #[test]
    fn what_is_dealt_with_asks_for_nothing() {
        let mut incidents = incident(Scope::Everything, Class::OwnTrouble);
        assert!(commands(&incidents).contains(&"keyward status".to_owned()));
        incidents.acknowledge(UnixMillis(2), Number(1), "anna", "").unwrap();
        assert!(!commands(&incidents).iter().any(|command| command.contains(" ack ")));
        incidents.resolve(UnixMillis(3), Number(1), Verdict::False, "anna", "").unwrap();
        assert_eq!(commands(&incidents), [""; 0]);
    }
}

//! `keyward agent run`: starts the device and all that speaks to it, and ends it by a signal.

use super::answers::Programs;
use super::config::{Config, of_device};
use super::intake::{self, Intake};
use super::orders::Orders;
use super::socket::spawn;
use super::{polled, socket, watched};
use crate::failure::{Failure, Outcome};
use keyward_device::enrol::Membership;
use keyward_device::heartbeat::Event;
use keyward_device::{Batches, Device, DeviceSettings};
use keyward_server::escape::escape;
use keyward_server::service::Service;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// The signal of a failing supply (signal(7)).
const SIGPWR: i32 = 30;

/// How long what waits may take to be sent when the agent ends.
const LAST_SEND: Duration = Duration::from_secs(5);

type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Says why the agent ends.
enum End {
    Signal,
    Input,
}

/// Runs until a signal, or until standard input ends if nothing else speaks to it.
pub(crate) fn run(config: &Config) -> Outcome {
    let log: Log = Arc::new(|line: &str| {
        // There is nowhere left to complain to.
        drop(writeln!(io::stderr(), "keyward agent: {}", escape(line)));
    });
    let service = Service::of_process().map_err(Failure::failed)?;
    let (ends, end) = sync_channel(8);
    listen_to_signals(&ends)?;
    let device = start(config, &log)?;
    let id = device.status().device;
    let (intake, storing) = intake::of(&device, Batches::new(config.batches(&id)));
    let programs = Programs::default();
    let orders = Orders::new(&programs, config.command.clone(), id.clone());
    spawn("intake", move || storing.serve())?;
    if let Some(place) = &config.socket {
        socket::serve(place, &intake, &programs)?;
    }
    polled::serve(&config.poll, &id, &intake, &log)?;
    watch(config, &intake, &log)?;
    let (obeyed, told) = (Arc::clone(&device), Arc::clone(&log));
    spawn("orders", move || orders.serve(&obeyed, |line| told(line)))?;
    if config.stdin {
        let is_all = config.socket.is_none() && config.poll.is_empty();
        read_stdin(&intake, &programs, is_all.then_some(ends))?;
    }
    service.ready("running");
    wait(&end, &intake, &log);
    service.stopping();
    intake.close(LAST_SEND);
    programs.wait_written(LAST_SEND);
    device.halt(LAST_SEND).map_err(Failure::failed)
}

fn start(config: &Config, log: &Log) -> Outcome<Arc<Device>> {
    let spec = config.keys();
    let membership = Membership::load(&config.folder).map_err(Failure::failed)?;
    let id = membership.device.to_string();
    log(&format!("{id} of installation {}; keys: {}", membership.installation, spec.describe()));
    let to = Arc::clone(log);
    let settings = DeviceSettings {
        outbox: config.outbox(),
        encrypt: config.encryption(&id)?,
        commands: config.commands.iter().map(|filter| of_device(filter, &id)).collect(),
        session_seconds: u32::try_from(config.session.as_secs()).unwrap_or(u32::MAX),
        clock: config.clock,
        heartbeat_every: config.heartbeat,
        nameplate: config.nameplate(),
        on_tamper: config.tamper.on_tamper,
        log: Box::new(move |line| to(line)),
    };
    let keys = spec.open().map_err(Failure::failed)?;
    Device::start(&config.folder, keys, settings).map(Arc::new).map_err(Failure::failed)
}

fn watch(config: &Config, intake: &Intake, log: &Log) -> Outcome {
    if let Some(file) = &config.tamper.file {
        watched::watch(file, intake, Event::Tamper("the watched file says so"), log)?;
    }
    if let Some(file) = &config.power.file {
        watched::watch(file, intake, Event::PowerLost, log)?;
    }
    Ok(())
}

/// What signals say: SIGPWR that the supply fails, SIGTERM and SIGINT that it is to end.
enum Heard {
    PowerLost,
    End(End),
}

fn listen_to_signals(ends: &SyncSender<Heard>) -> Outcome {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGPWR])
        .map_err(|error| Failure::failed(format!("signals cannot be heard: {error}")))?;
    let ends = ends.clone();
    spawn("signals", move || {
        for signal in signals.forever() {
            let heard = if signal == SIGPWR { Heard::PowerLost } else { Heard::End(End::Signal) };
            if ends.send(heard).is_err() {
                return;
            }
        }
    })
}

fn wait(end: &Receiver<Heard>, intake: &Intake, log: &Log) {
    loop {
        match end.recv() {
            Ok(Heard::PowerLost) => {
                log(&format!("the supply is failing: {}", intake.say(Event::PowerLost)));
            }
            Ok(Heard::End(End::Signal)) | Err(_) => return log("ends, by a signal"),
            Ok(Heard::End(End::Input)) => return log("ends, because its input did"),
        }
    }
}

/// Reads lines from standard input; answers, and commands, go to standard output.
fn read_stdin(intake: &Intake, programs: &Programs, at_end: Option<SyncSender<Heard>>) -> Outcome {
    let (intake, answers) = (intake.clone(), programs.join());
    answers.listen();
    let told = Arc::clone(&answers);
    spawn("answers", move || told.write(say))?;
    spawn("stdin", move || {
        intake.hear(io::stdin(), &answers);
        // The end is told when the last lines are stored and answered.
        intake.close(LAST_SEND);
        answers.wait_written(LAST_SEND);
        at_end.map(|ends| ends.send(Heard::End(End::Input)).unwrap_or_default()).unwrap_or_default();
    })
}

/// Fails when whoever read has gone; what was said is stored all the same.
fn say(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush())
}

/// Writes the device's status as a line of JSON.
pub(crate) fn status_json(device: &Device) -> serde_json::Value {
    let status = device.status();
    serde_json::json!({
        "device": status.device,
        "installation": status.installation,
        "connected": status.connected.map(|host| format!("{}:{}", host.name, host.port)),
        "level": status.level,
        "certificate_expires": status.expires,
        "key_set": status.key_set,
        "waiting": status.outbox.entries,
        "waiting_bytes": status.outbox.bytes,
        "dropped": status.outbox.dropped,
        "damaged": status.outbox.damaged,
        "aside": status.aside,
        "refused_commands": status.refused_commands,
        "boot_count": status.boot_count,
        "store_generation": status.store_generation,
    })
}

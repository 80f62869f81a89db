//! The `keyward` command: parses the command line, runs one command, and ends with its exit code.

mod agent;
mod args;
mod bundle;
mod clock;
mod commands;
mod demo;
mod failure;
mod hex;
mod keypair;
mod program;
mod reach;
mod screen;
mod secret;

use args::{Cli, Command};
use clap::Parser;
use commands::agent as agent_command;
use commands::import as import_command;
use commands::{
    audit, authority, bans, completions, denials, device, doctor, groups, healthcheck, incident, keys,
    listener, man, notify, open, places, policy, preset, publish, reload, seal, server_certificate,
    server_name, status, store, subscribe, up, user, watch,
};
use failure::{Failure, Outcome};
use keyward_server::process;
use reach::Site;
use screen::Screen;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json() => {
            let what = error.to_string();
            let failure = Failure::misuse(what.strip_prefix("error: ").unwrap_or(&what).trim_end());
            Screen::new(true).refusal(&failure);
            return failure.exit_code();
        }
        // Prints help, version or what is wrong, and ends the process.
        Err(error) => error.exit(),
    };
    let screen = Screen::new(cli.global.json);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen.refusal(&failure);
            failure.exit_code()
        }
    }
}

/// Tells whether a script reads, when the command line as a whole could not be read.
fn wants_json() -> bool {
    std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json")
}

fn run(cli: Cli) -> Outcome {
    if !matches!(&cli.command, Command::Up(up) if up.dumpable) {
        // Any command may hold a key: no core file and no debugger of the same user gets at it. A kernel that cannot
        // do this (a sandbox, say) is no reason to refuse the work.
        drop(process::forbid_dumps());
    }
    let screen = Screen::new(cli.global.json);
    let site = || Site::find(&cli.global);
    match cli.command {
        Command::Up(args) => up::run(&site()?, args, cli.global.passphrase_file()),
        Command::Demo => demo::run(screen),
        Command::Status => status::run(&site()?),
        Command::Healthcheck => healthcheck::run(&site()?),
        Command::Doctor(args) => doctor::run(&site()?, &args),
        Command::Device(command) => device::run(&site()?, command),
        Command::Keys(command) => keys::run(&site()?, command),
        Command::Group(command) => groups::run(&site()?, command),
        Command::User(command) => user::run(&site()?, command),
        Command::Policy(command) => policy::run(&site()?, command),
        Command::Preset(command) => preset::run(screen, &command),
        Command::Denials(args) => denials::run(&site()?, &args),
        Command::Server(args::ServerCommand::Name(command)) => server_name::run(&site()?, command),
        Command::Server(args::ServerCommand::Certificate(command)) => {
            server_certificate::run(&site()?, command)
        }
        Command::Authority(command) => authority::run(&site()?, command),
        Command::Bans(command) => bans::run(&site()?, command),
        Command::Incident(command) => incident::run(&site()?, command),
        Command::Watch(command) => watch::run(site, screen, command),
        Command::Maintenance(command) => places::maintenance(&site()?, command),
        Command::Notify(command) => notify::run(&site()?, command),
        Command::Listener(command) => listener::run(&site()?, command),
        Command::Reload => reload::run(&site()?),
        Command::Clock(args::ClockCommand::Accept) => audit::accept_clock(&site()?),
        Command::Audit(args) => audit::run(&site()?, &args),
        Command::Store(command) => store::run(&site()?, command),
        Command::Import(command) => import_command::run(&site()?, command),
        Command::Seal(args) => seal::run(site, screen, &args),
        Command::Open(args) => open::run(site, screen, &args),
        Command::Agent(command) => agent_command::run(screen, &command),
        Command::Pub(args) => publish::run(screen, &args, &cli.global),
        Command::Sub(args) => subscribe::run(screen, &args, &cli.global),
        Command::Completions { shell } => completions::run(screen, shell),
        Command::Man { out } => man::run(screen, &out),
    }
}

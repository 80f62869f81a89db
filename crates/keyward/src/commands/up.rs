//! `keyward up`: runs the broker in the foreground.

use crate::args::{LogFormat, UpArgs};
use crate::commands::first_screen::first_screen;
use crate::failure::{Failure, Outcome};
use crate::reach::Site;
use keyward_server::config;
use keyward_server::logging::LogOptions;
use keyward_server::running::{self, RunOptions};
use keyward_server::service::Service;
use std::path::PathBuf;

/// Runs the broker until a signal stops it.
pub(crate) fn run(site: &Site, args: UpArgs, passphrase_file: Option<PathBuf>) -> Outcome {
    let format = args.log.map(|format| match format {
        LogFormat::Text => config::LogFormat::Text,
        LogFormat::Json => config::LogFormat::Json,
    });
    let filter = std::env::var("KEYWARD_LOG").ok();
    let options = RunOptions {
        names: args.names,
        port: args.port,
        address: args.address,
        passphrase_file,
        log: Some(LogOptions { filter, format }),
        dumpable: args.dumpable,
        service: Service::of_process().map_err(Failure::failed)?,
        ..RunOptions::default()
    };
    let running = running::run(site.home.clone(), &options)?;
    let status = running.status();
    if site.screen.is_json() {
        site.screen.json("started", &status)?;
    } else {
        site.screen.print(&first_screen(&status, &site.program, site.screen.paint()))?;
    }
    running.wait();
    Ok(())
}

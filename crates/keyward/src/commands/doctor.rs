//! `keyward doctor`: what is weak, why it matters, and what mends it.

use crate::args::{DoctorArgs, DoctorProfile};
use crate::failure::{Failure, Outcome};
use crate::program::Program;
use crate::reach::{Site, counted, unexpected};
use crate::screen::{Paint, harmless};
use keyward_server::control::{Request, Response};
use keyward_server::doctor::{Diagnosis, Finding, Profile, Step, Weight};
use std::fmt::Write;

/// Runs the command.
pub(crate) fn run(site: &Site, args: &DoctorArgs) -> Outcome {
    let profile = match args.profile {
        DoctorProfile::Home => Profile::Home,
        DoctorProfile::Commercial => Profile::Commercial,
    };
    let response = site.ask(Request::Doctor { profile })?;
    let Response::Diagnosis(diagnosis) = &response else { return Err(unexpected()) };
    site.show(&response, |_| Some(tell(diagnosis, &site.program, site.screen.paint())))?;
    let is_bad = |finding: &Finding| args.strict || finding.weight == Weight::Unusable;
    if diagnosis.findings.iter().any(is_bad) { Err(Failure::said()) } else { Ok(()) }
}

fn tell(diagnosis: &Diagnosis, program: &Program, paint: Paint) -> String {
    let checks = counted(diagnosis.checked.len(), "check", "checks");
    if diagnosis.findings.is_empty() {
        return format!("{}, nothing weak was found.\n", checks);
    }
    let mut text = format!("{checks}, {} to mend:\n", counted(diagnosis.findings.len(), "thing", "things"));
    for finding in &diagnosis.findings {
        let name = match finding.weight {
            Weight::Weak => paint.strong(&finding.check),
            Weight::Unusable => paint.bad(&format!("{} (the broker cannot work so)", finding.check)),
        };
        let what: Vec<String> = finding.what.lines().map(harmless).collect();
        let _ = writeln!(text, "\n{name}\n  {}", what.join("\n  "));
        let _ = writeln!(text, "  why:  {}", finding.why);
        let steps: Vec<String> = finding.mend.iter().map(|step| harmless(&words(step, program))).collect();
        let _ = writeln!(text, "  mend: {}", steps.join("\n        "));
    }
    text
}

fn words(step: &Step, program: &Program) -> String {
    match step {
        Step::Keyward(arguments) => program.command(arguments),
        Step::Shell(text) | Step::Sentence(text) => text.clone(),
    }
}

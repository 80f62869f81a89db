//! `keyward doctor`: what is weak, why it matters, and what mends it.

use crate::args::{DoctorArgs, DoctorProfile};
use crate::failure::{Failure, Outcome};
use crate::program::Program;
use crate::reach::{Site, counted, unexpected};
use crate::screen::{Paint, harmless};
use keyward_server::control::{Request, Response};
use keyward_server::doctor::{Diagnosis, Finding, Profile, Step, Weight};
use std::fmt::Write;

/// How many findings of one check are shown; scripts get all.
const SHOWN: usize = 3;

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
    // What one check finds stands together.
    for findings in diagnosis.findings.chunk_by(|a, b| a.check == b.check && a.weight == b.weight) {
        text.push_str(&paragraph(findings, program, paint));
    }
    text
}

/// Says why once, and of the first findings of a check what it is and what mends it.
fn paragraph(findings: &[Finding], program: &Program, paint: Paint) -> String {
    let [first, ..] = findings else { return String::new() };
    let name = match first.weight {
        Weight::Weak => paint.strong(&first.check),
        Weight::Unusable => paint.bad(&format!("{} (the broker cannot work so)", first.check)),
    };
    let mut text = format!("\n{name}\n");
    for (number, finding) in findings.iter().take(SHOWN).enumerate() {
        let what: Vec<String> = finding.what.lines().map(harmless).collect();
        let _ = writeln!(text, "  {}", what.join("\n  "));
        if number == 0 {
            let _ = writeln!(text, "  why:  {}", first.why);
        }
        let steps: Vec<String> = finding.mend.iter().map(|step| harmless(&words(step, program))).collect();
        let _ = writeln!(text, "  mend: {}", steps.join("\n        "));
    }
    let more = findings.len().saturating_sub(SHOWN);
    if more > 0 {
        let _ = writeln!(
            text,
            "  and {more} more like that, each with its mend: {}",
            program.command("--json doctor")
        );
    }
    text
}

fn words(step: &Step, program: &Program) -> String {
    match step {
        Step::Keyward(arguments) => program.command(arguments),
        Step::Shell(text) | Step::Sentence(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &str, number: usize) -> Finding {
        Finding {
            check: check.to_owned(),
            weight: Weight::Weak,
            what: format!("user:u{number} is weak"),
            why: "it is guessed".to_owned(),
            mend: vec![Step::Keyward(format!("user passwd u{number}"))],
        }
    }

    /// Eight hundred users of an import were eight hundred paragraphs with one reason.
    #[test]
    fn what_one_check_finds_is_one_paragraph_with_its_reason_once() {
        let mut findings: Vec<Finding> = (0..800).map(|number| finding("weak-password", number)).collect();
        findings.push(finding("other", 900));
        let program = Program::of_process(&keyward_server::home::Home::at("/srv/kw"));
        let diagnosis = Diagnosis { profile: Profile::Home, checked: Vec::new(), findings };
        let text = tell(&diagnosis, &program, Paint::plain());
        let paragraphs: Vec<&str> = text.split("\n\n").collect();
        let [head, many, one] = paragraphs.as_slice() else { panic!("{text}") };
        assert!(head.contains("801 things to mend"), "{head}");
        assert_eq!(many.matches("it is guessed").count(), 1, "{many}");
        assert!(many.contains("user passwd u2") && !many.contains("u3"), "{many}");
        assert!(many.contains("and 797 more") && many.contains("--json doctor"), "{many}");
        assert!(
            one.starts_with("other") && one.contains("user passwd u900") && !one.contains("more"),
            "{one}"
        );
    }
}

//! `keyward policy`: what the rules hold, and why something is allowed or refused.

use crate::args::{ExplainArgs, PolicyCommand, Verb};
use crate::failure::Outcome;
use crate::reach::{Site, counted};
use crate::screen::harmless;
use keyward_server::control::{
    ExplainAction, PolicyChecked, PolicyExplain, PolicyExplained, Request, Response,
};
use std::fmt::Write;

/// Runs the command.
pub(crate) fn run(site: &Site, command: PolicyCommand) -> Outcome {
    let request = match command {
        PolicyCommand::Check => Request::PolicyCheck,
        PolicyCommand::Explain(args) => Request::PolicyExplain(explain(args)),
    };
    site.show(&site.ask(request)?, |response| match response {
        Response::PolicyChecked(checked) => Some(tell_check(checked)),
        Response::PolicyExplained(explained) => Some(tell_explanation(explained, site)),
        _ => None,
    })
}

fn explain(args: ExplainArgs) -> PolicyExplain {
    let action = match args.verb {
        Verb::Publish => ExplainAction::Publish,
        Verb::Subscribe => ExplainAction::Subscribe,
        Verb::Receive => ExplainAction::Receive,
    };
    PolicyExplain { identity: args.who.to_string(), client: args.client, action, topic: args.topic }
}

fn tell_check(checked: &PolicyChecked) -> String {
    let mut text = format!(
        "{} in {}: well-formed.\n",
        counted(checked.rules, "rule", "rules"),
        counted(checked.files.len(), "file", "files"),
    );
    for finding in &checked.findings {
        let _ = writeln!(text, "  {}", harmless(finding));
    }
    if checked.findings.is_empty() {
        text.push_str("Every rule applies to somebody.\n");
    }
    text
}

fn tell_explanation(explained: &PolicyExplained, site: &Site) -> String {
    let paint = site.screen.paint();
    let mut text = String::new();
    for (index, line) in explained.text.lines().enumerate() {
        // The explanation has lines of its own; what stands in each of them is escaped.
        let line = harmless(line);
        let line = match (index, explained.allowed) {
            (0, true) => paint.good(&line),
            (0, false) => paint.bad(&line),
            _ => line,
        };
        let _ = writeln!(text, "{line}");
    }
    if explained.would_allow.is_some() {
        let folder = site.home.policy_dir();
        let _ = writeln!(
            text,
            "\nRules lie in {}; to put a change in force: {}",
            folder.display(),
            site.program.command("reload")
        );
    }
    text
}

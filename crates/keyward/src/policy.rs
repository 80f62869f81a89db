//! `keyward policy`: what the rules hold, and why something is allowed or refused.

use crate::args::{ExplainArgs, PolicyCommand, Verb};
use crate::failure::Outcome;
use crate::reach::{Site, counted};
use crate::screen::Paint;
use keyward_server::control::{
    ExplainAction, PolicyChecked, PolicyExplain, PolicyExplained, Request, Response,
};
use keyward_server::escape::escape;
use std::fmt::Write;

/// Runs the command.
pub(crate) fn run(site: &Site, command: PolicyCommand) -> Outcome {
    let (request, question) = match command {
        PolicyCommand::Check => (Request::PolicyCheck, String::new()),
        PolicyCommand::Explain(args) => {
            let question = format!("{} {} {}", args.who, verb(args.verb), escape(&args.topic));
            (Request::PolicyExplain(explain(args)), question)
        }
    };
    let paint = site.screen.paint();
    site.show(&site.ask(request)?, |response| match response {
        Response::PolicyChecked(checked) => Some(tell_check(checked)),
        Response::PolicyExplained(explained) => Some(tell_explanation(explained, &question, paint)),
        _ => None,
    })
}

fn explain(args: ExplainArgs) -> PolicyExplain {
    let action = match args.verb {
        Verb::Publish => ExplainAction::Publish,
        Verb::Subscribe => ExplainAction::Subscribe,
        Verb::Receive => ExplainAction::Receive,
    };
    PolicyExplain { identity: args.who.to_string(), action, topic: args.topic }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Publish => "publish",
        Verb::Subscribe => "subscribe",
        Verb::Receive => "receive",
    }
}

fn tell_check(checked: &PolicyChecked) -> String {
    let mut text = format!(
        "{} in {}: well-formed.\n",
        counted(checked.rules, "rule", "rules"),
        counted(checked.files.len(), "file", "files"),
    );
    for finding in &checked.findings {
        let _ = writeln!(text, "  {}", escape(finding));
    }
    if checked.findings.is_empty() {
        text.push_str("Every rule applies to somebody.\n");
    }
    text
}

fn tell_explanation(explained: &PolicyExplained, question: &str, paint: Paint) -> String {
    let verdict = if explained.allowed { paint.good("allowed") } else { paint.bad("refused") };
    let mut text = format!("{question}: {verdict}\n");
    // The explanation has lines of its own; what stands in each of them is escaped.
    for line in explained.text.lines() {
        let _ = writeln!(text, "  {}", escape(line));
    }
    for part in &explained.arrives {
        let _ = writeln!(text, "  arrives: {}", escape(part));
    }
    if let Some(rule) = &explained.would_allow {
        text.push_str("\nThis would allow it, in a file of policy.d/, then `keyward reload`:\n");
        for line in rule.lines() {
            let _ = writeln!(text, "  {}", escape(line));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_the_rule_to_paste_line_by_line() {
        let explained = PolicyExplained {
            allowed: false,
            rule: None,
            arrives: Vec::new(),
            would_allow: Some("[[rule]]\nwho = \"user:app\"".to_owned()),
            text: "no rule allows it\u{1b}".to_owned(),
        };
        let text = tell_explanation(&explained, "user:app publish a", Paint::plain());
        assert!(text.starts_with("user:app publish a: refused\n"), "{text}");
        assert!(text.contains("\n  [[rule]]\n  who = \"user:app\"\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

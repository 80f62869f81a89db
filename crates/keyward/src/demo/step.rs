//! One step of the demo: what was tried, what happened, and whether that was right.
//!
//! A refusal is right only if two things hold: the code is the one that was expected, *and* nothing came of it.

use crate::failure::Outcome;
use crate::screen::{Paint, Screen};
use keyward_client::ClientError;
use keyward_mqtt::reason::ReasonCode;
use keyward_server::escape::escape;
use serde_json::{Value, json};
use std::fmt::Write;

/// Is how the other side answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It did what was asked.
    Done,
    /// It refused with this code.
    Code(ReasonCode),
    /// It ended the TLS handshake with this alert.
    Alert(&'static str),
    /// It was not trusted: the client itself turned away.
    Untrusted,
    /// It closed the connection without a word.
    Closed,
    /// Something that no step expects.
    Other,
}

impl Answer {
    /// Reads the answer off a result, with the client's words for a failure.
    fn of<T>(result: &Result<T, ClientError>) -> (Self, Option<String>) {
        match result {
            Ok(_) => (Self::Done, None),
            Err(error) => (Self::of_error(error), Some(error.to_string())),
        }
    }

    fn of_error(error: &ClientError) -> Self {
        match error {
            ClientError::Untrusted { .. } => Self::Untrusted,
            ClientError::Alert { alert } => {
                ALERTS.iter().find(|known| *known == alert).map_or(Self::Other, |known| Self::Alert(known))
            }
            ClientError::Closed => Self::Closed,
            other => other.reason().map_or(Self::Other, Self::Code),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Done => "done".to_owned(),
            Self::Code(code) => format!("0x{:02X} {}", *code as u8, code.as_str()),
            Self::Alert(alert) => format!("TLS alert {alert}"),
            Self::Untrusted => "the client turned away: not trusted".to_owned(),
            Self::Closed => "connection closed".to_owned(),
            Self::Other => "something else".to_owned(),
        }
    }
}

/// The alerts that steps expect.
const ALERTS: [&str; 4] = ["unknown_ca", "bad_certificate", "access_denied", "certificate_revoked"];

/// Is one step.
#[derive(Debug, Clone)]
pub(super) struct Step {
    tried: String,
    answer: Answer,
    expected: Vec<Answer>,
    effect_right: bool,
    effect: String,
    words: Option<String>,
    rule: Option<String>,
}

impl Step {
    /// Begins with what is tried.
    pub(super) fn new(tried: impl Into<String>) -> Self {
        Self {
            tried: tried.into(),
            answer: Answer::Other,
            expected: Vec::new(),
            // Nothing is right until it was looked at.
            effect_right: false,
            effect: "nobody looked".to_owned(),
            words: None,
            rule: None,
        }
    }

    /// Adds the answer, and those that are right.
    pub(super) fn answered(mut self, answer: Answer, expected: &[Answer]) -> Self {
        self.answer = answer;
        self.expected = expected.to_vec();
        self
    }

    /// Adds the answer that a result holds, and those that are right.
    pub(super) fn came_to<T>(self, result: &Result<T, ClientError>, expected: &[Answer]) -> Self {
        let (answer, words) = Answer::of(result);
        Self { words, ..self.answered(answer, expected) }
    }

    /// Adds what came of it: `right` tells which of the two sentences is true.
    pub(super) fn effect(mut self, right: bool, if_right: &str, if_wrong: &str) -> Self {
        self.effect_right = right;
        self.effect = if right { if_right } else { if_wrong }.to_owned();
        self
    }

    /// Adds the rule or the cause that decided.
    pub(super) fn decided_by(mut self, rule: Option<String>) -> Self {
        self.rule = rule;
        self
    }

    /// Tells whether the answer is one of those expected and the effect is as it should be.
    pub(super) fn is_right(&self) -> bool {
        self.expected.contains(&self.answer) && self.effect_right
    }

    fn text(&self, paint: Paint) -> String {
        let mut text = format!("  {}\n", paint.strong(&escape(&self.tried)));
        let mut line = |name: &str, words: &str| {
            let _ = writeln!(text, "    {name:8} {words}");
        };
        line("answer", &self.answer.words());
        if let Some(rule) = &self.rule {
            line("because", &escape(rule));
        }
        line("effect", &escape(&self.effect));
        line("verdict", &self.verdict(paint));
        text
    }

    fn verdict(&self, paint: Paint) -> String {
        if self.is_right() {
            return paint.good("right");
        }
        let mut text = paint.bad("WRONG");
        if !self.expected.contains(&self.answer) {
            let expected: Vec<String> = self.expected.iter().map(Answer::words).collect();
            let _ = write!(text, ": expected {}", expected.join(" or "));
        }
        if let Some(words) = &self.words {
            let _ = write!(text, " ({})", escape(words));
        }
        text
    }

    fn exact(&self) -> Value {
        json!({
            "tried": self.tried,
            "answer": self.answer.words(),
            "words": self.words,
            "decided_by": self.rule,
            "effect": self.effect,
            "right": self.is_right(),
        })
    }
}

/// Counts steps and prints each when it is done.
pub(super) struct Tally {
    screen: Option<Screen>,
    right: usize,
    wrong: usize,
}

impl Tally {
    /// Counts and prints.
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen: Some(screen), right: 0, wrong: 0 }
    }

    /// Counts only.
    #[cfg(test)]
    pub(super) fn silent() -> Self {
        Self { screen: None, right: 0, wrong: 0 }
    }

    /// Begins a chapter.
    pub(super) fn chapter(&self, title: &str) -> Outcome {
        self.say(&format!("\n{title}\n"))
    }

    /// Prints a line for people.
    pub(super) fn say(&self, text: &str) -> Outcome {
        match self.screen {
            Some(screen) if !screen.is_json() => screen.print(text),
            _ => Ok(()),
        }
    }

    /// Counts a step and prints it.
    pub(super) fn record(&mut self, step: Step) -> Outcome {
        if step.is_right() {
            self.right += 1;
        } else {
            self.wrong += 1;
        }
        match self.screen {
            None => Ok(()),
            Some(screen) if screen.is_json() => screen.json("step", &step.exact()),
            Some(screen) => screen.print(&step.text(screen.paint())),
        }
    }

    /// Returns how many steps were wrong.
    pub(super) fn wrong(&self) -> usize {
        self.wrong
    }

    /// Says how it went.
    pub(super) fn sentence(&self, paint: Paint) -> String {
        match self.wrong {
            0 => paint.good(&format!("All {} steps were right", self.right)),
            wrong => paint.bad(&format!("{wrong} of {} steps were WRONG", self.right + wrong)),
        }
    }

    /// Says how it went, for scripts.
    pub(super) fn summary(&self, seconds: f32) -> Value {
        json!({ "right": self.right, "wrong": self.wrong, "seconds": seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Answer = Answer::Code(ReasonCode::NotAuthorized);

    #[test]
    fn a_refusal_is_right_only_by_its_code_and_without_effect() {
        let step = |answer: Answer, harmless: bool| {
            Step::new("try").answered(answer, &[REFUSED]).effect(harmless, "nothing", "something").is_right()
        };
        assert!(step(REFUSED, true));
        assert!(!step(REFUSED, false), "the right code does not excuse an effect");
        assert!(!step(Answer::Code(ReasonCode::UnspecifiedError), true), "another code is not this refusal");
        assert!(!step(Answer::Done, true), "no refusal at all");
        assert!(!step(Answer::Other, true));
    }

    #[test]
    fn a_step_that_nobody_looked_at_is_wrong() {
        assert!(!Step::new("try").is_right());
        assert!(!Step::new("try").answered(Answer::Done, &[Answer::Done]).is_right());
    }

    #[test]
    fn an_answer_is_read_off_the_error() {
        let refused: Result<(), _> =
            Err(ClientError::Refused { reason: ReasonCode::NotAuthorized, said: None });
        assert_eq!(Answer::of(&refused).0, REFUSED);
        let alert: Result<(), _> = Err(ClientError::Alert { alert: "unknown_ca".to_owned() });
        assert_eq!(Answer::of(&alert).0, Answer::Alert("unknown_ca"));
        let strange: Result<(), _> = Err(ClientError::Alert { alert: "number 7".to_owned() });
        assert_eq!(Answer::of(&strange).0, Answer::Other);
    }

    #[test]
    fn what_a_wrong_step_should_have_been_is_said() {
        let text = Step::new("try").answered(Answer::Done, &[REFUSED]).text(Paint::plain());
        assert!(text.contains("WRONG: expected 0x87"), "{text}");
    }
}

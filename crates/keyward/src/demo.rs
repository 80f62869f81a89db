//! `keyward demo`: the whole story, played for real on this machine, without network and without leaving anything.
//!
//! Each chapter is a function that plays steps; each step says what was tried, what happened, and whether that was
//! right. A chapter more is a line in [`CHAPTERS`].

mod door;
mod revocation;
mod sessions;
mod stage;
mod step;
mod strangers;
mod street;
mod topics;

use crate::clock;
use crate::failure::{Failure, Outcome};
use crate::program::Program;
use crate::screen::Screen;
use keyward_server::home::{Home, Surroundings};
use stage::Stage;
use step::Tally;

type Chapter = (&'static str, fn(&mut Stage) -> Outcome);

const CHAPTERS: [Chapter; 6] = [
    ("A reading arrives", topics::a_reading_arrives),
    ("Strangers knock", door::strangers_knock),
    ("Members reach too far", topics::members_reach_too_far),
    ("A client id is stolen", sessions::a_client_id_is_stolen),
    ("A device is revoked", revocation::a_device_is_revoked),
    ("What happens in the street", street::what_happens_in_the_street),
];

/// Plays all chapters; an error if any step was wrong.
pub(crate) fn run(screen: Screen) -> Outcome {
    let began = clock::now();
    let mut stage = Stage::set(screen)?;
    for (title, chapter) in CHAPTERS {
        stage.tally.chapter(title)?;
        chapter(&mut stage)?;
    }
    let tally = stage.leave();
    tell_end(screen, &tally, began.elapsed().as_secs_f32())?;
    tally.verdict()
}

fn tell_end(screen: Screen, tally: &Tally, seconds: f32) -> Outcome {
    if screen.is_json() {
        return screen.json("demo", &tally.summary(seconds));
    }
    let mut text = format!("\n{} in {seconds:.1} s.\n", tally.sentence(screen.paint()));
    if tally.wrong() == 0 {
        text.push_str(&for_real()?);
    }
    screen.print(&text)
}

/// Writes the three commands that do the same for real.
fn for_real() -> Outcome<String> {
    let home = Home::find(None, &Surroundings::of_process())?;
    let program = Program::of_process(&home);
    Ok(format!(
        "\nThe same for real:\n  {}\n  {}\n  {}\n",
        program.command("up"),
        program.command("device add dev01"),
        program.client_command("pub --bundle-dir dev01 -t dev01/status -m 21.5"),
    ))
}

impl Tally {
    /// Turns wrong steps into exit code 1.
    fn verdict(&self) -> Outcome {
        match self.wrong() {
            0 => Ok(()),
            wrong => Err(Failure::failed(format!(
                "{wrong} steps went wrong; please report this with the text above"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use step::{Answer, Step};

    #[test]
    fn one_wrong_step_makes_the_demo_fail() {
        let mut tally = Tally::silent();
        let right = Step::new("try").answered(Answer::Done, &[Answer::Done]).effect(true, "none", "some");
        tally.record(right).unwrap();
        assert!(tally.verdict().is_ok());
        let wrong = Step::new("try").answered(Answer::Done, &[Answer::Closed]).effect(true, "none", "some");
        tally.record(wrong).unwrap();
        assert_eq!(tally.wrong(), 1);
        assert!(tally.verdict().is_err());
    }
}

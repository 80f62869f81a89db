//! What programs are told: answers in the order of their lines, though what they say is done in another, and commands.
//!
//! It is kept here, and each program has a thread that writes it: one that does not read holds up nobody but itself.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Lines of one program that have no answer yet, or whose answers it did not read yet. 2,048: two of the largest batches.
const WAITING: usize = 2_048;

/// Holds what one program is to be told.
#[derive(Default)]
pub(crate) struct Answers {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    /// The number of the first that waits for its answer.
    first: u64,
    answers: VecDeque<Option<String>>,
    /// What is to be written, the oldest first.
    told: VecDeque<String>,
    /// How many are being written.
    writing: usize,
    /// Whether it is told commands, too.
    listens: bool,
    /// Whether it says no more.
    is_done: bool,
    /// Whether it hears no more.
    is_gone: bool,
}

impl Lines {
    fn is_full(&self) -> bool {
        !self.is_gone && self.answers.len() + self.told.len() + self.writing >= WAITING
    }

    fn is_written(&self) -> bool {
        self.is_gone || self.told.is_empty() && self.writing == 0
    }

    /// Tells whether it will never be told anything more.
    fn is_over(&self) -> bool {
        self.is_gone || self.is_done && !self.listens && self.answers.is_empty() && self.told.is_empty()
    }

    fn tell(&mut self, text: String) {
        if !self.is_gone {
            self.told.push_back(text);
        }
    }

    fn hang_up(&mut self) {
        self.is_gone = true;
        self.told.clear();
    }
}

/// Is the place of one line's answer.
pub(crate) struct Place {
    answers: Arc<Answers>,
    number: u64,
}

impl Answers {
    /// Takes the place of the next line; waits while too many have no answer, or were not read.
    pub(crate) fn place(self: &Arc<Self>) -> Place {
        let mut lines = self.wait_while(Lines::is_full);
        lines.answers.push_back(None);
        Place { answers: Arc::clone(self), number: lines.first + lines.answers.len() as u64 - 1 }
    }

    /// From here on the program is told commands.
    pub(crate) fn listen(&self) {
        self.lines().listens = true;
    }

    /// Notes that the program says no more; it is told what is still to be answered.
    pub(crate) fn finish(&self) {
        self.change(|lines| lines.is_done = true);
    }

    /// Notes that the program hears no more.
    pub(crate) fn hang_up(&self) {
        self.change(Lines::hang_up);
    }

    /// Writes what is to be told by `write`, whole lines with their ends, until nothing more will come or it fails.
    pub(crate) fn write(&self, mut write: impl FnMut(&[u8]) -> io::Result<()>) {
        loop {
            let mut lines = self.wait_while(|lines| lines.told.is_empty() && !lines.is_over());
            if lines.told.is_empty() {
                return;
            }
            let told = std::mem::take(&mut lines.told);
            lines.writing = told.len();
            drop(lines);
            let text: String = told.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            let written = write(text.as_bytes());
            self.change(|lines| {
                lines.writing = 0;
                if written.is_err() {
                    lines.hang_up();
                }
            });
        }
    }

    /// Waits until what was answered is written, and for that so long.
    pub(crate) fn wait_written(&self, within: Duration) {
        let waits = |lines: &mut Lines| !lines.is_written();
        drop(self.changed.wait_timeout_while(self.lines(), within, waits));
    }

    /// Tells a command, if the program listens; false if it does not read, and was not told.
    fn tell_command(&self, line: &str) -> bool {
        let mut lines = self.lines();
        if lines.listens && lines.is_full() {
            return false;
        }
        if lines.listens {
            lines.tell(line.to_owned());
            self.changed.notify_all();
        }
        true
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, waits: impl Fn(&Lines) -> bool) -> MutexGuard<'_, Lines> {
        let lines = self.changed.wait_while(self.lines(), |lines| waits(lines));
        lines.unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.lines());
        self.changed.notify_all();
    }
}

impl Place {
    /// Answers: at once, or as soon as all lines before have been answered.
    pub(crate) fn answer(self, text: String) {
        self.answers.change(|lines| {
            let at = usize::try_from(self.number - lines.first).unwrap_or(usize::MAX);
            if let Some(place) = lines.answers.get_mut(at) {
                *place = Some(text.replace('\n', " "));
            }
            while let Some(Some(_)) = lines.answers.front() {
                let text = lines.answers.pop_front().flatten().unwrap_or_default();
                lines.first += 1;
                lines.tell(text);
            }
        });
    }
}

/// Knows all programs that speak to the agent. All copies know the same.
#[derive(Clone, Default)]
pub(crate) struct Programs(Arc<Mutex<Vec<Weak<Answers>>>>);

impl Programs {
    /// Takes one more in.
    pub(crate) fn join(&self) -> Arc<Answers> {
        let answers = Arc::<Answers>::default();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&answers));
        answers
    }

    /// Tells a command to all that listen; returns how many were not told, for they do not read.
    pub(crate) fn tell_command(&self, line: &str) -> usize {
        self.all().iter().filter(|one| !one.tell_command(line)).count()
    }

    /// Waits until all have what was answered, and for each so long.
    pub(crate) fn wait_written(&self, within: Duration) {
        self.all().iter().for_each(|one| one.wait_written(within));
    }

    fn all(&self) -> Vec<Arc<Answers>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program was told by the time when nothing more comes.
    fn told(answers: &Answers) -> String {
        let mut told = Vec::new();
        answers.finish();
        answers.write(|text| {
            told.extend_from_slice(text);
            Ok(())
        });
        String::from_utf8(told).unwrap()
    }

    #[test]
    fn answers_come_in_the_order_of_the_lines() {
        let answers = Programs::default().join();
        let [first, second, third] = [answers.place(), answers.place(), answers.place()];
        second.answer("2".to_owned());
        assert!(answers.lines().told.is_empty());
        first.answer("1".to_owned());
        assert_eq!(answers.lines().told, ["1", "2"]);
        let fourth = answers.place();
        fourth.answer("4".to_owned());
        third.answer("3\nand more".to_owned());
        assert_eq!(told(&answers), "1\n2\n3 and more\n4\n");
    }

    #[test]
    fn commands_are_told_to_those_that_listen_and_read() {
        let programs = Programs::default();
        let [deaf, listener] = [programs.join(), programs.join()];
        listener.listen();
        assert_eq!(programs.tell_command("open"), 0);
        assert!(deaf.lines().told.is_empty());
        assert_eq!(listener.lines().told, ["open"]);
        let untold: usize = (0..WAITING).map(|_| programs.tell_command("open")).sum();
        assert_eq!((untold, listener.lines().told.len()), (1, WAITING));
        listener.hang_up();
        assert_eq!(programs.tell_command("open"), 0);
        assert!(listener.lines().told.is_empty());
    }

    #[test]
    fn one_that_hangs_up_is_forgotten_and_what_it_said_is_done_all_the_same() {
        let programs = Programs::default();
        let answers = programs.join();
        let place = answers.place();
        answers.hang_up();
        answers.write(|_| unreachable!("nobody hears it"));
        place.answer("ok 1".to_owned());
        assert!(answers.lines().told.is_empty() && answers.lines().answers.is_empty());
        drop(answers);
        programs.join();
        assert_eq!(programs.0.lock().unwrap().len(), 1);
    }
}

//! Answers lines in their order, though what they say is done in another: the n-th answer is for the n-th line.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Lines of one program that wait for their answers. 2,048: two of the largest batches.
const WAITING: usize = 2_048;

/// Holds what one program is to be told.
pub(crate) struct Answers {
    lines: Mutex<Lines>,
    answered: Condvar,
}

struct Lines {
    /// The number of the first that waits.
    first: u64,
    answers: VecDeque<Option<String>>,
    write: Box<dyn FnMut(&str) + Send>,
}

/// Is the place of one line's answer.
pub(crate) struct Place {
    answers: Arc<Answers>,
    number: u64,
}

impl Answers {
    /// Tells by `write`, one call for each line.
    pub(crate) fn new(write: impl FnMut(&str) + Send + 'static) -> Arc<Self> {
        let lines = Lines { first: 0, answers: VecDeque::new(), write: Box::new(write) };
        Arc::new(Self { lines: Mutex::new(lines), answered: Condvar::new() })
    }

    /// Takes the place of the next line; waits while too many have no answer.
    pub(crate) fn place(self: &Arc<Self>) -> Place {
        let full = |lines: &mut Lines| lines.answers.len() >= WAITING;
        let mut lines = self.answered.wait_while(self.lines(), full).unwrap_or_else(PoisonError::into_inner);
        lines.answers.push_back(None);
        Place { answers: Arc::clone(self), number: lines.first + lines.answers.len() as u64 - 1 }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Answers: at once, or as soon as all lines before have been answered.
    pub(crate) fn answer(self, text: String) {
        let mut lines = self.answers.lines();
        let at = usize::try_from(self.number - lines.first).unwrap_or(usize::MAX);
        if let Some(place) = lines.answers.get_mut(at) {
            *place = Some(text);
        }
        while let Some(Some(_)) = lines.answers.front() {
            let text = lines.answers.pop_front().flatten().unwrap_or_default();
            lines.first += 1;
            (lines.write)(&text);
        }
        self.answers.answered.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_lines() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&told);
        let answers = Answers::new(move |text| to.lock().unwrap().push(text.to_owned()));
        let [first, second, third] = [answers.place(), answers.place(), answers.place()];
        second.answer("2".to_owned());
        assert!(told.lock().unwrap().is_empty());
        first.answer("1".to_owned());
        assert_eq!(*told.lock().unwrap(), ["1", "2"]);
        let fourth = answers.place();
        fourth.answer("4".to_owned());
        third.answer("3".to_owned());
        assert_eq!(*told.lock().unwrap(), ["1", "2", "3", "4"]);
    }
}

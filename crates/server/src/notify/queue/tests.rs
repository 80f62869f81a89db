use super::*;
use keyward_watch::finding::Severity;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn notice(incident: u64, event: Event) -> Notice {
    Notice {
        key: format!("incident {incident}"),
        event,
        kind: "missing".to_owned(),
        severity: Severity::High,
        is_part: false,
        calls: event == Event::Begin,
        at_unix_ms: 0,
        what: String::new(),
        more: String::new(),
        steps: Vec::new(),
        incident: serde_json::Value::Null,
    }
}

fn pager() -> Vec<(String, Interest)> {
    vec![("pager".to_owned(), Interest::Incidents(Wanted::default()))]
}

fn mail() -> Vec<(String, Interest)> {
    vec![("mail".to_owned(), Interest::Calls { at_once: 3, gather: Millis(MINUTE) })]
}

/// A queue at a time, whose letters are called by the order in which they came.
struct World {
    queue: Queue,
    now: Millis,
    letters: u64,
}

impl World {
    fn new(places: Vec<(String, Interest)>) -> Self {
        Self { queue: Queue::new(Millis(0), places, Saved::default()), now: Millis(0), letters: 0 }
    }

    fn put(&mut self, notice: Notice) -> &mut Self {
        self.letters += 1;
        self.queue.put(self.now, self.letters.to_string(), notice);
        self
    }

    /// Returns the letters that leave for a place now.
    fn sent(&mut self, place: &str) -> Vec<String> {
        self.queue.take(self.now, place).into_iter().map(|letter| letter.id).collect()
    }

    fn taken(&mut self, place: &str) {
        self.queue.done(self.now, place, Ok(()), 0);
    }

    fn refused(&mut self, place: &str) {
        self.queue.done(self.now, place, Err("answers 500".to_owned()), u64::MAX);
    }

    /// Lets time pass until something may be sent, and returns how long that was.
    fn wait(&mut self) -> u64 {
        let next = self.queue.poll_timeout().expect("something waits");
        let waited = next.saturating_sub(self.now).0;
        self.now = self.now.max(next);
        waited
    }

    fn counts(&self, place: &str) -> Counts {
        self.queue.health().find(|(name, ..)| *name == place).unwrap().1
    }
}

#[test]
fn one_letter_is_under_way_at_a_time_and_they_leave_in_their_order() {
    let mut world = World::new(pager());
    world.put(notice(1, Event::Begin)).put(notice(2, Event::Begin)).put(notice(1, Event::End));
    assert_eq!(world.sent("pager"), ["1"]);
    assert!(world.sent("pager").is_empty());
    world.taken("pager");
    assert_eq!(world.sent("pager"), ["2"]);
    world.taken("pager");
    assert_eq!(world.sent("pager"), ["3"]);
    world.taken("pager");
    assert_eq!((world.queue.len(), world.queue.poll_timeout()), (0, None));
    assert_eq!(world.counts("pager"), Counts { told: 3, ..Counts::default() });
}

#[test]
fn a_place_that_is_away_is_tried_for_days_with_pauses_that_grow() {
    let mut world = World::new(pager());
    world.put(notice(1, Event::Begin));
    let mut pauses = Vec::new();
    while world.sent("pager") == ["1"] {
        world.refused("pager");
        pauses.push(world.wait());
    }
    assert!(pauses[..8].windows(2).all(|two| two[0] <= two[1]), "{pauses:?}");
    assert!(pauses[0] <= 5_000 && *pauses.iter().max().unwrap() <= 15 * MINUTE, "{pauses:?}");
    assert!(world.now.0 > 48 * HOUR && world.now.0 < 73 * HOUR, "{}", world.now.0);
    let dropped = Counts { dropped: 1, failed: pauses.len() as u64, ..Counts::default() };
    assert_eq!(world.counts("pager"), dropped, "it is counted, and no secret is made of it");
}

#[test]
fn a_pause_is_drawn_so_that_not_all_brokers_come_back_in_one_moment() {
    let (first, last) = (pause(3, 0), pause(3, 20_000));
    assert_eq!((first, last), (Millis(20_000), Millis(40_000)));
}

#[test]
fn what_a_place_chokes_on_lets_other_incidents_pass_and_nothing_of_its_own_overtakes_it() {
    let mut world = World::new(pager());
    world.put(notice(1, Event::Begin)).put(notice(1, Event::Change)).put(notice(2, Event::Begin));
    assert_eq!(world.sent("pager"), ["1"]);
    world.refused("pager");
    world.put(notice(3, Event::Begin));
    let mut order = Vec::new();
    while world.queue.len() > 0 {
        for id in world.sent("pager") {
            match id.as_str() {
                "1" if order.len() < 2 => world.refused("pager"),
                _ => {
                    order.push(id);
                    world.taken("pager");
                }
            }
        }
        if world.queue.len() > 0 {
            world.wait();
        }
    }
    assert_eq!(order, ["3", "4", "1", "2"]);
}

#[test]
fn a_place_hears_of_the_end_of_what_it_was_told_and_of_no_other() {
    let mut world = World::new(pager());
    let small = |event| Notice { severity: Severity::Low, ..notice(1, event) };
    let part = |event| Notice { is_part: true, ..notice(2, event) };
    world.put(small(Event::Begin)).put(small(Event::End)).put(part(Event::Begin)).put(part(Event::End));
    assert_eq!(world.queue.len(), 0, "a device of a site that is told of as a whole is not told of");
    world.put(notice(3, Event::Begin)).put(Notice { is_part: true, ..notice(3, Event::Change) });
    world.put(notice(3, Event::End)).put(notice(3, Event::End));
    assert_eq!(world.queue.len(), 3);
}

#[test]
fn calls_of_a_minute_are_one_mail() {
    let mut world = World::new(mail());
    world.put(notice(1, Event::Begin));
    assert_eq!(world.sent("mail"), ["1"], "the first leaves at once");
    world.taken("mail");
    for incident in 2..=6 {
        world.put(notice(incident, Event::Begin)).put(notice(incident, Event::Change));
    }
    assert!(world.sent("mail").is_empty());
    assert_eq!(world.wait(), MINUTE);
    assert_eq!(world.sent("mail"), ["2", "4", "6"], "calls alone, as many as one mail holds");
    world.taken("mail");
    assert_eq!(world.wait(), MINUTE);
    assert_eq!(world.sent("mail"), ["8", "10"]);
}

#[test]
fn a_restart_forgets_nothing_that_waits_and_makes_nothing_younger() {
    let mut world = World::new(pager());
    world.put(notice(1, Event::Begin)).put(notice(2, Event::Begin));
    assert_eq!(world.sent("pager"), ["1"], "it is under way when the broker is killed");
    let saved = world.queue.saved(Millis(70 * HOUR));
    let saved: Saved = serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap();
    let mut again = World { queue: Queue::new(Millis(5), pager(), saved), now: Millis(5), letters: 7 };
    assert_eq!(again.sent("pager"), ["1"], "under the same name");
    again.refused("pager");
    again.put(notice(2, Event::End));
    assert_eq!(again.queue.len(), 3, "it was told that 2 began");
    again.now = Millis(3 * HOUR);
    again.sent("pager");
    assert_eq!((again.queue.len(), again.counts("pager").dropped), (1, 2));
}

#[test]
fn what_waits_for_a_place_that_is_gone_is_forgotten() {
    let mut world = World::new(pager().into_iter().chain(mail()).collect());
    world.put(notice(1, Event::Begin)).put(notice(1, Event::Change));
    let queue = Queue::new(Millis(0), mail(), world.queue.saved(Millis(0)));
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_full_queue_drops_the_oldest_that_is_not_under_way() {
    let mut world = World::new(pager());
    world.put(notice(0, Event::Begin));
    assert_eq!(world.sent("pager"), ["1"]);
    for incident in 1..=limits::NOTICES as u64 {
        world.put(notice(incident, Event::Begin));
    }
    assert_eq!((world.queue.len(), world.counts("pager").dropped), (limits::NOTICES, 1));
    world.taken("pager");
    assert_eq!(world.sent("pager"), ["3"]);
}

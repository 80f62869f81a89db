//! Never a hole (rule 11): what a group was given reaches a member that may read it, or the broker says that it was
//! lost, and there is a reason for that.

use super::groups::{Copy, filter_of};
use super::law::matches;
use super::message::{Loss, Message, Owed};
use super::session::Session;
use super::{Checked, Model, breach};
use crate::event::{AccountNo, ClientNo, MessageNo};
use crate::setup::EngineSetup;
use keyward_broker::Limits;
use keyward_mqtt::packet::Qos;
use keyward_policy::Action;
use std::collections::BTreeSet;

/// Bytes that a message of this world weighs at most: the buffer of a filled one and what each is counted with.
const HEAVIEST: usize = 2_048 + keyward_broker::limits::MESSAGE_OVERHEAD;

/// Is a message of which a group has no copy left that could be its own.
#[derive(Debug)]
struct Hole {
    number: MessageNo,
    group: String,
    /// Clients to whose plain subscriptions copies were put down.
    plain: Vec<ClientNo>,
}

/// Is what a copy of a message is asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand<'a> {
    /// A plain subscription of a client that is in a group as well, at some quality of service.
    Plain(ClientNo, (Qos, Qos)),
    /// A group.
    Group(&'a str),
}

impl Model {
    /// Lists the members of a group of which it is certain that they are.
    fn certain_members(&self, group: &str) -> impl Iterator<Item = (ClientNo, &Session)> {
        let sessions = self.sessions.iter().map(|(client, session)| (*client, session));
        sessions.filter(move |(client, session)| {
            self.setup.clients[client.0].is_honest
                && session.certain
                && session.subs.get(group).is_some_and(|sub| sub.confirmed)
        })
    }

    /// Gives a message to the groups that there are.
    pub(super) fn offer_to_groups(&mut self, message: &Message) {
        let shared = |session: &Session| session.shared_groups().map(str::to_owned).collect::<Vec<_>>();
        let present: BTreeSet<String> = self.sessions.values().flat_map(shared).collect();
        let is_honest = self.setup.clients[message.client.0].is_honest;
        let certain = present.iter().filter(|group| self.certain_members(group).next().is_some());
        let certain = certain.filter(|_| is_honest).cloned().collect();
        self.groups.offer(message, &present, &certain);
    }

    /// Some sessions may not be members any more: a group that may have lost its last one may have lost what it held.
    pub(super) fn forsake_groups(&mut self, groups: &[String]) {
        for group in groups {
            if self.certain_members(group).next().is_none() {
                self.groups.forsake(group);
            }
        }
    }

    /// A session loses its link: what it was chosen for at QoS 2, and was not sent because the choice was not durable,
    /// nobody sees.
    pub(super) fn note_chosen(&mut self, client: ClientNo) {
        let Some(session) = self.sessions.get(&client) else { return };
        if self.setup.engine == EngineSetup::Faulty {
            let messages = &self.messages;
            let is_exchanged = |number| messages.get(&number).is_some_and(|it| it.qos == Qos::ExactlyOnce);
            self.groups.note_chosen((client, session.serial), &session.shared, is_exchanged);
        }
    }

    /// The broker says that a group lost a message of a publisher: some group had a reason.
    pub(super) fn note_group_loss(&mut self, publisher: AccountNo, loss: Loss) -> Checked {
        let of_publisher =
            |number: &MessageNo| self.messages.get(number).filter(|it| it.account == publisher);
        let is_excused = |(number, group): &&(MessageNo, String)| {
            of_publisher(number).is_some_and(|message| self.has_reason(&loss, message, group))
        };
        let open = self.groups.given.iter().filter(|(_, given)| !given.is_settled).map(|(key, _)| key);
        let excused: Vec<_> = open.filter(is_excused).cloned().collect();
        let mut unnumbered = self.groups.unnumbered.iter().filter(|message| message.account == publisher);
        let is_unnumbered = unnumbered.any(|message| {
            let groups = self.groups.members.keys();
            groups.into_iter().any(|group| {
                matches(filter_of(group), &message.topic) && self.has_reason(&loss, message, group)
            })
        });
        if excused.is_empty() && !is_unnumbered {
            return breach!("no group had a reason for this loss: {loss:?}");
        }
        for key in excused {
            self.groups.given.entry(key).or_default().excuses.insert(loss.clone());
        }
        self.losses.note(loss);
        Ok(())
    }

    /// Tells whether a group may have lost a message in this way.
    fn has_reason(&self, loss: &Loss, message: &Message, group: &str) -> bool {
        match loss {
            Loss::GroupFull(_) => self.may_be_full(group),
            // Else it is kept until a member is back.
            Loss::GroupAbsent(_) => {
                let keeps = |(_, session): (ClientNo, &Session)| {
                    session.subs[group].asked.iter().all(|asked| asked.options.qos > Qos::AtMostOnce)
                };
                message.qos == Qos::AtMostOnce || !self.certain_members(group).any(keeps)
            }
            Loss::GroupDenied(_) => {
                let mut members = self.certain_members(group);
                members.all(|(client, session)| self.may_be_denied(client, session, message, group))
            }
            _ => false,
        }
    }

    /// Tells whether the queue of a group may be full, or whoever pays for it may have no room: nobody sees who of its
    /// members that is, so all groups may be charged to one.
    fn may_be_full(&self, group: &str) -> bool {
        let (of_group, of_payer) = (self.most_held(|name| name == group), self.most_held(|_| true));
        let Limits { queue_messages, queue_bytes, .. } = self.setup.limits;
        let Limits { queue_messages_per_identity, queue_bytes_per_identity, .. } = self.setup.limits;
        let shards = usize::from(self.setup.shards);
        of_group > queue_messages
            || of_group * HEAVIEST > queue_bytes
            || of_payer > queue_messages_per_identity / shards
            || of_payer * HEAVIEST > queue_bytes_per_identity / shards
    }

    /// Returns how many messages groups hold at most: as if they had handed out nothing of which that is not certain.
    fn most_held(&self, is_meant: impl Fn(&str) -> bool) -> usize {
        let given = self.groups.given.iter().filter(|((_, name), given)| is_meant(name) && !given.is_settled);
        let numbered: usize = given.map(|(_, given)| given.copies.max(1)).sum();
        let groups = self.groups.members.keys().filter(|name| is_meant(name));
        let of_group = |group: &String| {
            let unnumbered = self.groups.unnumbered.iter();
            unnumbered.filter(|message| matches(filter_of(group), &message.topic)).count()
        };
        numbered + groups.map(of_group).sum::<usize>()
    }

    /// Tells whether a member may have been refused a message at some time since it was published.
    pub(super) fn may_be_denied(
        &self,
        client: ClientNo,
        session: &Session,
        message: &Message,
        group: &str,
    ) -> bool {
        let account = self.account(client);
        let always = (message.since..=self.law.newest_generation())
            .all(|generation| self.law.may_take(generation, account, filter_of(group), &message.topic));
        let stands = self.law.is_active_since(message.since_revision, account, session.epoch);
        !always || !stands || session.is_small
    }

    /// Tells whether a member can take a message now.
    fn can_take(&self, client: ClientNo, session: &Session, message: &Message, group: &str) -> bool {
        let account = self.account(client);
        let generation = self.law.generation(session.shard);
        session.established
            && !session.is_small
            && self.law.may(session.shard, account, session.epoch, Action::Receive, &message.topic)
            && self.law.may_take(generation, account, filter_of(group), &message.topic)
            && self.has_room_for(account)
    }

    /// Tells whether the sessions of an account can be sent something: a rude client's, which does not come back, may
    /// hold all that the account may have.
    fn has_room_for(&self, account: AccountNo) -> bool {
        let limits = (self.setup.limits, Limits::default());
        let is_wide = limits.0.queue_messages_per_identity == limits.1.queue_messages_per_identity;
        let mut clients = self.setup.clients.iter().filter(|client| client.account == account.0);
        is_wide || clients.all(|client| client.is_honest)
    }

    /// Everything that groups owe has reached a member, but for what the broker said it lost.
    pub(super) fn check_groups(&mut self) -> Checked {
        for Hole { number, group, plain } in self.missing_from_groups() {
            if !self.is_explained(number, &plain) {
                let Message { qos, topic, .. } = &self.messages[&number];
                return breach!("no member of {group} ever got {number} (QoS {} {topic})", *qos as u8);
            }
        }
        Ok(())
    }

    fn missing_from_groups(&self) -> Vec<Hole> {
        let given = self.groups.given.iter().filter(|(_, given)| given.must && !given.is_settled);
        let numbers: BTreeSet<MessageNo> = given.map(|((number, _), _)| *number).collect();
        let messages = numbers.iter().map(|number| &self.messages[number]);
        let due = messages.filter(|message| message.accepted && !message.is_expired(self.now));
        due.flat_map(|message| self.missing_in(message)).collect()
    }

    /// Explains by a loss that there is one copy of a message less than groups are due: by one of a plain subscription of
    /// these clients, to which a copy of the group was put down, or by one of a group.
    fn is_explained(&mut self, number: MessageNo, plain: &[ClientNo]) -> bool {
        let message = &self.messages[&number];
        let excuses = self.groups.of(number).flat_map(|(_, given)| given.excuses.iter().cloned());
        let mut kinds = Loss::of_group(message, excuses.collect::<BTreeSet<_>>());
        for client in plain {
            let account = AccountNo(self.setup.clients[client.0].account);
            let owed = self.sessions.get(client).and_then(|session| session.owed.get(&number));
            kinds.extend(owed.map(|owed| Loss::of_session(message, owed.qos.0, account)).unwrap_or_default());
        }
        self.losses.explain(kinds)
    }

    /// Lists the groups for which there is no copy of a message that could be theirs.
    fn missing_in(&self, message: &Message) -> Vec<Hole> {
        let sent = self.groups.sent.get(&message.number).map(Vec::as_slice).unwrap_or_default();
        let copies: Vec<&Copy> = sent.iter().filter(|copy| self.counts(copy)).collect();
        // What came while its client was in no group is not among them.
        let is_listed = |client, owed: &Owed| {
            sent.iter().filter(|copy| copy.client == client && copy.is_plain).count() >= owed.sent as usize
        };
        let (mut met, mut plain) = (Vec::new(), Vec::new());
        for client in copies.iter().map(|copy| copy.client).collect::<BTreeSet<_>>() {
            let owed = self.sessions.get(&client).and_then(|session| session.owed.get(&message.number));
            if let Some(owed) = owed.filter(|owed| owed.must && owed.arrived && is_listed(client, owed))
                && can_add(&mut met, Demand::Plain(client, owed.qos), &copies)
            {
                plain.push(client);
            }
        }
        let mut missing = Vec::new();
        for (group, given) in self.groups.of(message.number).filter(|(_, given)| given.must) {
            if given.chosen.iter().any(|(client, session)| !self.is_here(*client, *session)) {
                continue;
            }
            let mut members = self.certain_members(group);
            let is_due = members.any(|(client, session)| self.can_take(client, session, message, group));
            if is_due && !can_add(&mut met, Demand::Group(group), &copies) {
                missing.push(Hole { number: message.number, group: group.to_owned(), plain: plain.clone() });
            }
        }
        missing
    }

    /// Tells whether a copy is where it belongs: its client has it, or it is that of a session which has ended or whose
    /// client is not here.
    fn counts(&self, copy: &Copy) -> bool {
        copy.arrived || (copy.may_be_kept() && !self.is_here(copy.client, copy.session))
    }

    /// Tells whether a client has this very session, and a link to it.
    fn is_here(&self, client: ClientNo, session: u64) -> bool {
        let session = self.sessions.get(&client).filter(|it| it.serial == session);
        session.is_some_and(|session| session.established)
    }
}

/// Adds a demand to others that are met, if all can be met then.
fn can_add<'a>(met: &mut Vec<Demand<'a>>, demand: Demand<'a>, copies: &[&Copy]) -> bool {
    met.push(demand);
    let fits = are_met(met, copies);
    if !fits {
        met.pop();
    }
    fits
}

/// Tells whether each demand can have a copy of its own.
fn are_met(demands: &[Demand<'_>], copies: &[&Copy]) -> bool {
    let Some((first, others)) = demands.split_first() else { return true };
    copies.iter().enumerate().any(|(place, copy)| {
        let fits = match first {
            Demand::Plain(client, (least, most)) => {
                copy.client == *client && (*least..=*most).contains(&copy.qos)
            }
            Demand::Group(group) => copy.groups.iter().any(|name| name == group),
        };
        let rest = || copies.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, copy)| *copy);
        fits && are_met(others, &rest().collect::<Vec<_>>())
    })
}

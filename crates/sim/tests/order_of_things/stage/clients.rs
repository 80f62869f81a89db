//! What clients do.

use super::{Note, Stage, qos0};
use keyward_broker::LinkId;
use keyward_mqtt::packet::{Qos, RetainHandling, SubscribeOptions, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_sim::event::{ClientNo, MessageNo};
use keyward_sim::packet::{Hello, Packet, Publish, Will};
use keyward_sim::world::{Cut, Draft};

impl Stage {
    /// Returns the CONNECT of a client that wants its session kept for ten minutes.
    pub(crate) fn hello(&self, client: ClientNo) -> Hello {
        let (epoch, _) = self.world.account(self.account(client));
        Hello {
            version: Version::V5,
            clean_start: false,
            keep_alive: 0,
            session_expiry: Some(600),
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: None,
            epoch,
            will: None,
        }
    }

    /// Has a client send CONNECT, and no more than that.
    pub(crate) fn connect(&mut self, client: ClientNo, hello: Hello) -> LinkId {
        self.act(|world| world.connect(client, hello))
    }

    /// Has a client send CONNECT and waits for its welcome.
    pub(crate) fn enter(&mut self, client: ClientNo) {
        let hello = self.hello(client);
        self.enter_with(client, hello);
    }

    /// Has a client send this CONNECT and waits for its welcome.
    pub(crate) fn enter_with(&mut self, client: ClientNo, hello: Hello) {
        self.connect(client, hello);
        self.go_on_with_disk();
        assert!(self.world.is_open(client), "{client} was not welcomed");
    }

    /// Has clients enter whose sessions end with their links.
    pub(crate) fn enter_for_now(&mut self, client: ClientNo) {
        let hello = Hello { session_expiry: None, ..self.hello(client) };
        self.enter_with(client, hello);
    }

    /// Makes a will at QoS 1 for a CONNECT. Returns it with its number.
    pub(crate) fn will(&mut self, topic: &str, delay: u32) -> (MessageNo, Will) {
        let number = self.world.new_message();
        let message = Publish {
            number: Some(number),
            topic: topic.to_owned(),
            alias: None,
            qos: Qos::AtLeastOnce,
            id: None,
            retain: false,
            dup: false,
            expiry: None,
            subscription_ids: Vec::new(),
        };
        (number, Will { message, delay })
    }

    /// Has a client ask for a filter, and no more than that.
    pub(crate) fn ask(&mut self, client: ClientNo, filter: &str) {
        self.ask_for_all(client, &[filter]);
    }

    /// Has a client ask for several filters at once, at QoS 2 with a replay.
    pub(crate) fn ask_for_all(&mut self, client: ClientNo, filters: &[&str]) {
        let options = SubscribeOptions {
            qos: Qos::ExactlyOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Always,
        };
        let filters = filters.iter().map(|filter| ((*filter).to_owned(), options)).collect();
        self.act(|world| world.subscribe(client, filters, None));
    }

    /// Has a client ask for a filter and waits until it has it.
    pub(crate) fn subscribe(&mut self, client: ClientNo, filter: &str) {
        let before = self.events.len();
        self.ask(client, filter);
        self.go_on_with_disk();
        let granted = self.since(before, client).any(|packet| match packet {
            Packet::SubAck { reasons, .. } => reasons.iter().all(|reason| !reason.is_failure()),
            _ => false,
        });
        assert!(granted, "{client} does not get {filter}");
    }

    /// Has a client give a filter up.
    pub(crate) fn unsubscribe(&mut self, client: ClientNo, filter: &str) {
        self.act(|world| world.unsubscribe(client, vec![filter.to_owned()]));
    }

    /// Has a client send a message, and no more than that. Returns its number.
    pub(crate) fn publish(&mut self, client: ClientNo, note: Note<'_>) -> MessageNo {
        let number = self.world.new_message();
        self.publish_again(client, note, number);
        number
    }

    /// Has a client send a message of which it does not know that it sent it before.
    pub(crate) fn publish_again(&mut self, client: ClientNo, note: Note<'_>, number: MessageNo) {
        let draft = draft(note, number);
        let before = self.events.len();
        self.act(|world| world.publish(client, draft));
        assert!(self.events.len() > before, "{client} cannot publish");
    }

    /// Has a client send a message of QoS 0 right behind CONNECT.
    pub(crate) fn publish_unasked(&mut self, client: ClientNo, topic: &str) -> MessageNo {
        let number = self.world.new_message();
        let draft = draft(qos0(topic), number);
        self.act(|world| world.publish_unasked(client, draft));
        number
    }

    /// Has a client read and acknowledge nothing.
    pub(crate) fn mute(&mut self, client: ClientNo) {
        self.mute.insert(client);
    }

    /// Has a client acknowledge again.
    pub(crate) fn unmute(&mut self, client: ClientNo) {
        self.mute.remove(&client);
    }

    /// Has a client acknowledge one thing.
    pub(crate) fn acknowledge_one(&mut self, client: ClientNo) {
        self.act(|world| world.acknowledge(client, false));
    }

    /// Has a client take nothing of what is written to it, and its link neither.
    pub(crate) fn block(&mut self, client: ClientNo) {
        let link = self.link(client);
        self.act(|world| {
            world.set_reading(client, false);
            world.narrow(link, 0);
        });
    }

    /// Has a client take what is written to it again.
    pub(crate) fn unblock(&mut self, client: ClientNo) {
        let link = self.link(client);
        self.act(|world| {
            world.set_reading(client, true);
            world.narrow(link, usize::MAX);
        });
    }

    /// Has a client close its link without a word.
    pub(crate) fn break_link(&mut self, client: ClientNo) {
        self.act(|world| world.break_link(client));
    }

    /// Has a client say DISCONNECT and have its session end by it.
    pub(crate) fn disconnect_for_good(&mut self, client: ClientNo) {
        self.act(|world| world.disconnect(client, ReasonCode::Success, Some(0)));
    }

    /// Cuts a client's link; both ends learn of it.
    pub(crate) fn cut(&mut self, client: ClientNo) {
        let link = self.link(client);
        self.act(|world| world.cut(link, Cut::Known));
    }

    /// Returns the link of a client.
    pub(crate) fn link(&self, client: ClientNo) -> LinkId {
        self.world.link_of(client).unwrap()
    }

    /// Tells whether a client has a link over which it was welcomed.
    pub(crate) fn is_open(&self, client: ClientNo) -> bool {
        self.world.is_open(client)
    }
}

fn draft(Note { topic, qos, retain, large }: Note<'_>, number: MessageNo) -> Draft {
    Draft { number: Some(number), topic: topic.to_owned(), qos, retain, expiry: None, large }
}

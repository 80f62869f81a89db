//! What happens next: drawn from the seed.

mod rudeness;

use super::{Cut, Draft, World};
use crate::dice::Dice;
use crate::event::{AccountNo, ClientNo, ShardNo};
use crate::packet::{Hello, Publish, Will};
use crate::setup;
use keyward_broker::Standing;
use keyward_mqtt::packet::{Qos, RetainHandling, SubscribeOptions, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::{Millis, UnixMillis};

/// Is something that may happen.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Connect,
    Publish,
    Subscribe,
    Unsubscribe,
    Disconnect,
    BreakLink,
    Forget,
    StopReading,
    Cut,
    Stall,
    Rudeness,
    Rules,
    Account,
    Crash,
    Stop,
}

/// How often what happens, relative to the others.
const DEEDS: [(u64, Deed); 15] = [
    (800, Deed::Connect),
    (4_800, Deed::Publish),
    (800, Deed::Subscribe),
    (200, Deed::Unsubscribe),
    (120, Deed::Disconnect),
    (80, Deed::BreakLink),
    (15, Deed::Forget),
    (120, Deed::StopReading),
    (220, Deed::Cut),
    (140, Deed::Stall),
    (160, Deed::Rudeness),
    (40, Deed::Rules),
    (60, Deed::Account),
    (12, Deed::Crash),
    (2, Deed::Stop),
];

impl World {
    /// Lets the dice decide what happens next: some deeds, then each part of the world gets its turn, or does not.
    pub fn step(&mut self) {
        self.draw_time();
        for _ in 0..self.dice.between(2, 7) {
            if let Some(deed) = self.dice.weighted(&DEEDS) {
                self.act(deed);
            }
        }
        self.carry();
        self.turn_of_the_broker();
        self.turn_of_the_clients();
    }

    /// Gives each part of the world its turn, or does not.
    pub(crate) fn take_turns(&mut self) {
        self.carry();
        self.turn_of_the_broker();
        for client in 0..self.clients.len() {
            if self.dice.chance(750) {
                self.listen(ClientNo(client));
            }
            let all = self.dice.chance(500);
            self.acknowledge(ClientNo(client), all);
        }
    }

    fn draw_time(&mut self) {
        let span = match self.dice.below(200) {
            0 => Millis::from_secs(self.dice.between(10, 700) as u64),
            1..20 => Millis(self.dice.between(500, 4_000) as u64),
            _ => Millis(self.dice.below(20) as u64),
        };
        self.pass(span);
        if self.dice.chance(5) {
            let wall = self.now().wall;
            let jump = Millis::from_secs(self.dice.below(100_000) as u64);
            let back = self.dice.chance(500);
            let wall = if back { wall.saturating_sub(jump) } else { UnixMillis::saturating_add(wall, jump) };
            self.set_wall_clock(wall);
        }
    }

    /// Lets time pass between the end of a broker and the start of the next.
    pub(super) fn be_down(&mut self) {
        if self.dice.chance(300) {
            let span = Millis::from_secs(self.dice.between(1, 300) as u64);
            self.pass(span);
        }
        if self.dice.chance(100) {
            let wall = self.now().wall;
            let jump = Millis::from_secs(self.dice.below(2_000) as u64);
            let back = self.dice.chance(500);
            self.set_wall_clock(if back { wall.saturating_sub(jump) } else { wall.saturating_add(jump) });
        }
    }

    fn turn_of_the_broker(&mut self) {
        if self.dice.chance(800) {
            self.tick_door();
        }
        if self.dice.chance(500) {
            self.hand_on();
        }
        if self.dice.chance(500) {
            self.answer_some();
        }
        let mut shards: Vec<usize> = (0..self.broker.shards()).collect();
        self.dice.shuffle(&mut shards);
        for shard in shards {
            if self.dice.chance(650) {
                self.tick(ShardNo(shard));
            }
        }
    }

    fn turn_of_the_clients(&mut self) {
        for client in 0..self.clients.len() {
            let client = ClientNo(client);
            if self.dice.chance(750) {
                self.listen(client);
            }
            self.keep_busy(client);
            match self.dice.below(4) {
                0 => {}
                3 => self.acknowledge(client, true),
                _ => self.acknowledge(client, false),
            }
            self.with(client, |client, desk| client.ping_if_due(desk));
        }
    }

    /// Has a client do what clients do of themselves: connect, and ask for something.
    fn keep_busy(&mut self, client: ClientNo) {
        if !self.clients[client.0].has_link() {
            if self.dice.chance(120) {
                self.greet(client);
            }
        } else if self.clients[client.0].filters().is_empty() && self.dice.chance(100) {
            self.subscribe_some(client);
        }
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Rules => {
                let rules = setup::draw_rules(&mut self.dice, &self.setup.accounts);
                self.set_rules(rules);
            }
            Deed::Account => self.change_account(),
            Deed::Crash => self.crash(),
            Deed::Stop => self.stop(),
            _ => {
                let client = ClientNo(self.dice.below(self.clients.len()));
                self.act_as(client, deed);
            }
        }
    }

    fn act_as(&mut self, client: ClientNo, deed: Deed) {
        match deed {
            Deed::Connect => self.greet(client),
            Deed::Publish => self.publish_some(client),
            Deed::Subscribe => self.subscribe_some(client),
            Deed::Unsubscribe => {
                let filters = self.clients[client.0].filters().to_vec();
                let filter = self.dice.pick(&filters).cloned();
                self.unsubscribe(client, filter.into_iter().collect());
            }
            Deed::Disconnect => {
                let reason = self.dice.one_of([ReasonCode::Success, ReasonCode::DisconnectWithWill]);
                let expiry = self.dice.one_of([None, None, Some(0), Some(3), Some(400)]);
                self.disconnect(client, reason, expiry);
            }
            Deed::BreakLink => self.break_link(client),
            Deed::Forget => self.forget(client),
            Deed::StopReading => self.stop_reading(client),
            Deed::Cut => self.cut_some(client),
            Deed::Stall => {
                let until = self.now().mono.saturating_add(Millis(self.dice.between(5, 5_000) as u64));
                let from_client = self.dice.chance(500);
                if let Some(link) = self.link_of(client) {
                    self.stall(link, until, from_client);
                }
            }
            Deed::Rudeness => self.be_rude(client),
            Deed::Rules | Deed::Account | Deed::Crash | Deed::Stop => {}
        }
    }

    // Clients.

    /// Connects a client that has no link, and now and then one that has: it takes its own session over.
    fn greet(&mut self, client: ClientNo) {
        if self.clients[client.0].has_link() && !self.dice.chance(80) {
            return;
        }
        let hello = self.draw_hello(client);
        let link = self.connect(client, hello);
        if self.dice.chance(100) {
            let bytes = self.dice.between(40, 400);
            self.narrow(link, bytes);
        }
        if self.dice.chance(100) {
            let draft = self.draw_draft(client);
            self.publish_unasked(client, draft);
        }
    }

    fn draw_hello(&mut self, client: ClientNo) -> Hello {
        let this = &self.clients[client.0];
        let (version, must_start_clean) = (this.setup().version, this.must_start_clean());
        let (epoch, _) = self.account(AccountNo(this.setup().account));
        let dice = &mut self.dice;
        let is_v5 = version == Version::V5;
        let stale = u64::from(dice.chance(20));
        let mut hello = Hello {
            version,
            clean_start: must_start_clean || dice.chance(80),
            keep_alive: dice.one_of([0, 5, 20, 60]),
            session_expiry: dice
                .one_of([None, Some(0), Some(2), Some(60), Some(600), Some(600), Some(700), Some(u32::MAX)])
                .filter(|_| is_v5),
            receive_maximum: dice.one_of([None, None, Some(1), Some(2), Some(5)]).filter(|_| is_v5),
            maximum_packet_size: dice.one_of([None, None, None, Some(70), Some(500)]).filter(|_| is_v5),
            topic_alias_maximum: dice.one_of([None, Some(3)]).filter(|_| is_v5),
            epoch: epoch.saturating_sub(stale),
            will: None,
        };
        if self.dice.chance(350) {
            let mut message = self.draw_message(client);
            message.expiry = message.expiry.filter(|_| is_v5);
            let delay = self.dice.one_of([0, 0, 2, 30]);
            hello.will = Some(Will { message, delay: if is_v5 { delay } else { 0 } });
        }
        hello
    }

    fn draw_message(&mut self, client: ClientNo) -> Publish {
        let number = self.new_message();
        let topic = self.draw_topic(client);
        let dice = &mut self.dice;
        Publish {
            number: Some(number),
            topic,
            alias: None,
            qos: draw_qos(dice),
            id: None,
            retain: dice.chance(250),
            dup: false,
            expiry: dice.one_of([None, None, None, Some(1), Some(5), Some(300)]),
            subscription_ids: Vec::new(),
        }
    }

    /// Draws a topic; a device mostly has its own.
    fn draw_topic(&mut self, client: ClientNo) -> String {
        let identity = self.clients[client.0].identity().clone();
        let own = matches!(identity, keyward_ids::Identity::Device(_)) && self.dice.chance(600);
        match own {
            true => format!("{}/{}", identity.name(), self.dice.one_of(["a", "b"])),
            false => self.dice.one_of(setup::TOPICS).to_owned(),
        }
    }

    fn publish_some(&mut self, client: ClientNo) {
        for _ in 0..self.dice.one_of([1, 1, 2, 5]) {
            if !self.is_open(client) {
                return;
            }
            let draft = self.draw_draft(client);
            self.publish(client, draft);
        }
    }

    fn draw_draft(&mut self, client: ClientNo) -> Draft {
        let Publish { number, topic, qos, retain, expiry, .. } = self.draw_message(client);
        let erases = retain && self.dice.chance(150);
        let number = if erases { None } else { number };
        Draft { number, topic, qos, retain, expiry, large: self.dice.chance(40) }
    }

    fn subscribe_some(&mut self, client: ClientNo) {
        let mut filters: Vec<(String, SubscribeOptions)> = Vec::new();
        for _ in 0..self.dice.one_of([1, 1, 1, 2, 3]) {
            let filter = self.dice.one_of(setup::FILTERS).to_owned();
            let dice = &mut self.dice;
            let is_v5 = self.clients[client.0].setup().version == Version::V5;
            let is_shared = filter.starts_with("$share/");
            let options = SubscribeOptions {
                qos: draw_qos(dice),
                // A shared subscription must not have it [MQTT-3.8.3-4].
                no_local: is_v5 && !is_shared && dice.chance(150),
                retain_as_published: is_v5 && dice.chance(300),
                retain_handling: match is_v5 {
                    true => {
                        dice.one_of([RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never])
                    }
                    false => RetainHandling::Always,
                },
            };
            filters.push((filter, options));
        }
        let id = self.dice.chance(300).then(|| self.dice.between(1, 200) as u32);
        self.subscribe(client, filters, id);
    }

    fn stop_reading(&mut self, client: ClientNo) {
        let reads = self.dice.chance(500);
        self.set_reading(client, reads);
        if let (false, Some(link)) = (reads, self.link_of(client)) {
            let bytes = self.dice.between(0, 600);
            self.narrow(link, bytes);
        }
    }

    fn cut_some(&mut self, client: ClientNo) {
        let Some(link) = self.link_of(client) else { return };
        let cut = self.dice.one_of([
            Cut::Known,
            Cut::Known,
            Cut::UnknownToBroker,
            Cut::UnknownToClient,
            Cut::Unknown,
        ]);
        let bytes = self.dice.between(0, 120);
        let from_client = self.dice.chance(500);
        self.cut_after(link, bytes, from_client, cut);
        // Whoever learns nothing gives up some time.
        if self.dice.chance(200) {
            self.break_link(client);
        }
    }

    // The operator.

    /// Changes the standing of an account, as the registry does: what takes a credential away begins another epoch.
    fn change_account(&mut self) {
        let accounts: Vec<AccountNo> = (0..self.setup.accounts.len()).map(AccountNo).collect();
        let ended = accounts.iter().find(|account| self.account(**account).1 != Standing::Active).copied();
        // Who is shut out is mostly let in again soon, or nobody would be left.
        let account = match ended {
            Some(account) if self.dice.chance(700) => account,
            _ => AccountNo(self.dice.below(accounts.len())),
        };
        let (epoch, standing) = self.account(account);
        let (keep_messages, publish_will) = (self.dice.chance(500), self.dice.chance(500));
        let next = match standing {
            Standing::Active => self.dice.weighted(&[
                (3, (epoch, Standing::Disabled)),
                (3, (epoch, Standing::Revoked { keep_messages, publish_will })),
                (1, (epoch, Standing::Removed)),
                (2, (epoch + 1, Standing::Active)),
            ]),
            Standing::Disabled => Some((epoch, Standing::Active)),
            Standing::Revoked { .. } => {
                self.dice.weighted(&[(2, (epoch, Standing::Removed)), (3, (epoch + 1, Standing::Active))])
            }
            Standing::Removed => Some((epoch + 1, Standing::Active)),
        };
        if let Some((epoch, standing)) = next {
            self.set_account(account, epoch, standing);
        }
    }
}

fn draw_qos(dice: &mut Dice) -> Qos {
    dice.one_of([Qos::AtMostOnce, Qos::AtLeastOnce, Qos::AtLeastOnce, Qos::ExactlyOnce, Qos::ExactlyOnce])
}

//! The JSON of the dynamic-security plugin: clients, groups and roles, as plain values in the order in which they decide.

use crate::{Place, Wrong, limits};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use zeroize::Zeroizing;

/// The highest priority, and below zero the lowest. Mosquitto's commands give no others; of others in a file 2.0.11 takes the number, and
/// later versions this bound.
const PRIORITY_MAX: i64 = 100_000;

/// Is what the file says.
pub struct Security {
    /// What is decided where no rule speaks.
    pub defaults: Defaults,
    /// Those who may log in.
    pub clients: Vec<Client>,
    /// What clients without a user name may do; `None` if no group is named for them.
    pub anonymous: Option<Vec<Rule>>,
}

/// Is one client.
pub struct Client {
    /// The name.
    pub name: String,
    /// The only client id with which it gets in, if there is one.
    pub client_id: Option<String>,
    /// Whether it is kept out.
    pub disabled: bool,
    /// The hash of its password, in the form of a password file.
    pub hash: Option<Zeroizing<String>>,
    /// Its rules; the first that matches decides.
    pub rules: Vec<Rule>,
}

/// Says what is decided where no rule speaks: nothing is allowed that is not named, as 2.0.11 reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Defaults {
    /// Whether clients may publish.
    pub publish_client_send: bool,
    /// Whether messages are delivered.
    pub publish_client_receive: bool,
    /// Whether subscriptions are granted.
    pub subscribe: bool,
    /// Whether subscriptions may be ended.
    pub unsubscribe: bool,
}

/// Names what a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Publishing.
    PublishClientSend,
    /// Being handed a message.
    PublishClientReceive,
    /// Subscribing to this very filter.
    SubscribeLiteral,
    /// Subscribing to a filter that this one covers.
    SubscribePattern,
    /// Ending the subscription to this very filter.
    UnsubscribeLiteral,
    /// Ending the subscription to a filter that this one covers.
    UnsubscribePattern,
}

/// Is one rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is about.
    #[serde(rename = "acltype")]
    pub kind: Kind,
    /// The topic filter.
    pub topic: String,
    /// Higher decides earlier.
    #[serde(default)]
    pub priority: i64,
    /// Whether it allows.
    #[serde(default)]
    pub allow: bool,
}

/// Is the value of a key that decides nothing.
type Idle = Option<serde::de::IgnoredAny>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "defaultACLAccess", default)]
    defaults: Defaults,
    #[serde(default)]
    clients: Vec<FileClient>,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(rename = "anonymousGroup")]
    anonymous_group: Option<String>,
    #[serde(rename = "changeIndex")]
    _change_index: Idle,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileClient {
    username: String,
    clientid: Option<String>,
    #[serde(default)]
    disabled: bool,
    encoded_password: Option<Hidden>,
    password: Option<Hidden>,
    salt: Option<String>,
    iterations: Option<u32>,
    #[serde(default)]
    roles: Vec<RoleName>,
    #[serde(default)]
    groups: Vec<GroupName>,
    #[serde(rename = "textname", alias = "textName")]
    _text_name: Idle,
    #[serde(rename = "textdescription", alias = "textDescription")]
    _text_description: Idle,
}

/// Is a text that is wiped.
struct Hidden(Zeroizing<String>);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    groupname: String,
    #[serde(default)]
    roles: Vec<RoleName>,
    #[serde(default)]
    clients: Vec<ClientName>,
    #[serde(rename = "textname", alias = "textName")]
    _text_name: Idle,
    #[serde(rename = "textdescription", alias = "textDescription")]
    _text_description: Idle,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientName {
    username: String,
    #[serde(default = "unset_priority")]
    priority: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleName {
    rolename: String,
    #[serde(default = "unset_priority")]
    priority: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupName {
    groupname: String,
    #[serde(default = "unset_priority")]
    priority: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    rolename: String,
    #[serde(default)]
    acls: Vec<Rule>,
    #[serde(rename = "allowwildcardsubs", default = "yes")]
    allows_wildcards: bool,
    #[serde(rename = "textname", alias = "textName")]
    _text_name: Idle,
    #[serde(rename = "textdescription", alias = "textDescription")]
    _text_description: Idle,
}

fn yes() -> bool {
    true
}

/// Returns the priority of a role or a group that names none; that of a rule is 0.
fn unset_priority() -> i64 {
    -1
}

/// Reads the file. Keys that stand twice, in whatever object is read, are refused.
///
/// # Errors
/// [`Wrong`] with the line, if the text is no such file or is beyond a bound.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Security, Wrong> {
    let wrong = |line: usize, what: String| Wrong {
        place: Place { file: file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX) },
        what,
    };
    if bytes.len() > limits::MAX_FILE_BYTES {
        return Err(wrong(0, format!("is longer than {} bytes", limits::MAX_FILE_BYTES)));
    }
    let parsed: File = serde_json::from_slice(bytes).map_err(|error| {
        // What the parser says may hold a value of the file; the kind of error does not.
        let what = match error.classify() {
            serde_json::error::Category::Eof => "ends too early",
            serde_json::error::Category::Syntax => "is no JSON from here on",
            _ => {
                "holds a key twice, lacks one, or has one or a value of a kind that dynamic security is not known to write"
            }
        };
        wrong(error.line(), what.to_owned())
    })?;
    let rules: usize = parsed.roles.iter().map(|role| role.acls.len()).sum();
    let entries = parsed.clients.len().max(parsed.groups.len()).max(parsed.roles.len());
    if entries > limits::MAX_ENTRIES || rules > limits::MAX_RULES {
        return Err(wrong(
            0,
            format!("more than {} entries or {} rules", limits::MAX_ENTRIES, limits::MAX_RULES),
        ));
    }
    check_priorities(&parsed).map_err(|what| wrong(0, what))?;
    Resolver::new(&parsed).map_err(|what| wrong(0, what))?.security(&parsed).map_err(|what| wrong(0, what))
}

/// Follows names.
struct Resolver<'f> {
    roles: BTreeMap<&'f str, &'f Role>,
    groups: BTreeMap<&'f str, &'f Group>,
    /// The groups of each client, with their priorities.
    memberships: BTreeMap<&'f str, BTreeMap<&'f str, i64>>,
}

impl<'f> Resolver<'f> {
    fn new(file: &'f File) -> Result<Self, String> {
        let mut it = Self { roles: BTreeMap::new(), groups: BTreeMap::new(), memberships: BTreeMap::new() };
        for role in &file.roles {
            if !role.allows_wildcards {
                return Err(format!(
                    "the role {} has allowwildcardsubs false: that only filters without wildcards are granted cannot be \
                     written here; set it to true if that may be",
                    crate::shown(&role.rolename)
                ));
            }
            check_rules(role)?;
            if it.roles.insert(&role.rolename, role).is_some() {
                return Err(format!("the role {} stands there twice", crate::shown(&role.rolename)));
            }
        }
        for group in &file.groups {
            if it.groups.insert(&group.groupname, group).is_some() {
                return Err(format!("the group {} stands there twice", crate::shown(&group.groupname)));
            }
            for client in &group.clients {
                let of_client = it.memberships.entry(&client.username).or_default();
                if of_client.insert(&group.groupname, client.priority).is_some() {
                    let [group, client] = [&group.groupname, &client.username].map(|name| crate::shown(name));
                    return Err(format!("the group {group} has the client {client} twice; take one out"));
                }
            }
        }
        file.clients.iter().try_for_each(|client| it.check_groups(client))?;
        Ok(it)
    }

    /// Refuses groups of a client that do not have it: who is in a group, and with which priority, the group says.
    fn check_groups(&self, client: &FileClient) -> Result<(), String> {
        let held = self.memberships.get(client.username.as_str());
        for GroupName { groupname, priority } in &client.groups {
            let [client, group] = [&client.username, groupname].map(|name| crate::shown(name));
            match held.and_then(|held| held.get(groupname.as_str())) {
                Some(held) if held == priority => {}
                Some(held) => {
                    return Err(format!(
                        "the client {client} has the group {group} with priority {priority}, and the group has it with {held}, which \
                         is what Mosquitto reads; write one of them in both places"
                    ));
                }
                None => {
                    return Err(format!(
                        "the client {client} names the group {group}, and the clients of that group do not have it, so it is no member \
                         for Mosquitto; add it there, or take the group out of the client"
                    ));
                }
            }
        }
        Ok(())
    }

    fn security(&self, file: &File) -> Result<Security, String> {
        let (mut clients, mut names) = (Vec::new(), BTreeSet::new());
        for client in &file.clients {
            if !names.insert(&client.username) {
                return Err(format!("the client {} stands there twice", crate::shown(&client.username)));
            }
            clients.push(Client {
                name: client.username.clone(),
                client_id: client.clientid.clone(),
                disabled: client.disabled,
                hash: hash(client),
                rules: self.rules_of_client(client)?,
            });
        }
        let anonymous =
            file.anonymous_group.as_deref().map(|group| self.rules_of_group(group)).transpose()?;
        Ok(Security { defaults: file.defaults, clients, anonymous })
    }

    /// Lists the rules of a client in the order in which they decide: its own roles before those of its groups.
    fn rules_of_client(&self, client: &FileClient) -> Result<Vec<Rule>, String> {
        let mut rules =
            self.rules_of_roles(&format!("the client {}", crate::shown(&client.username)), &client.roles)?;
        let none = BTreeMap::new();
        let groups = self.memberships.get(client.username.as_str()).unwrap_or(&none);
        let mut groups: Vec<_> = groups.iter().map(|(name, priority)| (-*priority, *name)).collect();
        groups.sort_unstable();
        for (_, group) in groups {
            rules.extend(self.rules_of_group(group)?);
        }
        Ok(rules)
    }

    fn rules_of_group(&self, name: &str) -> Result<Vec<Rule>, String> {
        let group =
            self.groups.get(name).ok_or_else(|| format!("there is no group {}", crate::shown(name)))?;
        self.rules_of_roles(&format!("the group {}", crate::shown(name)), &group.roles)
    }

    /// Lists the rules of these roles, which `holder` has.
    fn rules_of_roles(&self, holder: &str, names: &[RoleName]) -> Result<Vec<Rule>, String> {
        let mut names: Vec<_> = names.iter().map(|role| (-role.priority, role.rolename.as_str())).collect();
        names.sort_unstable();
        let mut seen = BTreeSet::new();
        let mut rules = Vec::new();
        for (_, name) in names {
            if !seen.insert(name) {
                return Err(format!("{holder} has the role {} twice; take one out", crate::shown(name)));
            }
            let role =
                self.roles.get(name).ok_or_else(|| format!("there is no role {}", crate::shown(name)))?;
            let mut acls: Vec<Rule> = role.acls.clone();
            // Literal filters are looked up before all patterns. Stable: equal priorities stay as they stand.
            acls.sort_by_key(|rule| (rule.kind != Kind::SubscribeLiteral, -rule.priority));
            rules.extend(acls);
        }
        Ok(rules)
    }
}

/// Refuses two rules of a role about one thing: which of them counts depends on the version that reads them.
fn check_rules(role: &Role) -> Result<(), String> {
    let mut seen = HashSet::new();
    match role.acls.iter().find(|rule| !seen.insert((rule.kind, rule.topic.as_str()))) {
        Some(rule) => {
            let [name, topic] = [&role.rolename, &rule.topic].map(|text| crate::shown(text));
            Err(format!("the role {name} has two rules of one kind for {topic}; take one out"))
        }
        None => Ok(()),
    }
}

/// Refuses priorities whose order depends on the version that reads them.
fn check_priorities(file: &File) -> Result<(), String> {
    let roles = file.clients.iter().flat_map(|client| &client.roles);
    let roles = roles.chain(file.groups.iter().flat_map(|group| &group.roles)).map(|role| role.priority);
    let groups = file.clients.iter().flat_map(|client| &client.groups).map(|group| group.priority);
    let members = file.groups.iter().flat_map(|group| &group.clients).map(|client| client.priority);
    let acls = file.roles.iter().flat_map(|role| &role.acls).map(|rule| rule.priority);
    match roles
        .chain(groups)
        .chain(members)
        .chain(acls)
        .find(|it| !(-PRIORITY_MAX..=PRIORITY_MAX).contains(it))
    {
        Some(beyond) => Err(format!(
            "a priority is {beyond}: versions of Mosquitto differ in what decides first beyond {PRIORITY_MAX}; write one between \
             -{PRIORITY_MAX} and {PRIORITY_MAX}"
        )),
        None => Ok(()),
    }
}

/// Returns the hash of a client's password as a password file has it; 2.0 keeps it in three parts.
fn hash(client: &FileClient) -> Option<Zeroizing<String>> {
    if let Some(encoded) = &client.encoded_password {
        return Some(encoded.0.clone());
    }
    let (password, salt, rounds) = (client.password.as_ref()?, client.salt.as_ref()?, client.iterations?);
    Some(Zeroizing::new(format!("$7${rounds}${salt}${}", password.0.as_str())))
}

#[cfg(test)]
mod tests;

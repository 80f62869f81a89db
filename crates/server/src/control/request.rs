//! What an operator can ask for.

use super::{
    accounts::{DeviceAdd, DeviceRevoke, NewPassword, PresetGive, UserAdd},
    certificates::{AuthorityBind, AuthorityTrust, ServerCertificateImport},
    invitations::DeviceInvite,
    keys::{DeviceRekey, KeysAdd},
    places::PlaceChange,
    sealing::SealCommand,
    secret::Der,
};
use crate::doctor::Profile;
use serde::{Deserialize, Serialize};

/// Holds one request of an operator. Names are text as typed; [`crate::admin::Admin`] parses and refuses them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Request {
    /// Asks how the broker is. Answer: [`super::Response::Status`].
    Status,
    /// Asks whether everybody in the running broker answers. Answer: [`super::Response::Health`].
    Health,
    /// Looks for what is weak. Answer: [`super::Response::Diagnosis`].
    Doctor {
        /// What the installation is held to.
        profile: Profile,
    },
    /// Adds a device. Answer: [`super::Response::DeviceAdded`].
    DeviceAdd(DeviceAdd),
    /// Lists the devices. Answer: [`super::Response::Devices`].
    DeviceList,
    /// Shows one device. Answer: [`super::Response::Device`].
    DeviceShow {
        /// The device.
        id: String,
    },
    /// Says what a thief has who holds a device. Answer: [`super::Response::Exposure`].
    DeviceExposure {
        /// The device.
        id: String,
    },
    /// Says where a device stands. Answer: [`super::Response::Changed`].
    DevicePlace {
        /// The device.
        id: String,
        /// What is said.
        place: PlaceChange,
    },
    /// Says that a person moved a device on purpose. Answer: [`super::Response::Changed`].
    DeviceMoved {
        /// The device.
        id: String,
        /// Why, in one line; empty if nothing is said.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        because: String,
    },
    /// Says that somebody works somewhere. Answer: [`super::Response::Changed`].
    MaintenanceBegin {
        /// On what: `device:ID`, `site:NAME`, `gateway:SITE/NAME`, `circuit:SITE/NAME`, `everything`.
        scope: String,
        /// For how many seconds, from 60 to 604,800.
        seconds: u64,
        /// Why, in one line.
        because: String,
    },
    /// Lists where somebody works. Answer: [`super::Response::Maintenance`].
    MaintenanceList,
    /// Says that nobody works there any more. Answer: [`super::Response::Changed`].
    MaintenanceEnd {
        /// On what.
        scope: String,
    },
    /// Shuts a device out until it is enabled. Answer: [`super::Response::Changed`].
    DeviceDisable {
        /// The device.
        id: String,
    },
    /// Lets a disabled device in again. Answer: [`super::Response::Changed`].
    DeviceEnable {
        /// The device.
        id: String,
    },
    /// Puts a device into quarantine. Answer: [`super::Response::Changed`].
    DeviceQuarantine {
        /// The device.
        id: String,
        /// Why, in one line.
        because: String,
    },
    /// Releases a device from quarantine. Answer: [`super::Response::Changed`].
    DeviceRelease {
        /// The device.
        id: String,
    },
    /// Shuts a device out for ever, with all its credentials. Answer: [`super::Response::Changed`].
    DeviceRevoke(DeviceRevoke),
    /// Removes a device; its id stays as a tombstone. Answer: [`super::Response::Changed`].
    DeviceRemove {
        /// The device.
        id: String,
    },
    /// Draws a claim code for a device, which is added if it is not there. Answer: [`super::Response::DeviceInvited`].
    DeviceInvite(DeviceInvite),
    /// Voids the claim code of a device. Answer: [`super::Response::Changed`].
    DeviceUninvite {
        /// The device.
        id: String,
    },
    /// Takes all message keys away from a device and gives it another one, or a claim code. Answer: [`super::Response::Changed`], or
    /// [`super::Response::DeviceInvited`] with a code.
    DeviceRekey(DeviceRekey),
    /// Gives a device a password, in place of the one that it had; its certificates stay. Answer:
    /// [`super::Response::DeviceAdded`].
    DevicePasswd {
        /// The device.
        id: String,
        /// The password.
        password: NewPassword,
    },
    /// Lets the public key of a removed or revoked device be used again. Answer: [`super::Response::Changed`].
    DeviceReleaseKey {
        /// The device that held the key.
        id: String,
        /// The key, 64 hexadecimal digits; without it the only key that the device holds.
        key: Option<String>,
    },
    /// Lists message keys. Answer: [`super::Response::MessageKeys`].
    KeysList {
        /// The device; without it all devices that have some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// Registers a key by which messages of a device are verified. Answer: [`super::Response::MessageKeys`].
    KeysAdd(KeysAdd),
    /// Lets what is signed by a message key be accepted for a while only. Answer: [`super::Response::Changed`].
    KeysRetire {
        /// The device.
        id: String,
        /// The key, 16 hexadecimal digits.
        kid: String,
        /// For how many seconds.
        overlap_secs: u64,
    },
    /// Takes a message key away from a device. Answer: [`super::Response::Changed`].
    KeysWithdraw {
        /// The device.
        id: String,
        /// The key, 16 hexadecimal digits.
        kid: String,
    },
    /// Lists the keys of the server that devices believe. Answer: [`super::Response::ServerKeys`].
    KeysServer,
    /// Makes another key that signs commands. Answer: [`super::Response::Changed`].
    KeysRotateCommand {
        /// After how many seconds it signs.
        lead_secs: u64,
        /// For how many seconds more the old ones are believed.
        overlap_secs: u64,
    },
    /// Signs a command to a device or to a group. Answer: [`super::Response::Sealed`].
    SealCommand(Box<SealCommand>),
    /// Makes a group whose members share a key. Answer: [`super::Response::Changed`].
    GroupCreate {
        /// Its name.
        name: String,
    },
    /// Deletes a group. Answer: [`super::Response::Changed`].
    GroupDelete {
        /// The group.
        name: String,
    },
    /// Makes devices or users members of a group. Answer: [`super::Response::Changed`].
    GroupAdd {
        /// The group.
        name: String,
        /// Who: a device's id, `device:ID` or `user:NAME`.
        who: Vec<String>,
    },
    /// Takes members out of a group. Answer: [`super::Response::Changed`].
    GroupRemove {
        /// The group.
        name: String,
        /// Who, likewise.
        who: Vec<String>,
    },
    /// Lists the groups. Answer: [`super::Response::Groups`].
    GroupList,
    /// Shows one group. Answer: [`super::Response::Group`].
    GroupShow {
        /// The group.
        name: String,
    },
    /// Gives a group a new key. Answer: [`super::Response::Changed`].
    GroupRotate {
        /// The group.
        name: String,
    },
    /// Hands the key of a group out. Answer: [`super::Response::GroupKey`].
    GroupKey {
        /// The group.
        name: String,
        /// Which epoch; the current one without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<u32>,
    },
    /// Adds a user. Answer: [`super::Response::UserAdded`].
    UserAdd(UserAdd),
    /// Lists the users. Answer: [`super::Response::Users`].
    UserList,
    /// Removes a user; its name stays as a tombstone. Answer: [`super::Response::Changed`].
    UserRemove {
        /// The user.
        name: String,
    },
    /// Gives a user another password. Answer: [`super::Response::UserAdded`].
    UserPasswd {
        /// The user.
        name: String,
        /// The new password.
        password: NewPassword,
    },
    /// Accepts client certificates of an authority of others. Answer: [`super::Response::TrustedAuthorities`].
    AuthorityTrustAdd(AuthorityTrust),
    /// Lists those authorities. Answer: [`super::Response::TrustedAuthorities`].
    AuthorityTrustList,
    /// Replaces the lists of revoked certificates of one. Answer: [`super::Response::Changed`].
    AuthorityTrustRevocations {
        /// The authority.
        name: String,
        /// The lists: a PEM file, or DER of a single one.
        revocations: Der,
    },
    /// Lets one be used again after a restore. Answer: [`super::Response::Changed`].
    AuthorityTrustConfirm {
        /// The authority.
        name: String,
    },
    /// Accepts nothing of it any more. Answer: [`super::Response::Changed`].
    AuthorityTrustRemove {
        /// The authority.
        name: String,
    },
    /// Lets a common name in its certificates stand for an identity. Answer: [`super::Response::Changed`].
    AuthorityTrustBind(AuthorityBind),
    /// Lets it stand for nobody again. Answer: [`super::Response::Changed`].
    AuthorityTrustUnbind {
        /// The authority.
        name: String,
        /// The common name.
        common_name: String,
    },
    /// Says whether an identity may log in on plain listeners, and with its password nowhere else; its links are closed.
    /// Answer: [`super::Response::Changed`].
    MarkPlain {
        /// `device:ID` or `user:NAME`.
        identity: String,
        /// Whether it may.
        plain: bool,
    },
    /// Gives the rules of a preset to somebody who is there already. Answer: [`super::Response::Changed`].
    PresetGive(PresetGive),
    /// Takes the rules of its preset away from somebody. Answer: [`super::Response::Changed`].
    PresetTake {
        /// `device:ID` or `user:NAME`.
        identity: String,
    },
    /// Loads the rule files without putting them in force and reports what is odd. Answer:
    /// [`super::Response::PolicyChecked`].
    PolicyCheck,
    /// Asks the function that decides. Answer: [`super::Response::PolicyExplained`].
    PolicyExplain(PolicyExplain),
    /// Lists what was refused. Answer: [`super::Response::Denials`].
    Denials {
        /// How far back to look, in seconds; without it everything that is remembered.
        since_secs: Option<u64>,
    },
    /// Lists what was ever taken away from identities. Answer: [`super::Response::StoreRevoked`].
    StoreRevoked,
    /// Lets identities act again that were not confirmed since a restore. Answer: [`super::Response::Changed`].
    StoreConfirm {
        /// `device:ID` or `user:NAME`, as many as a request has room for.
        identities: Vec<String>,
    },
    /// Lets all of them act again. Answer: [`super::Response::Changed`].
    StoreConfirmAll,
    /// Adds a name to the server certificate and reissues it. Answer: [`super::Response::ServerNames`].
    ServerNameAdd {
        /// A DNS name or an IP address.
        name: String,
    },
    /// Lists the names of the server certificate. Answer: [`super::Response::ServerNames`].
    ServerNameList,
    /// Removes a name from the server certificate and reissues it. Answer: [`super::Response::ServerNames`].
    ServerNameRemove {
        /// A DNS name or an IP address.
        name: String,
    },
    /// Takes over a certificate of this server that another authority made. Answer:
    /// [`super::Response::ServerCertificates`].
    ServerCertificateImport(ServerCertificateImport),
    /// Lists those that were taken over. Answer: [`super::Response::ServerCertificates`].
    ServerCertificateList,
    /// Forgets one, and its key. Answer: [`super::Response::Changed`].
    ServerCertificateRemove {
        /// Its name here.
        name: String,
    },
    /// Opens another listener and writes it into `keyward.toml`. Answer: [`super::Response::Listeners`].
    ListenerAdd(ListenerAdd),
    /// Lists the listeners. Answer: [`super::Response::Listeners`].
    ListenerList,
    /// Closes a listener and removes it from `keyward.toml`. Answer: [`super::Response::Listeners`].
    ListenerRemove {
        /// The listener's name.
        name: String,
    },
    /// Lists incidents that the watch found, the newest last. Answer: [`super::Response::Incidents`].
    IncidentList {
        /// Whether those too that are over.
        all: bool,
    },
    /// Returns one incident. Answer: [`super::Response::Incident`].
    IncidentShow {
        /// Its number.
        number: u64,
    },
    /// Says what the watch knows of a device. Answer: [`super::Response::Explained`].
    WatchExplain {
        /// The device, as `pump-1` or `device:pump-1`.
        device: String,
    },
    /// Says that somebody looks after an incident. Answer: [`super::Response::Changed`].
    IncidentAck {
        /// Its number.
        number: u64,
        /// What they note.
        note: String,
    },
    /// Says what an incident was. Answer: [`super::Response::Changed`].
    IncidentResolve {
        /// Its number.
        number: u64,
        /// What it was.
        verdict: super::IncidentVerdict,
        /// What they note.
        note: String,
    },
    /// Sends a test to each place that is told of incidents. Answer: [`super::Response::NotifyTested`].
    NotifyTest,
    /// Lists the addresses that are banned. Answer: [`super::Response::Bans`].
    BanList,
    /// Ends the ban of an address. Answer: [`super::Response::Changed`].
    BanLift {
        /// The address; of an IPv6 network any.
        address: String,
    },
    /// Reads configuration, rules and certificates again: all of it or nothing. Answer:
    /// [`super::Response::Reloaded`].
    Reload,
    /// Accepts the clock as it is, after it stood in doubt. Answer: [`super::Response::Changed`].
    ClockAccept,
    /// Lists the newest changes of the ledger. Answer: [`super::Response::Audit`].
    Audit {
        /// How many at most, newest last; at most 1,000.
        last: Option<usize>,
    },
    /// Asks for what a backup needs of a running broker: the ledger and rows of the message store, as a stream. Answers:
    /// [`super::Response::StoreBackupBegun`], the stream, [`super::Response::StoreBackupDone`].
    StoreBackup {
        /// Whether sessions and messages are wanted.
        messages: bool,
    },
    /// Reads all that is stored and says what is wrong; the stream says how many rows were read (`u64`, big-endian, the last
    /// counts). Answers: [`super::Response::StoreCheckBegun`], the stream, [`super::Response::StoreChecked`].
    StoreCheck,
}

/// Asks what one identity may do with one topic.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyExplain {
    /// `device:ID` or `user:NAME`.
    pub identity: String,
    /// With which client id; `None` if that is not said.
    #[serde(default)]
    pub client: Option<String>,
    /// What it would do.
    pub action: ExplainAction,
    /// A topic name, or for `subscribe` a topic filter.
    pub topic: String,
}

/// Names an action that rules decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainAction {
    /// To publish to a topic.
    Publish,
    /// To subscribe to a filter.
    Subscribe,
    /// To receive a message of a topic.
    Receive,
}

/// Asks for another listener.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerAdd {
    /// Its name: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// The address to bind; without it all addresses, IPv4 and IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The TCP port; 0 lets the system choose. Without it a `socket` is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The absolute path of a Unix socket, in place of address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// The permissions of its file, as in `keyward.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket_mode: Option<String>,
    /// What a client must show, as in `keyward.toml`; without it `certificate or password` over TLS, else `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Whether the listener speaks plain MQTT without TLS; beyond loopback addresses only with `from`.
    #[serde(default)]
    pub plain: bool,
    /// The networks whose clients may connect; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// The user that a client becomes which shows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous_as: Option<String>,
    /// The authorities of others whose certificates count there; `None`: all that are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Vec<String>>,
    /// Whether MQTT travels in WebSocket frames.
    #[serde(default)]
    pub websocket: bool,
    /// The origins whose pages may connect over WebSocket; empty: nothing is said of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
}

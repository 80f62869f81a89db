//! How an installation comes into being: authorities, keys, the first record of the ledger.

use crate::{
    authority::{NewAuthorities, Role, SigningKey, draw_serial, inspect, validity},
    events::Event,
    files,
    ledger::Ledger,
    limits,
    names::{NameOrigin, ServerNames},
    opening::{InitOptions, OpenError},
    password::Pepper,
    secret::random,
    store::{Places, io_error},
    vault::{KeyFile, Vault},
};
use keyward_ids::InstallationId;

/// Fills the places of a new installation: keys first, the ledger last.
pub(crate) fn found(places: &Places, options: &InitOptions<'_>) -> Result<(), OpenError> {
    let installation = InstallationId::from_random(random()?);
    let made = NewAuthorities::make(&installation, options.now, options.lifetimes)?;
    let server_key = SigningKey::generate()?;
    for (role, root) in [(Role::ServerRoot, &made.server_root), (Role::DeviceRoot, &made.device_root)] {
        let path = places.offline().join(format!("{}.key", role.file()));
        files::write_new(&path, root.key().to_pem().expose())?;
    }
    let mut vault = Vault::new(&places.keys(), options.protection.clone())?;
    for (role, authority) in
        [(Role::ServerIssuing, &made.server_issuing), (Role::DeviceIssuing, &made.device_issuing)]
    {
        vault.store_new(KeyFile::Authority(role), authority.key().pkcs8().expose())?;
    }
    vault.store_new(KeyFile::Server, server_key.pkcs8().expose())?;
    vault.store_new(KeyFile::Pepper, Pepper::draw()?.as_slice())?;
    let events = first_events(installation, &made, &server_key, options)?;
    files::create_private_dir(&places.ledger_draft())?;
    let mut ledger = Ledger::create(&places.ledger_draft())?;
    let draft = ledger.draft(options.now, options.actor, events)?;
    ledger.append(draft)?;
    std::fs::rename(places.ledger_draft(), places.ledger())
        .map_err(|source| io_error(&places.ledger(), "put in place", source))?;
    places.sync()
}

fn first_events(
    installation: InstallationId,
    made: &NewAuthorities,
    server_key: &SigningKey,
    options: &InitOptions<'_>,
) -> Result<Vec<Event>, OpenError> {
    let mut found = options.found_names.clone();
    found.truncate(limits::SERVER_NAMES.saturating_sub(options.added_names.len()));
    let mut names = ServerNames::default();
    names.refind(&found);
    options.added_names.iter().for_each(|name| names.set(name.clone(), NameOrigin::Added));
    if names.added_bytes() > limits::ADDED_NAME_BYTES {
        return Err(OpenError::NamesTooLong);
    }
    let certified = names.certified();
    if certified.is_empty() {
        return Err(OpenError::NoNames);
    }
    let issuer = &made.server_issuing;
    let validity = validity(options.now, options.lifetimes.server, issuer.not_after())?;
    let der = issuer.certify_server(&certified, server_key, &draw_serial()?, validity)?;
    let certificate = inspect(&der).ok_or_else(|| OpenError::Signing("unreadable".into()))?;
    let mut events = vec![Event::Initialised {
        installation,
        authorities: made.certificates(),
        server_key: server_key.id(),
    }];
    if options.accept_clock {
        events.push(Event::ClockAccepted { clock: options.now });
    }
    events.push(Event::ServerNamesFound { names: found });
    events.extend(options.added_names.iter().map(|name| Event::ServerNameAdded { name: name.clone() }));
    events.push(Event::ServerCertificateIssued { certificate, names: certified, der });
    Ok(events)
}

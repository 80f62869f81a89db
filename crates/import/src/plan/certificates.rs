//! Certificates of Mosquitto's listeners: the authority that certified the clients becomes a trusted one, and the listeners
//! go on showing what they showed.

use super::Plan;
use super::disk::Disk;
use keyward_identity::{ImportedCertificate, TrustedAuthority, WallTime};
use keyward_ids::UserId;
use keyward_mosquitto::conf::{Cited, Listener, NameFrom, Settings};
use keyward_mosquitto::{Fate, Place, Source, dynsec};
use keyward_server::admin::{check_authority, check_server_certificate};
use keyward_server::clock;
use keyward_server::control::{AuthorityTrust, Der, Proves};
use zeroize::Zeroizing;

/// Is an authority to be trusted.
pub struct OldAuthority {
    /// What the broker is asked for.
    pub trust: AuthorityTrust,
    read: TrustedAuthority,
}

impl OldAuthority {
    /// Returns the SHA-256 of its certificates.
    pub(crate) fn fingerprints(&self) -> Vec<String> {
        self.read.fingerprints()
    }

    /// Returns the subjects of its certificates, for people.
    pub fn subjects(&self) -> Vec<String> {
        self.read.subjects()
    }
}

/// Is a certificate of the server to be imported, with its key.
pub struct OldServer {
    /// Its name here.
    pub name: String,
    /// The certificate and those above it, as the file has them.
    pub chain: Vec<u8>,
    /// Its key, in PEM.
    pub key: Zeroizing<String>,
    /// The SHA-256 of its certificate.
    pub(crate) fingerprint: String,
}

/// Tells whether certificates name clients on some listener.
pub(super) fn name_clients(settings: &Settings) -> bool {
    settings.listeners.iter().any(|listener| proves(listener) == Some(Proves::CommonName))
}

/// Returns what certificates of clients prove on a listener; `None` if its authority lets nobody in.
fn proves(listener: &Listener) -> Option<Proves> {
    let has_authority = listener.cafile.is_some() || listener.capath.is_some();
    if !listener.is_tls() || !listener.require_certificate || !has_authority {
        return None;
    }
    match listener.name_from {
        Some(NameFrom::CommonName) => Some(Proves::CommonName),
        // A whole subject stands for nobody here.
        Some(NameFrom::Subject) => None,
        None => Some(Proves::None),
    }
}

/// Refuses users of `--certificate-users` whom no certificate names, and whom dynamic security keeps out.
pub(super) fn check_users(
    plan: &mut Plan,
    users: &[UserId],
    settings: &Settings,
    security: Option<&dynsec::Security>,
) {
    if !users.is_empty() && !name_clients(settings) {
        let why = "--certificate-users: no listener takes the names of clients from certificates (cafile, require_certificate, \
                   use_identity_as_username)";
        plan.refusals.push(why.to_owned());
    }
    for user in users {
        let Some(security) = security else { return };
        let client = security.clients.iter().find(|client| client.name == user.as_str());
        let why = match client {
            None => "is no client of dynamic security, which allows it nothing",
            Some(client) if client.disabled => "is disabled in dynamic security",
            Some(client) if client.client_id.is_some() => "gets in with one client id only",
            Some(_) => continue,
        };
        plan.refusals.push(format!("--certificate-users: {user} {why}"));
    }
}

/// Reads the certificates of all listeners into the plan.
pub(super) fn read(plan: &mut Plan, settings: &Settings, disk: &mut Disk) {
    for (number, listener) in settings.listeners.iter().enumerate().filter(|(_, it)| it.is_tls()) {
        server(plan, number, listener, disk);
        authority(plan, number, listener, disk);
    }
}

fn server(plan: &mut Plan, number: usize, listener: &Listener, disk: &mut Disk) {
    let (Some(cert), Some(key)) = (&listener.certfile, &listener.keyfile) else { return };
    let (Some(chain), Some(secret)) = (file(plan, cert, disk), file(plan, key, disk)) else { return };
    let checked = check_server_certificate(&chain, &secret, now()).map_err(|refusal| refusal.what);
    let read = checked.and_then(|_| {
        let certificate = ImportedCertificate::read(&chain, now()).map_err(|why| why.to_string())?;
        let text = std::str::from_utf8(&secret).map_err(|_| "the key is no PEM file".to_owned())?;
        Ok((Zeroizing::new(text.to_owned()), certificate.fingerprint()))
    });
    let (text, fingerprint) = match read {
        Ok(read) => read,
        Err(why) => {
            let (cert, key) = ((&cert.place, &cert.value), (&key.place, &key.value));
            plan.refusals.push(format!("{}: {} with {} ({}): {why}", cert.0, cert.1, key.1, key.0));
            return;
        }
    };
    let same = plan.servers.iter().find(|it| it.chain == *chain && it.key == text);
    let name = match same {
        Some(same) => same.name.clone(),
        None => {
            let name = format!("mosquitto-{}", plan.servers.len() + 1);
            let server = OldServer { name: name.clone(), chain: chain.to_vec(), key: text, fingerprint };
            plan.servers.push(server);
            name
        }
    };
    let what =
        format!("this listener goes on showing it, as the server certificate {name}; nobody renews it");
    plan.settle(&cert.place, Fate::Carried, &what);
    plan.settle(&key.place, Fate::Carried, "is kept among Keyward's keys");
    if disk.is_open_to_others(&key.value) {
        plan.amend(&key.place, Fate::Weak, "everybody on this machine can read the file");
    }
    plan.next(format!("delete {} once Mosquitto is gone: Keyward has the key", disk.place(&key.value)));
    plan.shown.insert(number, name);
}

fn authority(plan: &mut Plan, number: usize, listener: &Listener, disk: &mut Disk) {
    let cited: Vec<&Cited> =
        [&listener.cafile, &listener.capath, &listener.crlfile].into_iter().flatten().collect();
    let Some(proves) = proves(listener) else {
        let why = match (listener.require_certificate, listener.name_from) {
            (true, Some(_)) => "a whole subject names nobody here: clients need certificates of Keyward",
            (true, None) => "without cafile or capath nobody's certificate is accepted",
            (false, _) => "without require_certificate no client is asked for a certificate: left out",
        };
        cited.iter().for_each(|cited| plan.settle(&cited.place, Fate::Unsupported, why));
        return;
    };
    let Some(certificates) = certificates(plan, listener, disk) else { return };
    let revocations = match &listener.crlfile {
        None => None,
        Some(list) => match file(plan, list, disk) {
            None => return,
            Some(bytes) => Some(Der(bytes.to_vec())),
        },
    };
    let name = format!("mosquitto-{}", plan.authorities.len() + 1);
    let trust = AuthorityTrust { name, certificates: Der(certificates), proves, revocations };
    match trusted(plan, trust) {
        Ok(name) => {
            tell(plan, listener, proves, &name);
            plan.heeded.insert(number, name);
        }
        Err(why) => {
            let places: Vec<_> = cited.iter().map(|it| format!("{} ({})", it.place, it.value)).collect();
            plan.refusals.push(format!("{}: {why}", places.join(", ")));
        }
    }
}

/// Takes an authority into the plan, unless it is there already; returns its name.
fn trusted(plan: &mut Plan, trust: AuthorityTrust) -> Result<String, String> {
    let read = check_authority(&trust, now()).map_err(|refusal| refusal.what)?;
    for before in &plan.authorities {
        if before.read == read {
            return Ok(before.trust.name.clone());
        }
        if before.read.certificates.iter().any(|certificate| read.certificates.contains(certificate)) {
            let why = "an authority of another listener is among these, and proves something else there or has another list: here \
                       an authority means the same on all listeners";
            return Err(why.to_owned());
        }
    }
    let name = trust.name.clone();
    plan.authorities.push(OldAuthority { trust, read });
    Ok(name)
}

fn tell(plan: &mut Plan, listener: &Listener, proves: Proves, name: &str) {
    let what = match proves {
        Proves::CommonName => {
            plan.next(
                "certificates of the old authority name users: whoever has its key can be any of them; \
                 `keyward authority trust list` shows whom, `trust unbind` takes names away that need none"
                    .to_owned(),
            );
            format!(
                "is trusted as {name}, on the listeners that had it and on no other; its names are bound to the users"
            )
        }
        Proves::None => format!(
            "is trusted as {name}, on the listeners that had it and on no other; its certificates name nobody, the password does"
        ),
    };
    for cited in [&listener.cafile, &listener.capath].into_iter().flatten() {
        plan.settle(&cited.place, Fate::Changed, &what);
    }
    if let Some(list) = &listener.crlfile {
        let what = format!(
            "is the list of {name}, and each issuer of a client needs one; an old one is used here as well, there it shut everybody out"
        );
        plan.settle(&list.place, Fate::Changed, &what);
    }
    plan.next(
        "clients whose certificates have an RSA key of less than 2,048 bits or are signed with SHA-1 are refused \
         (`openssl x509 -in FILE -noout -text` shows it): they need others, or a password"
            .to_owned(),
    );
}

/// Reads what `cafile` and `capath` hold.
fn certificates(plan: &mut Plan, listener: &Listener, disk: &mut Disk) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    if let Some(cited) = &listener.cafile {
        all.extend_from_slice(&file(plan, cited, disk)?);
        all.push(b'\n');
    }
    let Some(cited) = &listener.capath else { return Some(all) };
    let folder = |what: String| format!("{}: {}: {what}", cited.place, cited.value);
    let mut paths = match disk.list(&cited.value) {
        Ok(paths) => paths,
        Err(what) => {
            plan.refusals.push(folder(what));
            return None;
        }
    };
    paths.retain(|path| is_hashed(path));
    paths.sort();
    let mut found: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    for value in paths {
        let bytes = file(plan, &Cited { value, place: cited.place.clone() }, disk)?;
        // `openssl rehash` can give one certificate several names.
        if !found.contains(&bytes) {
            found.push(bytes);
        }
    }
    if found.is_empty() {
        plan.refusals
            .push(folder("there is no certificate by its hash in it; run: openssl rehash".to_owned()));
        return None;
    }
    for bytes in found {
        all.extend_from_slice(&bytes);
        all.push(b'\n');
    }
    Some(all)
}

/// Tells whether a path is one by which OpenSSL finds certificates: `…/5ad8a5d6.0`.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split_once('.').is_some_and(|(hash, number)| {
        hash.len() == 8
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn file(plan: &mut Plan, cited: &Cited, disk: &mut Disk) -> Option<Zeroizing<Vec<u8>>> {
    let loaded = disk.load_linked(&cited.value);
    loaded.map_err(|what| plan.refusals.push(format!("{}: {}: {what}", cited.place, cited.value))).ok()
}

fn now() -> WallTime {
    WallTime(clock::now().wall.0)
}

/// Returns where `--certificate-users` stands.
pub(super) fn asked() -> Place {
    Place { file: "--certificate-users".to_owned(), line: 0 }
}

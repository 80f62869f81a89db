//! Where `pub` and `sub` connect, and as whom: from a bundle, from flags, or from this machine's installation.

use crate::args::{ConnectArgs, Global, WillArgs};
use crate::bundle::{self, CA, CERT, FILE_BYTES, KEY};
use crate::failure::{Failure, Outcome};
use crate::secret;
use keyward_client::{Address, ClientOptions, Login, TlsIdentity, TlsOptions, Will};
use keyward_identity::files;
use keyward_server::home::{Home, Surroundings};
use std::path::{Path, PathBuf};

/// The port of MQTT over TLS.
const DEFAULT_PORT: u16 = 8883;

/// Reads what the flags name, and returns how to connect.
pub(crate) fn options(args: &ConnectArgs, global: &Global) -> Outcome<ClientOptions> {
    let bundle = args.bundle_dir.as_deref().map(read_address).transpose()?;
    let host = args.host.clone().or_else(|| bundle.as_ref().map(|b| b.host.clone()));
    let port = args.port.or_else(|| bundle.as_ref().map(|b| b.port));
    let mut options =
        ClientOptions::new(host.unwrap_or_else(|| "localhost".to_owned()), port.unwrap_or(DEFAULT_PORT));
    options.tls = Some(TlsOptions {
        roots_pem: files::read_regular(&trust_anchor(args, global)?, FILE_BYTES)?,
        identity: identity(args)?,
        server_name: None,
    });
    options.login = login(args)?;
    options.version = args.version.into();
    options.keep_alive = args.keep_alive;
    options.client_id = args.client_id.clone().unwrap_or_default();
    options.will = will(&args.will);
    Ok(options)
}

fn read_address(dir: &Path) -> Outcome<Address> {
    let path = dir.join(bundle::ADDRESS);
    let bytes = files::read_regular(&path, FILE_BYTES)?;
    Address::read(&bytes).map_err(|error| {
        Failure::failed(format!(
            "{}: {error}; give --host and --port, --ca, --cert and --key instead",
            path.display()
        ))
    })
}

fn trust_anchor(args: &ConnectArgs, global: &Global) -> Outcome<PathBuf> {
    if let Some(ca) = &args.ca {
        return Ok(ca.clone());
    }
    if let Some(dir) = &args.bundle_dir {
        return Ok(dir.join(CA));
    }
    let home = Home::find(global.dir.as_deref(), &Surroundings::of_process())?;
    if home.ca_pem().exists() {
        return Ok(home.ca_pem());
    }
    Err(Failure::misuse("whom to trust? give --bundle-dir DIR, or --ca ca.pem of the broker"))
}

fn identity(args: &ConnectArgs) -> Outcome<Option<TlsIdentity>> {
    let in_bundle =
        |name: &str| args.bundle_dir.as_ref().map(|dir| dir.join(name)).filter(|path| path.exists());
    let cert = args.cert.clone().or_else(|| in_bundle(CERT));
    let key = args.key.clone().or_else(|| in_bundle(KEY));
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsIdentity::from_pem(
            files::read_regular(&cert, FILE_BYTES)?,
            files::read_private(&key, FILE_BYTES)?,
        ))),
        (Some(_), None) => Err(Failure::misuse(
            "the bundle holds no private key: it stayed where the signing request was made; name it with --key",
        )),
        (None, Some(_)) => {
            Err(Failure::misuse("--key needs the certificate beside it: give --cert or --bundle-dir"))
        }
        (None, None) => Ok(None),
    }
}

fn login(args: &ConnectArgs) -> Outcome<Option<Login>> {
    let (Some(username), Some(file)) = (&args.user, &args.password_file) else { return Ok(None) };
    let password = Some(secret::from_file(file, username)?);
    Ok(Some(Login { username: username.clone(), password }))
}

fn will(args: &WillArgs) -> Option<Will> {
    Some(Will {
        topic: args.will_topic.clone()?,
        payload: args.will_message.clone().into_bytes(),
        qos: args.will_qos,
        retain: args.will_retain,
        delay: 0,
    })
}

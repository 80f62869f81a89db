//! A message as JSON describes it: the vectors, and the lines that are exchanged with other libraries.

use keyward_envelope::software::{Ed25519Key, P256Agreement, P256Key};
use keyward_envelope::{
    Cipher, Claims, Content, Context, Direction, Epoch, Format, GroupKey, KeySet, Message, Nonce, PublicKey,
    Purpose, Random, Sequence, Signer, Unavailable, Unverified, Verified, inspect, open_grant, sign,
    sign_for_group, sign_for_recipient, sign_grant, sign_key_set,
};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// Is one message: what goes in, and what comes out. Bytes are hexadecimal.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Form {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    /// `plain`, `recipient`, `group`, `grant` or `key-set`.
    pub(crate) form: String,
    /// `ES256` or `Ed25519`.
    pub(crate) algorithm: String,
    /// The signing key's secret number or seed; not needed to open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    /// The signing key's public half: 65 bytes of SEC 1, or 32 of Ed25519.
    pub(crate) public: String,
    /// `up`, `down` or `all`.
    pub(crate) direction: String,
    pub(crate) installation: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) device: String,
    pub(crate) topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) correlation: Option<String>,
    pub(crate) sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issued: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<u16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) payload: String,
    /// The recipient's secret number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recipient_secret: Option<String>,
    /// The random bytes that are drawn, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) random: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group_secret: Option<String>,
    /// `A128GCM` or `AES-CCM-16-64-128`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cipher: Option<String>,
    /// The keys of a key set, each `sign:PUBLIC` or `agree:PUBLIC`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kid: String,
    /// The digest of all that is signed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) digest: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
}

/// Writes bytes as hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads hexadecimal.
pub(crate) fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    if digits.len() != hex.len() || !digits.len().is_multiple_of(2) {
        return Err(format!("{hex:?} is not hexadecimal"));
    }
    Ok(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

fn fixed<const N: usize>(hex: &str) -> Result<[u8; N], String> {
    bytes(hex)?.try_into().map_err(|_| format!("{hex:?} has not {N} bytes"))
}

fn given<'f, T>(value: Option<&'f T>, what: &str) -> Result<&'f T, String> {
    value.ok_or_else(|| format!("{what} is missing"))
}

/// Reads a public key.
pub(crate) fn public(hex: &str) -> Result<PublicKey, String> {
    match hex.len() {
        130 => PublicKey::p256(&fixed(hex)?).map_err(text),
        _ => PublicKey::ed25519(&fixed(hex)?).map_err(text),
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Gives bytes that were written down before.
pub(crate) struct Given(pub(crate) Vec<u8>);

impl Random for Given {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Unavailable> {
        if self.0.len() < out.len() {
            return Err(Unavailable(-1));
        }
        out.copy_from_slice(&self.0[..out.len()]);
        self.0.drain(..out.len());
        Ok(())
    }
}

impl Form {
    pub(crate) fn signer(&self) -> Result<Box<dyn Signer>, String> {
        let secret = fixed(given(self.secret.as_ref(), "secret")?)?;
        match self.algorithm.as_str() {
            "ES256" => Ok(Box::new(P256Key::from_secret(&secret).map_err(text)?)),
            _ => Ok(Box::new(Ed25519Key::from_seed(&secret))),
        }
    }

    pub(crate) fn context<'f>(&'f self, correlation: Option<&'f [u8]>) -> Context<'f> {
        let device = &self.device;
        let direction = match self.direction.as_str() {
            "up" => Direction::Up { device },
            "down" => Direction::Down { device },
            _ => Direction::All,
        };
        Context { direction, installation: &self.installation, topic: &self.topic, correlation }
    }

    pub(crate) fn correlation(&self) -> Result<Option<Vec<u8>>, String> {
        self.correlation.as_deref().map(bytes).transpose()
    }

    fn claims(&self) -> Result<Claims, String> {
        let nonce = self.nonce.as_deref().map(bytes).transpose()?;
        let nonce = nonce.map(|nonce| Nonce::new(&nonce).ok_or("a nonce has 8 to 16 bytes")).transpose()?;
        Ok(Claims { sequence: Sequence(self.sequence), issued: self.issued, expires: self.expires, nonce })
    }

    pub(crate) fn recipient(&self) -> Result<P256Agreement, String> {
        let secret = given(self.recipient_secret.as_ref(), "recipient_secret")?;
        P256Agreement::from_secret(&fixed(secret)?).map_err(text)
    }

    pub(crate) fn group_key(&self) -> Result<GroupKey, String> {
        let (group, epoch) = (given(self.group.as_ref(), "group")?, given(self.epoch.as_ref(), "epoch")?);
        let secret = fixed(given(self.group_secret.as_ref(), "group_secret")?)?;
        GroupKey::new(group, Epoch(*epoch), &secret).ok_or_else(|| "that is no name of a group".to_owned())
    }

    fn key_set(&self) -> Result<Vec<(PublicKey, Purpose)>, String> {
        let key = |line: &String| match line.split_once(':') {
            Some(("sign", key)) => Ok((public(key)?, Purpose::Sign)),
            Some(("agree", key)) => Ok((public(key)?, Purpose::Agree)),
            _ => Err(format!("{line:?} is neither sign:PUBLIC nor agree:PUBLIC")),
        };
        self.keys.iter().map(key).collect()
    }

    /// Makes the message that is described.
    pub(crate) fn make(&self) -> Result<Vec<u8>, String> {
        let (payload, correlation) = (bytes(&self.payload)?, self.correlation()?);
        let (context, claims) = (self.context(correlation.as_deref()), self.claims()?);
        let message = Message { claims, format: self.format.map(Format), payload: &payload };
        let mut random = Given(bytes(self.random.as_deref().unwrap_or_default())?);
        let (mut signer, mut out) = (self.signer()?, vec![0; 70_000]);
        let signer = &mut *signer;
        let len = match self.form.as_str() {
            "plain" => sign(&message, &context, signer, &mut out),
            "recipient" => {
                let to = self.recipient()?.public();
                sign_for_recipient(&message, &context, signer, &to, &mut random, &mut out)
            }
            "group" => {
                let cipher = match self.cipher.as_deref() {
                    Some("AES-CCM-16-64-128") => Cipher::Ccm,
                    _ => Cipher::Gcm,
                };
                sign_for_group(&message, &context, signer, &self.group_key()?, cipher, &mut out)
            }
            "grant" => {
                let to = self.recipient()?.public();
                sign_grant(&self.group_key()?, claims, &context, signer, &to, &mut random, &mut out)
            }
            "key-set" => sign_key_set(&self.key_set()?, claims, &context, signer, &mut out),
            form => return Err(format!("there is no form {form:?}")),
        };
        out.truncate(len.map_err(text)?);
        Ok(out)
    }

    /// Verifies the message with the public key for the context, and opens it; returns what was in it, described the same way.
    pub(crate) fn open(&self) -> Result<Self, String> {
        let (message, correlation) = (bytes(&self.message)?, self.correlation()?);
        let found = inspect(&message).map_err(text)?;
        let context = self.context(correlation.as_deref());
        let key = public(&self.public)?;
        let verified = found.verify(&key, &context).map_err(text)?;
        let mut opened = self.opened(&verified)?;
        opened.describe(&found, &verified);
        Ok(opened)
    }

    fn describe(&mut self, found: &Unverified<'_>, verified: &Verified<'_>) {
        let claims = verified.claims();
        self.algorithm = found.algorithm().as_str().to_owned();
        (self.sequence, self.issued, self.expires) = (claims.sequence.0, claims.issued, claims.expires);
        self.nonce = claims.nonce.map(|nonce| hex(nonce.as_bytes()));
        (self.kid, self.digest) = (verified.kid().to_string(), hex(&verified.digest().0));
    }

    fn opened(&self, verified: &Verified<'_>) -> Result<Self, String> {
        let mut out = vec![0; 70_000];
        let content = verified.content().map_err(text)?;
        let empty = Self::default();
        let (form, format, payload): (_, Option<Format>, &[u8]) = match content {
            _ if self.form == "key-set" => return key_set(verified),
            _ if self.form == "grant" => return self.grant(verified),
            Content::Plain { format, payload } => ("plain", format, payload),
            Content::ForRecipient(sealed) => {
                let opened = sealed.open(&mut self.recipient()?, &mut out).map_err(text)?;
                ("recipient", sealed.format(), opened)
            }
            Content::ForGroup(sealed) => {
                let opened = sealed.open(&self.group_key()?, &mut out).map_err(text)?;
                ("group", sealed.format(), opened)
            }
        };
        let (form, format) = (form.to_owned(), format.map(|format| format.0));
        Ok(Self { form, format, payload: hex(payload), ..empty })
    }

    fn grant(&self, verified: &Verified<'_>) -> Result<Self, String> {
        let key = open_grant(verified, &mut self.recipient()?).map_err(text)?;
        let (group, epoch) = (Some(key.group().to_owned()), Some(key.epoch().0));
        Ok(Self { form: "grant".to_owned(), group, epoch, ..Self::default() })
    }
}

fn key_set(verified: &Verified<'_>) -> Result<Form, String> {
    let set = KeySet::read(verified).map_err(text)?;
    let keys = set.keys().map(|(key, purpose)| {
        let purpose = if purpose == Purpose::Sign { "sign" } else { "agree" };
        format!("{purpose}:{}", public_hex(key))
    });
    Ok(Form { form: "key-set".to_owned(), keys: keys.collect(), ..Form::default() })
}

/// Writes a public key.
pub(crate) fn public_hex(key: &PublicKey) -> String {
    key.to_sec1().map_or_else(|| hex(&key.to_ed25519().unwrap_or_default()), |sec1| hex(&sec1))
}

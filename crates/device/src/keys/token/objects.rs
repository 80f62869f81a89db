//! The objects of one device in a token, by their labels.
//!
//! ```text
//! keyward:NAME:tls:3         the key in use: the one with the highest number
//! keyward:NAME:tls:4:next    the one that will follow it; it is promoted when its label loses the end, in one step
//! keyward:NAME:wrapping      the AES key that wraps; made last and destroyed first, so that without it the others are nobody's
//! ```
//!
//! A pair has one `CKA_ID`, drawn at random, by which its two halves are found.

use super::super::random::draw;
use super::super::software::{SoftwareKey, verifies};
use super::super::{Generation, KeyError, Role};
use super::failure::{Outcome, failed};
use super::uses;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use std::collections::BTreeMap;

/// The object identifier of P-256 in DER, `1.2.840.10045.3.1.7` (RFC 5480 §2.1.1.1).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Is one key pair in the token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) private: ObjectHandle,
    public: ObjectHandle,
    pub(super) number: u32,
    pub(super) point: [u8; 65],
}

/// Is what of the device's keys is in the token.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) pairs: BTreeMap<(Role, Generation), Pair>,
    pub(super) wrapping: Option<ObjectHandle>,
    /// What is left of a making or a destruction that was cut off.
    leftovers: Vec<ObjectHandle>,
}

/// Says what a label means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meaning {
    role: Role,
    number: u32,
    generation: Generation,
}

pub(super) fn prefix(object: &str) -> String {
    format!("keyward:{object}:")
}

fn label(object: &str, role: Role, number: u32, generation: Generation) -> String {
    let end = if generation == Generation::Next { ":next" } else { "" };
    format!("{}{}:{number}{end}", prefix(object), role.as_str())
}

fn wrapping_label(object: &str) -> String {
    format!("{}wrapping", prefix(object))
}

fn meaning(object: &str, label: &str) -> Option<Meaning> {
    let mut parts = label.strip_prefix(&prefix(object))?.split(':');
    let name = parts.next()?;
    let role = Role::ALL.into_iter().find(|role| role.as_str() == name)?;
    let number = parts.next()?.parse().ok()?;
    let generation = match parts.next() {
        None => Generation::Current,
        Some("next") => Generation::Next,
        Some(_) => return None,
    };
    parts.next().is_none().then_some(Meaning { role, number, generation })
}

/// Is half of a pair as the token shows it.
struct Half {
    handle: ObjectHandle,
    label: String,
    id: Vec<u8>,
}

fn halves(session: &Session, class: ObjectClass, object: &str) -> Outcome<Vec<Half>> {
    let template = [Attribute::Class(class), Attribute::KeyType(KeyType::EC), Attribute::Token(true)];
    let mut found = Vec::new();
    for handle in session.find_objects(&template)? {
        let mut half = Half { handle, label: String::new(), id: Vec::new() };
        for attribute in session.get_attributes(handle, &[AttributeType::Label, AttributeType::Id])? {
            match attribute {
                Attribute::Label(label) => half.label = String::from_utf8(label).unwrap_or_default(),
                Attribute::Id(id) => half.id = id,
                _ => {}
            }
        }
        if meaning(object, &half.label).is_some() {
            found.push(half);
        }
    }
    Ok(found)
}

impl Objects {
    /// Finds the keys, and finishes a promotion that was cut off.
    pub(super) fn load(session: &Session, object: &str, store: &str) -> Outcome<Self> {
        let mut publics = halves(session, ObjectClass::PUBLIC_KEY, object)?;
        let mut all: BTreeMap<(Role, Generation), Vec<(Half, Meaning)>> = BTreeMap::new();
        for half in halves(session, ObjectClass::PRIVATE_KEY, object)? {
            if let Some(meaning) = meaning(object, &half.label) {
                all.entry((meaning.role, meaning.generation)).or_default().push((half, meaning));
            }
        }
        let mut objects = Self { wrapping: wrapping(session, object, store)?, ..Self::default() };
        for (key, mut halves) in all {
            halves.sort_by_key(|(_, meaning)| meaning.number);
            let newest = halves.pop();
            objects.leftovers.extend(halves.into_iter().map(|(half, _)| half.handle));
            let Some((half, meaning)) = newest else { continue };
            let Some(at) = publics.iter().position(|public| public.id == half.id) else {
                if key.1 == Generation::Current && objects.wrapping.is_some() {
                    return Err(halfless(&half, store).into());
                }
                objects.leftovers.push(half.handle);
                continue;
            };
            let public = publics.swap_remove(at);
            check(session, &half, key.0, store)?;
            let point = point(session, public.handle, store)?;
            prove(session, &half, key.0, &point, store)?;
            let pair = Pair { private: half.handle, public: public.handle, number: meaning.number, point };
            objects.pairs.insert(key, pair);
        }
        objects.leftovers.extend(publics.iter().map(|public| public.handle));
        objects.set_aside_what_was_overtaken();
        // Without the wrapping key nothing here is anybody's; what to do about that its owner says.
        if objects.wrapping.is_some() {
            objects.sweep(session)?;
        }
        Ok(objects)
    }

    /// A next key with a lower number than the one in use was left behind by a promotion.
    fn set_aside_what_was_overtaken(&mut self) {
        for role in Role::ALL {
            let current = self.pairs.get(&(role, Generation::Current)).map(|pair| pair.number);
            let next = self.pairs.get(&(role, Generation::Next)).map(|pair| pair.number);
            let overtaken = current.zip(next).is_some_and(|(current, next)| next <= current);
            if overtaken && let Some(pair) = self.pairs.remove(&(role, Generation::Next)) {
                self.leftovers.extend([pair.private, pair.public]);
            }
        }
    }

    fn sweep(&mut self, session: &Session) -> Outcome<()> {
        for handle in std::mem::take(&mut self.leftovers) {
            session.destroy_object(handle)?;
        }
        Ok(())
    }

    /// Tells whether nothing of the device is there.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.wrapping.is_none() && self.leftovers.is_empty()
    }

    /// Makes the key that wraps.
    pub(super) fn make_wrapping(&mut self, session: &Session, object: &str) -> Outcome<()> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(32.into()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
            Attribute::Label(wrapping_label(object).into_bytes()),
        ];
        self.wrapping = Some(session.generate_key(&Mechanism::AesKeyGen, &template)?);
        Ok(())
    }

    /// Makes a pair: what it is for is all that it can do, and its private half never leaves the token.
    pub(super) fn make(
        &mut self,
        session: &Session,
        (object, store): (&str, &str),
        role: Role,
        generation: Generation,
    ) -> Outcome<[u8; 65]> {
        let current = self.pairs.get(&(role, Generation::Current)).map_or(0, |pair| pair.number);
        let number =
            current.checked_add(1).ok_or_else(|| failed(store, "its keys were changed too often"))?;
        let name = Attribute::Label(label(object, role, number, generation).into_bytes());
        let id = Attribute::Id(draw::<16>()?.to_vec());
        let signs = role != Role::Agreement;
        let public = [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::EcParams(P256.to_vec()),
            Attribute::Verify(signs),
            name.clone(),
            id.clone(),
        ];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(signs),
            Attribute::Derive(!signs),
            // What is not said some tokens allow.
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
            name,
            id,
        ];
        let (public, private) = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
        let point = point(session, public, store)?;
        self.pairs.insert((role, generation), Pair { private, public, number, point });
        Ok(point)
    }

    /// Destroys the next pair, if there is one.
    pub(super) fn discard(&mut self, session: &Session, role: Role) -> Outcome<()> {
        let Some(next) = self.pairs.get(&(role, Generation::Next)).copied() else { return Ok(()) };
        session.destroy_object(next.private)?;
        // A public half alone is swept away when the keys are found the next time.
        let _ = session.destroy_object(next.public);
        self.pairs.remove(&(role, Generation::Next));
        Ok(())
    }

    /// Puts the next pair into use, which is one change of one label, and destroys the one before it.
    pub(super) fn promote(&mut self, session: &Session, object: &str, role: Role) -> Outcome<()> {
        let Some(next) = self.pairs.get(&(role, Generation::Next)).copied() else { return Ok(()) };
        let name = label(object, role, next.number, Generation::Current).into_bytes();
        session.update_attributes(next.private, &[Attribute::Label(name.clone())])?;
        // It is in use now. What fails of the rest is done when the keys are found the next time.
        let _ = session.update_attributes(next.public, &[Attribute::Label(name)]);
        self.pairs.remove(&(role, Generation::Next));
        if let Some(old) = self.pairs.insert((role, Generation::Current), next) {
            let _ = session.destroy_object(old.private);
            let _ = session.destroy_object(old.public);
        }
        Ok(())
    }
}

/// Destroys every object of the device, the wrapping key first, whatever is wrong with one of them; goes on where something fails and
/// returns the first failure.
pub(super) fn destroy_all(session: &Session, object: &str) -> Outcome<()> {
    let name = Attribute::Label(wrapping_label(object).into_bytes());
    let mut all = session.find_objects(&[Attribute::Token(true), name])?;
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        all.extend(halves(session, class, object)?.into_iter().map(|half| half.handle));
    }
    let failures: Vec<_> =
        all.into_iter().filter_map(|handle| session.destroy_object(handle).err()).collect();
    failures.into_iter().next().map_or(Ok(()), |error| Err(error.into()))
}

fn wrapping(session: &Session, object: &str, store: &str) -> Outcome<Option<ObjectHandle>> {
    let name = wrapping_label(object);
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Label(name.clone().into_bytes()),
    ];
    let found = session.find_objects(&template)?;
    if let Some(handle) = found.first() {
        stays_inside(session, *handle, &name, store)?;
    }
    Ok(found.first().copied())
}

/// Says that the public half of a key in use is gone. The private one is not swept away for it: somebody else may have removed it.
fn halfless(half: &Half, store: &str) -> KeyError {
    let problem = format!(
        "the public half of the key {:?} is gone; put it back from a copy (its CKA_ID is the same), or remove the \
         keys with the token's own tool and make new ones",
        half.label
    );
    failed(store, problem)
}

/// Refuses a key that can be taken out, or was brought in: that is not what level 2 says. Also one that can do what it is not for.
fn check(session: &Session, half: &Half, role: Role, store: &str) -> Outcome<()> {
    stays_inside(session, half.handle, &half.label, store)?;
    let signs = role != Role::Agreement;
    let found = session.get_attributes(half.handle, &[AttributeType::Sign, AttributeType::Derive])?;
    let wrong = [Attribute::Sign(!signs), Attribute::Derive(signs)].iter().any(|wrong| found.contains(wrong));
    if wrong {
        return Err(failed(
            store,
            format!(
                "the key {:?} can sign and agree; each has to do one alone. Make the keys anew",
                half.label
            ),
        )
        .into());
    }
    Ok(())
}

fn stays_inside(session: &Session, key: ObjectHandle, label: &str, store: &str) -> Outcome<()> {
    let asked = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::NeverExtractable,
        AttributeType::Local,
    ];
    let found = session.get_attributes(key, &asked)?;
    let needed = [
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::NeverExtractable(true),
        Attribute::Local(true),
    ];
    if needed.iter().all(|needed| found.contains(needed)) {
        return Ok(());
    }
    let problem = format!(
        "the key {label:?} was not made in the token, or can be taken out of it, so that a copy may be anywhere; \
         that is not level 2. Remove it and let the keys be made there"
    );
    Err(failed(store, problem).into())
}

/// Lets the private half show that it is the other one of the public half. Some tokens let everybody write what is public, and who
/// plants a public key there would have his own registered as the device's.
fn prove(session: &Session, half: &Half, role: Role, point: &[u8; 65], store: &str) -> Outcome<()> {
    let is_shown = match role {
        Role::Agreement => {
            let other = SoftwareKey::generate()?;
            uses::agree(session, half.handle, &other.public())? == other.agree(point)
        }
        Role::Tls | Role::Message => {
            let digest = draw::<32>()?;
            let signature = uses::sign(session, half.handle, &digest)?;
            signature.is_some_and(|signature| verifies(point, &digest, &signature))
        }
    };
    if is_shown {
        return Ok(());
    }
    let problem = format!(
        "the two halves of the key {:?} do not belong together: somebody replaced the public one. Make the keys anew",
        half.label
    );
    Err(failed(store, problem).into())
}

/// Reads a public key: the point in a DER octet string, as the standard has it, or alone, as some libraries do.
fn point(session: &Session, public: ObjectHandle, store: &str) -> Outcome<[u8; 65]> {
    let found = session.get_attributes(public, &[AttributeType::EcPoint])?;
    let bytes = found.into_iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(bytes) => Some(bytes),
        _ => None,
    });
    let point = bytes.as_deref().and_then(read_point);
    point.ok_or_else(|| no_point(store).into())
}

fn read_point(bytes: &[u8]) -> Option<[u8; 65]> {
    let bare = bytes.strip_prefix(&[0x04, 0x41]).filter(|rest| rest.len() == 65).unwrap_or(bytes);
    let point: [u8; 65] = bare.try_into().ok()?;
    keyward_envelope::PublicKey::p256(&point).is_ok().then_some(point)
}

fn no_point(store: &str) -> KeyError {
    failed(store, "what it gives out as a public key is no point of P-256")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_means_what_it_says_and_other_labels_nothing() {
        for (role, number, generation) in
            [(Role::Tls, 1, Generation::Current), (Role::Agreement, 17, Generation::Next)]
        {
            let text = label("pump-7", role, number, generation);
            assert_eq!(meaning("pump-7", &text), Some(Meaning { role, number, generation }), "{text}");
            assert_eq!(meaning("pump", &text), None);
        }
        for other in [
            "",
            "keyward:pump-7:",
            "keyward:pump-7:tls",
            "keyward:pump-7:tls:x",
            "keyward:pump-7:tls:1:old",
            "keyward:pump-7:tls:1:next:1",
            "keyward:pump-7:wrapping",
            "keyward:pump-7:other:1",
        ] {
            assert_eq!(meaning("pump-7", other), None, "{other:?}");
        }
    }

    #[test]
    fn a_point_is_read_in_both_forms() {
        let point = SoftwareKey::generate().unwrap().public();
        let wrapped = [&[0x04, 0x41][..], &point].concat();
        assert_eq!((read_point(&point), read_point(&wrapped)), (Some(point), Some(point)));
        assert_eq!(read_point(&wrapped[..66]), None);
        assert_eq!(read_point(&[4; 65]), None);
    }
}

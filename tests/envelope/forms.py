"""The forms of mqsec1, written and read with other libraries: pycose for all of them, cwt for the signed ones.

A form is what crates/envelope/tests/vectors/form.rs describes. Nothing here shares code with Keyward.
"""

import hashlib

import cbor2
import cwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pycose import headers
from pycose.algorithms import A128GCM, AESCCM1664128, EcdhEsA128KW, EcdhEsHKDF256, EdDSA, Es256
from pycose.keys import EC2Key, OKPKey, SymmetricKey
from pycose.keys.curves import P256, Ed25519
from pycose.keys.keyparam import EC2KpD
from pycose.messages import CoseMessage, Enc0Message, EncMessage, Sign1Message
from pycose.messages.recipient import DirectKeyAgreement, KeyAgreementWithKeyWrap

DIRECTIONS = {"up": 0, "down": 1, "all": 2}
CIPHERS = {"A128GCM": (A128GCM, 1, 12), "AES-CCM-16-64-128": (AESCCM1664128, 10, 13)}
FOR_GROUP, FOR_RECIPIENT, KEY_SET = 16, 96, 102


def external(form, purpose="mqsec1"):
    """What the message is for: the external data of the signature."""
    correlation = form.get("correlation")
    return cbor2.dumps([
        purpose, DIRECTIONS[form["direction"]], form["installation"], form.get("device", "").lower(), form["topic"],
        None if correlation is None else bytes.fromhex(correlation),
    ])


def inner_external(form):
    return hashlib.sha256(external(form, "mqsec1/enc")).digest()


def sequence(form):
    number = form["sequence"]
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


def claims(form):
    found = {}
    if "expires" in form:
        found[4] = form["expires"]
    if "issued" in form:
        found[6] = form["issued"]
    found[7] = sequence(form)
    if "nonce" in form:
        found[10] = bytes.fromhex(form["nonce"])
    return found


def p256(secret):
    return ec.derive_private_key(int.from_bytes(bytes.fromhex(secret), "big"), ec.SECP256R1())


def p256_pycose(secret, private=True):
    numbers = p256(secret).public_key().public_numbers()
    x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
    return EC2Key(crv=P256, x=x, y=y, d=bytes.fromhex(secret) if private else b"")


def public(form):
    """The public half of the signing key, as its bytes."""
    if form["algorithm"] == "ES256":
        return p256(form["secret"]).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(form["secret"]))
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def cose_key(key):
    """The required parts of a key: what a thumbprint is of (RFC 9679)."""
    if len(key) == 65:
        return {1: 2, -1: 1, -2: key[1:33], -3: key[33:]}
    return {1: 1, -1: 6, -2: key}


def kid(key):
    return hashlib.sha256(cbor2.dumps(cose_key(key), canonical=False)).digest()[:8]


def signing_key(form):
    key, secret = public(form), bytes.fromhex(form["secret"])
    if len(key) == 65:
        return EC2Key(crv=P256, x=key[1:33], y=key[33:], d=secret)
    return OKPKey(crv=Ed25519, x=key, d=secret)


def verifying_key(form):
    key = bytes.fromhex(form["public"])
    return EC2Key(crv=P256, x=key[1:33], y=key[33:]) if len(key) == 65 else OKPKey(crv=Ed25519, x=key)


def key_set(form):
    """The payload of a key set, a COSE_KeySet."""
    keys = []
    for line in form["keys"]:
        purpose, key = line.split(":")
        key = bytes.fromhex(key)
        parts = cose_key(key)
        what = {3: -7 if len(key) == 65 else -8} if purpose == "sign" else {4: []}
        keys.append({1: parts.pop(1), 2: kid(key), **what, **parts})
    return cbor2.dumps(keys)


def sender(form, sender_kid):
    """Key and base nonce of one sender in a group."""
    cipher, number, nonce = CIPHERS[form["cipher"]]
    info = cbor2.dumps([
        "mqsec1/group", form["installation"], form["group"].lower(), form["epoch"], DIRECTIONS[form["direction"]],
        form.get("device", "").lower(), sender_kid, number,
    ])
    derived = HKDF(hashes.SHA256(), 16 + nonce, None, info).derive(bytes.fromhex(form["group_secret"]))
    return cipher, SymmetricKey(k=derived[:16], optional_params={"BASE_IV": derived[16:]})


def inside(form):
    """Payload and content format of the signature."""
    kind, what = form["form"], {headers.ContentType: form["format"]} if "format" in form else {}
    if kind == "plain":
        return bytes.fromhex(form.get("payload", "")), form.get("format")
    if kind == "key-set":
        return key_set(form), KEY_SET
    if kind == "group":
        cipher, key = sender(form, kid(public(form)))
        epoch = form["epoch"].to_bytes(4, "big")
        message = Enc0Message(
            phdr={headers.Algorithm: cipher, **what}, uhdr={headers.KID: epoch, headers.PartialIV: sequence(form)},
            payload=bytes.fromhex(form["payload"]), external_aad=inner_external(form), key=key)
        return message.encode(tag=False), FOR_GROUP
    if kind == "grant":
        plain = cbor2.dumps({1: form["group"], 2: form["epoch"], 3: bytes.fromhex(form["group_secret"])})
        what, agreement, algorithm = {headers.ContentType: 60}, KeyAgreementWithKeyWrap, EcdhEsA128KW
    else:
        plain, agreement, algorithm = bytes.fromhex(form["payload"]), DirectKeyAgreement, EcdhEsHKDF256
    to = p256_pycose(form["recipient_secret"], private=False)
    to_kid = kid(p256(form["recipient_secret"]).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    recipient = agreement(phdr={headers.Algorithm: algorithm}, uhdr={headers.KID: to_kid})
    # It would draw this key itself, for a wrapped key in time, for a direct one too late.
    recipient.key = EC2Key.generate_key(P256)
    recipient.uhdr_update({headers.EphemeralKey: {part: value for part, value in recipient.key.items() if part != EC2KpD}})
    recipient.local_attrs = {headers.StaticKey: to}
    message = EncMessage(
        phdr={headers.Algorithm: A128GCM, **what}, uhdr={headers.IV: hashlib.sha256(sequence(form)).digest()[:12]},
        payload=plain, external_aad=inner_external(form), recipients=[recipient])
    return message.encode(tag=False), FOR_RECIPIENT


def make(form):
    """The message of a form, by pycose."""
    payload, content = inside(form)
    algorithm = Es256 if form["algorithm"] == "ES256" else EdDSA
    protected = {headers.Algorithm: algorithm}
    if content is not None:
        protected[headers.ContentType] = content
    protected |= {headers.KID: kid(public(form)), 15: claims(form)}
    message = Sign1Message(phdr=protected, payload=payload, external_aad=external(form), key=signing_key(form))
    return message.encode()


def opened(form):
    """The payload of a message of that form, by pycose; raises what pycose raises."""
    message = CoseMessage.decode(bytes.fromhex(form["message"]))
    message.external_aad, message.key = external(form), verifying_key(form)
    if not message.verify_signature():
        raise ValueError("pycose: the signature does not hold")
    if message.phdr[15] != claims(form):
        raise ValueError("pycose: other claims")
    if form["form"] == "group":
        sealed = Enc0Message.from_cose_obj(cbor2.loads(message.payload), False)
        sealed.external_aad = inner_external(form)
        _, sealed.key = sender(form, message.phdr[headers.KID])
        return sealed.decrypt()
    if form["form"] in ("recipient", "grant"):
        sealed = EncMessage.from_cose_obj(cbor2.loads(message.payload), False)
        sealed.external_aad = inner_external(form)
        sealed.recipients[0].key = p256_pycose(form["recipient_secret"])
        return sealed.decrypt(sealed.recipients[0])
    return message.payload


def expected(form):
    """What is in a message of that form."""
    if form["form"] == "grant":
        return cbor2.dumps({1: form["group"], 2: form["epoch"], 3: bytes.fromhex(form["group_secret"])})
    return key_set(form) if form["form"] == "key-set" else bytes.fromhex(form.get("payload", ""))


def cwt_key(form, private):
    key = {**cose_key(public(form)), 3: -7 if form["algorithm"] == "ES256" else -8, 2: kid(public(form))}
    return cwt.COSEKey.new({**key, **({-4: bytes.fromhex(form["secret"])} if private else {})})


def make_with_cwt(form):
    payload, content = inside(form)
    protected = {1: -7 if form["algorithm"] == "ES256" else -8}
    if content is not None:
        protected[3] = content
    protected |= {4: kid(public(form)), 15: claims(form)}
    return cwt.COSE.new().encode_and_sign(
        payload, cwt_key(form, True), protected=protected, external_aad=external(form))


def opened_with_cwt(form):
    return cwt.COSE.new().decode(
        bytes.fromhex(form["message"]), cwt_key(form, False), external_aad=external(form))

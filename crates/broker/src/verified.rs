//! The user properties by which the broker says what it has verified of a message.
//!
//! Their names begin with `mqsec-`. They are the broker's word alone: what a client says there, in a message or in its will, is
//! removed from it, whether signatures are checked or not. So a reader that finds one knows who wrote it.

use keyward_envelope::Kid;
use keyward_mqtt::property::{PublishProperties, UserProperties};

/// Where a device subscribes to be told the nonce of its link; nothing else is ever said there.
pub(crate) const NONCE_TOPIC: &str = "$keyward/nonce";

/// The user property of CONNACK that says the same.
pub(crate) const NONCE_PROPERTY: &str = "mqsec-nonce";

/// Is what their names begin with.
const PREFIX: &[u8] = b"mqsec-";

/// Tells whether a user property of a client is passed on. In no spelling is one of ours: a reader may not heed case.
pub(crate) fn passes(name: &str) -> bool {
    let begins_so =
        name.as_bytes().get(..PREFIX.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(PREFIX));
    !begins_so
}

/// Appends what was verified of a message: by which key, how well that is kept, and whether the message was made a while ago.
pub(crate) fn mark(forwarded: &mut Vec<u8>, kid: Kid, level: u8, is_late: bool) {
    let by = format!("{kid},{level}");
    let said = [("mqsec-verified", by.as_str()), ("mqsec-late", "1")];
    let user = if is_late { &said[..] } else { &said[..1] };
    let properties = PublishProperties { user: UserProperties::List(user), ..PublishProperties::default() };
    // Short texts without NUL can be encoded.
    let _ = properties.encode_forwarded(|_| true, forwarded);
}

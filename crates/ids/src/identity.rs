//! Who acts: a device or a user.

use crate::names::{DeviceId, NameError, UserId};
use core::{fmt, str::FromStr};

/// Tells the two kinds of principal apart. `device:x` and `user:x` are two principals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A thing that stands somewhere.
    Device,
    /// A person, an application or a shared login.
    User,
}

impl Kind {
    /// Returns `device` or `user`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::User => "user",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Names a principal: its kind and its name. Printed and parsed as `device:NAME` or `user:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// A device.
    Device(DeviceId),
    /// A user.
    User(UserId),
}

impl Identity {
    /// Parses the name `name` as a principal of kind `kind`.
    ///
    /// # Errors
    /// [`NameError`] if `name` is not a name.
    pub fn new(kind: Kind, name: &str) -> Result<Self, NameError> {
        match kind {
            Kind::Device => DeviceId::parse(name).map(Self::Device),
            Kind::User => UserId::parse(name).map(Self::User),
        }
    }

    /// Returns which kind of principal this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Device(_) => Kind::Device,
            Self::User(_) => Kind::User,
        }
    }

    /// Returns the name without its kind.
    pub fn name(&self) -> &str {
        match self {
            Self::Device(id) => id.as_str(),
            Self::User(id) => id.as_str(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.name())
    }
}

/// Says why a text does not name a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityError {
    /// The text does not begin with `device:` or `user:`.
    NoKind,
    /// What follows the kind is not a name.
    Name(NameError),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKind => f.write_str("has no kind; write device:NAME or user:NAME"),
            Self::Name(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for IdentityError {}

impl FromStr for Identity {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (kind, name) = text.split_once(':').ok_or(IdentityError::NoKind)?;
        let kind = match kind {
            "device" => Kind::Device,
            "user" => Kind::User,
            _ => return Err(IdentityError::NoKind),
        };
        Self::new(kind, name).map_err(IdentityError::Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_device_and_a_user_of_one_name_are_two_principals() {
        let device: Identity = "device:x".parse().unwrap();
        let user: Identity = "user:x".parse().unwrap();
        assert_ne!(device, user);
        assert_eq!(device.to_string(), "device:x");
        assert_eq!("x".parse::<Identity>(), Err(IdentityError::NoKind));
        assert_eq!("role:x".parse::<Identity>(), Err(IdentityError::NoKind));
    }
}

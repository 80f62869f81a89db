//! The lists inside packets, as iterators: decoded lazily from bytes that the decoder checked, or borrowed from a
//! slice when a packet is built. Two lists are equal if their items are.
//!
//! `Raw` bytes that nobody checked do no harm: an iterator ends where they stop making sense.

use crate::codec::read::Reader;
use crate::packet::{
    Qos, ReasonCodes, RetainHandling, SubscribeFilters, SubscribeOptions, UnsubscribeFilters,
};
use crate::property::{PropertyId, SubscriptionIds, UserProperties};
use crate::reason::ReasonCode;
use core::num::NonZeroU32;

macro_rules! list {
    ($list:ident, $iter:ident, $item:ty) => {
        impl<'a> $list<'a> {
            /// Returns the items in their order.
            pub fn iter(&self) -> $iter<'a> {
                self.into_iter()
            }

            /// Tells whether there is no item.
            pub fn is_empty(&self) -> bool {
                self.iter().next().is_none()
            }
        }

        impl<'a> IntoIterator for $list<'a> {
            type Item = $item;
            type IntoIter = $iter<'a>;

            fn into_iter(self) -> $iter<'a> {
                $iter(self)
            }
        }

        impl<'a> IntoIterator for &$list<'a> {
            type Item = $item;
            type IntoIter = $iter<'a>;

            fn into_iter(self) -> $iter<'a> {
                $iter(*self)
            }
        }

        impl PartialEq for $list<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $list<'_> {}

        #[doc = concat!("Walks over [`", stringify!($list), "`].")]
        #[derive(Debug, Clone)]
        pub struct $iter<'a>($list<'a>);
    };
}

list!(UserProperties, UserPropertiesIter, (&'a str, &'a str));
list!(SubscriptionIds, SubscriptionIdsIter, NonZeroU32);
list!(SubscribeFilters, SubscribeFiltersIter, (&'a str, SubscribeOptions));
list!(UnsubscribeFilters, UnsubscribeFiltersIter, &'a str);
list!(ReasonCodes, ReasonCodesIter, ReasonCode);

/// Takes the first item off a slice.
fn pop<T: Copy>(slice: &mut &[T]) -> Option<T> {
    let (first, rest) = slice.split_first()?;
    *slice = rest;
    Some(*first)
}

/// Takes the first item off bytes; after a failure nothing is left.
fn take<'a, T>(bytes: &mut &'a [u8], read: impl FnOnce(&mut Reader<'a>) -> Option<T>) -> Option<T> {
    let mut reader = Reader::new(bytes);
    let item = if reader.is_empty() { None } else { read(&mut reader) };
    *bytes = if item.is_some() { reader.rest() } else { &[] };
    item
}

/// Moves to the value of the next property `wanted`.
fn find(reader: &mut Reader<'_>, wanted: PropertyId) -> Option<()> {
    loop {
        let id = reader.property_id().ok()?;
        if id == wanted {
            return Some(());
        }
        reader.skip(id.shape()).ok()?;
    }
}

impl<'a> Iterator for UserPropertiesIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            UserProperties::None => None,
            UserProperties::List(list) => pop(list),
            UserProperties::Raw(bytes) => take(bytes, |reader| {
                find(reader, PropertyId::UserProperty)?;
                Some((reader.text().ok()?, reader.text().ok()?))
            }),
        }
    }
}

impl Iterator for SubscriptionIdsIter<'_> {
    type Item = NonZeroU32;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            SubscriptionIds::None => None,
            SubscriptionIds::List(list) => pop(list),
            SubscriptionIds::Raw(bytes) => take(bytes, |reader| {
                find(reader, PropertyId::SubscriptionIdentifier)?;
                NonZeroU32::new(reader.varint().ok()?)
            }),
        }
    }
}

impl<'a> Iterator for SubscribeFiltersIter<'a> {
    type Item = (&'a str, SubscribeOptions);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            SubscribeFilters::List(list) => pop(list),
            SubscribeFilters::Raw(bytes) => take(bytes, |reader| {
                Some((reader.text().ok()?, SubscribeOptions::from_byte(reader.u8().ok()?)?))
            }),
        }
    }
}

impl<'a> Iterator for UnsubscribeFiltersIter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            UnsubscribeFilters::List(list) => pop(list),
            UnsubscribeFilters::Raw(bytes) => take(bytes, |reader| reader.text().ok()),
        }
    }
}

impl Iterator for ReasonCodesIter<'_> {
    type Item = ReasonCode;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            ReasonCodes::List(list) => pop(list),
            ReasonCodes::Raw(bytes) => take(bytes, |reader| ReasonCode::from_byte(reader.u8().ok()?)),
        }
    }
}

impl Qos {
    /// Returns the quality of service of this number; there is no 3.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

impl SubscribeOptions {
    /// Reads the options byte; `None` if reserved bits, QoS 3 or retain handling 3 are set.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        let retain_handling = match byte >> 4 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return None,
        };
        Some(Self {
            qos: Qos::from_byte(byte & 0b11)?,
            no_local: byte & 0b0100 != 0,
            retain_as_published: byte & 0b1000 != 0,
            retain_handling,
        })
    }

    /// Writes the options byte of 5.0.
    pub(crate) fn to_byte(self) -> u8 {
        self.qos as u8
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | (self.retain_handling as u8) << 4
    }
}

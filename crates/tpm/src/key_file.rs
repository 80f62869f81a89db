//! Objects of a chip as files: what other programs call a TSS2 private key, and the bare form of what was sealed.

use crate::{
    answer::Blob,
    command::OWNER,
    wire::{Malformed, Reader, Writer},
};
use base64ct::{Base64, Encoding};

const BEGIN: &str = "-----BEGIN TSS2 PRIVATE KEY-----";
const END: &str = "-----END TSS2 PRIVATE KEY-----";

/// The longest such file that is read, in bytes.
pub const KEY_FILE_BYTES: usize = 4096;

/// 2.23.133.10.1.3: a key that its chip loads.
const LOADABLE: &[u8] = &[0x06, 0x06, 0x67, 0x81, 0x05, 0x0a, 0x01, 0x03];
/// It has no password.
const NO_PASSWORD: &[u8] = &[0xa0, 0x03, 0x01, 0x01, 0xff];

impl Blob {
    /// Writes it as PEM, as tpm2-tools, tpm2-openssl and others read it: a child of the owner's storage key
    /// ("ASN.1 Specification for TPM 2.0 Key Files").
    pub fn to_pem(&self) -> String {
        let encoded = Base64::encode_string(&self.to_der());
        let mut pem = format!("{BEGIN}\n");
        let mut rest = encoded.as_str();
        while let Some((line, more)) =
            rest.split_at_checked(64.min(rest.len())).filter(|(line, _)| !line.is_empty())
        {
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        pem + END + "\n"
    }

    /// Reads that, and nothing else.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, Malformed> {
        let bad = Malformed("a key file is not one that was written here");
        let text = std::str::from_utf8(pem).ok().filter(|text| text.len() <= KEY_FILE_BYTES).ok_or(bad)?;
        let body = text.trim_end().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or(bad)?;
        let body: String = body.lines().collect();
        let der = Base64::decode_vec(&body).map_err(|_| bad)?;
        let blob = Self::of_der(&der)?;
        match blob.to_der() == der {
            true => Ok(blob),
            false => Err(bad),
        }
    }

    fn to_der(&self) -> Vec<u8> {
        let octets = |bytes: &[u8]| element(0x04, &Writer::new().sized(bytes).done());
        let parent = element(0x02, &OWNER.to_be_bytes());
        let body = [LOADABLE, NO_PASSWORD, &parent, &octets(&self.public), &octets(&self.private)].concat();
        element(0x30, &body)
    }

    fn of_der(der: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(der);
        let mut body = Reader::new(read_element(&mut reader, 0x30)?);
        reader.end()?;
        body.take(LOADABLE.len() + NO_PASSWORD.len())?;
        read_element(&mut body, 0x02)?;
        let public = sized(read_element(&mut body, 0x04)?)?;
        let private = sized(read_element(&mut body, 0x04)?)?;
        body.end()?;
        Ok(Self { private, public })
    }

    /// Writes it as bytes: both halves behind their lengths.
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::new().sized(&self.public).sized(&self.private).done()
    }

    /// Reads that, and nothing behind it.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (public, private) = (reader.sized(1024)?.to_vec(), reader.sized(1024)?.to_vec());
        reader.end()?;
        Ok(Self { private, public })
    }
}

fn sized(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes);
    let inner = reader.sized(1024)?.to_vec();
    reader.end()?;
    Ok(inner)
}

/// Writes an element of DER whose content has less than 64 KiB.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let head = Writer::new().u8(tag);
    let head = match content.len() {
        short @ ..=0x7f => head.u8(short as u8),
        middle @ 0x80..=0xff => head.u8(0x81).u8(middle as u8),
        long => head.u8(0x82).u16(long as u16),
    };
    head.raw(content).done()
}

fn read_element<'a>(reader: &mut Reader<'a>, tag: u8) -> Result<&'a [u8], Malformed> {
    if reader.u8()? != tag {
        return Err(Malformed("a key file has another order"));
    }
    let size = match reader.u8()? {
        short @ ..=0x7f => usize::from(short),
        0x81 => usize::from(reader.u8()?),
        0x82 => usize::from(reader.u16()?),
        _ => return Err(Malformed("a key file has a part that is too long")),
    };
    reader.take(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_read_as_it_is_written_and_in_no_other_spelling() {
        for size in [0, 1, 60, 126, 200, 900] {
            let blob = Blob { private: vec![7; size], public: vec![9; 88] };
            let pem = blob.to_pem();
            assert_eq!(Blob::from_pem(pem.as_bytes()), Ok(blob.clone()), "{size}");
            assert!(pem.lines().all(|line| line.len() <= 64));
            assert_eq!(Blob::from_bytes(&blob.to_bytes()), Ok(blob.clone()));
            let mut der = blob.to_der();
            for at in 0..der.len() {
                der[at] ^= 0x81;
                let read = Blob::of_der(&der).ok().filter(|read| read.to_der() == der);
                assert_ne!(read, Some(blob.clone()), "byte {at}");
                der[at] ^= 0x81;
            }
        }
        assert!(Blob::from_pem(b"-----BEGIN TSS2 PRIVATE KEY-----").is_err());
    }
}

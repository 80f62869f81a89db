//! How the files of a store look: as every tool reads them, or sealed.

use super::folder::Folder;
use super::sealed::{SealingSecret, Unopened};
use super::{Generation, KeyError, Protection, Role};
use zeroize::Zeroizing;

/// Is the form of all files of one store.
pub(super) enum Form {
    /// PKCS #8 in PEM.
    Plain,
    /// The same, sealed.
    Sealed(SealingSecret),
}

/// Names one secret of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Key(Role, Generation),
    Wrapping,
}

impl Content {
    /// Lists every secret that a store can hold.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let generations = [Generation::Current, Generation::Next];
        let keys = Role::ALL.into_iter().flat_map(move |role| generations.map(|g| Self::Key(role, g)));
        [Self::Wrapping].into_iter().chain(keys)
    }

    /// Returns what a sealed file of it is known as. The generation is no part of it: a file changes it by its name.
    fn about(self) -> &'static str {
        match self {
            Self::Key(role, _) => role.as_str(),
            Self::Wrapping => "wrapping",
        }
    }
}

impl Form {
    /// Says how well keys in this form are kept.
    pub(super) fn protection(&self) -> Protection {
        match self {
            Self::Plain => Protection::File,
            Self::Sealed(_) => Protection::Sealed,
        }
    }

    /// Returns what a store of this form is named with.
    pub(super) fn scheme(&self) -> &'static str {
        match self {
            Self::Plain => "file",
            Self::Sealed(_) => "sealed",
        }
    }

    /// Returns the name of the file that holds `content`.
    pub(super) fn name(&self, content: Content) -> String {
        let sealed = matches!(self, Self::Sealed(_));
        match content {
            Content::Wrapping => if sealed { "wrapping.sealed" } else { "wrapping.key" }.to_owned(),
            Content::Key(role, generation) => {
                let next = if generation == Generation::Next { ".next" } else { "" };
                format!("{}{next}.{}", role.as_str(), if sealed { "sealed" } else { "pem" })
            }
        }
    }

    pub(super) fn is_held(&self, folder: &Folder, content: Content) -> bool {
        folder.holds(&self.name(content))
    }

    pub(super) fn write(&self, folder: &Folder, content: Content, plain: &[u8]) -> Result<(), KeyError> {
        let name = self.name(content);
        match self {
            Self::Plain => folder.write(&name, plain),
            Self::Sealed(secret) => folder.write(&name, &secret.close(content.about(), plain)?),
        }
    }

    /// Reads a file; `None` if it is not there.
    pub(super) fn read(
        &self,
        folder: &Folder,
        content: Content,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        let name = self.name(content);
        let Some(bytes) = folder.read(&name)? else { return Ok(None) };
        match self {
            Self::Plain => Ok(Some(bytes)),
            Self::Sealed(secret) => match secret.open(content.about(), &bytes) {
                Ok(plain) => Ok(Some(plain)),
                Err(Unopened::Damaged) => Err(self.damaged(folder, content)),
                Err(Unopened::OtherSecret) => Err(KeyError::Invalid {
                    what: folder.place(&name).display().to_string(),
                    problem:
                        "was sealed under another secret; give the one of this machine. On another machine \
                              it does not open, and is not meant to"
                            .to_owned(),
                }),
            },
        }
    }

    pub(super) fn damaged(&self, folder: &Folder, content: Content) -> KeyError {
        KeyError::Invalid {
            what: folder.place(&self.name(content)).display().to_string(),
            problem:
                "is damaged, or none of these keys; take it from a backup, or make new keys and enrol the \
                      device again"
                    .to_owned(),
        }
    }

    /// Refuses a folder whose keys have the other form: beside them a second set would be made.
    pub(super) fn check(&self, folder: &Folder) -> Result<(), KeyError> {
        let (other, problem) = match self {
            Self::Plain => {
                ("tls.sealed", "holds sealed keys; name it sealed:DIR?secret=FILE or ?credential=NAME")
            }
            Self::Sealed(_) => (
                "tls.pem",
                "holds keys that are not sealed, and a copy of them may be anywhere; make new ones in another \
                 folder, or name it file:DIR",
            ),
        };
        if folder.holds(other) {
            return Err(KeyError::Invalid {
                what: folder.path().display().to_string(),
                problem: problem.to_owned(),
            });
        }
        Ok(())
    }

    /// Erases everything secret; goes on with the rest where something fails, and returns the first failure.
    pub(super) fn erase_all(&self, folder: &Folder) -> Result<(), KeyError> {
        Content::all().map(|content| folder.erase(&self.name(content))).fold(Ok(()), Result::and)
    }
}

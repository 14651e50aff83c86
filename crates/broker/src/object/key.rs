//! The names of objects. Stored format, stable: numbers have a fixed width, so that names sort as
//! their numbers do.

use std::fmt;

use crate::state::extents::ObjectName;

/// The name of an object below the cluster's prefix.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Key {
    /// An object of the dense log, by sequence.
    Log(u64),
    /// A rewritten object, by id.
    Data(u64),
    /// A run of claims, by id.
    Claims(u64),
    /// A piece of a checkpoint of the state after record `lsn`.
    Checkpoint { epoch: u32, lsn: u64, chunk: u32 },
    /// A manifest, by id.
    Manifest(u64),
}

/// The kinds of objects, each a folder of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Folder {
    Log,
    Data,
    Claims,
    Checkpoint,
    Manifest,
}

impl Folder {
    /// All folders.
    pub const ALL: [Self; 5] = [
        Self::Log,
        Self::Data,
        Self::Claims,
        Self::Checkpoint,
        Self::Manifest,
    ];

    /// The folder's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Data => "data",
            Self::Claims => "claims",
            Self::Checkpoint => "ckpt",
            Self::Manifest => "manifest",
        }
    }
}

impl Key {
    /// The folder the object lies in.
    pub fn folder(self) -> Folder {
        match self {
            Self::Log(_) => Folder::Log,
            Self::Data(_) => Folder::Data,
            Self::Claims(_) => Folder::Claims,
            Self::Checkpoint { .. } => Folder::Checkpoint,
            Self::Manifest(_) => Folder::Manifest,
        }
    }

    /// Reads a name; `None` if no object of ours is called so.
    pub fn parse(name: &str) -> Option<Self> {
        let (folder, rest) = name.split_once('/')?;
        let number = |digits: &str| digits.parse::<u64>().ok();
        let key = match folder {
            "log" => Self::Log(number(rest)?),
            "data" => Self::Data(number(rest)?),
            "claims" => Self::Claims(number(rest)?),
            "manifest" => Self::Manifest(number(rest)?),
            "ckpt" => {
                let (place, chunk) = rest.split_once('/')?;
                let (epoch, lsn) = place.split_once('-')?;
                Self::Checkpoint {
                    epoch: epoch.parse().ok()?,
                    lsn: number(lsn)?,
                    chunk: chunk.parse().ok()?,
                }
            }
            _ => return None,
        };
        // One object, one name: `log/7` or `log/+7` is not ours.
        (key.to_string() == name).then_some(key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder().name();
        match self {
            Self::Log(number)
            | Self::Data(number)
            | Self::Claims(number)
            | Self::Manifest(number) => write!(f, "{folder}/{number:020}"),
            Self::Checkpoint { epoch, lsn, chunk } => {
                write!(f, "{folder}/{epoch:010}-{lsn:020}/{chunk:04}")
            }
        }
    }
}

impl From<ObjectName> for Key {
    fn from(name: ObjectName) -> Self {
        match name {
            ObjectName::Log(sequence) => Self::Log(sequence),
            ObjectName::Data(id) => Self::Data(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: Key, name: &str) {
        assert_eq!(key.to_string(), name, "the name is stable");
        assert_eq!(Key::parse(name), Some(key));
    }

    #[test]
    fn names_are_stable() {
        check(Key::Log(7), "log/00000000000000000007");
        check(Key::Data(u64::MAX), "data/18446744073709551615");
        check(Key::Claims(1), "claims/00000000000000000001");
        check(
            Key::Checkpoint {
                epoch: 3,
                lsn: 99,
                chunk: 2,
            },
            "ckpt/0000000003-00000000000000000099/0002",
        );
        check(Key::Manifest(12), "manifest/00000000000000000012");
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in [
            "",
            "log",
            "log/7",
            "log/+0000000000000000007",
            "log/00000000000000000007/x",
            "logs/00000000000000000007",
            "log/99999999999999999999",
            "ckpt/0000000003-00000000000000000099",
            "ckpt/3-99/2",
            "LOCK",
        ] {
            assert_eq!(Key::parse(name), None, "{name}");
        }
    }
}

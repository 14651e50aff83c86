//! Files of a folder of contracts as a request sends them, and as the loader takes them.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate_contract::Contracts;
use tidegate_contract::load::{self, Diagnostics};

use crate::problem::{Kind, Problem};

/// All files of a folder.
pub(super) const MAX_UPLOAD_BYTES: usize = 32 * 1024 * 1024;
const MAX_FILES: usize = 20_000;
const MAX_PATH_BYTES: usize = 1_024;
/// Files that were sent stand in a folder of their own, so that findings tell them from those in force.
const GIVEN: &str = "given:/";

/// A file, by its path inside the folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    path: String,
    text: String,
}

/// The files of a request.
#[derive(Debug)]
pub(super) struct Upload {
    files: Vec<(String, String)>,
    schemas: BTreeMap<String, String>,
}

impl Upload {
    /// Takes the files of a request.
    ///
    /// # Errors
    /// `BadRequest`: too many, or a path that is none.
    pub(super) fn new(files: Vec<File>, schemas: Vec<File>) -> Result<Self, Problem> {
        let bad = |detail: &str| Problem::new(Kind::BadRequest, detail);
        if files.len() + schemas.len() > MAX_FILES {
            return Err(bad("there are more than 20,000 files"));
        }
        for File { path, .. } in files.iter().chain(&schemas) {
            let is_path = !path.is_empty() && path.len() <= MAX_PATH_BYTES;
            if !is_path || path.starts_with('/') || path.chars().any(char::is_control) {
                return Err(bad("a file's path is not one inside a folder"));
            }
        }
        let given = |it: File| (format!("{GIVEN}{}", it.path), it.text);
        Ok(Self {
            files: files.into_iter().map(given).collect(),
            schemas: schemas.into_iter().map(given).collect(),
        })
    }

    /// Reads the contracts in the files.
    ///
    /// # Errors
    /// Everything that is wrong in them.
    pub(super) fn load(&self) -> Result<Contracts, Diagnostics> {
        load::sources(&self.files, &|path| self.schemas.get(path).cloned())
    }
}

/// Returns the path of a file as it was sent, if it was; one in force has its own.
pub(super) fn given(file: &str) -> Option<&str> {
    file.strip_prefix(GIVEN)
}

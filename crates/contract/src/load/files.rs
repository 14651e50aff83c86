//! Reads a folder of contracts: every `.yaml` and `.yml` below it in the order of their names, and
//! the schema files that they name. Nothing above the folder is read, and no link out of it is
//! followed.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Diagnostics, Level};
use super::pieces::Texts;
use super::{File, load};
use crate::model::Contracts;
use crate::schema::MAX_FILE_BYTES as MAX_SCHEMA_BYTES;

/// A contract takes less than 4 KiB, so this is a thousand of them in one file.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Folders deeper than this are a mistake or a loop of links.
const MAX_DEPTH: usize = 16;

/// Reads every contract and team below a folder.
///
/// # Errors
/// Everything that is wrong in the files, or that they cannot be read; no contract is usable then.
pub fn folder(folder: &Path) -> Result<Contracts, Diagnostics> {
    let mut found = Diagnostics::default();
    let mut paths = Vec::new();
    list(folder, 0, &mut paths, &mut found);
    paths.sort();
    let mut texts = Vec::new();
    for path in &paths {
        match read(path, MAX_FILE_BYTES) {
            Ok(text) => texts.push((shown(path), text)),
            Err(problem) => found.push(about(path, problem)),
        }
    }
    let files: Vec<File<'_>> = texts
        .iter()
        .map(|(name, text)| File::new(name, text))
        .collect();
    // Sources are named by their whole path, so `schemas/a.json` beside one arrives here with it.
    let root = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let find_schema = |name: &str| {
        let path = PathBuf::from(name);
        let real = path
            .canonicalize()
            .map_err(|e| format!("cannot read schema file `{name}`: {e}"))?;
        if !real.starts_with(&root) {
            return Err(format!(
                "schema file `{name}` lies outside of the contracts' folder"
            ));
        }
        read(&real, MAX_SCHEMA_BYTES)
            .map_err(|problem| format!("cannot read schema file `{name}`: {problem}"))
    };
    load(&files, &[&find_schema], found)
}

/// Reads a folder as [`folder`] does, and returns its texts as well: every contract file, and the
/// schema files that they lead to, by their paths inside the folder.
///
/// # Errors
/// Those of [`folder`].
pub fn texts(folder: &Path) -> Result<(Contracts, Texts), Diagnostics> {
    let contracts = self::folder(folder)?;
    let mut found = Diagnostics::default();
    let mut paths = Vec::new();
    list(folder, 0, &mut paths, &mut found);
    paths.sort();
    let mut files = Vec::new();
    for path in &paths {
        let name = path.strip_prefix(folder).unwrap_or(path);
        match read(path, MAX_FILE_BYTES) {
            Ok(text) => files.push((shown(name), text)),
            Err(problem) => found.push(about(path, problem)),
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    let root = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let find = |name: &str| {
        let real = root.join(name).canonicalize();
        let real = real.ok().filter(|real| real.starts_with(&root))?;
        read(&real, MAX_SCHEMA_BYTES).ok()
    };
    let schemas = super::pieces::schemas_of(&files, &find);
    Ok((contracts, Texts { files, schemas }))
}

fn list(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>, found: &mut Diagnostics) {
    if depth > MAX_DEPTH {
        found.push(about(
            folder,
            format!("lies deeper than {MAX_DEPTH} folders"),
        ));
        return;
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return found.push(about(folder, format!("cannot read it: {error}"))),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return found.push(about(folder, format!("cannot read it: {error}"))),
        };
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        // Links are followed to files, as mounted configuration needs, but never to folders.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder {
            list(&path, depth + 1, paths, found);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") && path.is_file() {
            paths.push(path);
        }
    }
}

fn read(path: &Path, max_bytes: u64) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|e| format!("cannot read it: {e}"))?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("cannot read it: {e}"))?;
    if bytes.len() as u64 > max_bytes {
        return Err(format!("is larger than {} MiB", max_bytes >> 20));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

fn about(path: &Path, message: String) -> Diagnostic {
    Diagnostic {
        level: Level::Error,
        rule: None,
        file: shown(path),
        line: 0,
        column: 0,
        message,
        hint: None,
        snippet: None,
    }
}

/// Returns a path with `/` between its parts.
fn shown(path: &Path) -> String {
    path.to_string_lossy()
        .replace(std::path::MAIN_SEPARATOR, "/")
}

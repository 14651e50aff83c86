//! What requests say about contracts: JSON of bounded size, and the files of a folder as the loader takes
//! them. What is to be done with them is left to whoever asked.

use axum::body::Body;
use axum::http::HeaderMap;
use serde::Deserialize;
use tidegate_contract::Contracts;
use tidegate_contract::load::{self, Diagnostics, Texts};
use utoipa::ToSchema;

use crate::Gateway;
use crate::ingress::body;
use crate::problem::{Kind, Problem};

/// All files of a folder.
pub(super) const MAX_UPLOAD_BYTES: usize = 32 * 1024 * 1024;
const MAX_FILES: usize = 20_000;
const MAX_PATH_BYTES: usize = 1_024;

/// A file, by its path inside the folder.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[schema(min_length = 1, max_length = 1024)]
    path: String,
    text: String,
}

/// Reads a request's JSON. What it takes of the memory for bodies is held until the second value goes.
///
/// # Errors
/// It is too large, or not what is wanted.
pub(super) async fn read<'g, T: for<'de> Deserialize<'de>>(
    gateway: &'g Gateway,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<(T, body::Held<'g>), Problem> {
    let (bytes, held) = body::read(gateway, headers, body, limit).await?;
    let parsed = serde_json::from_slice(&bytes).map_err(|error| {
        let kind = match error.is_data() {
            true => Kind::BadRequest,
            false => Kind::MalformedJson,
        };
        Problem::new(kind, error.to_string())
    })?;
    Ok((parsed, held))
}

/// Takes the files of a request; their paths begin with `folder`.
///
/// # Errors
/// `BadRequest`: too many, or a path that is none.
pub(super) fn texts(folder: &str, files: Vec<File>, schemas: Vec<File>) -> Result<Texts, Problem> {
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
    let named = |it: File| (format!("{folder}{}", it.path), it.text);
    Ok(Texts {
        files: files.into_iter().map(named).collect(),
        schemas: schemas.into_iter().map(named).collect(),
    })
}

/// Reads the contracts in files.
///
/// # Errors
/// Everything that is wrong in them.
pub(super) fn load(texts: &Texts) -> Result<Contracts, Diagnostics> {
    load::sources(&texts.files, &|path| texts.schemas.get(path).cloned())
}

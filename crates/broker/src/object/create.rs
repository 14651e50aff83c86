//! Creates an object once, and knows afterwards whether it is ours.
//!
//! A create that timed out may have happened, and a store's own retry turns our success into
//! «already exists». So every body carries a random id, the `put_id`, and after any doubt the object
//! is read back: same id, it was us. In a store of files the name may still not be on disk, so that is
//! made sure of; as long as it fails, the outcome stays in doubt. Only one process writes a cluster's objects; another id means
//! that this is no longer true.

use std::ops::Range;

use bytes::Bytes;
use object_store::{PutMode, PutOptions, PutPayload};

use super::store::{Failure, classify};
use super::{Key, ObjectError, Objects};

/// The bytes of an object, and where in them it says whose it is.
#[derive(Clone, Debug)]
pub struct Body {
    parts: Vec<Bytes>,
    bytes: u64,
    proof: Range<u64>,
    proof_bytes: Vec<u8>,
}

impl Body {
    /// Makes a body of `parts`. `proof` is the range that holds the `put_id`.
    ///
    /// # Panics
    /// `proof` lies outside the parts.
    pub fn new(parts: Vec<Bytes>, proof: Range<u64>) -> Self {
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        assert!(
            proof.start < proof.end && proof.end <= bytes,
            "the proof lies inside the body"
        );
        let mut proof_bytes = Vec::new();
        let mut start = 0;
        for part in &parts {
            let end = start + part.len() as u64;
            let within = proof.start.clamp(start, end) - start..proof.end.clamp(start, end) - start;
            let within = usize::try_from(within.start).expect("inside a part")
                ..usize::try_from(within.end).expect("inside a part");
            proof_bytes.extend_from_slice(&part[within]);
            start = end;
        }
        Self {
            parts,
            bytes,
            proof,
            proof_bytes,
        }
    }

    /// The size of the object.
    pub fn len_bytes(&self) -> u64 {
        self.bytes
    }

    /// All bytes in one piece, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts.concat()
    }
}

/// Creates an object. When it returns, the object is durable and ours.
///
/// # Errors
/// `Unexpected`: somebody else's object stands there; stop. `Unavailable`: perhaps created; call
/// again with the same body.
pub async fn create(objects: &Objects, key: Key, body: &Body) -> Result<(), ObjectError> {
    let path = objects.path(key);
    let mut attempt = 0;
    loop {
        let payload: PutPayload = body.parts.iter().cloned().collect();
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let error = match objects.store().put_opts(&path, payload, options).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let taken = matches!(
            error,
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }
        );
        if let Failure::Final(error @ ObjectError::Unavailable { .. }) = classify(key, error) {
            return Err(error);
        }
        if !taken && !objects.back_off(attempt).await {
            return Err(doubtful(key));
        }
        match is_ours(objects, key, body).await {
            Ok(true) => return objects.make_durable(key),
            Ok(false) => return Err(ObjectError::Unexpected { key }),
            // Not there: send it again. No answer: the next create will tell as well.
            Err(ObjectError::NotFound { .. } | ObjectError::Unavailable { .. }) => {}
            Err(error) => return Err(error),
        }
        if taken && !objects.back_off(attempt).await {
            return Err(doubtful(key));
        }
        attempt += 1;
    }
}

/// Reads back whose object stands at `key`.
///
/// # Errors
/// `NotFound`, `Unavailable`.
pub async fn is_ours(objects: &Objects, key: Key, body: &Body) -> Result<bool, ObjectError> {
    match objects.get(key, body.proof.clone()).await {
        Ok((proof, size)) => Ok(size == body.bytes && proof == body.proof_bytes),
        Err(ObjectError::Corrupt { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn doubtful(key: Key) -> ObjectError {
    ObjectError::Unavailable {
        key,
        source: "a create had no clear outcome".into(),
    }
}

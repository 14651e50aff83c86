//! Writes a run from claims in key order, in bounded memory: a part of the object, the keys of one
//! filter, and the filters and fences themselves, which the finished run keeps anyway.

use bytes::Bytes;
use object_store::{MultipartUpload, PutPayload};

use super::format::{
    self, BLOCK_BYTES, BLOCK_ENTRIES, FILTER_BLOCKS, FOOTER_BYTES, Footer, Layout,
};
use super::run::{Run, RunRef};
use super::{ClaimKey, Entry, filter};
use crate::object::{Body, Key, ObjectError, Objects, create};

/// The size of an upload's parts. Amazon S3 wants at least 5 MiB and at most 10,000 of them, which
/// is room for 80 GiB, or 1.3 billion claims. Smaller runs are put in one piece.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Writes a run.
pub struct RunWriter<'a> {
    objects: &'a Objects,
    footer: Footer,
    part: Vec<u8>,
    block_start: usize,
    block_entries: usize,
    last_key: Option<ClaimKey>,
    filter_keys: Vec<ClaimKey>,
    fences: Vec<u64>,
    filters: Vec<u32>,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl<'a> RunWriter<'a> {
    /// Starts the run `id` of at most `expected` claims.
    pub fn new(objects: &'a Objects, id: u64, put_id: [u8; 16], expected: u64) -> Self {
        let layout = Layout::of(expected);
        // Exactly as much as it needs, since what a vector reserves ahead could be as much again.
        let capacity = |count: u64| usize::try_from(count).unwrap_or(0);
        Self {
            objects,
            footer: Footer {
                id,
                put_id,
                entries: 0,
                first_ms: i64::MAX,
                last_ms: i64::MIN,
                last_expiry_ms: i64::MIN,
                longest_window_s: 0,
                fences_crc: 0,
                filters_crc: 0,
            },
            part: Vec::new(),
            block_start: 0,
            block_entries: 0,
            last_key: None,
            filter_keys: Vec::new(),
            fences: Vec::with_capacity(capacity(layout.blocks)),
            filters: Vec::with_capacity(capacity(layout.filter_words)),
            upload: None,
        }
    }

    /// Adds a claim, whose key is above all before.
    ///
    /// # Errors
    /// `Unexpected`, `Unavailable`: start again.
    ///
    /// # Panics
    /// The key is not above the last one: the run would lie.
    pub async fn push(&mut self, key: &ClaimKey, entry: &Entry) -> Result<(), ObjectError> {
        assert!(
            self.last_key.is_none_or(|last| last < *key),
            "claims come in key order"
        );
        self.last_key = Some(*key);
        if self.block_entries == 0 {
            self.block_start = self.part.len();
            self.fences.push(key.prefix());
        }
        format::write_entry(&mut self.part, key, entry);
        self.block_entries += 1;
        self.filter_keys.push(*key);
        let footer = &mut self.footer;
        footer.entries += 1;
        footer.first_ms = footer.first_ms.min(entry.timestamp_ms);
        footer.last_ms = footer.last_ms.max(entry.timestamp_ms);
        footer.last_expiry_ms = footer.last_expiry_ms.max(entry.expires_ms());
        footer.longest_window_s = footer.longest_window_s.max(entry.window_s);
        if self.block_entries == BLOCK_ENTRIES {
            self.close_block();
            if self.part.len() >= PART_BYTES {
                self.put_part().await?;
            }
        }
        Ok(())
    }

    /// Ends the run and makes it durable; `None` if it has no claims.
    ///
    /// # Errors
    /// `Unexpected`; `Unavailable`: perhaps stored; write it again with the same ids.
    pub async fn finish(mut self) -> Result<Option<Run>, ObjectError> {
        if self.footer.entries == 0 {
            return Ok(None);
        }
        if self.block_entries > 0 {
            self.close_block();
        }
        self.close_filter();
        // Fences and filters go through the part buffer too: another copy of them would count.
        for at in 0..self.fences.len() {
            let bytes = self.fences[at].to_le_bytes();
            self.footer.fences_crc = crc32c::crc32c_append(self.footer.fences_crc, &bytes);
            self.append(&bytes).await?;
        }
        for at in 0..self.filters.len() {
            let bytes = self.filters[at].to_le_bytes();
            self.footer.filters_crc = crc32c::crc32c_append(self.footer.filters_crc, &bytes);
            self.append(&bytes).await?;
        }
        let footer = self.footer.write();
        self.part.extend_from_slice(&footer);
        self.complete().await?;
        let place = RunRef::from(&self.footer);
        Ok(Some(Run::new(place, self.fences, self.filters)))
    }

    fn close_block(&mut self) {
        let number = self.fences.len() as u64 - 1;
        let (start, entries) = (self.block_start, self.block_entries);
        format::close_block(&mut self.part, start, entries, number, self.footer.id);
        self.block_entries = 0;
        if self.filter_keys.len() == BLOCK_ENTRIES * FILTER_BLOCKS {
            self.close_filter();
        }
    }

    fn close_filter(&mut self) {
        let start = self.filters.len();
        self.filters
            .resize(start + filter::words_for(self.filter_keys.len()), 0);
        for key in self.filter_keys.drain(..) {
            filter::insert(&mut self.filters[start..], &key);
        }
    }

    async fn append(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART_BYTES {
            self.put_part().await?;
        }
        Ok(())
    }

    fn key(&self) -> Key {
        Key::Claims(self.footer.id)
    }

    fn unavailable(&self, source: object_store::Error) -> ObjectError {
        ObjectError::Unavailable {
            key: self.key(),
            source: Box::new(source),
        }
    }

    async fn put_part(&mut self) -> Result<(), ObjectError> {
        if self.upload.is_none() {
            // An upload replaces what is there, so make sure that nothing is.
            match stored_put_id(self.objects, self.footer.id).await {
                Err(ObjectError::NotFound { .. }) => {}
                Ok(Some(put_id)) if put_id == self.footer.put_id => {}
                Ok(_) => return Err(ObjectError::Unexpected { key: self.key() }),
                Err(error) => return Err(error),
            }
            let path = self.objects.path(self.key());
            let options = object_store::PutMultipartOptions::default();
            let upload = self
                .objects
                .store()
                .put_multipart_opts(&path, options)
                .await;
            self.upload = Some(upload.map_err(|error| self.unavailable(error))?);
        }
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(PART_BYTES + BLOCK_BYTES));
        let upload = self.upload.as_mut().expect("it was just started");
        let put = upload.put_part(PutPayload::from(Bytes::from(part)));
        if let Err(error) = put.await {
            self.abandon().await;
            return Err(self.unavailable(error));
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), ObjectError> {
        if self.upload.is_none() {
            let part = std::mem::take(&mut self.part);
            let end = part.len() as u64;
            let body = Body::new(vec![part.into()], end - FOOTER_BYTES as u64..end);
            return create::create(self.objects, self.key(), &body).await;
        }
        self.put_part().await?;
        let upload = self.upload.as_mut().expect("it was just seen");
        let Err(error) = upload.complete().await else {
            return Ok(());
        };
        // It may have happened all the same.
        match stored_put_id(self.objects, self.footer.id).await {
            Ok(Some(put_id)) if put_id == self.footer.put_id => {
                self.objects.make_durable(self.key())
            }
            _ => {
                self.abandon().await;
                Err(self.unavailable(error))
            }
        }
    }

    /// Lets go of an upload. If that fails, its parts are the store's to clean up.
    async fn abandon(&mut self) {
        if let Some(mut upload) = self.upload.take()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(key = %self.key(), %error, "an upload could not be abandoned");
        }
    }
}

/// Whose run is stored under `id`; `None` if it is no run.
async fn stored_put_id(objects: &Objects, id: u64) -> Result<Option<[u8; 16]>, ObjectError> {
    let key = Key::Claims(id);
    let size = objects.size(key).await?;
    let Some(start) = size.checked_sub(FOOTER_BYTES as u64) else {
        return Ok(None);
    };
    let (footer, _) = objects.get(key, start..size).await?;
    Ok(Footer::parse(&footer).ok().map(|footer| footer.put_id))
}

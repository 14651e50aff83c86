//! Reads one record of a batch where it lies: nothing is copied, and nothing is reserved by a number
//! that a peer wrote.

use super::varint;

/// Name and value of a header.
pub type HeaderRef<'b> = (&'b [u8], Option<&'b [u8]>);

/// A record in the bytes of its batch, without its headers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RecordView<'b> {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i64,
    pub(super) key: Option<&'b [u8]>,
    pub(super) value: Option<&'b [u8]>,
}

/// Takes a record off the front of `rest`; its headers replace those in `headers`.
pub(super) fn take<'b>(
    rest: &mut &'b [u8],
    headers: &mut Vec<HeaderRef<'b>>,
) -> Result<RecordView<'b>, &'static str> {
    let len = varint::take(rest).ok_or("its length is cut off")?;
    let (record, behind) = usize::try_from(len)
        .ok()
        .and_then(|len| rest.split_at_checked(len))
        .ok_or("its length reaches past the batch")?;
    *rest = behind;
    let mut fields = Fields(record);
    fields.skip_attributes()?;
    let view = RecordView {
        timestamp_delta: fields.varint()?,
        offset_delta: fields.varint()?,
        key: fields.bytes()?,
        value: fields.bytes()?,
    };
    fields.headers(headers)?;
    match fields.0 {
        [] => Ok(view),
        _ => Err("bytes are left over"),
    }
}

/// The fields of one record that are not read yet.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn skip_attributes(&mut self) -> Result<(), &'static str> {
        let (_, rest) = self.0.split_first().ok_or("it is empty")?;
        self.0 = rest;
        Ok(())
    }

    fn varint(&mut self) -> Result<i64, &'static str> {
        varint::take(&mut self.0).ok_or("a number is cut off")
    }

    fn bytes(&mut self) -> Result<Option<&'b [u8]>, &'static str> {
        let len = self.varint()?;
        if len == -1 {
            return Ok(None);
        }
        let len = usize::try_from(len).map_err(|_| "a length is negative")?;
        let (field, rest) = self
            .0
            .split_at_checked(len)
            .ok_or("a length reaches past the record")?;
        self.0 = rest;
        Ok(Some(field))
    }

    fn headers(&mut self, into: &mut Vec<HeaderRef<'b>>) -> Result<(), &'static str> {
        into.clear();
        let count = self.varint()?;
        let count = usize::try_from(count).map_err(|_| "the number of headers is negative")?;
        // A header takes at least two bytes, so this reserves by what is really there.
        if count > self.0.len() / 2 {
            return Err("it announces more headers than it has bytes for");
        }
        into.reserve(count);
        for _ in 0..count {
            let name = self.bytes()?.ok_or("a header has no name")?;
            into.push((name, self.bytes()?));
        }
        Ok(())
    }
}

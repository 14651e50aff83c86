//! An answer over HTTP/1.1, read as far as its end.

use anyhow::{Context, Result, bail};

/// An answer that is there as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Reads an answer; `None` if more is to come.
    ///
    /// # Errors
    /// Bytes that are no HTTP, or an answer that does not say how long it is.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) =
            response.parse(bytes).context("the answer is no HTTP")?
        else {
            return Ok(None);
        };
        let status = response.code.unwrap_or_default();
        let length = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length: usize = match length {
            Some(header) => std::str::from_utf8(header.value)?.trim().parse()?,
            None if status == 204 => 0,
            None => bail!("an answer {status} without content-length"),
        };
        let body = bytes[head..].get(..length);
        Ok(body.map(|body| Self { status, body }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let whole = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
        let answer = |bytes| Answer::read(bytes).expect("it is HTTP");
        let (status, body) = (202, &b"{}"[..]);
        assert_eq!(answer(whole), Some(Answer { status, body }));
        assert_eq!(answer(&whole[..whole.len() - 1]), None);
        let (status, body) = (204, &b""[..]);
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(answer(empty), Some(Answer { status, body }));
    }
}

//! Reads an answer as far as its status and its end.

use anyhow::{Context, Result, bail};

/// Returns the status of an answer that is there as a whole.
pub(super) fn status_of(bytes: &[u8]) -> Result<Option<u16>> {
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
    let length = match length {
        Some(header) => std::str::from_utf8(header.value)?.trim().parse()?,
        None if status == 204 => 0,
        None => bail!("an answer {status} without content-length"),
    };
    Ok((bytes.len() >= head + length).then_some(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let whole = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(status_of(whole).expect("it is HTTP"), Some(202));
        assert_eq!(
            status_of(&whole[..whole.len() - 1]).expect("it is HTTP"),
            None
        );
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(status_of(empty).expect("it is HTTP"), Some(204));
    }
}

//! The events: orders of 1,024 bytes of JSON, 64 different ones, each sent with an id of its own and
//! one of 10,000 customers as its key. An event follows from the run's number, its time and the
//! event's number, so that a reader can tell byte for byte what must be in the log; but for the end of
//! the note, where a sender may stamp when the event was due.
//!
//! Invariant: id, customer and stamp stand at fixed places, since they are patched in and read back there.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};

/// Bytes of an event's data.
pub const BODY_BYTES: usize = 1024;
/// How many different keys the events have.
pub const KEYS: u64 = 10_000;

/// The CloudEvents `type` that the contract in `bench/contracts` governs.
pub const EVENT_TYPE: &str = "com.example.bench.order.placed";
/// The CloudEvents `source`.
pub const EVENT_SOURCE: &str = "/bench/orders";

const TEMPLATES: usize = 64;
const BEFORE_ID: &str = "{\"orderId\":\"ord-";
const BEFORE_KEY: &str = "\",\"customerId\":\"";
const ID_AT: usize = BEFORE_ID.len();
const KEY_AT: usize = ID_AT + ID_BYTES + BEFORE_KEY.len();
/// `RRRRRRRR-NNNNNNNNNN`: run and number, in hexadecimal.
pub const ID_BYTES: usize = 19;
/// `cust-NNNNN`
pub const KEY_BYTES: usize = 10;
/// Microseconds since 1970, in hexadecimal.
const STAMP_BYTES: usize = 16;
const STAMP_AT: usize = BODY_BYTES - "\"}".len() - STAMP_BYTES;

/// The orders of one run.
pub struct Orders {
    run: u32,
    time: String,
    templates: Vec<Vec<u8>>,
}

impl Orders {
    /// Makes the orders of `run`, all placed at `time` (RFC 3339, to the second, UTC).
    pub fn new(run: u32, time: &str) -> Self {
        let mut random = fastrand::Rng::with_seed(7);
        let templates = (0..TEMPLATES)
            .map(|_| template(&mut random, time))
            .collect();
        Self {
            run,
            time: time.to_owned(),
            templates,
        }
    }

    /// Returns when the orders were placed.
    pub fn time(&self) -> &str {
        &self.time
    }

    /// Writes the id of event `number` over `out`, [`ID_BYTES`] long.
    pub fn write_id(&self, number: u64, out: &mut [u8]) {
        write_hex(u64::from(self.run), &mut out[..8]);
        out[8] = b'-';
        write_hex(number, &mut out[9..ID_BYTES]);
    }

    /// Writes the data of event `number` over `out`, [`BODY_BYTES`] long.
    pub fn write_body(&self, number: u64, out: &mut [u8]) {
        let template = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        out.copy_from_slice(&self.templates[template as usize % TEMPLATES]);
        self.write_id(number, &mut out[ID_AT..]);
        write_key(number, &mut out[KEY_AT..]);
    }

    /// Returns the key of event `number`.
    pub fn key(&self, number: u64) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        write_key(number, &mut key);
        key
    }

    /// Tells which event of this run a record is; `None` if it is none, to the last byte.
    pub fn number_of(&self, key: Option<&[u8]>, body: &[u8]) -> Option<u64> {
        if body.len() != BODY_BYTES {
            return None;
        }
        let id = std::str::from_utf8(&body[ID_AT..ID_AT + ID_BYTES]).ok()?;
        let number = u64::from_str_radix(id.get(9..)?, 16).ok()?;
        let mut expected = [0; BODY_BYTES];
        self.write_body(number, &mut expected);
        if stamp_of(body).is_some() {
            expected[STAMP_AT..][..STAMP_BYTES].copy_from_slice(&body[STAMP_AT..][..STAMP_BYTES]);
        }
        (expected == body && key == Some(&self.key(number)[..])).then_some(number)
    }

    /// As [`Orders::number_of`], of a record that must be an event of this run.
    ///
    /// # Errors
    /// A record that was not sent so, or a number that is beyond all that is ever sent.
    pub fn known(&self, key: Option<&[u8]>, body: &[u8]) -> Result<u64> {
        let number = self
            .number_of(key, body)
            .context("the log holds a record that was not sent so")?;
        if number > 1 << 32 {
            bail!("the log holds an event number that was not sent");
        }
        Ok(number)
    }
}

/// Stamps an event's data with when it was due, in microseconds since 1970.
pub fn stamp(due_us: u64, body: &mut [u8]) {
    write_hex(due_us, &mut body[STAMP_AT..][..STAMP_BYTES]);
}

/// Reads when an event was due; `None` if it has no stamp.
pub fn stamp_of(body: &[u8]) -> Option<u64> {
    let stamp = body.get(STAMP_AT..)?.get(..STAMP_BYTES)?;
    let digits = std::str::from_utf8(stamp).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

fn write_hex(mut value: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

fn write_key(number: u64, out: &mut [u8]) {
    // A prime step, so that neighbours in time are no neighbours among the keys.
    let mut customer = number.wrapping_mul(7919) % KEYS;
    out[..5].copy_from_slice(b"cust-");
    for digit in out[5..KEY_BYTES].iter_mut().rev() {
        *digit = b'0' + (customer % 10) as u8;
        customer /= 10;
    }
}

fn template(random: &mut fastrand::Rng, time: &str) -> Vec<u8> {
    const SKUS: [&str; 8] = [
        "tea-250",
        "mug-blue",
        "kettle-1l",
        "filter-100",
        "honey-500",
        "scale-2kg",
        "tray-oak",
        "cup-set-6",
    ];
    const CITIES: [(&str, &str); 4] = [
        ("Lisboa", "PT"),
        ("Göteborg", "SE"),
        ("Gdańsk", "PL"),
        ("Wien", "AT"),
    ];
    let mut text = format!(
        "{BEFORE_ID}{:ID_BYTES$}{BEFORE_KEY}{:KEY_BYTES$}\",\"placedAt\":\"{time}\"",
        "", ""
    );
    let mut total = 0;
    let mut lines = Vec::new();
    for _ in 0..random.u32(2..6) {
        let sku = SKUS[random.usize(..SKUS.len())];
        let (quantity, price) = (random.u32(1..9), random.u32(90..9_900));
        total += quantity * price;
        lines.push(format!(
            "{{\"sku\":\"{sku}\",\"quantity\":{quantity},\"unitPrice\":{price},\"gift\":{}}}",
            random.bool()
        ));
    }
    let (city, country) = CITIES[random.usize(..CITIES.len())];
    let channel = ["web", "app", "shop"][random.usize(..3)];
    write!(
        text,
        ",\"channel\":\"{channel}\",\"total\":{{\"amount\":{total},\"currency\":\"EUR\"}},\"lines\":[{}],\
         \"shipping\":{{\"street\":\"Harbour Road {}\",\"city\":\"{city}\",\"postcode\":\"{:05}\",\
         \"country\":\"{country}\"}},\"note\":\"",
        lines.join(","),
        random.u32(1..200),
        random.u32(1_000..99_999),
    )
    .expect("a String takes everything");
    // Words, not one letter: what the note costs to parse should be what text costs.
    while text.len() < BODY_BYTES - 2 {
        let room = BODY_BYTES - 2 - text.len();
        let word: String = (0..random.usize(2..9).min(room))
            .map(|_| random.lowercase())
            .collect();
        text.push_str(&word);
        if text.len() < BODY_BYTES - 2 {
            text.push(' ');
        }
    }
    text.push_str("\"}");
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_known_again_to_the_last_byte() {
        let orders = Orders::new(0xBEEF, "2026-01-01T00:00:00Z");
        let mut body = [0; BODY_BYTES];
        for number in [0, 1, 63, 10_000, (1 << 40) - 1] {
            orders.write_body(number, &mut body);
            let value: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON");
            let key = orders.key(number);
            assert_eq!(value["customerId"].as_str(), std::str::from_utf8(&key).ok());
            assert_eq!(orders.number_of(Some(&key), &body), Some(number));
            assert_eq!(orders.number_of(None, &body), None);
            assert_eq!(stamp_of(&body), None);
            body[BODY_BYTES - 3] ^= 1;
            assert_eq!(orders.number_of(Some(&key), &body), None);
        }
    }

    #[test]
    fn a_stamp_is_read_back_and_changes_nothing_else() {
        let orders = Orders::new(1, "2026-01-01T00:00:00Z");
        let mut body = [0; BODY_BYTES];
        for number in 0..TEMPLATES as u64 * 4 {
            orders.write_body(number, &mut body);
            stamp(1_795_000_000_000_000, &mut body);
            let value: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON");
            assert!(value["note"].as_str().expect("a note").len() > STAMP_BYTES);
            assert_eq!(stamp_of(&body), Some(1_795_000_000_000_000));
            let key = orders.key(number);
            assert_eq!(orders.number_of(Some(&key), &body), Some(number));
        }
    }

    #[test]
    fn there_are_as_many_keys_as_promised() {
        let orders = Orders::new(1, "2026-01-01T00:00:00Z");
        let keys: std::collections::HashSet<_> = (0..KEYS).map(|n| orders.key(n)).collect();
        assert_eq!(keys.len() as u64, KEYS);
    }
}

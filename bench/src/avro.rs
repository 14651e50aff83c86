//! The orders in Avro's binary encoding, by `contracts/schemas/bench-orders.avsc`: as many bytes as in
//! JSON, and as many different ones. What the names no longer take, the note does.
//!
//! Invariant: id and key stand at fixed places, since they are patched in there.

use serde_json::Value;

use crate::orders::{BODY_BYTES, ID_BYTES, KEY_BYTES, Orders};

/// Different orders before number and key are written.
const TEMPLATES: u64 = 64;
/// Behind the length of the text and `ord-`.
const ID_AT: usize = 5;
/// Behind the length of the text.
const KEY_AT: usize = ID_AT + ID_BYTES + 1;

/// The orders of one run, in Avro.
pub struct AvroOrders {
    templates: Vec<Vec<u8>>,
}

impl AvroOrders {
    /// Makes the same orders as `orders`.
    pub fn new(orders: &Orders) -> Self {
        let mut body = [0; BODY_BYTES];
        let templates = (0..TEMPLATES).map(|number| {
            orders.write_body(number, &mut body);
            let order: Value = serde_json::from_slice(&body).expect("an order is JSON");
            encode(&order)
        });
        Self {
            templates: templates.collect(),
        }
    }

    /// Writes the data of event `number` over `out`.
    pub fn write_body(&self, orders: &Orders, number: u64, out: &mut [u8; BODY_BYTES]) {
        let template = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        out.copy_from_slice(&self.templates[(template % TEMPLATES) as usize]);
        orders.write_id(number, &mut out[ID_AT..]);
        out[KEY_AT..][..KEY_BYTES].copy_from_slice(&orders.key(number));
    }
}

fn encode(order: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for name in ["orderId", "customerId", "placedAt"] {
        put_text(&mut out, &order[name]);
    }
    let channels = ["web", "app", "shop"];
    let channel = channels.iter().position(|name| order["channel"] == *name);
    put_long(&mut out, channel.expect("one of the three") as i64);
    put_number(&mut out, &order["total"]["amount"]);
    put_text(&mut out, &order["total"]["currency"]);
    let lines = order["lines"].as_array().expect("a list");
    put_long(&mut out, lines.len() as i64);
    for line in lines {
        put_text(&mut out, &line["sku"]);
        put_number(&mut out, &line["quantity"]);
        put_number(&mut out, &line["unitPrice"]);
        out.push(u8::from(line["gift"] == true));
    }
    out.push(0);
    for name in ["street", "city", "postcode", "country"] {
        put_text(&mut out, &order["shipping"][name]);
    }
    // The second branch, and a length of two bytes.
    out.push(2);
    let room = BODY_BYTES - out.len() - 2;
    put_long(&mut out, room as i64);
    let words = order["note"].as_str().expect("a text").bytes().cycle();
    out.extend(words.take(room));
    out
}

fn put_text(out: &mut Vec<u8>, text: &Value) {
    let text = text.as_str().expect("a text");
    put_long(out, text.len() as i64);
    out.extend_from_slice(text.as_bytes());
}

fn put_number(out: &mut Vec<u8>, number: &Value) {
    put_long(out, number.as_i64().expect("a whole number"));
}

fn put_long(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_its_size_its_id_and_its_key() {
        let orders = Orders::new(0xBEEF, "2026-01-01T00:00:00Z");
        let avro = AvroOrders::new(&orders);
        let mut body = [0; BODY_BYTES];
        let mut seen = std::collections::HashSet::new();
        for number in 0..1_000 {
            avro.write_body(&orders, number, &mut body);
            assert_eq!(body[0], 2 * (4 + ID_BYTES as u8));
            assert_eq!(&body[1..5], b"ord-");
            assert_eq!(body[KEY_AT - 1], 2 * KEY_BYTES as u8);
            assert_eq!(body[KEY_AT..][..KEY_BYTES], orders.key(number));
            assert!(seen.insert(body));
        }
    }
}

//! Zigzag variable-length integers, as records use them (Protocol Buffers' encoding).

use bytes::{BufMut, BytesMut};

/// Appends `value`.
pub(super) fn put(out: &mut BytesMut, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.put_u8(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.put_u8(low_bits(rest));
}

/// Returns how many bytes `value` takes.
pub(super) fn len(value: i64) -> usize {
    let bits = 64 - zigzag(value).leading_zeros() as usize;
    bits.div_ceil(7).max(1)
}

/// Takes a value off the front of `input`; `None` if it is cut off or longer than 64 bits.
pub(super) fn take(input: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for (at, &byte) in input.iter().enumerate().take(10) {
        if at == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *input = &input[at + 1..];
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn low_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

//! Any bytes are a batch or an error: checked by header and checksum, and opened record by record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_broker::batch;

const UNPACKED_LIMIT_BYTES: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = batch::validate(bytes) {
        assert_eq!(header.total_bytes(), bytes.len());
        let mut again = [0; batch::HEADER_BYTES];
        header.write(&mut again);
        assert_eq!(&again[..], &bytes[..batch::HEADER_BYTES]);
    }
    // A wrong checksum must not hide what lies behind it from the fuzzer.
    if let Ok(records) = batch::records(bytes, UNPACKED_LIMIT_BYTES) {
        let mut unpacked_bytes = 0;
        for record in records.flatten() {
            unpacked_bytes += record.2.size_bytes();
        }
        assert!(unpacked_bytes <= UNPACKED_LIMIT_BYTES);
    }
});

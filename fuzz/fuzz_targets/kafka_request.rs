//! Any bytes are a request of the Kafka port or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_broker::api;

fuzz_target!(|bytes: &[u8]| {
    api::decodes(bytes);
});

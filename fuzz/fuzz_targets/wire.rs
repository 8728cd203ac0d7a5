//! What instances send each other: any bytes are refused, or are records or messages that come back the same when they
//! are sent on.
//!
//! ```text
//! input  kind (even: records, odd: messages), then the frame
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_fuzz::byte;
use millstream_net::fuzzing;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let read = if byte(&mut data) & 1 == 0 { fuzzing::records } else { fuzzing::messages };
    if let Some(again) = read(data) {
        assert!(read(&again).as_ref() == Some(&again), "sent on it is the same");
    }
});

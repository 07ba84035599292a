//! Any first data from a balancer is refused, or gives an address; the data after the header is left for
//! SSH.
#![no_main]

use landfall::server::listen::proxy::{Unproxied, client};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and protocol, and the length of the rest.
const FIXED: usize = 16;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

fuzz_target!(|input: &[u8]| RUNTIME.with(|runtime| {
    let mut stream = input;
    let outcome = runtime.block_on(client(&mut stream));
    let used = input.len() - stream.len();
    let length = |header: &[u8]| FIXED + usize::from(u16::from_be_bytes([header[14], header[15]]));
    match outcome {
        Ok(address) => {
            assert!(input.starts_with(SIGNATURE));
            assert_eq!(used, length(input));
            // A health check has no address, nor does a protocol that no client uses.
            let may_have_one = input[12] == 0x21 && [0x11, 0x21].contains(&input[13]);
            assert_eq!(address.is_some(), may_have_one);
            if let Some(address) = address {
                assert_eq!(address.is_ipv4(), input[13] == 0x11);
                let at = if address.is_ipv4() { 24 } else { 48 };
                assert_eq!(input[at..at + 2], address.port().to_be_bytes());
            }
        }
        Err(Unproxied::NoHeader) => {
            assert!(!input.starts_with(SIGNATURE) || input[12] >> 4 != 2);
            assert_eq!(used, FIXED);
        }
        Err(Unproxied::Unusable(why)) => {
            assert!(!why.is_empty() && [FIXED, length(input)].contains(&used));
        }
        Err(Unproxied::Io(_)) => {
            assert!(input.len() < FIXED || input.len() < length(input));
        }
    }
}));

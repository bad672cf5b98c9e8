//! What else knocks on Kafka's port: the first four bytes, read as the length of a frame, tell.

/// Why a frame of this length was refused, in a sentence that names the likely mistake.
pub(super) fn explain(first: [u8; 4], limit: usize) -> String {
    match &first {
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" => {
            "the client speaks HTTP, and this port speaks Kafka's own protocol; use a Kafka client"
                .to_owned()
        }
        [0x16, 0x03, 0..=4, _] => {
            "the client speaks TLS, and this port is plain text; set security.protocol=PLAINTEXT"
                .to_owned()
        }
        b"SSH-" => "the client speaks SSH, and this port speaks Kafka's own protocol".to_owned(),
        _ => {
            let length = i32::from_be_bytes(first);
            format!("a frame of {length} bytes: socket.request.max.bytes allows 0 to {limit}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mistake_is_named() {
        assert!(explain(*b"GET ", 10).contains("HTTP"));
        assert!(explain([0x16, 0x03, 0x01, 0x02], 10).contains("TLS"));
        assert_eq!(
            explain([0xff; 4], 10),
            "a frame of -1 bytes: socket.request.max.bytes allows 0 to 10"
        );
    }
}

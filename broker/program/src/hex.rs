//! Bytes that somebody pasted: plain hexadecimal, or a dump of hexdump, xxd, tshark or Wireshark.

/// The bytes of a text.
///
/// # Errors
///
/// A sentence that names the word that is no hexadecimal number.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        for word in
            dump(line, bytes.len()).split([' ', '\t', ',', ':']).filter(|word| !word.is_empty())
        {
            let digits =
                word.strip_prefix("0x").or_else(|| word.strip_prefix("\\x")).unwrap_or(word);
            push(&mut bytes, digits).ok_or_else(|| {
                format!(
                    "{word:?} is not made of pairs of hexadecimal digits, such as 00 03 or 0003."
                )
            })?;
        }
    }
    if bytes.is_empty() {
        return Err("There are no bytes. Give a frame in hexadecimal, as an argument or on stdin."
            .to_owned());
    }
    Ok(bytes)
}

fn push(bytes: &mut Vec<u8>, digits: &str) -> Option<()> {
    (digits.len().is_multiple_of(2) && digits.is_ascii()).then_some(())?;
    for at in (0..digits.len()).step_by(2) {
        bytes.push(u8::from_str_radix(&digits[at..at + 2], 16).ok()?);
    }
    Some(())
}

/// A line without the offset in front and the characters behind, if it is one of a dump.
fn dump(line: &str, so_far: usize) -> &str {
    let line = line.trim();
    let Some((first, rest)) = line.split_once([' ', ':']) else { return line };
    // The offset of a dump counts the bytes before its line, and two blanks or a colon follow it.
    let is_offset = first.len() >= 4
        && usize::from_str_radix(first, 16) == Ok(so_far)
        && (rest.starts_with(' ') || line[first.len()..].starts_with(':'));
    if !is_offset {
        return line;
    }
    // Behind the bytes come the same as characters: after `  |`, or after two blanks or more.
    let rest = rest.trim_start();
    let end = rest.find("  |").or_else(|| characters(rest)).unwrap_or(rest.len());
    &rest[..end]
}

/// Where two blanks end the bytes; hexdump sets two blanks in the middle as well, with more bytes behind.
fn characters(rest: &str) -> Option<usize> {
    let at = rest.rfind("  ")?;
    let behind = rest[at..].trim();
    let is_bytes =
        behind.split(' ').all(|word| word.len() == 2 && u8::from_str_radix(word, 16).is_ok());
    (!is_bytes).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::parse;

    const BYTES: &[u8] = b"\x00\x03\x00\x01\x00\x00\x00\x07\xff\xffabcdefgh";

    #[test]
    fn plain_digits_are_read_however_they_are_grouped() {
        for text in [
            "000300010000000 7ffff6162636465666768".replace(' ', "").as_str(),
            "0003 0001 00000007 ffff 6162636465666768",
            "0x00,0x03,0x00,0x01,0x00,0x00,0x00,0x07,0xff,0xff,0x61,0x62,0x63,0x64,0x65,0x66,0x67,0x68",
            "00:03:00:01:00:00:00:07:FF:FF:61:62:63:64:65:66:67:68",
        ] {
            assert_eq!(parse(text).unwrap(), BYTES, "{text}");
        }
    }

    #[test]
    fn dumps_of_common_tools_are_read() {
        let hexdump = "00000000  00 03 00 01 00 00 00 07  ff ff 61 62 63 64 65 66  |..........abcdef|\n\
                       00000010  67 68                                             |gh|\n";
        let xxd = "00000000: 0003 0001 0000 0007 ffff 6162 6364 6566  ..........abcdef\n\
                   00000010: 6768                                     gh\n";
        let tshark = "0000  00 03 00 01 00 00 00 07 ff ff 61 62 63 64 65 66   ..........abcdef\n\
                      0010  67 68                                             gh\n";
        for text in [hexdump, xxd, tshark] {
            assert_eq!(parse(text).unwrap(), BYTES, "{text}");
        }
    }

    #[test]
    fn what_is_no_hexadecimal_is_named() {
        assert!(parse("00 0g").unwrap_err().contains("\"0g\""));
        assert!(parse("00 0").unwrap_err().contains("\"0\""));
        assert!(parse(" \n").unwrap_err().starts_with("There are no bytes."));
    }
}

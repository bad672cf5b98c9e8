//! Bytes that somebody pasted: plain hexadecimal, or what a tool printed.

/// The bytes of a text.
///
/// # Errors
///
/// A sentence that names what cannot be read, and how to get it in a form that can.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    let text = unwrapped(text)?;
    let mut bytes = Vec::new();
    // Where the dump began that is being read, if one is.
    let mut dump = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line == "*" {
            return Err("A line `*` stands for lines that are left out. Print them too: hexdump -Cv, or od -v.".to_owned());
        }
        let so_far = bytes.len() - dump.unwrap_or(bytes.len());
        let column = Offset::of(line, so_far).or_else(|| Offset::of(line, 0));
        match column {
            Some(offset) => {
                if offset.value == 0 {
                    dump = Some(bytes.len());
                }
                offset.read(&mut bytes)?;
            }
            // The last line of hexdump and od tells the length.
            None if dump.is_some() && counts(line).any(|count| count == so_far) => {}
            None => line
                .split([' ', '\t', ',', ':', ';'])
                .try_for_each(|word| push(&mut bytes, word))?,
        }
    }
    if bytes.is_empty() {
        return Err("There are no bytes. Give a frame in hexadecimal, as an argument or on stdin."
            .to_owned());
    }
    refuse_packets(&bytes)?;
    Ok(bytes)
}

/// A text without what programming languages put around bytes.
fn unwrapped(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.contains("more byte") && text.contains("<Buffer") {
        return Err(
            "Node.js shortens a Buffer when it prints one. Print all of it: frame.toString('hex')."
                .to_owned(),
        );
    }
    if text.starts_with("b'") || text.starts_with("b\"") {
        return Err(
            "This is how Python prints bytes. Print them in hexadecimal: frame.hex().".to_owned()
        );
    }
    if text.starts_with('[') {
        let inner = text.trim_start_matches('[').trim_end_matches(']');
        let numbers = inner.split([',', ' ', '\n']).filter(|word| !word.is_empty());
        let bytes: Option<Vec<u8>> = numbers.map(|number| number.parse().ok()).collect();
        let Some(bytes) = bytes else {
            return Err("A list in brackets is read as decimal numbers from 0 to 255, and this one has others.".to_owned());
        };
        return Ok(bytes.iter().map(|byte| format!("{byte:02x} ")).collect());
    }
    // A C array, as Wireshark copies it: `char peer0_0[] = { /* Packet 4 */ 0x00, 0x03 };`
    let text = match text.split_once('{') {
        Some((_, rest)) => rest.split('}').next().unwrap_or_default(),
        None => text.trim_start_matches("<Buffer").trim_end_matches('>'),
    };
    let mut without_comments = String::new();
    for (number, part) in text.split("/*").enumerate() {
        let kept =
            if number == 0 { part } else { part.split_once("*/").map_or("", |(_, rest)| rest) };
        without_comments += kept;
    }
    Ok(without_comments.replace("\\x", " ").replace(['"', '\\'], " "))
}

/// A line of a dump: an offset, bytes, and often the same bytes as characters.
struct Offset<'a> {
    value: usize,
    rest: &'a str,
    /// A colon follows the offset, as in xxd and tcpdump.
    has_colon: bool,
    digits: usize,
}

impl<'a> Offset<'a> {
    /// The line, if it begins with the offset that it should have.
    fn of(line: &'a str, expected: usize) -> Option<Self> {
        let (first, rest) = line.split_once([' ', '\t', ':'])?;
        let has_colon = line[first.len()..].starts_with(':');
        let digits = first.trim_start_matches("0x");
        let is_offset = digits.len() >= 4 && counts(digits).any(|count| count == expected);
        // Plain hexadecimal can begin with four zeros as well: there, a single blank follows. od has one too, but its
        // offsets have six digits or seven.
        let stands_apart =
            has_colon || rest.starts_with([' ', '\t']) || matches!(digits.len(), 6 | 7);
        (is_offset && stands_apart).then_some(Self {
            value: expected,
            rest,
            has_colon,
            digits: digits.len(),
        })
    }

    fn read(&self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let mut in_line = 0;
        // hexdump -C puts the characters between bars, od between angle brackets.
        let mut rest = self.rest.split(['|', '>']).next().unwrap_or_default().trim_start();
        while !rest.is_empty() {
            let (word, after) = rest.split_at(rest.find([' ', '\t']).unwrap_or(rest.len()));
            if in_line == 0 && self.digits == 7 && word.len() > 2 {
                return Err("This is the default format of hexdump or od, which swaps the bytes. Use xxd, hexdump -C or od -A x -t x1.".to_owned());
            }
            push(bytes, word)?;
            in_line += word.len() / 2;
            rest = after.trim_start();
            let gap = after.len() - rest.len();
            // Two blanks end the bytes. hexdump -C has two in the middle as well, with more bytes behind them.
            let is_middle = gap == 2 && in_line == 8 && !self.has_colon && is_byte(rest);
            if gap > 1 && !is_middle {
                break;
            }
        }
        Ok(())
    }
}

/// What a number of a dump can mean: it is hexadecimal, or octal if od printed it.
fn counts(digits: &str) -> impl Iterator<Item = usize> {
    let octal = (digits.len() == 7).then(|| usize::from_str_radix(digits, 8).ok()).flatten();
    usize::from_str_radix(digits, 16).ok().into_iter().chain(octal)
}

fn is_byte(rest: &str) -> bool {
    let word = rest.split([' ', '\t']).next().unwrap_or_default();
    word.len() == 2 && u8::from_str_radix(word, 16).is_ok()
}

fn push(bytes: &mut Vec<u8>, word: &str) -> Result<(), String> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_hexadecimal || !digits.len().is_multiple_of(2) {
        let shown: String = word.chars().take(40).collect();
        let is_base64 = word.len() >= 16
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
        let advice = match is_base64 && !is_hexadecimal {
            true => " Is it Base64? Then: base64 -d | xxd -p | mini-kafka decode.",
            false => "",
        };
        return Err(format!(
            "{shown:?} is not made of pairs of hexadecimal digits, such as 00 03 or 0003.{advice}"
        ));
    }
    for at in (0..digits.len()).step_by(2) {
        bytes.extend(u8::from_str_radix(&digits[at..at + 2], 16));
    }
    Ok(())
}

/// Whole packets hold the headers of Ethernet, IP and TCP, and often only a part of a frame.
fn refuse_packets(bytes: &[u8]) -> Result<(), String> {
    // Version 4, its usual length, a length in all that fits, and the protocol TCP.
    let is_ip = |from: usize| {
        let at = |index: usize| bytes.get(from + index).copied().unwrap_or_default();
        let length = usize::from(at(2)) << 8 | usize::from(at(3));
        let is_tcp_4 = at(0) == 0x45 && at(9) == 6 && length <= bytes.len() - from.min(bytes.len());
        let is_tcp_6 = at(0) >> 4 == 6 && at(6) == 6 && bytes.len() >= from + 60;
        is_tcp_4 || is_tcp_6
    };
    let is_ethernet = matches!(bytes.get(12..14), Some([0x08, 0x00] | [0x86, 0xdd])) && is_ip(14);
    if is_ethernet || is_ip(0) {
        return Err("This is a whole packet, with the headers of IP and TCP. Print what TCP carries: tshark -T fields -e tcp.payload.".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    const BYTES: &[u8] = b"\x00\x03\x00\x01\x00\x00\x00\x07\xff\xffab  ef|h";

    #[test]
    fn plain_digits_are_read_however_they_are_grouped() {
        for text in [
            "0003000100000007ffff6162202065667c68",
            "0003 0001 00000007 ffff 6162202065667c68",
            "00030001 00000007\nffff6162 2020 65 66 7c68\n",
            "00:03:00:01:00:00:00:07:FF:FF:61:62:20:20:65:66:7C:68",
            r"\x00\x03\x00\x01\x00\x00\x00\x07\xff\xff\x61\x62\x20\x20\x65\x66\x7c\x68",
            "\"\\x00\\x03\\x00\\x01\\x00\\x00\\x00\\x07\" \\\n\"\\xff\\xff\\x61\\x62\\x20\\x20\\x65\\x66\\x7c\\x68\"",
            "char peer0_0[] = { /* Packet 4 */\n0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x07,\n0xff, 0xff, 0x61, 0x62, 0x20, 0x20, 0x65, 0x66, 0x7c, 0x68 };",
            "<Buffer 00 03 00 01 00 00 00 07 ff ff 61 62 20 20 65 66 7c 68>",
            "[0, 3, 0, 1, 0, 0, 0, 7, 255, 255, 97, 98, 32, 32, 101, 102, 124, 104]",
        ] {
            assert_eq!(parse(text).unwrap(), BYTES, "{text}");
        }
    }

    #[test]
    fn dumps_of_common_tools_are_read() {
        let hexdump = "00000000  00 03 00 01 00 00 00 07  ff ff 61 62 20 20 65 66  |..........ab  ef|\n\
                       00000010  7c 68                                             ||h|\n\
                       00000012\n";
        let xxd = "00000000: 0003 0001 0000 0007 ffff 6162 2020 6566  ..........ab  ef\n\
                   00000010: 7c68                                     |h\n";
        let xxd_narrow = "00000000: 0003 0001 0000 0007  ........\n\
                          00000008: ffff 6162 2020 6566  ..ab  ef\n\
                          00000010: 7c68                 |h\n";
        let tshark = "0000  00 03 00 01 00 00 00 07 ff ff 61 62 20 20 65 66   ..........ab  ef\n\
                      0010  7c 68                                             |h\n";
        let od = "000000 00 03 00 01 00 00 00 07 ff ff 61 62 20 20 65 66\n\
                  000010 7c 68\n\
                  000012\n";
        let od_octal = "0000000  00  03  00  01  00  00  00  07  ff  ff  61  62  20  20  65  66\n\
                        0000020  7c  68\n\
                        0000022\n";
        for text in [hexdump, xxd, xxd_narrow, tshark, od] {
            assert_eq!(parse(text).unwrap(), BYTES, "{text}");
        }
        assert!(parse(od_octal).is_err() || parse(od_octal).unwrap() == BYTES);
    }

    #[test]
    fn two_dumps_are_read_one_after_the_other() {
        let twice = "0000  00 03 00 01   ....\n\n0000  00 00 00 07   ....\n";
        assert_eq!(parse(twice).unwrap(), b"\x00\x03\x00\x01\x00\x00\x00\x07");
    }

    #[test]
    fn characters_that_look_like_bytes_are_none() {
        // Eight bytes whose characters are hexadecimal themselves.
        let xxd = "00000000: 6162 6364 3031 2020  abcd01  \n";
        assert_eq!(parse(xxd).unwrap(), b"abcd01  ");
        let tshark = "0000  61 62 20 63 64 20 30 31                           ab cd 01\n";
        assert_eq!(parse(tshark).unwrap(), b"ab cd 01");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, says) in [
            ("00 0g", "\"0g\""),
            ("00 0", "\"0\""),
            (" \n", "There are no bytes."),
            ("0000000 0300 0100 0000 0700\n0000008\n", "default format of hexdump"),
            ("0000000 001400 000400\n", "default format of hexdump or od"),
            ("00000000  00 00 00 00  |....|\n*\n", "hexdump -Cv"),
            ("b'\\x00\\x03ab'", "frame.hex()"),
            ("<Buffer 00 03 ... 30 more bytes>", "toString('hex')"),
            ("AAMAAQAAAAf//2FiICBlZnxo", "base64 -d"),
            ("[0, 256]", "decimal numbers"),
            (
                "0x0000:  4500 0034 1c46 4000 4006 0000 7f00 0001\n0x0010:  7f00 0001 c000 2384 0000 0000 0000 0000\n0x0020:  8018 0200 fe28 0000 0101 080a 0000 0000\n0x0030:  0000 0000\n",
                "tcp.payload",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}

//! How much memory the broker may fill with records.

use std::fs;

/// What `--memory-limit` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Bytes(usize),
    None,
}

impl Limit {
    /// The limit in bytes, if there is one.
    pub(crate) fn bytes(self) -> Option<usize> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::None => None,
        }
    }

    /// `512M`, `2G`, a number of bytes, or `none`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::None);
        }
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match text[digits.len()..].to_ascii_uppercase().as_str() {
            "" => Some(1),
            "K" => Some(1 << 10),
            "M" => Some(1 << 20),
            "G" => Some(1 << 30),
            _ => None,
        };
        let bytes = digits.parse::<usize>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
        bytes.map(Self::Bytes).ok_or_else(|| "write it as 512M, 2G or none".to_owned())
    }
}

/// Half of the machine's memory, or of what its container may use if that is less. `None` where the system tells
/// neither, as outside Linux.
pub(crate) fn half() -> Option<usize> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    // The limits of the container, in the two versions of cgroups. A container sees its own as the root.
    let containers = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let container =
        containers.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    machine.into_iter().chain(container).min().map(|bytes| bytes / 2)
}

/// The memory in all, from the text of `/proc/meminfo`.
fn total(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_with_or_without_a_unit() {
        let parsed = ["1000", "4K", "512M", "2g", "none"].map(|text| Limit::parse(text).unwrap());
        let bytes = [1000, 4 << 10, 512 << 20, 2 << 30].map(Limit::Bytes);
        assert_eq!(parsed[..4], bytes);
        assert_eq!(parsed[4], Limit::None);
        for bad in ["", "M", "1T", "-1", "1.5G", "99999999999999999999G"] {
            assert!(Limit::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_memory_of_a_machine_is_read() {
        assert_eq!(total("MemTotal:       16384000 kB\nMemFree: 1 kB\n"), Some(16_384_000 * 1024));
        assert_eq!(total("no such line"), None);
    }
}

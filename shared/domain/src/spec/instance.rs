//! What an EC2 instance type has.

/// Processors and memory of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
}

impl Instance {
    /// What a type of a common family has; `None` for a family that is not known here.
    ///
    /// Source: EC2 instance types guide: the families t, c, m and r hold 2, 4 and 8 GiB a processor in every
    /// generation since the fifth.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let (family, size) = name.split_once('.')?;
        let kind =
            family.trim_end_matches(|c: char| !c.is_ascii_digit()).trim_end_matches(|c: char| c.is_ascii_digit());
        let generation: u32 = family.trim_start_matches(|c: char| !c.is_ascii_digit()).chars().next()?.to_digit(10)?;
        if kind == "t" && (2..=4).contains(&generation) {
            let (memory_mib, vcpus) = match size {
                "nano" => (512, 2),
                "micro" => (1_024, 2),
                "small" => (2_048, 2),
                "medium" => (4_096, 2),
                "large" => (8_192, 2),
                "xlarge" => (16_384, 4),
                "2xlarge" => (32_768, 8),
                _ => return None,
            };
            return Some(Instance { vcpus: if generation == 2 && memory_mib < 4_096 { 1 } else { vcpus }, memory_mib });
        }
        let a_processor = match kind {
            "c" => 2_048,
            "m" => 4_096,
            "r" => 8_192,
            _ => return None,
        };
        let vcpus = match size {
            _ if generation < 5 => return None,
            "medium" => 1,
            "large" => 2,
            "xlarge" => 4,
            larger => larger.strip_suffix("xlarge")?.parse::<u32>().ok()?.checked_mul(4)?,
        };
        Some(Instance { vcpus, memory_mib: vcpus.checked_mul(a_processor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_guide() {
        let table = [
            ("t3.micro", Some((2, 1_024))),
            ("t2.small", Some((1, 2_048))),
            ("t4g.small", Some((2, 2_048))),
            ("m7g.medium", Some((1, 4_096))),
            ("m7g.large", Some((2, 8_192))),
            ("c6i.xlarge", Some((4, 8_192))),
            ("r5.large", Some((2, 16_384))),
            ("r7gd.2xlarge", Some((8, 65_536))),
            ("m4.large", None),
            ("x2iedn.xlarge", None),
            ("im4gn.large", None),
            ("m7g.metal", None),
            ("m7g", None),
        ];
        for (name, expected) in table {
            let expected = expected.map(|(vcpus, memory_mib)| Instance { vcpus, memory_mib });
            assert_eq!(Instance::of(name), expected, "{name}");
        }
    }
}

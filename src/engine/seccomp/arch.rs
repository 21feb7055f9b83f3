//! Architectures that a filter can be for.

/// An architecture, in the sense of `AUDIT_ARCH_*` (linux/audit.h), with x32
/// as one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Arch {
    /// 64-bit Intel and AMD.
    X86_64,
    /// The same with 32-bit pointers: bit 30 of the number is set.
    X32,
    /// 32-bit Intel.
    X86,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm.
    Arm,
}

/// Bit 30 of a system call number marks x32.
pub(super) const X32_BIT: u32 = 0x4000_0000;

impl Arch {
    /// What this program was built for.
    #[cfg(target_arch = "x86_64")]
    pub(super) const NATIVE: Self = Self::X86_64;
    /// What this program was built for.
    #[cfg(target_arch = "aarch64")]
    pub(super) const NATIVE: Self = Self::Aarch64;

    /// The name in a profile's `architectures` and `archMap`.
    pub(super) fn from_profile(name: &str) -> Option<Self> {
        Some(match name {
            "SCMP_ARCH_X86_64" => Self::X86_64,
            "SCMP_ARCH_X32" => Self::X32,
            "SCMP_ARCH_X86" => Self::X86,
            "SCMP_ARCH_AARCH64" => Self::Aarch64,
            "SCMP_ARCH_ARM" => Self::Arm,
            _ => return None,
        })
    }

    /// The name in a rule's `includes.arches` and `excludes.arches`.
    pub(super) fn docker_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::X32 => "x32",
            Self::X86 => "x86",
            Self::Aarch64 => "arm64",
            Self::Arm => "arm",
        }
    }

    /// What runs beside it in one process or its children.
    pub(super) fn relatives(self) -> &'static [Self] {
        match self {
            Self::X86_64 => &[Self::X86, Self::X32],
            Self::Aarch64 => &[Self::Arm],
            Self::X32 | Self::X86 | Self::Arm => &[],
        }
    }

    /// `AUDIT_ARCH_*`, as the kernel hands it to a filter.
    pub(super) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether arguments are 64 bits wide.
    pub(super) fn is_64_bit(self) -> bool {
        matches!(self, Self::X86_64 | Self::X32 | Self::Aarch64)
    }
}

//! Why the kernel does not help: what it takes to load the program, checked in order, each with
//! what to do about it.

use std::fmt;
use std::fs;
use std::io;

/// The reason why everything is answered by the daemon alone.
#[derive(Debug, thiserror::Error)]
pub enum Off {
    #[error("fast_path.mode is off")]
    Mode,
    #[error(
        "this build of xdhcpd holds no XDP program; run `cargo xtask build-ebpf` and build it again"
    )]
    NoObject,
    #[error("the fast path relies on the memory order of x86_64; this machine is {0}")]
    Architecture(&'static str),
    #[error("Linux {0} is too old for the XDP program; it needs Linux {FLOOR} or later")]
    Kernel(Release),
    #[error(
        "xdhcpd lacks {}; start it as root or give it these capabilities",
        .0.join(" and ")
    )]
    Privilege(Vec<&'static str>),
    #[error(
        "the kernel refused a BPF map or program: {0}; in a container, start it with --privileged \
         or on the host"
    )]
    NotPermitted(String),
    #[error("the kernel could not load the XDP program: {0}")]
    Load(String),
    #[error("the BPF maps could not be mapped into memory or pinned: {0}")]
    Map(#[source] io::Error),
    #[error("the program was detached by `xdhcpctl fastpath detach`; restart xdhcpd to attach it")]
    Detached,
}

/// A kernel version, as far as it decides anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    pub major: u32,
    pub minor: u32,
}

/// `bpf_xdp_load_bytes` and `bpf_xdp_store_bytes` came with it.
pub const FLOOR: Release = Release {
    major: 5,
    minor: 18,
};

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Release {
    /// That of this machine, if it can be told.
    #[must_use]
    pub fn current() -> Option<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        Self::parse(&release)
    }

    /// The first two numbers of `uname -r`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
        })
    }
}

/// What the program is to be loaded into.
#[derive(Clone, Debug)]
pub struct Platform {
    /// `None` if it cannot be told: then the load decides.
    pub kernel: Option<Release>,
    pub architecture: &'static str,
    /// `CapEff` of `/proc/self/status`; `None` if it cannot be told.
    pub capabilities: Option<u64>,
    /// The XDP program's object file.
    pub object: Option<&'static [u8]>,
}

impl Platform {
    /// This machine, this process, this build.
    #[must_use]
    pub fn current() -> Self {
        Self {
            kernel: Release::current(),
            architecture: std::env::consts::ARCH,
            capabilities: effective_capabilities(),
            object: OBJECT,
        }
    }

    /// Everything that can be known before trying; gives the object to load.
    ///
    /// # Errors
    /// The first obstacle.
    pub fn check(&self) -> Result<&'static [u8], Off> {
        let object = self.object.ok_or(Off::NoObject)?;
        if self.architecture != "x86_64" {
            return Err(Off::Architecture(self.architecture));
        }
        if let Some(kernel) = self.kernel.filter(|kernel| *kernel < FLOOR) {
            return Err(Off::Kernel(kernel));
        }
        let missing = self.capabilities.map_or(Vec::new(), missing);
        if !missing.is_empty() {
            return Err(Off::Privilege(missing));
        }
        Ok(object)
    }
}

#[cfg(has_bpf)]
static OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(env!("XDHCPD_BPF_OBJECT_PATH")));
#[cfg(not(has_bpf))]
static OBJECT: Option<&[u8]> = None;

fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

const SYS_ADMIN: u32 = 21;
/// What loading and attaching an XDP program takes (capabilities(7)).
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

fn missing(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    let granted = |bit: u32| has(bit) || (bit != 12 && has(SYS_ADMIN));
    let lacking = NEEDED.iter().filter(|(bit, _)| !granted(*bit));
    lacking.map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn able() -> Platform {
        Platform {
            kernel: Some(Release { major: 6, minor: 1 }),
            architecture: "x86_64",
            capabilities: Some(u64::MAX),
            object: Some(b"object"),
        }
    }

    fn off(platform: &Platform) -> String {
        platform.check().unwrap_err().to_string()
    }

    #[test]
    fn every_obstacle_is_named() {
        assert_eq!(able().check().unwrap(), b"object");
        let no_object = Platform {
            object: None,
            ..able()
        };
        assert!(off(&no_object).contains("cargo xtask build-ebpf"));
        let arm = Platform {
            architecture: "aarch64",
            ..able()
        };
        assert!(off(&arm).contains("aarch64"));
        let weak = Platform {
            capabilities: Some(0),
            ..able()
        };
        assert!(off(&weak).contains("CAP_NET_ADMIN and CAP_PERFMON and CAP_BPF"));
    }

    #[test]
    fn an_old_kernel_is_told_what_it_lacks() {
        let kernel = Release::parse("5.15.0-91-generic");
        let old = Platform { kernel, ..able() };
        assert_eq!(
            off(&old),
            "Linux 5.15 is too old for the XDP program; it needs Linux 5.18 or later"
        );
        for text in ["5.18.0", "6.1.192", "10.0-rc1"] {
            let kernel = Release::parse(text);
            assert!(Platform { kernel, ..able() }.check().is_ok(), "{text}");
        }
        let kernel = Release::parse("strange");
        assert!(
            Platform { kernel, ..able() }.check().is_ok(),
            "the load decides"
        );
    }

    #[test]
    fn sys_admin_stands_for_bpf_but_not_for_net_admin() {
        assert_eq!(missing(1 << 12 | 1 << 38 | 1 << 39), Vec::<&str>::new());
        assert_eq!(missing(1 << 12 | 1 << 21), Vec::<&str>::new());
        assert_eq!(missing(1 << 21), ["CAP_NET_ADMIN"]);
        assert_eq!(missing(1 << 12 | 1 << 39), ["CAP_PERFMON"]);
    }
}

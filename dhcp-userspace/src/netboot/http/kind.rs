//! Content types by the name's ending.

use std::path::Path;

/// UEFI looks at the type of what it boots, and at the ending only if it does not know the type.
const TYPES: [(&str, &str); 19] = [
    ("cfg", "text/plain; charset=utf-8"),
    ("conf", "text/plain; charset=utf-8"),
    ("crt", "application/x-x509-ca-cert"),
    ("efi", "application/efi"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ign", "application/json"),
    ("ipxe", "text/plain; charset=utf-8"),
    ("iso", "application/vnd.efi.iso"),
    ("json", "application/json"),
    ("ks", "text/plain; charset=utf-8"),
    ("sh", "text/plain; charset=utf-8"),
    ("tar", "application/x-tar"),
    ("txt", "text/plain; charset=utf-8"),
    ("xml", "application/xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("zst", "application/zstd"),
];

#[must_use]
pub fn of(name: &str) -> &'static str {
    let ending = Path::new(name)
        .extension()
        .and_then(|ending| ending.to_str());
    let known = |ending: &str| TYPES.iter().find(|(of, _)| of.eq_ignore_ascii_case(ending));
    ending
        .and_then(known)
        .map_or("application/octet-stream", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn by_ending() {
        assert_eq!(of("x86/BOOTX64.EFI"), "application/efi");
        assert_eq!(of("boot.ipxe"), "text/plain; charset=utf-8");
        assert_eq!(of("initrd.img"), "application/octet-stream");
        assert_eq!(of("vmlinuz-6.1.0"), "application/octet-stream");
        assert_eq!(of(".efi"), "application/octet-stream");
    }
}

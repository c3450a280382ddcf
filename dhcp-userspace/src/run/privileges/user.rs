//! Users of this machine.

use std::fs;

use rustix::process::{Gid, Uid};

use super::PrivilegeError;

/// A user, with its main group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
}

impl User {
    /// Finds a user of this machine. A directory service is not asked: daemons must not wait for one.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn named(name: &str) -> Result<Self, PrivilegeError> {
        let passwd = fs::read_to_string("/etc/passwd").map_err(PrivilegeError::Passwd)?;
        let found = passwd.lines().find_map(|line| parse(line, name));
        found.ok_or_else(|| PrivilegeError::NoUser(name.to_owned()))
    }
}

/// A line of passwd(5), if it is about this user.
fn parse(line: &str, name: &str) -> Option<User> {
    let mut fields = line.split(':');
    if fields.next() != Some(name) {
        return None;
    }
    let mut number = fields.skip(1).map(str::parse);
    let (uid, gid) = (number.next()?.ok()?, number.next()?.ok()?);
    Some(User {
        name: name.to_owned(),
        uid: Uid::from_raw(uid),
        gid: Gid::from_raw(gid),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let line = "xdhcpd:x:987:986:DHCP server:/:/usr/sbin/nologin";
        let user = parse(line, "xdhcpd").unwrap();
        assert_eq!((user.uid.as_raw(), user.gid.as_raw()), (987, 986));
        assert_eq!(parse(line, "xdhcp"), None);
        assert_eq!(parse("xdhcpd:x:one:986::/:", "xdhcpd"), None);
        assert!(User::named("root").unwrap().uid.is_root());
        let error = User::named("nobody-of-this-name").unwrap_err().to_string();
        assert!(
            error.contains("useradd --system nobody-of-this-name"),
            "{error}"
        );
    }
}

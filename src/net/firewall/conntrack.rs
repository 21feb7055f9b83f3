use std::io;
use std::net::IpAddr;

use crate::net::netlink::Connection;

pub(in crate::net) fn forget(_: &mut Connection, _addresses: &[IpAddr]) -> io::Result<()> {
    unimplemented!()
}

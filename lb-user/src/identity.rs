//! Who this host is: its hostname and addresses, by which it finds itself in the site file.

use std::net::IpAddr;

/// The kernel's hostname, if it has a readable one.
pub fn hostname() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// The IP addresses of all interfaces of this network namespace, loopback left out.
pub fn addresses() -> Vec<IpAddr> {
    let addresses = by_interface().unwrap_or_default().into_iter();
    addresses.map(|(_, address)| address).collect()
}

/// The same with the names of their interfaces, in the kernel's order.
///
/// # Errors
/// The kernel cannot be asked: no descriptor or memory is left.
pub fn by_interface() -> nix::Result<Vec<(String, IpAddr)>> {
    let addresses = nix::ifaddrs::getifaddrs()?
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let address = v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
            Some((interface.interface_name, address))
        })
        .filter(|(_, address)| !address.is_loopback());
    Ok(addresses.collect())
}

//! Ports that are held from the first moment of a start, and listened on at its end.
//!
//! A port that is only looked at can be gone when it is needed; one that listens too early takes clients that nobody
//! serves while a cluster is restored. A held one is neither: nobody else gets it, and who calls is refused until it serves.

use std::io;
use std::net::{IpAddr, SocketAddr};

use cairn_types::{Error, Result};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted; the kernel has a limit of its own (`net.core.somaxconn`).
const BACKLOG: u32 = 1024;

/// A port of this process that does not listen yet.
pub struct HeldPort {
    socket: TcpSocket,
    address: SocketAddr,
    flag: &'static str,
}

impl HeldPort {
    /// Takes `port` of `ip`; 0 takes a free one. `flag` is what chooses another.
    ///
    /// # Errors
    /// `Unavailable` when somebody has it, or it may not be taken.
    pub fn take(ip: IpAddr, port: u16, flag: &'static str) -> Result<Self> {
        let wanted = SocketAddr::from((ip, port));
        let take = || -> io::Result<Self> {
            let socket = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // Connections of a server that ended a moment ago may still stand in the kernel's table.
            socket.set_reuseaddr(true)?;
            socket.bind(wanted)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address, flag })
        };
        take().map_err(|error| failed(wanted, flag, &error))
    }

    /// Where clients will connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets clients connect from now on.
    ///
    /// # Errors
    /// `Unavailable` when another process that held the same port listens already: two may hold it, one can listen.
    pub fn listen(self) -> Result<TcpListener> {
        let Self { socket, address, flag } = self;
        socket.listen(BACKLOG).map_err(|error| failed(address, flag, &error))
    }
}

fn failed(address: SocketAddr, flag: &str, error: &io::Error) -> Error {
    Error::unavailable(format!(
        "cannot listen on {address}: {error}. Stop what uses the port, or choose another by {flag}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_held_port_refuses_clients_until_it_listens() {
        let held = HeldPort::take(HERE, 0, "--http-port").unwrap();
        let address = held.address();
        let refused = tokio::net::TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let listener = held.listen().unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
        tokio::net::TcpStream::connect(address).await.unwrap();
    }

    /// Each free port is asked for while the last ones are held: none is given twice.
    #[tokio::test]
    async fn a_held_port_is_nobody_elses() {
        let held: Vec<HeldPort> = (0..200).map(|_| HeldPort::take(HERE, 0, "--http-port").unwrap()).collect();
        let ports: std::collections::BTreeSet<u16> = held.iter().map(|h| h.address().port()).collect();
        assert_eq!(ports.len(), held.len());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_flag_that_chooses_another() {
        let listener = HeldPort::take(HERE, 0, "--http-port").unwrap().listen().unwrap();
        let port = listener.local_addr().unwrap().port();
        let message = HeldPort::take(HERE, port, "--mysql-port").err().unwrap().to_string();
        assert!(message.contains(&format!("127.0.0.1:{port}")), "{message}");
        assert!(message.contains("in use") && message.contains("--mysql-port"), "{message}");
    }
}

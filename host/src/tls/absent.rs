//! TLS in a build without the feature `tls`: these types have no value.
#[cfg(feature = "server")]
use atm_core::ledger::Name;
use std::{
    io::{self, Read, Write},
    time::Duration,
};

/// What a server needs for TLS; there is none in this build.
#[cfg(feature = "server")]
#[derive(Clone, Debug)]
pub enum ServerTls {}

/// What a client needs for TLS; there is none in this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientTls {}

/// Why a certificate names no terminal.
pub type NameError = std::convert::Infallible;

pub(crate) enum Session {}

#[cfg(feature = "server")]
impl ServerTls {
    pub(crate) fn session(&self) -> io::Result<Session> {
        match *self {}
    }
}

impl ClientTls {
    pub(crate) fn connect(&self, _: &str, _: &mut std::net::TcpStream, _: Duration) -> io::Result<Session> {
        match *self {}
    }
}

impl Session {
    pub(crate) fn read(&mut self, _: &mut impl Read, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn write(&mut self, _: &mut impl Write, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn flush(&mut self, _: &mut impl Write) -> io::Result<()> {
        match *self {}
    }

    #[cfg(feature = "server")]
    pub(crate) fn wants_write(&self) -> bool {
        match *self {}
    }

    #[cfg(feature = "server")]
    pub(crate) fn is_handshaking(&self) -> bool {
        match *self {}
    }

    #[cfg(feature = "server")]
    pub(crate) fn close(&mut self) {
        match *self {}
    }

    #[cfg(feature = "server")]
    pub(crate) fn peer_name(&self) -> Result<Name, NameError> {
        match *self {}
    }
}

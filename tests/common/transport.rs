//! The transport between client and server. Every test of an RPC takes a [`Transport`] and runs over
//! each: `#[rstest] fn it_works(#[values(Clear, Tls, MutualTls)] transport: Transport)`.

#![allow(dead_code)] // each test program uses its part of it

use std::fs;

use grpcio::{
    CertificateRequestType, Channel, ChannelBuilder, ChannelCredentialsBuilder, ServerCredentials,
    ServerCredentialsBuilder,
};
use tempfile::TempDir;

use super::certificates::{Authority, Files};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Clear,
    Tls,
    MutualTls,
}

impl Transport {
    /// Sets the transport up, with new certificates.
    pub fn set_up(self) -> TransportSetup {
        let certificates = (self != Transport::Clear).then(|| {
            let directory = tempfile::tempdir().unwrap();
            let authority = Authority::new();
            authority.write(&directory.path().join("ca.pem"));
            Certificates {
                server: authority.issue_files(directory.path(), "server", &SERVER_NAMES),
                client: authority.issue_files(directory.path(), "client", &["client.test"]),
                directory,
            }
        });
        TransportSetup {
            transport: self,
            certificates,
        }
    }
}

/// Names in the server's certificate; a Unix-domain socket counts as `localhost`.
pub const SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The transport between one server and its clients. Dropping it deletes the files.
pub struct TransportSetup {
    transport: Transport,
    certificates: Option<Certificates>,
}

struct Certificates {
    server: Files,
    client: Files,
    directory: TempDir,
}

impl Certificates {
    fn ca(&self) -> String {
        path(&self.directory.path().join("ca.pem"))
    }
}

impl TransportSetup {
    /// Flags of the `server` binary.
    pub fn server_flags(&self) -> Vec<String> {
        let Some(certificates) = &self.certificates else {
            return Vec::new();
        };
        let Files { certificate, key } = &certificates.server;
        let mut flags = vec![
            "--tls-cert".into(),
            path(certificate),
            "--tls-key".into(),
            path(key),
        ];
        if self.transport == Transport::MutualTls {
            flags.extend(["--tls-client-ca".into(), certificates.ca()]);
        }
        flags
    }

    /// Flags of the `client` binary.
    pub fn client_flags(&self) -> Vec<String> {
        let Some(certificates) = &self.certificates else {
            return Vec::new();
        };
        let mut flags = vec!["--tls".into(), "--ca".into(), certificates.ca()];
        if self.transport == Transport::MutualTls {
            let Files { certificate, key } = &certificates.client;
            flags.extend([
                "--cert".into(),
                path(certificate),
                "--key".into(),
                path(key),
            ]);
        }
        flags
    }

    /// Credentials of a grpcio server, made without the library under test.
    pub fn server_credentials(&self) -> ServerCredentials {
        let Some(certificates) = &self.certificates else {
            return ServerCredentials::insecure();
        };
        let Files { certificate, key } = &certificates.server;
        let mut builder = ServerCredentialsBuilder::new()
            .add_cert(fs::read(certificate).unwrap(), fs::read(key).unwrap());
        if self.transport == Transport::MutualTls {
            builder = builder.root_cert(
                fs::read(certificates.ca()).unwrap(),
                CertificateRequestType::RequestAndRequireClientCertificateAndVerify,
            );
        }
        builder.build()
    }

    /// A grpcio channel, made likewise.
    pub fn connect(&self, builder: ChannelBuilder, address: &str) -> Channel {
        let Some(certificates) = &self.certificates else {
            return builder.connect(address);
        };
        let mut credentials =
            ChannelCredentialsBuilder::new().root_cert(fs::read(certificates.ca()).unwrap());
        if self.transport == Transport::MutualTls {
            let Files { certificate, key } = &certificates.client;
            credentials = credentials.cert(fs::read(certificate).unwrap(), fs::read(key).unwrap());
        }
        builder
            .set_credentials(credentials.build())
            .connect(address)
    }
}

/// The path as the value of a flag.
pub fn path(path: &std::path::Path) -> String {
    path.to_str().unwrap().into()
}

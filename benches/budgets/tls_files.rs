//! The tests' certificates and transports, included by path.

#[path = "../../tests/common/certificates.rs"]
pub mod certificates;
#[path = "../../tests/common/transport.rs"]
pub mod transport;

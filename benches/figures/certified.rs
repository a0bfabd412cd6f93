//! Certificates and wires, as the tests have them.

#[path = "../../tests/common/certificates.rs"]
pub mod certificates;
#[path = "../../tests/common/wire.rs"]
pub mod wire;

//! The tests' certificates and wires, included by path.

#[path = "../../tests/common/certificates.rs"]
pub mod certificates;
#[path = "../../tests/common/wire.rs"]
pub mod wire;

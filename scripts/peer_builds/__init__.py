"""Role: how each participant of the contract is built, a module for each toolchain. Nothing here starts a server or client."""

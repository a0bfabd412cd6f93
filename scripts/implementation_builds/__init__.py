"""Role: builds the implementations, a module for each toolchain. It starts no server and no client."""

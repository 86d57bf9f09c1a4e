//! The compiled XDP programs, embedded at build time, aligned as an ELF parser wants it.

/// The object's bytes; empty when this was built without `cargo xtask build`.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("VIADUCT_EBPF_OBJECT_EMBEDDED"));

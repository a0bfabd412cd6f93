//! Positions in a stream, with which a call goes on where an earlier one broke: both sides' metadata,
//! and the server's tokens. It must not know sources, nor when a client tries again.
//!
//! A position is a token and a count: so many messages after the place that the token names. The
//! server gives the token in its headers; only servers with its key can read it. The client counts
//! the messages. So no message needs a field for it, and nobody keeps a state.

#[cfg(feature = "sources")]
mod key;
mod position;
#[cfg(feature = "sources")]
mod token;

#[cfg(feature = "sources")]
pub use key::{ResumeKey, ResumeKeyError};
pub use position::Position;
#[cfg(feature = "sources")]
pub(crate) use token::Tokens;

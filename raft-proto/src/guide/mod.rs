//! For those who write a driver: what can go wrong, which settings suit which transport, and where
//! the calls of other libraries are found. These pages hold no code.

pub mod mistakes;
pub mod other_libraries;
pub mod transports;

//! x
pub mod range;
pub mod timing;
pub mod trial;

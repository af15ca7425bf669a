//! A simulator of Raft clusters.

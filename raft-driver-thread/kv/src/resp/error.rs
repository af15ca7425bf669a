//! What is wrong with bytes that are no request, or no reply.

/// Why the bytes of a connection cannot be decoded any further.
///
/// The texts are those of Redis, where Redis has one. A server answers `-ERR <text>` and closes
/// the connection, because nobody can tell where the next request begins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The number of elements is not a number, or is over the limit.
    #[error("Protocol error: invalid multibulk length")]
    MultibulkLength,
    /// The length of a bulk string is not a number, negative, or over the limit.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// The line with the number of elements is over the limit.
    #[error("Protocol error: too big mbulk count string")]
    MultibulkLine,
    /// The line with the length of a bulk string is over the limit.
    #[error("Protocol error: too big bulk count string")]
    BulkLine,
    /// An element of a request is not a bulk string.
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    ExpectedBulk(u8),
    /// A bulk string does not end where its length says.
    #[error("Protocol error: expected the end of a line behind a bulk string")]
    ExpectedEnd,
    /// The line of an inline request is over the limit.
    #[error("Protocol error: too big inline request")]
    InlineLength,
    /// A quote in an inline request is not closed, or its end is not followed by a blank.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
    /// A browser was made to talk to this port.
    #[error("Protocol error: this is a server for the protocol of Redis, not for HTTP")]
    Http,
    /// The whole request is over the limit.
    #[error("Protocol error: too big request")]
    RequestLength,
    /// A reply begins with a byte that stands for no kind of value that such a server sends.
    #[error("Protocol error: unexpected kind of reply '{}'", .0.escape_ascii())]
    ReplyKind(u8),
    /// A reply has more bytes, more values or more levels than the limits allow.
    #[error("Protocol error: too big reply")]
    ReplySize,
    /// A line or a number in a reply is malformed.
    #[error("Protocol error: malformed reply")]
    Malformed,
}

//! Requests that people type: one line, words with blanks between them, quotes as in Redis.

use crate::resp::error::ProtocolError;
use bytes::Bytes;
use std::iter::Peekable;
use std::slice::Iter;

type Text<'a> = Peekable<Iter<'a, u8>>;

/// The words of a line.
///
/// In double quotes, `\n \r \t \b \a` and `\xHH` stand for one byte; a backslash before any other
/// byte stands for that byte. In single quotes only `\'` is an escape. A quote ends its word. As
/// in Redis, a zero byte ends the line.
pub(super) fn words(line: &[u8]) -> Result<Vec<Bytes>, ProtocolError> {
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut text = line.iter().peekable();
    let mut words = Vec::new();
    loop {
        while text.next_if(|byte| is_space(byte)).is_some() {}
        if text.peek().is_none() {
            return Ok(words);
        }
        words.push(word(&mut text)?);
    }
}

fn word(text: &mut Text<'_>) -> Result<Bytes, ProtocolError> {
    let mut word = Vec::new();
    while let Some(byte) = text.next_if(|byte| !is_space(byte)) {
        match byte {
            b'"' => double_quoted(text, &mut word)?,
            b'\'' => single_quoted(text, &mut word)?,
            plain => {
                word.push(*plain);
                continue;
            }
        }
        // A blank must follow the end of a quote.
        if text.peek().is_some_and(|next| !is_space(next)) {
            return Err(ProtocolError::Quotes);
        }
    }
    Ok(word.into())
}

fn double_quoted(text: &mut Text<'_>, word: &mut Vec<u8>) -> Result<(), ProtocolError> {
    loop {
        match text.next().ok_or(ProtocolError::Quotes)? {
            b'"' => return Ok(()),
            b'\\' => word.push(escaped(text)?),
            plain => word.push(*plain),
        }
    }
}

fn escaped(text: &mut Text<'_>) -> Result<u8, ProtocolError> {
    let byte = *text.next().ok_or(ProtocolError::Quotes)?;
    Ok(match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        b'x' => match two_hex_digits(text) {
            None => b'x',
            Some(byte) => {
                text.next();
                text.next();
                byte
            }
        },
        other => other,
    })
}

/// The byte for which the next two bytes stand, if they are hexadecimal digits.
fn two_hex_digits(text: &Text<'_>) -> Option<u8> {
    let mut digits = text.clone();
    let mut digit = || char::from(*digits.next()?).to_digit(16);
    let value = digit()? * 16 + digit()?;
    u8::try_from(value).ok()
}

fn single_quoted(text: &mut Text<'_>, word: &mut Vec<u8>) -> Result<(), ProtocolError> {
    loop {
        match text.next().ok_or(ProtocolError::Quotes)? {
            b'\'' => return Ok(()),
            b'\\' if text.next_if(|next| **next == b'\'').is_some() => word.push(b'\''),
            plain => word.push(*plain),
        }
    }
}

fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

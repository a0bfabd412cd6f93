//! Reads the status of a call from its trailers. The client sets the size of HPACK's table to 0, so
//! a block refers to no earlier block: all that matters here is literal.

/// The code and the message. `None` if the block is not as the C-core writes it: it uses no Huffman
/// coding.
pub fn status(mut block: &[u8]) -> Option<(i32, String)> {
    let mut code = None;
    let mut message = String::new();
    while let Some(&first) = block.first() {
        if first & 0x80 != 0 {
            // An entry of the static table, such as `:status: 200`.
            integer(&mut block, 7)?;
            continue;
        }
        if first & 0xe0 == 0x20 {
            // The size of the dynamic table.
            integer(&mut block, 5)?;
            continue;
        }
        let prefix = if first & 0x40 != 0 { 6 } else { 4 };
        let name = match integer(&mut block, prefix)? {
            0 => string(&mut block)?,
            _ => String::new(), // a name of the static table: none that is needed
        };
        let value = string(&mut block)?;
        match name.as_str() {
            "grpc-status" => code = Some(value.parse().ok()?),
            "grpc-message" => message = value,
            _ => {}
        }
    }
    Some((code?, message))
}

/// Takes an integer with a prefix of this many bits.
fn integer(block: &mut &[u8], prefix: u32) -> Option<usize> {
    let (&first, mut rest) = block.split_first()?;
    let most = (1_usize << prefix) - 1;
    let mut value = usize::from(first) & most;
    if value == most {
        for shift in (0..28).step_by(7) {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *block = rest;
    Some(value)
}

/// Takes a string.
fn string(block: &mut &[u8]) -> Option<String> {
    let is_huffman = block.first()? & 0x80 != 0;
    let length = integer(block, 7)?;
    if is_huffman || length > block.len() {
        return None;
    }
    let (taken, rest) = block.split_at(length);
    let taken = String::from_utf8_lossy(taken).into_owned();
    *block = rest;
    Some(taken)
}

#[test]
fn a_status_is_read() {
    use crate::common::http2::{field, INDEXED, PLAIN};

    // The table's size, and `:status: 200`.
    let mut block = vec![0x20, 0x88];
    field(&mut block, INDEXED, "content-type", "application/grpc");
    field(&mut block, INDEXED, "grpc-status", "15");
    let long = "x".repeat(300);
    field(&mut block, PLAIN, "grpc-message", &long);
    assert_eq!(status(&block), Some((15, long)));
    assert_eq!(status(&block[..block.len() - 1]), None);
    assert_eq!(status(&[0x88]), None);
}

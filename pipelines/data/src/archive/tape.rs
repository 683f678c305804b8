//! The entries of a tar.

use super::Writer;
use crate::DataError;
use std::io::{self, Read};
use tar::{Archive, EntryType, Header};

/// Bytes of a header, and of the padding of a file.
const BLOCK: usize = 512;

/// Unpacks a tar; `false` when the stream is not one, and then nothing is written.
pub(super) fn unpack(mut stream: Box<dyn Read>, writer: &mut Writer<'_>) -> Result<bool, DataError> {
    let mut head = Vec::new();
    stream.by_ref().take(BLOCK as u64).read_to_end(&mut head).map_err(|error| writer.damaged(&error))?;
    if !is_header(&head) {
        return Ok(false);
    }
    let source = Bounded { inner: io::Cursor::new(head).chain(stream), left: writer.most, zeros: 0 };
    let mut archive = Archive::new(source);
    for entry in archive.entries().map_err(|error| writer.damaged(&error))? {
        let mut entry = entry.map_err(|error| writer.damaged(&error))?;
        let listed = entry.path().map_err(|error| writer.damaged(&error))?.into_owned();
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => drop(writer.place(&listed)?),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let size = entry.size();
                writer.file(&listed, size, &mut entry)?;
            }
            EntryType::Link => {
                let to = entry.link_name().map_err(|error| writer.damaged(&error))?.unwrap_or_default().into_owned();
                writer.hard_link(&listed, &to)?;
            }
            EntryType::Symlink => return Err(writer.hostile(format!("{} is a link", listed.display()))),
            _ => return Err(writer.hostile(format!("{} is neither a file nor a folder", listed.display()))),
        }
    }
    let mut source = archive.into_inner();
    if source.zeros < BLOCK as u64 {
        return Err(writer.damaged(&io::Error::new(io::ErrorKind::UnexpectedEof, "its end marker is missing")));
    }
    // The rest holds the checksum of the packing; a bomb may also hide behind the end of the archive.
    io::copy(&mut source, &mut io::sink()).map_err(|error| writer.damaged(&error))?;
    Ok(true)
}

/// Tells whether a block is a header with the right sum, or the end marker of an empty tar.
fn is_header(block: &[u8]) -> bool {
    let Ok(block) = <[u8; BLOCK]>::try_from(block) else { return false };
    let mut header = Header::new_old();
    *header.as_mut_bytes() = block;
    let claimed = header.cksum();
    header.set_cksum();
    block.iter().all(|byte| *byte == 0) || claimed.is_ok_and(|sum| header.cksum().is_ok_and(|real| real == sum))
}

/// A stream that ends in an error once it has given more than it may, and counts the zero bytes that it gave last.
struct Bounded<R> {
    inner: R,
    left: u64,
    zeros: u64,
}

/// The error of a stream that gives more than it may.
#[derive(Debug, thiserror::Error)]
#[error("too much")]
pub(super) struct TooMuch;

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| io::Error::other(TooMuch))?;
        let last = buffer[..n].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if last == n { self.zeros + n as u64 } else { last as u64 };
        Ok(n)
    }
}

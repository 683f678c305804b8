//! How an archive is packed, told by its first bytes: names say it wrongly.

use bzip2::read::MultiBzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

/// The most memory that unpacking may take, in KiB: xz by its greatest usual setting takes a quarter of it.
const MOST_MEMORY_KIB: u32 = 256 << 10;

/// A form of archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Zip,
    Gzip,
    Xz,
    Bzip2,
    Zstd,
    /// A tar as it is, or a zip behind a program that unpacks it, or no archive.
    Plain,
    /// A form that is known by name and not read.
    Unread(&'static str),
}

/// First bytes of each form.
const MAGIC: [(&[u8], Packing); 13] = [
    (b"PK\x03\x04", Packing::Zip),
    (b"PK\x05\x06", Packing::Zip),
    (b"PK\x07\x08", Packing::Zip),
    (b"\x1f\x8b", Packing::Gzip),
    (b"\xfd7zXZ\0", Packing::Xz),
    (b"BZh", Packing::Bzip2),
    (b"\x28\xb5\x2f\xfd", Packing::Zstd),
    (b"7z\xbc\xaf\x27\x1c", Packing::Unread("7z")),
    (b"Rar!\x1a\x07", Packing::Unread("RAR")),
    (b"LZIP", Packing::Unread("lzip")),
    (b"\x04\x22\x4d\x18", Packing::Unread("LZ4")),
    (b"\x1f\x9d", Packing::Unread("compress (.Z)")),
    (b"\x5d\0\0", Packing::Unread("LZMA")),
];

impl Packing {
    /// Reads the first bytes and returns to the beginning.
    pub fn of(file: &mut File) -> io::Result<Self> {
        let mut head = Vec::new();
        file.take(8).read_to_end(&mut head)?;
        file.rewind()?;
        Ok(MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map_or(Self::Plain, |(_, packing)| *packing))
    }

    /// Returns the stream of the tar inside, of all members where several were put together.
    pub fn tar_stream(self, file: File) -> io::Result<Box<dyn Read>> {
        let source = BufReader::with_capacity(1 << 20, file);
        Ok(match self {
            Self::Gzip => Box::new(Members(Some(GzDecoder::new(source)))),
            Self::Xz => Box::new(XzReader::new_mem_limit(source, true, MOST_MEMORY_KIB)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(source)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(source)?),
            Self::Plain | Self::Zip | Self::Unread(_) => Box::new(source),
        })
    }
}

/// The members of a gzip one after the other; as for gzip itself, what follows the last one and begins no other is padding.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            match member.read(buffer)? {
                0 if !buffer.is_empty() => {
                    let mut source = self.0.take().map(GzDecoder::into_inner).ok_or(io::ErrorKind::UnexpectedEof)?;
                    if source.fill_buf()?.starts_with(b"\x1f") {
                        self.0 = Some(GzDecoder::new(source));
                    }
                }
                n => return Ok(n),
            }
        }
        Ok(0)
    }
}
